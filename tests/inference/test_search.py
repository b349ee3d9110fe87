"""Searches against a list of what is right, tried one by one."""

from types import SimpleNamespace

import pytest
import torch
from scripts import experiment

from gram_pyro.inference.search import Found, search

L, B, MOST = 3, 40, 25


class Scripted:
    """Answers written beforehand: that of puzzle i at try k is [i, k, right]."""

    def __init__(self):
        right = torch.rand(MOST, B) < torch.linspace(0, 0.5, B)  # puzzle 0 is never right
        place = torch.cartesian_prod(torch.arange(MOST), torch.arange(B)).view(MOST, B, 2).flip(-1)
        self.answers = torch.cat([place, right[..., None]], -1)
        self.x = torch.arange(B)[:, None].expand(B, L + 2)  # a puzzle may be longer than its answer
        self.drawn = torch.zeros(B, dtype=torch.int64)

    def draw(self, x, num_particles):
        puzzles = x[:, 0]
        assert len(self.drawn[puzzles].unique()) == 1  # all open ones are equally far
        start = int(self.drawn[puzzles[0]])
        self.drawn[puzzles] += num_particles
        return SimpleNamespace(answers=self.answers[start : start + num_particles, puzzles])

    def is_solved(self, x, answers):
        assert torch.equal(answers[..., 0], x[:, 0].expand(answers.shape[:2]))
        return answers[..., 2] == 1

    def one_by_one(self, at_once, most):
        """Tries, whether solved, and how many are drawn, of every puzzle."""
        for puzzle in self.answers[:most].transpose(0, 1).tolist():
            first = next((k for k, (_, _, right) in enumerate(puzzle, 1) if right), None)
            yield first or most, first is not None, min(most, -(-(first or most) // at_once) * at_once)


@pytest.mark.parametrize("at_once, most", [(1, 25), (4, 25), (5, 25), (25, 25), (100, 25), (7, 3)])
def test_a_search_tries_until_one_is_right(at_once, most):
    scripted = Scripted()
    found, rounds = Found.nothing(scripted.x), 0
    for round in search(scripted.draw, scripted.is_solved, scripted.x, at_once, most):
        found, rounds = found.after(round), rounds + 1
    tries, solved, drawn = (torch.tensor(column) for column in zip(*scripted.one_by_one(at_once, most), strict=True))
    assert found.tries.tolist() == tries.tolist() and found.solved.tolist() == solved.tolist()
    assert found.drawn.tolist() == drawn.tolist() == scripted.drawn.tolist()
    assert rounds == -(-most // at_once) and not found.solved[0] and (at_once > 7 or found.solved.any())
    expected = scripted.answers[found.tries - 1, torch.arange(B)]
    assert torch.equal(found.answers[found.solved], expected[found.solved])


def test_a_search_ends_when_all_are_solved():
    scripted = Scripted()
    scripted.answers[2, :, 2] = 1
    assert len(list(search(scripted.draw, scripted.is_solved, scripted.x, 2, MOST))) == 2


@pytest.mark.parametrize("at_once, most", [(0, 5), (5, 0)])
def test_a_search_draws_something(at_once, most):
    with pytest.raises(ValueError, match=f"got at_once={at_once}, most={most}; expected 1 or more of both"):
        next(search(None, None, torch.zeros(1, 1), at_once, most))


@pytest.mark.parametrize(
    "most, steps", [(1, [1]), (2, [1, 2]), (20, [1, 2, 5, 10, 20]), (70, [1, 2, 5, 10, 20, 50, 70])]
)
def test_limits_are_round_numbers(most, steps):
    assert experiment("search").limits(most) == steps


def test_the_curve_counts_the_puzzles():
    scripted = Scripted()
    found = Found.nothing(scripted.x)
    for round in search(scripted.draw, scripted.is_solved, scripted.x, 5, MOST):
        found = found.after(round)
    for row in experiment("search").curve(found, MOST):
        each = list(scripted.one_by_one(1, row["limit"]))  # as if the limit had been given
        share = sum(solved for _, solved, _ in each) / B
        assert row["solved"] == pytest.approx(share)
        assert row["solved_se"] == pytest.approx((share * (1 - share) / (B - 1)) ** 0.5)
        assert row["trajectories"] == pytest.approx(sum(tries for tries, _, _ in each) / B)
