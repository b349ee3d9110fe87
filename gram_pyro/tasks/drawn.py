"""Tasks whose puzzles are drawn at random, once: a train set and one test set of classes that train does not have."""

import logging
from abc import abstractmethod
from functools import cached_property

from gram_pyro.tasks.base import Puzzles, Task

log = logging.getLogger(__name__)


class DrawnTask(Task):
    """What such tasks share. A subclass sets `num_train`, `num_test`, `test_name` and `classes`, and says how to draw.

    Attributes: classes, what a test set that came out too short has used up, in words.
    """

    num_train: int
    num_test: int
    test_name: str
    classes: str

    @abstractmethod
    def draw_split(self) -> dict[str, Puzzles]:
        """The sets "train" and `test_name`."""

    @cached_property
    def _split(self) -> dict[str, Puzzles]:
        return self.draw_split()

    @property
    def train(self) -> Puzzles:
        """Raises: ValueError if num_train is 0."""
        if self.num_train == 0:
            raise ValueError("there is nothing to train on: num_train=0 was given; give num_train >= 1.")
        return self._split["train"]

    @cached_property
    def test(self) -> dict[str, Puzzles]:
        if self.num_test == 0:
            return {}
        puzzles = self._split[self.test_name]
        if puzzles.num_puzzles < self.num_test:
            log.warning(
                "test set %s has %d %s, not %d: %s for tests.",
                self.test_name,
                puzzles.num_puzzles,
                self.test_name,
                self.num_test,
                self.classes,
            )
        return {self.test_name: puzzles}
