"""Tasks whose puzzles are drawn at random, once: a train set, and a test set of other symmetry classes."""

import logging
from abc import abstractmethod
from functools import cached_property

from gram_pyro.tasks.base import Puzzles, Task

log = logging.getLogger(__name__)


class DrawnTask(Task):
    """The base of such tasks. A subclass sets `num_train`, `num_test`, `test_name` and `classes`, and draws the sets.

    Attributes: classes, the words for a warning that there are too few classes for the test set.
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
            raise ValueError("got num_train=0; expected puzzles to train on; write num_train=1 or more")
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
