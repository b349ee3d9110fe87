"""Bins of puzzles and their means, against sorting by hand; and what evaluate.py writes of every puzzle."""

import csv

import pytest
import torch
from scripts import experiment

from gram_pyro.evaluation.metrics import Tally
from gram_pyro.plots.profile import MOST_BINS, bins, profile_figure
from gram_pyro.tasks.base import Puzzles
from gram_pyro.tasks.sudoku.task import Sudoku


@pytest.mark.parametrize("seed", range(5))
def test_bins_are_in_order_of_about_equal_size_and_keep_equals_together(seed):
    measure = torch.randint(3 + 20 * seed, (200,), generator=torch.Generator().manual_seed(seed))
    parts = bins(measure)
    assert sorted(torch.cat(parts).tolist()) == list(range(200)) and 1 <= len(parts) <= MOST_BINS
    assert all(measure[a].max() < measure[b].min() for a, b in zip(parts, parts[1:], strict=False))
    most_common = measure.bincount().max()
    assert all(len(part) <= 200 / MOST_BINS + most_common for part in parts)


def test_one_value_is_one_bin():
    assert [part.tolist() for part in bins(torch.full((5,), 3.0))] == [[0, 1, 2, 3, 4]]


def test_rows_are_means_over_the_bins(tmp_path):
    measure = torch.tensor([4, 0, 0, 9, 4, 0])
    right = torch.tensor([1.0, 0.0, 1.0, 0.0, 0.0, 1.0]).double()
    rows = profile_figure({"guesses": measure}, {"one": right}, "set", tmp_path / "figure.png")
    assert [(row["from"], row["to"], row["num_puzzles"]) for row in rows] == [(0, 0, 3), (4, 4, 2), (9, 9, 1)]
    assert [row["one"] for row in rows] == pytest.approx([2 / 3, 0.5, 0.0])
    assert rows[0]["one_se"] == pytest.approx((1 / 3) ** 0.5 / 3**0.5)
    assert (tmp_path / "figure.png").stat().st_size > 1000


def test_evaluation_tells_what_became_of_every_puzzle(tmp_path):
    task = Sudoku(n=4, test={})
    x = torch.tensor([[1, 2, 3, 4] + [0] * 12, [1, 2, 3, 4, 3, 4, 1, 2, 2, 1, 4, 3, 4, 3, 2, 0]])
    puzzles = Puzzles(x, torch.zeros(13, 16, dtype=torch.long), torch.tensor([0, 12, 13]))
    result = Tally(torch.tensor([[0, 0], [3, 0]]), torch.tensor([[0, 1], [2, 1]]), puzzles.num_solutions)
    evaluate = experiment("evaluate")
    rows = evaluate.per_puzzle_rows(task, puzzles, result, 2)
    evaluate.profile(task, puzzles, result, 2, tmp_path, "set")
    assert [row["x"] for row in rows] == [" ".join(map(str, board)) for board in x.tolist()]
    assert [(row["solutions"], row["accuracy"], row["any"]) for row in rows] == [
        (12, 0.5, 1.0),
        (1, 1.0, 1.0),
    ]
    assert rows[0]["guesses"] >= 4 and rows[1]["guesses"] == 0  # 12 solutions, at most 4 branches at a guess
    with open(tmp_path / "profile_set.csv", encoding="utf-8") as file:
        assert [row["measure"] for row in csv.DictReader(file)] == ["solutions"] * 2 + ["guesses"] * 2


def test_guesses_are_given_up():
    name, counts = Sudoku(n=9, test={}).difficulty(torch.zeros(1, 81, dtype=torch.long))
    assert (name, counts.tolist()) == ("guesses", [1000])
