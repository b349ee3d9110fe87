"""Two exact solvers of puzzles of candidates, against each other and against those of Sudoku, queens and graphs."""

import random

import networkx as nx
import pytest
import torch
from plain_graphs import brute_force, relabelled

from gram_pyro.tasks.candidates.importers import colouring, sudoku
from gram_pyro.tasks.candidates.puzzle import IN, OUT, Group, make_puzzle
from gram_pyro.tasks.candidates.referee import GivenUp, Referee
from gram_pyro.tasks.candidates.search import Search
from gram_pyro.tasks.candidates.shorthands import queens
from gram_pyro.tasks.nqueens.rules import Board
from gram_pyro.tasks.sudoku.rules import Geometry

HARD = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79".replace(".", "0")


def both(puzzle, limit=10_000):
    """All solutions, sorted, of which the two solvers say the same."""
    found = sorted(Referee(puzzle).solutions(limit))
    assert found == sorted(Search.of(puzzle).solutions(puzzle.roles)) and len(found) < limit
    return found


def chosen(y, width):
    """The symbol of every cell, from 0."""
    return [c % width for c, role in enumerate(y) if role == IN]


def scattered(seed, num_cells=5, width=3):
    """Random groups of both kinds and random clues, which may contradict each other."""
    rng = random.Random(seed)
    everything = range(num_cells * width)
    groups = [Group(rng.random() < 0.4, tuple(rng.sample(everything, rng.randint(1, 5)))) for _ in range(6)]
    excluded = {c for c in everything if rng.random() < 0.08}
    return make_puzzle(map(str, range(num_cells)), map(str, range(width)), groups, excluded=excluded)


# ---- all solutions


@pytest.mark.parametrize("n", range(1, 8))
def test_queens(n):
    found = [chosen(y, n) for y in both(queens(n))]
    assert len(found) == [1, 0, 0, 2, 10, 4, 40][n - 1]
    if n >= 4:
        assert sorted(found) == Board(n).columns.tolist()


def test_queens_with_given_and_empty_squares():
    board, squares = Board(6), [0] * 36
    squares[1], squares[35] = 2, 1
    expected = board.complete(torch.tensor([squares])).solutions
    assert sorted(both(queens(6, squares))) == sorted(expected.tolist())


@pytest.mark.parametrize("clues", ["0" * 16, "1" + "0" * 15, "1000000220000000", "1234341200000000", HARD])
def test_sudokus(clues):
    digits = [int(c) for c in clues]
    geometry = Geometry(4 if len(digits) == 16 else 9)
    found = [[c + 1 for c in chosen(y, geometry.n)] for y in both(sudoku(digits))]
    assert sorted(found) == sorted(geometry.solve(digits, 1000))


@pytest.mark.parametrize("seed", range(4))
def test_colourings(seed):
    graph = nx.gnp_random_graph(6, 0.5, seed)
    found = [chosen(y, 3) for y in both(colouring(graph, 3))]
    assert sorted({tuple(relabelled(y)) for y in found}) == brute_force(graph, 3)


def test_scattered_rules():
    """Against every way to choose a symbol for each cell."""
    counts = []
    for seed in range(60):
        try:
            puzzle = scattered(seed)
        except ValueError:  # clues that leave none
            continue
        ways = torch.cartesian_prod(*[torch.arange(3)] * 5)
        y = torch.nn.functional.one_hot(ways, 3).flatten(1)
        right = torch.ones(len(y), dtype=torch.bool)
        for group in puzzle.groups:
            count = y[:, list(group.candidates)].sum(1)
            right &= (count == 1) if group.exact else (count <= 1)
        right &= ~(y[:, [c for c, role in enumerate(puzzle.roles) if role == OUT]] == 1).any(1)
        assert both(puzzle) == sorted((y[right] + 1).tolist())
        counts.append(int(right.sum()))
    assert counts.count(0) > 5 and max(counts) > 10


def test_a_count_stops_at_its_limit():
    referee = Referee(sudoku([0] * 16))
    assert referee.count(5) == 5 and referee.count(1000) == 288
    with pytest.raises(ValueError, match="got limit=0; expected 1 or more"):
        referee.count(0)


# ---- the nearest


def test_the_nearest_is_the_best_of_all():
    generator = torch.Generator().manual_seed(0)
    for puzzle in (queens(6), sudoku([1] + [0] * 15), colouring(nx.petersen_graph(), 3)):
        referee, every = Referee(puzzle), torch.tensor(both(puzzle))
        for _ in range(3):
            score = torch.randn(every.shape[1], generator=generator)
            best = every[((every == IN) * score).sum(1).argmax()]
            assert referee.nearest(score.tolist()) == best.tolist()


def test_a_candidate_of_probability_zero_is_the_last_resort():
    referee = Referee(queens(4))
    one, other = sorted(referee.solutions(9))
    impossible = [-float("inf") if role == IN else 0.0 for role in one]
    assert referee.nearest(impossible) == other
    with pytest.raises(ValueError, match="got 3 scores; expected 16, none of them NaN"):
        referee.nearest([0.0] * 3)


def test_there_is_none():
    assert Referee(queens(3)).nearest([0.0] * 9) is None
    assert Search.of(queens(3)).near([0] * 9, range(9)) is None


def test_time_is_limited():
    with pytest.raises(GivenUp, match="no answer after 0.01 seconds; give more, or a smaller limit"):
        Referee(sudoku([0] * 81), seconds=0.01).nearest(torch.randn(729).tolist())


def test_near_boards_are_those_of_sudoku():
    """The first board in the order of what is believed, found by a solver that knows no Sudoku."""
    geometry, generator = Geometry(9), torch.Generator().manual_seed(1)
    for digits in ([0] * 81, [int(c) * (i % 2) for i, c in enumerate(HARD)]):
        puzzle = sudoku(digits)
        search = Search.of(puzzle)
        for _ in range(4):
            ranking = torch.rand(729, generator=generator).argsort().tolist()
            board = geometry.nearest(digits, [(c // 9, c % 9 + 1) for c in ranking])
            assert [c + 1 for c in chosen(search.near(puzzle.roles, ranking), 9)] == board


def test_the_first_choices_stand_where_they_can():
    """A solution that is ranked first is found itself; after too many choices there is no answer."""
    puzzle = queens(8)
    search = Search.of(puzzle)
    for y in Referee(puzzle).solutions(20):
        ranking = sorted(range(64), key=lambda c: y[c] != IN)
        assert search.near(puzzle.roles, ranking) == y
    assert search.near(puzzle.roles, range(64), limit=1) is None
