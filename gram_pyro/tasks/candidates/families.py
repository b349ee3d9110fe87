"""Rules to draw puzzles of: what a family of puzzles is before its clues.

A family is a function of a random number generator. Where rules are always the same, so is the object that is returned.
Source: ours.
"""

from functools import cache
from random import Random

import networkx as nx

from gram_pyro.tasks.candidates import importers, shorthands
from gram_pyro.tasks.candidates.puzzle import CandidatePuzzle, Group, different, make_puzzle


def sudoku(rng: Random, n: int) -> CandidatePuzzle:
    """Rows, columns and boxes."""
    return _sudoku(n)


@cache
def _sudoku(n: int) -> CandidatePuzzle:
    return importers.sudoku([0] * (n * n))


def latin_square(rng: Random, n: int) -> CandidatePuzzle:
    """Rows and columns."""
    return _latin_square(n)


@cache
def _latin_square(n: int) -> CandidatePuzzle:
    grid = (n, n)
    groups = [g for cells in shorthands.rows(grid) + shorthands.columns(grid) for g in different(cells, n)]
    return make_puzzle(shorthands.cell_names(grid), [str(d + 1) for d in range(n)], groups, grid=grid)


def queens(rng: Random, n: int) -> CandidatePuzzle:
    """n queens on n x n."""
    return _queens(n)


_queens = cache(shorthands.queens)


def graph(rng: Random, n: int, num_colours: int, edge_probability: float) -> CandidatePuzzle:
    """A random graph to colour, that may have no colouring."""
    return importers.colouring(nx.gnp_random_graph(n, edge_probability, rng.getrandbits(32)), num_colours)


def scattered(
    rng: Random, num_cells: int, num_symbols: int, num_exact: int, num_at_most: int, group_size: int
) -> CandidatePuzzle:
    """Groups at random around a hidden answer: of each, one candidate is in, or (at most one) none or one."""
    hidden = [cell * num_symbols + rng.randrange(num_symbols) for cell in range(num_cells)]
    others = [c for c in range(num_cells * num_symbols) if c not in set(hidden)]
    groups = []
    for number in range(num_exact + num_at_most):
        exact = number < num_exact
        held = rng.sample(hidden, 1 if exact else rng.randint(0, 1))
        groups.append(Group(exact, tuple(held + rng.sample(others, group_size - len(held)))))
    return make_puzzle(map(str, range(num_cells)), map(str, range(num_symbols)), groups)
