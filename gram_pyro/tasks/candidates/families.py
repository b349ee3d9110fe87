"""Families of puzzles without clues, from which training puzzles are drawn.

A family with fixed rules always returns the same puzzle.  Source: ours.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from random import Random

import networkx as nx

from gram_pyro.tasks.candidates import importers, shorthands
from gram_pyro.tasks.candidates.puzzle import CandidatePuzzle, Group, different, make_puzzle


class Family(ABC):
    """Puzzles of one shape."""

    @abstractmethod
    def __call__(self, rng: Random) -> CandidatePuzzle:
        """A puzzle without clues. It depends on `rng` alone."""


@dataclass(frozen=True)
class Sudokus(Family):
    """Sudoku on n x n cells: rows, columns and boxes."""

    n: int

    def __call__(self, rng: Random) -> CandidatePuzzle:
        return _sudoku(self.n)


@dataclass(frozen=True)
class LatinSquares(Family):
    """Latin squares of n x n cells."""

    n: int

    def __call__(self, rng: Random) -> CandidatePuzzle:
        return _latin_square(self.n)


@dataclass(frozen=True)
class Queens(Family):
    """n queens on n x n."""

    n: int

    def __call__(self, rng: Random) -> CandidatePuzzle:
        return _queens(self.n)


@dataclass(frozen=True)
class Graphs(Family):
    """Random graphs on n vertices. A graph may have no colouring."""

    n: int
    num_colours: int
    edge_probability: float

    def __call__(self, rng: Random) -> CandidatePuzzle:
        graph = nx.gnp_random_graph(self.n, self.edge_probability, rng.getrandbits(32))
        return importers.colouring(graph, self.num_colours)


@dataclass(frozen=True)
class Scattered(Family):
    """Groups at random around a hidden answer: of each, one candidate is in, or (at most one) none or one."""

    num_cells: int
    num_symbols: int
    num_exact: int
    num_at_most: int
    group_size: int

    def __call__(self, rng: Random) -> CandidatePuzzle:
        width = self.num_symbols
        hidden = [cell * width + rng.randrange(width) for cell in range(self.num_cells)]
        others = sorted(set(range(self.num_cells * width)) - set(hidden))
        groups = []
        for number in range(self.num_exact + self.num_at_most):
            exact = number < self.num_exact
            held = rng.sample(hidden, 1 if exact else rng.randint(0, 1))
            groups.append(Group(exact, tuple(held + rng.sample(others, self.group_size - len(held)))))
        return make_puzzle(map(str, range(self.num_cells)), map(str, range(width)), groups)


@dataclass(frozen=True)
class Different(Family):
    """Sets of 2 to `num_symbols` cells that differ, at random around a hidden answer."""

    num_cells: int
    num_symbols: int
    num_sets: int

    def __call__(self, rng: Random) -> CandidatePuzzle:
        width = self.num_symbols
        held = [[] for _ in range(width)]
        for place, cell in enumerate(rng.sample(range(self.num_cells), self.num_cells)):
            held[place % width].append(cell)
        groups = []
        for _ in range(self.num_sets):
            cells = [rng.choice(mates) for mates in rng.sample(held, rng.randint(2, width))]
            groups += different(cells, width)
        return make_puzzle(map(str, range(self.num_cells)), map(str, range(width)), groups)


@cache
def _sudoku(n: int) -> CandidatePuzzle:
    return importers.sudoku([0] * (n * n))


@cache
def _latin_square(n: int) -> CandidatePuzzle:
    grid = (n, n)
    groups = [g for cells in shorthands.rows(grid) + shorthands.columns(grid) for g in different(cells, n)]
    return make_puzzle(shorthands.cell_names(grid), [str(d + 1) for d in range(n)], groups, grid=grid)


_queens = cache(shorthands.queens)
