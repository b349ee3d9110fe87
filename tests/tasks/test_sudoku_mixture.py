"""Hard puzzles beside boards with few clues: which rows are which, what is taken off, and solutions that are known."""

from random import Random

import pytest
import torch
from plain_sudoku import backtrack, judge

from gram_pyro.tasks.sudoku import mixture as sudoku_mixture
from gram_pyro.tasks.sudoku.boards import SudokuBoards
from gram_pyro.tasks.sudoku.generator import minimal
from gram_pyro.tasks.sudoku.mixture import SudokuMixture, remove_clues
from gram_pyro.tasks.sudoku.rules import Geometry

CLUES, B = 5, 400  # of every hard puzzle here; rows of a batch


@pytest.fixture
def files(tmp_path):
    """Train and test files of puzzles of 4x4 with five clues and one solution."""
    rng, rows = Random(0), []
    while len(rows) < 6:
        clues, (board,) = minimal(Geometry(4), rng)
        if sum(map(bool, clues)) == CLUES:
            rows.append(",".join("".join(map(str, each)) for each in (clues, board)))
    for name, part in (("train", rows[:5]), ("test", rows[5:])):
        (tmp_path / f"{name}.csv").write_text("\n".join(["question,answer", *part]))
    return {"train": tmp_path / "train.csv", "test": {"hard": tmp_path / "test.csv"}}


def mixture(files, **options):
    defaults = {"n": 4, "num_train": 20, "most_removed": 2, "max_clues": 16, "cache": None}
    return SudokuMixture(**files, **(defaults | options))


def batch_of(task, size=B, seed=0):
    return next(task.batches(size, torch.Generator().manual_seed(seed)))


def test_shares_of_rows_and_of_thinned_puzzles(files):
    """Boards are blank here, so a row with clues is a hard puzzle: untouched with five, thinned with four or three."""
    batch = batch_of(mixture(files, hard_share=0.6, thinned_share=0.3, blank_share=1.0))
    counts = (batch.x != 0).sum(1).bincount(minlength=CLUES + 1)
    assert counts[0] == 0.4 * B and counts[[1, 2]].sum() == 0 and counts.sum() == B
    hard = 0.6 * B
    for found, share in zip(counts[[5, 4, 3]].tolist(), (0.7, 0.15, 0.15), strict=True):
        assert abs(found - hard * share) < 4 * (hard * share * (1 - share)) ** 0.5
    for x, y in zip(batch.x.tolist(), batch.y.tolist(), strict=True):
        assert judge(4, x, y)
        if sum(map(bool, x)) == CLUES:
            assert backtrack(4, x) == [y]
    assert batch.solutions.equal(batch.y[:, None]) and batch.valid.all() and batch.valid.shape == (B, 1)
    assert len(batch.x.unique(dim=0)) > 50  # moved by symmetries


def test_a_single_test_file_is_known_by_its_own_name(files):
    by_mapping = mixture(files).test["hard"]
    alone = mixture(files | {"test": files["test"]["hard"]}).test
    assert list(alone) == ["test.csv"] and torch.equal(alone["test.csv"].x, by_mapping.x)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_shares_at_their_ends(files, share):
    batch = batch_of(mixture(files, hard_share=share, thinned_share=1.0, max_clues=2), 50)
    counts = (batch.x != 0).sum(1)
    assert ((counts >= CLUES - 2) & (counts < CLUES)).all() if share else (counts <= 2).all()


def test_clues_are_taken_off_hard_puzzles_alone(files):
    """The boards keep the clues that they have without hard puzzles beside them."""
    size = dict(n=4, num_train=20, blank_share=0.0, max_clues=16)
    boards = SudokuBoards(num_test=1, test_clues=(), cache=None, **size)
    alone = batch_of(boards, 40)
    task = mixture(files, hard_share=0.5, thinned_share=1.0, **size)
    beside = batch_of(task, 40)
    same = (alone.x == beside.x).all(1)
    assert same.sum() == 20 and alone.y[same].equal(beside.y[same])
    assert ((beside.x[~same] != 0).sum(1) < CLUES).all()


def test_solutions_that_are_known_and_boards_that_are_searched_for(files):
    task = mixture(files, hard_share=0.5, max_clues=8)
    batch = batch_of(task, 60)
    belief = torch.randn(60, 16, 5)
    near, found = task.near(batch.x, belief)
    assert near.shape == (60, 1, 16) and found.shape == (60, 1) and found.all()
    for x, y, board in zip(batch.x.tolist(), batch.y.tolist(), near[:, 0].tolist(), strict=True):
        solutions = backtrack(4, x)
        assert board in solutions and (len(solutions) > 1 or board == y)
    untouched = ((batch.x != 0).sum(1) == CLUES) & (near[:, 0] == batch.y).all(1)
    assert untouched.any()
    task.geometry.nearest = None  # no search for what was handed out, whatever is believed
    rows = torch.tensor([bytes(x.tolist()) in task._handed_out for x in batch.x])
    assert rows.any() and not rows.all()
    known, found = task.near(batch.x[rows], -belief[rows])
    assert known[:, 0].equal(batch.y[rows]) and found.all()


def test_a_puzzle_without_solution_is_told_beside_one_that_is_known(files):
    task = mixture(files, hard_share=1.0, thinned_share=0.0)
    batch = batch_of(task, 3)
    x = batch.x.clone()
    x[1] = 0
    x[1, :2] = 1  # twice in a row
    near, found = task.near(x, torch.randn(3, 16, 5))
    assert found.tolist() == [[True], [False], [True]] and near[[0, 2], 0].equal(batch.y[[0, 2]])


def test_so_many_are_remembered_and_the_newest(files, monkeypatch):
    monkeypatch.setattr(sudoku_mixture, "REMEMBERED", 5)
    task = mixture(files, hard_share=1.0, thinned_share=0.0)
    batch = batch_of(task, 30)
    assert len(task._handed_out) == 5 and task.near(batch.x, torch.randn(30, 16, 5))[1].all()


def test_clues_taken_off_are_drawn_uniformly():
    x = torch.tensor([[1, 0, 2, 3, 0, 4]]).expand(4000, -1)
    left = remove_clues(x, torch.full((4000,), 2), torch.Generator().manual_seed(0))
    assert ((left == x) | (left == 0)).all() and ((left != 0).sum(1) == 2).all()
    gone = (left[:, [0, 2, 3, 5]] == 0).double().mean(0)
    assert ((gone - 0.5).abs() < 4 * (0.25 / 4000) ** 0.5).all()
    assert remove_clues(x, torch.zeros(4000), torch.Generator()).equal(x)
    assert not remove_clues(x, torch.full((4000,), 9), torch.Generator()).any()  # more than there are


def test_tests_are_those_of_the_files(files):
    task = mixture(files)
    assert list(task.test) == ["hard"] and task.test["hard"].num_puzzles <= 1 and task.train.num_puzzles == 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hard_share": 1.2}, "got hard_share=1.2, .*; expected two shares between 0 and 1"),
        ({"thinned_share": -0.1}, "thinned_share=-0.1, .*; expected two shares between 0 and 1"),
        ({"most_removed": 0}, "most_removed=0; expected .* a whole number of 1 or more"),
        ({"max_clues": 17}, "got max_clues=17.*expected 0 to 16 clues"),
    ],
)
def test_arguments_out_of_range(files, options, message):
    with pytest.raises(ValueError, match=message):
        mixture(files, **options)


def test_a_training_puzzle_with_several_solutions(files):
    files["train"].write_text(f"question\n{'.' * 4}{'1234'}{'.' * 8}\n")
    task = mixture(files)
    with pytest.raises(ValueError, match="training puzzle 1 of .*train.csv has several solutions; expected one"):
        batch_of(task, 4)
