"""Symmetries of Sudoku: drawn uniformly, kept by solutions and hash, and no class in train and test."""

import itertools
import logging
from collections import Counter

import pytest
import torch
from draws import chi_square
from plain_sudoku import judge

from gram_pyro.tasks.base import draw_batch
from gram_pyro.tasks.sudoku import generator as sudoku_generator
from gram_pyro.tasks.sudoku.generator import generate, symmetry_hash
from gram_pyro.tasks.sudoku.rules import Geometry
from gram_pyro.tasks.sudoku.task import Sudoku, random_symmetries


def line_orders(n, size):
    """Every permutation of n lines that keeps groups of `size` together."""
    inner = list(itertools.permutations(range(size)))
    for outer in itertools.permutations(range(n // size)):
        for inners in itertools.product(inner, repeat=n // size):
            yield [g * size + i for g, order in zip(outer, inners, strict=True) for i in order]


def symmetries4():
    orders = list(line_orders(4, 2))
    direct = [tuple(r * 4 + c for r in rows for c in cols) for rows in orders for cols in orders]
    return direct + [tuple(c * 4 + r for r in rows for c in cols) for rows in orders for cols in orders]


SYMMETRIES4 = symmetries4()


def canonical4(x):
    """The least image of a 4x4 puzzle under all its symmetries, digits named in order of appearance."""
    images = []
    for order in SYMMETRIES4:
        names = {0: 0}
        images.append(tuple(names.setdefault(x[c], len(names)) for c in order))
    return min(images)


@pytest.mark.parametrize("n", [4, 6, 9])
def test_augmentation_keeps_solutions_and_hash(n, tmp_path, monkeypatch):
    monkeypatch.setattr(sudoku_generator, "CHUNK", 10)  # fewer puzzles of 9x9, which take long
    task = Sudoku(n=n, num_train=20, num_test=2, cache=tmp_path)
    generator = torch.Generator().manual_seed(0)
    batch = draw_batch(task.train, torch.arange(20), generator)
    moved = task.augment(batch, generator)
    assert not torch.equal(moved.x, batch.x)
    assert task.is_solved(moved.x, moved.y).all() and task.is_solved(moved.x[:, None], moved.solutions).all()
    for i in range(20):
        rows = moved.solutions[i][moved.valid[i]]
        assert len(rows.unique(dim=0)) == len(rows) and (rows == moved.y[i]).all(-1).any()
        assert all(judge(n, moved.x[i].tolist(), y) for y in rows.tolist())
    for _ in range(5):
        x = task.augment(batch, generator).x
        assert (symmetry_hash(x, task.relations) == symmetry_hash(batch.x, task.relations)).all()


def test_symmetries_are_uniform():
    geometry = Geometry(4)
    cells, digits = random_symmetries(geometry, 25_600, torch.Generator().manual_seed(0))
    group = symmetries4()
    counts = Counter(map(tuple, cells.tolist()))
    assert set(counts) == set(group) and len(group) == 128
    assert chi_square([counts[g] for g in group], [200.0] * 128)
    names = Counter(map(tuple, digits.tolist()))
    assert len(names) == 24 and chi_square(list(names.values()), [25_600 / 24] * 24)
    joint = Counter((c[0] // 8, d[1]) for c, d in zip(cells.tolist(), digits.tolist(), strict=True))
    assert chi_square(list(joint.values()), [25_600 / 8] * 8)


def test_6x6_symmetries_without_transposition():
    cells, _ = random_symmetries(Geometry(6), 2000, torch.Generator().manual_seed(0))
    rows = {tuple(o) for o in line_orders(6, 2)}
    cols = {tuple(o) for o in line_orders(6, 3)}
    grid = cells.view(-1, 6, 6)
    assert set(map(tuple, (grid[:, :, 0] // 6).tolist())) == rows and len(rows) == 48
    assert set(map(tuple, (grid[:, 0] % 6).tolist())) == cols and len(cols) == 72
    assert torch.equal(grid, grid[:, :, :1] // 6 * 6 + grid[:, :1] % 6)


@pytest.mark.parametrize("most, classes", [(1, 36), (50, None)])
def test_hash_is_the_class_on_4x4(most, classes):
    """WL never separates one class (always true), and on 4x4 never merges two: 36 classes of minimal puzzles."""
    puzzles = generate(Geometry(4), 1000, most, workers=1)
    exact = [canonical4(x) for x in puzzles.x.tolist()]
    hashes = symmetry_hash(puzzles.x, Geometry(4).relations).tolist()
    assert len(set(zip(exact, hashes, strict=True))) == len(set(exact))
    if classes:
        assert len(set(exact)) == len(set(hashes)) == classes


def test_4x4_split_shares_no_class(caplog):
    with caplog.at_level(logging.WARNING):
        task = Sudoku(n=4, num_train=300, num_test=50, cache=None)
    train = {canonical4(x) for x in task.train.x.tolist()}
    test = [canonical4(x) for name in ("minimal", "several") for x in task.test[name].x.tolist()]
    assert train.isdisjoint(test) and len(set(test)) == len(test) > 20
    assert task.train.num_puzzles == 300 and task.test["minimal"].num_puzzles == 9
    assert "test set minimal has 9 puzzles, not 50" in caplog.text
    other = Sudoku(n=4, num_train=300, num_test=50, seed=1, cache=None)
    assert {canonical4(x) for x in other.train.x.tolist()}.isdisjoint(test)  # whatever the seed
