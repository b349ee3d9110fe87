"""A puzzle whose rules are data: candidates (cell, symbol), and groups of them.

    y solves it  <=>  one candidate of every cell is in;  of every group "exactly one of these", one is;  of every group
                      "at most one of these", no two are;  y_j = x_j for every candidate j with x_j != BLANK

Candidate j = C i + c is symbol c in cell i. In x and y a candidate has one of the roles 0, unknown; 1, out; 2, in, as
in `gram_pyro.tasks.nqueens`. Sudoku and its variants, Latin squares, queens, colourings and timetables are of this
kind: they are exact covers whose items are partly optional.
Source: Knuth, Dancing Links (2000), for the form; cells apart from other groups: ours.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

BLANK, OUT, IN = range(3)
MOST_CANDIDATES = 1_000_000  # of a puzzle: each takes memory


class Contradiction(ValueError):
    """Clues that break a rule, and their candidates."""

    def __init__(self, candidates: Iterable[int], problem: str) -> None:
        super().__init__(problem)
        self.candidates = tuple(candidates)


class Group(NamedTuple):
    """Candidates of which exactly one is in, or (exact False) at most one."""

    exact: bool
    candidates: tuple[int, ...]


class CandidatePuzzle(NamedTuple):
    """cells L and symbols C, by their names; roles [L C], x of every candidate; groups, those of the cells aside;
    grid, rows and columns where the cells stand row by row on one."""

    cells: tuple[str, ...]
    symbols: tuple[str, ...]
    roles: tuple[int, ...]
    groups: tuple[Group, ...]
    grid: tuple[int, int] | None = None

    @property
    def all_groups(self) -> tuple[Group, ...]:
        """The groups, those of the cells first."""
        width = len(self.symbols)
        own = (tuple(range(i * width, (i + 1) * width)) for i in range(len(self.cells)))
        return tuple(Group(True, candidates) for candidates in own) + self.groups

    def name(self, candidate: int) -> str:
        """Cell=symbol."""
        cell, symbol = divmod(candidate, len(self.symbols))
        return f"{self.cells[cell]}={self.symbols[symbol]}"


def make_puzzle(
    cells: Iterable[str],
    symbols: Iterable[str],
    groups: Iterable[Group],
    given: Mapping[int, int] | None = None,
    excluded: Iterable[int] = (),
    grid: tuple[int, int] | None = None,
) -> CandidatePuzzle:
    """A puzzle in normal form: each group once and sorted, those that rule nothing out left out; in a given cell the
    other symbols are out.

    Args: given, symbol by cell, both by number; excluded, candidates.
    Raises: ValueError if there are too many candidates or none; Contradiction if a candidate is both given and
    excluded, or clues leave a group with two or none.
    """
    cells, symbols = tuple(cells), tuple(symbols)
    width = len(symbols)
    check_size(len(cells), width)
    roles = [BLANK] * (len(cells) * width)
    for candidate in excluded:
        roles[candidate] = OUT
    for cell, symbol in (given or {}).items():
        chosen = cell * width + symbol
        if roles[chosen] == OUT:
            name = f"{cells[cell]}={symbols[symbol]}"
            raise Contradiction([chosen], f"{name} is given and excluded; write one of the two")
        roles[cell * width : (cell + 1) * width] = [OUT] * width
        roles[chosen] = IN
    distinct = dict.fromkeys(Group(group.exact, tuple(sorted(set(group.candidates)))) for group in groups)
    kept = tuple(group for group in distinct if group.exact or len(group.candidates) > 1)
    puzzle = CandidatePuzzle(cells, symbols, tuple(roles), kept, grid)
    check_clues(puzzle)
    return puzzle


def check_size(num_cells: int, num_symbols: int) -> None:
    """Raises: ValueError if there are too many candidates, or none."""
    if not 0 < num_cells * num_symbols <= MOST_CANDIDATES:
        raise ValueError(
            f"got {num_cells} cells and {num_symbols} symbols; expected 1 to {MOST_CANDIDATES} candidates in all"
        )


def check_clues(puzzle: CandidatePuzzle) -> None:
    """Raises: Contradiction if the clues alone break a group."""
    for group in puzzle.all_groups:
        held = [c for c in group.candidates if puzzle.roles[c] == IN]
        if len(held) > 1:
            names = " and ".join(puzzle.name(c) for c in held[:2])
            raise Contradiction(held, f"{names} are given, and at most one of them can be; change one")
        if group.exact and all(puzzle.roles[c] == OUT for c in group.candidates):
            names = ", ".join(puzzle.name(c) for c in group.candidates[:4])
            more = ", ..." if len(group.candidates) > 4 else ""
            problem = f"one of {names}{more} has to be, and the clues leave none; give fewer clues"
            raise Contradiction(group.candidates, problem)


def different(cells: Sequence[int], num_symbols: int) -> list[Group]:
    """The groups of cells that hold different symbols, all of them where there are as many cells.

    Raises: ValueError if there are more cells than symbols, or fewer than two.
    """
    if len(set(cells)) < len(cells):
        raise ValueError("got a cell twice in one group; write it once")
    if not 2 <= len(cells) <= num_symbols:
        raise ValueError(
            f"got {len(cells)} cells that have to differ, and {num_symbols} symbols; expected at least 2 cells, and no "
            "more than there are symbols"
        )
    exact = len(cells) == num_symbols
    return [Group(exact, tuple(cell * num_symbols + symbol for cell in cells)) for symbol in range(num_symbols)]
