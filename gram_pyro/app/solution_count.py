"""How many solutions a puzzle has, where an exact solver can tell in a second or so.

Source: ours.
"""

from itertools import islice

from gram_pyro.app.puzzle import Puzzle
from gram_pyro.tasks.base import Task

MOST = 1000  # solutions that are counted
MOST_GUESSES = 3000  # of the search


def count_solutions(puzzle: Puzzle, task: Task) -> int | None:
    """The number of solutions; MOST + 1 if there are more than MOST; None if the search was given up."""
    if puzzle.kind == "queens":
        return min(int(task.board.complete(puzzle.x[None]).num_solutions), MOST + 1)
    guesses = 0

    def note(digits: list[int]) -> None:
        nonlocal guesses
        guesses += 1
        if guesses > MOST_GUESSES:
            digits.clear()  # no branch is entered any more

    geometry = task.geometry
    found = sum(1 for _ in islice(geometry.search(geometry.planes(puzzle.x.tolist()), note), MOST + 1))
    return None if guesses > MOST_GUESSES and found <= MOST else found


def in_words(count: int | None) -> str:
    """'none', '21', 'more than 1000' or 'unknown'."""
    if count is None:
        return "unknown"
    return "none" if count == 0 else f"more than {MOST}" if count > MOST else str(count)
