"""The number of solutions of a puzzle, if an exact solver finds it in about a second.

Source: ours.
"""

from itertools import islice

from gram_pyro.app.puzzle import Puzzle
from gram_pyro.tasks.base import Task
from gram_pyro.tasks.candidates.puzzle import CandidatePuzzle
from gram_pyro.tasks.candidates.search import GivenUp, Search
from gram_pyro.tasks.colouring.graphs import colourings
from gram_pyro.tasks.colouring.task import EDGE

MOST = 1000  # solutions that are counted
MOST_GUESSES = 3000  # of the search
SECONDS = 5.0  # of the exact referee


def count_solutions(puzzle: Puzzle, task: Task) -> int | None:
    """The number of solutions; MOST + 1 if there are more than MOST; None if the search was given up."""
    if puzzle.kind == "rules":
        return count_of_rules(puzzle.rules)
    if puzzle.kind == "queens":
        return min(int(task.board.complete(puzzle.x[None]).num_solutions), MOST + 1)
    if puzzle.kind == "graph":
        return count_colourings(puzzle)
    guesses = 0

    def note(digits: list[int]) -> None:
        nonlocal guesses
        guesses += 1
        if guesses > MOST_GUESSES:
            digits.clear()  # enters no more branches

    geometry = task.geometry
    found = sum(1 for _ in islice(geometry.search(geometry.planes(puzzle.x.tolist()), note), MOST + 1))
    return None if guesses > MOST_GUESSES and found <= MOST else found


def count_colourings(puzzle: Puzzle) -> int | None:
    """The number of colourings of a graph, up to renaming of the colours."""
    pairs = puzzle.n * (puzzle.n - 1) // 2
    found = colourings((puzzle.x[:pairs] == EDGE).tolist(), puzzle.n, puzzle.colours)
    try:
        return sum(1 for _ in islice(found, MOST + 1))
    except ValueError:  # too many steps
        return None


def count_of_rules(rules: CandidatePuzzle) -> int | None:
    """As `count_solutions`, for a puzzle that states its rules: by the exact referee, or without OR-tools a search."""
    try:
        from gram_pyro.tasks.candidates.referee import Referee  # an extra
    except ImportError:
        Referee = None
    try:
        if Referee:
            return Referee(rules, SECONDS).count(MOST + 1)
        return sum(1 for _ in islice(Search.of(rules).solutions(rules.roles, MOST_GUESSES), MOST + 1))
    except GivenUp:
        return None


def in_words(count: int | None) -> str:
    """'none', '21', 'more than 1000' or 'unknown'."""
    if count is None:
        return "unknown"
    return "none" if count == 0 else f"more than {MOST}" if count > MOST else str(count)
