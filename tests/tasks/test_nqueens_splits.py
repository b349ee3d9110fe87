"""N-Queens, train and test: numbers of the paper, symmetries, and that the two parts share nothing."""

import itertools
from collections import Counter

import pytest
import torch
from plain_queens import everything

from gram_pyro.tasks.base import draw_batch
from gram_pyro.tasks.nqueens.pairs import NQueensPairs
from gram_pyro.tasks.nqueens.rules import Board
from gram_pyro.tasks.nqueens.task import NQueens

IMAGES = (
    lambda r, c, m: (r, c),
    lambda r, c, m: (c, m - r),
    lambda r, c, m: (m - r, m - c),
    lambda r, c, m: (m - c, r),
    lambda r, c, m: (r, m - c),
    lambda r, c, m: (m - r, c),
    lambda r, c, m: (c, r),
    lambda r, c, m: (m - c, m - r),
)


def canonical(x, n):
    """The least of the eight images of the queens of x."""
    queens = [divmod(cell, n) for cell, symbol in enumerate(x) if symbol == 2]
    return min(tuple(sorted(image(r, c, n - 1) for r, c in queens)) for image in IMAGES)


@pytest.fixture(scope="module")
def task8():
    return NQueens()


@pytest.fixture(scope="module")
def input8():
    return NQueens(split="input")


def test_numbers_of_8(task8, input8):
    """The paper's puzzles, counted in paper.md by another program."""
    for task, sizes in ((task8, (4364, 784)), (input8, (4375, 773))):
        parts = (task.train, task.test["completions"])
        counts = torch.cat([p.num_solutions for p in parts])
        assert tuple(p.num_puzzles for p in parts) == sizes and sum(sizes) == 5148
        assert counts.sum() == sum(len(p.solutions) for p in parts) == 8464 and counts.max() == 18
        assert (counts == 1).double().mean().item() == pytest.approx(0.655, abs=5e-4)
    assert task8.num_cells == 64 and task8.num_symbols == 3 and task8.relations.shape == (4, 64, 64)


def test_numbers_of_10():
    task = NQueens(10, (7, 8, 9), split="input")
    assert (task.train.num_puzzles, task.test["completions"].num_puzzles) == (36_907, 6_513)
    counts = torch.cat([task.train.num_solutions, task.test["completions"].num_solutions])
    assert counts.sum() == 126_700 and counts.max() == 93
    assert (counts == 1).double().mean().item() == pytest.approx(0.368, abs=5e-4)
    for puzzles in (task.train, task.test["completions"]):
        owner = torch.repeat_interleave(torch.arange(puzzles.num_puzzles), puzzles.num_solutions)
        assert task.is_solved(puzzles.x[owner], puzzles.solutions).all()


def test_symmetries_are_the_eight():
    expected = set()
    for image in IMAGES:
        cells = [0] * 25
        for r, c in itertools.product(range(5), repeat=2):
            s, d = image(r, c, 4)
            cells[s * 5 + d] = r * 5 + c
        expected.add(tuple(cells))
    found = Board(5).symmetries.tolist()
    assert len(expected) == 8 and set(map(tuple, found)) == expected


def test_augmentation_keeps_solution_sets(task8):
    generator = torch.Generator().manual_seed(0)
    batch = draw_batch(task8.train, torch.arange(0, 4000, 20), generator)
    moved = task8.augment(batch, generator)
    complete = task8.board.complete(moved.x)
    assert not torch.equal(moved.x, batch.x) and torch.equal(moved.valid, batch.valid)
    for i in range(len(moved.x)):
        rows = moved.solutions[i][moved.valid[i]].tolist()
        assert sorted(rows) == sorted(complete.solutions_of(i).tolist()) and moved.y[i].tolist() in rows
        assert canonical(moved.x[i].tolist(), 8) == canonical(batch.x[i].tolist(), 8)


def test_augmentation_is_uniform_and_independent(task8):
    """Images of a puzzle with no symmetry of its own: 8000 draws of 8, within 5 standard deviations each."""
    x = task8.train.x
    index = next(i for i in range(len(x)) if len(x[i][task8.board.symmetries].unique(dim=0)) == 8)
    generator = torch.Generator().manual_seed(0)
    batch = task8.augment(draw_batch(task8.train, torch.full((8000,), index), generator), generator)
    counts = Counter(map(tuple, batch.x.tolist()))
    assert len(counts) == 8 and all(abs(k - 1000) < 5 * (8000 * 7 / 64) ** 0.5 for k in counts.values())
    follows = Counter(zip(map(tuple, batch.x[:-1].tolist()), map(tuple, batch.x[1:].tolist()), strict=True))
    assert len(follows) == 64


@pytest.mark.parametrize("seed", [0, 1])
def test_class_split_shares_no_class(seed, task8):
    task = task8 if seed == 0 else NQueens(seed=seed)
    train, test = ({canonical(x, 8) for x in p.x.tolist()} for p in (task.train, task.test["completions"]))
    assert train.isdisjoint(test) and (len(train), len(test)) == (550, 98)  # 15 % of 648 is 97.2


def test_symmetry_class_is_the_canonical_form(input8):
    x = input8.test["completions"].x
    pairs = set(zip(input8.board.symmetry_class(x).tolist(), (canonical(v, 8) for v in x.tolist()), strict=True))
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) == max(a for a, _ in pairs) + 1


def test_input_split_needs_no_augmentation_and_shares_no_puzzle(input8):
    """Every test puzzle has an image in train: augmented training would see the test puzzles themselves."""
    train, test = input8.train.x, input8.test["completions"].x
    seen = set(map(tuple, train.tolist()))
    assert len(seen) == len(train) and seen.isdisjoint(map(tuple, test.tolist()))
    images = test[:, input8.board.symmetries].tolist()
    assert all(any(tuple(image) in seen for image in row) for row in images)
    generator = torch.Generator().manual_seed(0)
    batch = draw_batch(input8.train, torch.arange(50), generator)
    assert all(torch.equal(a, b) for a, b in zip(batch, input8.augment(batch, generator), strict=True))
    drawn = {tuple(x) for _, b in zip(range(20), input8.batches(100, generator), strict=False) for x in b.x.tolist()}
    assert drawn <= seen and len(drawn) > 1500


def test_batches_draw_puzzles_of_train_up_to_symmetry(task8):
    train = {canonical(x, 8) for x in task8.train.x.tolist()}
    batch = next(task8.batches(200, torch.Generator().manual_seed(0)))
    assert all(canonical(x, 8) in train for x in batch.x.tolist())
    assert task8.is_solved(batch.x, batch.y).all() and task8.is_solved(batch.x[:, None], batch.solutions).all()


def test_pairs_of_puzzle_and_solution_are_uniform():
    """Every one of the pairs about equally often, by Pearson's statistic."""
    task, count = NQueensPairs(n=7, removed=(4, 5, 6), split="input"), 40_000
    pairs = {
        (tuple(x.tolist()), tuple(y.tolist())): 0
        for i, x in enumerate(task.train.x)
        for y in task.train.solutions_of(i)
    }
    batch = next(task.batches(count, torch.Generator().manual_seed(0)))
    for pair in zip(map(tuple, batch.x.tolist()), map(tuple, batch.y.tolist()), strict=True):
        pairs[pair] += 1
    mean = count / len(pairs)
    statistic = sum((seen - mean) ** 2 / mean for seen in pairs.values())
    assert task.train.num_solutions.max() > task.train.num_solutions.min()
    assert abs(statistic - (len(pairs) - 1)) < 5 * (2 * len(pairs)) ** 0.5  # chi-squared: mean d, variance 2 d


@pytest.mark.parametrize("split", ["class", "input"])
def test_seed_decides(split):
    draws = [NQueens(6, (3, 4), split=split, test_share=0.3, seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(draws[0].train.x, draws[1].train.x) and not torch.equal(draws[0].train.x, draws[2].train.x)
    assert everything(draws[0]) == everything(draws[2])


def test_puzzles_are_made_once_and_when_asked_for(monkeypatch, task8):
    assert task8.train is task8.train
    monkeypatch.setattr(Board, "completions", None)
    task = NQueens(excluded="none.tar.gz")
    with pytest.raises(TypeError):
        _ = task.train


def test_share_is_exact():
    """15 % of 100 puzzles is 15, although 100 * 0.15 may be more than 15 in floating point."""
    sizes = [NQueens(5, (2,), "input", share).test["completions"].num_puzzles for share in (0.07, 0.14, 0.29, 0.58)]
    assert sizes == [7, 14, 29, 58]


def test_groups_are_symmetry_classes(input8, task8):
    """773 test puzzles of the paper's split are of 461 classes; of the other split, images of one are together too."""
    for task, count in ((input8, 461), (task8, None)):
        x = task.test["completions"].x
        groups, names = task.groups(x), [canonical(row, 8) for row in x.tolist()]
        assert len(groups.unique()) == len(set(names)) == (count or len(set(names))) < len(x)
        assert len(set(zip(groups.tolist(), names, strict=True))) == len(set(names))
    given_empty = torch.tensor([[1] + [0] * 63, [0] * 63 + [1], [2] + [0] * 63, [0] * 63 + [2]])
    groups = input8.groups(given_empty)
    assert groups[2] == groups[3] and len(groups.unique()) == 3
