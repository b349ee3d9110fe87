"""A number that changes during training, written in words.

    0.5                                         constant
    linear from 0 to 1 over 1000 updates        a + (b - a) min(1, update / N), then b

Source: KL annealing, Bowman et al. (2016); the notation is ours.
"""

import re
from functools import lru_cache
from typing import NamedTuple

WORDS = re.compile(r"linear from (\d+(?:\.\d+)?) to (\d+(?:\.\d+)?) over (\d+) updates")


class Schedule(NamedTuple):
    """Linear from `first` to `last` over `updates` updates."""

    first: float
    last: float
    updates: int

    def at(self, update: int) -> float:
        """The number at update `update`, counted from 0."""
        return self.first + (self.last - self.first) * min(1.0, update / self.updates)


@lru_cache(typed=True)
def schedule(value: float | str, name: str) -> Schedule:
    """The schedule that `value` of the key `name` means.

    Raises: ValueError unless it is a number of 0 or more, or a schedule in words.
    """
    if isinstance(value, str) and (found := WORDS.fullmatch(value)) and int(found[3]):
        return Schedule(float(found[1]), float(found[2]), int(found[3]))
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf"):
        return Schedule(value, value, 1)
    raise ValueError(f"got {name}={value}; write a number, 0 or more, or: linear from 0 to 1 over 1000 updates")
