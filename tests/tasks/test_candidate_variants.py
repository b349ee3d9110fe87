"""Kinds of puzzles to try weights on: their rules, by other means."""

from itertools import combinations, permutations
from random import Random

import networkx as nx
import pytest
from plain_sudoku import units_of

from gram_pyro.tasks.candidates.families import LatinSquares, Sudokus
from gram_pyro.tasks.candidates.puzzle import IN, OUT
from gram_pyro.tasks.candidates.referee import Referee
from gram_pyro.tasks.candidates.task import draw
from gram_pyro.tasks.candidates.variants import ExcludedDiagonals, Famous, PlantedGraphs, Variant, regions


def grid(y, n):
    """The symbol of every cell by row and column."""
    return {divmod(c // n, n): c % n for c, role in enumerate(y) if role == IN}


def drawn(kind, n, seed=0):
    puzzle, y = draw(Variant(kind, n), Random(seed))
    board = grid(y, n)
    assert len(board) == n * n
    assert all(len({board[divmod(c, n)] for c in unit}) == n for unit in units_of(n)) or kind == "jigsaw"
    return puzzle, board


def test_the_long_diagonals_of_x_differ():
    for n in (4, 9):
        _, board = drawn("x", n)
        assert len({board[i, i] for i in range(n)}) == len({board[i, n - 1 - i] for i in range(n)}) == n


def test_the_windows_differ():
    _, board = drawn("windoku", 9)
    for top, left in ((1, 1), (1, 5), (5, 1), (5, 5)):
        assert len({board[top + i, left + j] for i in range(3) for j in range(3)}) == 9


def test_no_symbol_is_a_knights_move_away():
    _, board = drawn("anti_knight", 9)
    for (a, b), (c, d) in combinations(board, 2):
        assert sorted((abs(a - c), abs(b - d))) != [1, 2] or board[a, b] != board[c, d]


@pytest.mark.parametrize("n", [4, 6, 9])
def test_regions_hang_together_and_are_no_boxes(n):
    found = regions(n, Random(1))
    assert sorted(cell for cells in found for cell in cells) == list(range(n * n)) and {len(c) for c in found} == {n}
    board = nx.grid_2d_graph(n, n)
    assert all(nx.is_connected(board.subgraph(divmod(cell, n) for cell in cells)) for cells in found)
    assert found != regions(n, Random(2))
    assert sum(max(c // n for c in cells) - min(c // n for c in cells) >= n // 2 for cells in found) > 0


def test_a_jigsaw_has_every_symbol_in_every_region():
    puzzle, board = drawn("jigsaw", 6)
    latin = set(LatinSquares(6)(Random()).groups)
    sets = {tuple(c // 6 for c in g.candidates) for g in puzzle.groups if g not in latin}
    assert 4 <= len(sets) <= 6  # one that became a row is not seen here
    assert all(len({board[divmod(c, 6)] for c in cells}) == 6 for cells in sets)


def test_graphs_can_be_coloured_and_are_dense():
    puzzle, y = draw(PlantedGraphs(12, 3, 4.0), Random(3))
    edges = {tuple(sorted(c // 3 for c in g.candidates)) for g in puzzle.groups}
    colour = [c % 3 for c, role in enumerate(y) if role == IN]
    assert len(edges) == 24 and all(colour[a] != colour[b] for a, b in edges)


def test_mycielski_graphs_are_those_of_dimacs():
    """Numbers as in the files of DIMACS."""
    for name, vertices, edges in (("myciel3", 11, 20), ("myciel4", 23, 71), ("myciel5", 47, 236)):
        puzzle = Famous(name, 6)(Random())
        assert len(puzzle.cells) == vertices and len(puzzle.groups) == 6 * edges


def test_queen_graphs_are_those_of_dimacs():
    for n, edges in ((5, 160), (6, 290)):
        puzzle = Famous(f"queen{n}_{n}", 7)(Random())
        found = {tuple(c // 7 for c in g.candidates) for g in puzzle.groups}
        attack = {
            (a, b) for a, b in permutations(range(n * n), 2)
            if a < b and (0 in (x := a // n - b // n, y := a % n - b % n) or abs(x) == abs(y))
        }  # fmt: skip
        assert found == attack and len(found) == edges


def test_mistakes():
    for kind, n in (("killer", 9), ("windoku", 6)):
        with pytest.raises(ValueError, match=f"got kind={kind}, n={n}; expected one of x, windoku, anti_knight"):
            Variant(kind, n)
    assert len(Sudokus(9)(Random()).groups) + 9 * 4 == len(Variant("windoku")(Random()).groups)


def test_queens_keep_off_excluded_diagonals():
    """Excluded squares are whole diagonals, as many as 4 of them, and every drawn solution keeps off them."""
    diagonals = [[(r, c) for r in range(6) for c in range(6) if r - s * c == d] for s in (1, -1) for d in range(-5, 11)]
    diagonals = [set(line) for line in diagonals if line]
    rng, counts = Random(0), set()
    for _ in range(30):
        puzzle, y = draw(ExcludedDiagonals(6, 4), rng)
        out = {divmod(square, 6) for square, role in enumerate(puzzle.roles) if role == OUT}
        barred = [line for line in diagonals if line <= out]
        assert out == set().union(*barred) and IN not in puzzle.roles
        counts.add(len(barred))
        assert not out & {divmod(square, 6) for square, role in enumerate(y) if role == IN}
        assert y in Referee(puzzle).solutions(1000)
    assert {0, 1, 2} <= counts  # of 6 queens there are 4 solutions: few keep off more
