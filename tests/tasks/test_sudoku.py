"""Sudoku: every claim is checked against a slow method that shares no code with the package."""

import itertools
from collections import Counter
from random import Random

import numpy as np
import pytest
import torch
from draws import chi_square
from plain_sudoku import backtrack, judge

from gram_pyro.tasks.base import draw_batch
from gram_pyro.tasks.sudoku import task as sudoku_task
from gram_pyro.tasks.sudoku.files import parse
from gram_pyro.tasks.sudoku.generator import draw_bound, generate, symmetry_hash, thin
from gram_pyro.tasks.sudoku.rules import Geometry
from gram_pyro.tasks.sudoku.task import Sudoku

FULL4 = "1234341221434321"
PUZZLE4 = "1.34341221434321"


@pytest.fixture(scope="module")
def puzzles6():
    return {1: generate(Geometry(6), 100, seed=3, workers=1), 50: generate(Geometry(6), 100, 50, seed=3, workers=1)}


@pytest.fixture(scope="module")
def boards4():
    rows = list(itertools.permutations((1, 2, 3, 4)))
    grids = (sum(four, ()) for four in itertools.product(rows, repeat=4))
    return [list(y) for y in grids if judge(4, [0] * 16, y)]


def test_relations_by_definition():
    geometry = Geometry(6)
    for i, j in itertools.product(range(36), repeat=2):
        a, b, c, d = i // 6, i % 6, j // 6, j % 6
        expected = [a == c, b == d, (a // 2, b // 3) == (c // 2, d // 3)]
        assert geometry.relations[:, i, j].tolist() == [e and i != j for e in expected]


def test_all_4x4_boards(boards4):
    found = Geometry(4).solve([0] * 16, 1000)
    assert len(boards4) == 288 and sorted(found) == boards4


def test_solver_on_random_clues(boards4):
    rng = Random(0)
    for _ in range(200):
        board = rng.choice(boards4)
        clues = [v if rng.random() < 0.3 else 0 for v in board]
        expected = [y for y in boards4 if all(a in (0, b) for a, b in zip(clues, y, strict=True))]
        assert sorted(Geometry(4).solve(clues, 1000)) == expected
        assert len(Geometry(4).solve(clues, 3)) == min(3, len(expected))


def test_6x6_count():
    """All 28,200,960 boards. Given row 1 there are 36 second rows, in three classes under symmetry: the digits above
    one another make a permutation of 3 (6 times each), alike if conjugate: 1 identity, 3 swaps, 2 cycles."""
    total = 0
    for right, weight in (((1, 2, 3), 1), ((2, 1, 3), 3), ((2, 3, 1), 2)):
        band = [1, 2, 3, 4, 5, 6, 4, 5, 6, *right]
        found = Geometry(6).solve(band + [0] * 24, 2000)
        assert len(found) == count_below(band)
        total += 720 * 6 * weight * len(found)
    assert total == 28_200_960


def count_below(band):
    """Completions of a first band, by joining second and third bands whose columns complement each other."""
    above = list(zip(band[:6], band[6:], strict=True))
    rows = [r for r in itertools.permutations(range(1, 7)) if all(v not in a for v, a in zip(r, above, strict=True))]
    bands = [(a, b) for a in rows for b in rows if {*a[:3], *b[:3]} == {*a[3:], *b[3:]} == set(range(1, 7))]
    columns = Counter(tuple(map(frozenset, zip(a, b, strict=True))) for a, b in bands)
    rest = [frozenset(range(1, 7)) - set(a) for a in above]
    return sum(k * columns[tuple(r - c for r, c in zip(rest, key, strict=True))] for key, k in columns.items())


@pytest.mark.parametrize("n, box", [(6, (3, 2)), (8, (2, 4)), (12, (3, 4))])
def test_other_shapes(n, box):
    geometry = Geometry(n, box)
    board = torch.tensor(geometry.solve([0] * n * n, 1)[0])
    assert geometry.is_solved(torch.zeros_like(board), board)
    corner = board.view(n, n)[: box[0], : box[1]]
    assert corner.unique().numel() == n


def test_minimal_puzzles(puzzles6):
    puzzles = puzzles6[1]
    for i in range(20):
        x = puzzles.x[i].tolist()
        assert backtrack(6, x) == puzzles.solutions_of(i).tolist()
        for cell in (c for c in range(36) if x[c]):
            assert len(backtrack(6, x[:cell] + [0] + x[cell + 1 :])) > 1
    assert (puzzles.num_solutions == 1).all()


def test_solution_lists_are_complete(puzzles6):
    puzzles = puzzles6[50]
    assert puzzles.num_solutions.min() >= 2 and puzzles.num_solutions.max() <= 50
    assert len(puzzles.num_solutions.unique()) > 15  # the range is populated
    for i in range(40):
        assert puzzles.solutions_of(i).tolist() == backtrack(6, puzzles.x[i].tolist())


def test_thin_keeps_within_the_bound(boards4):
    for bound in (1, 2, 5, 20):
        clues, solutions = thin(Geometry(4), boards4[7], bound, Random(bound))
        assert solutions == backtrack(4, clues) and len(solutions) <= bound
        for cell in (c for c in range(16) if clues[c]):
            assert len(backtrack(4, clues[:cell] + [0] + clues[cell + 1 :])) > bound


def test_bounds_are_log_uniform():
    rng = Random(0)
    counts = Counter(draw_bound(10, rng) for _ in range(20_000))
    m = np.arange(2, 11)
    assert set(counts) == set(m.tolist())
    assert chi_square([counts[k] for k in m.tolist()], 20_000 * np.log((m + 1) / m) / np.log(11 / 2))


def test_targets_are_uniform(puzzles6):
    puzzles = puzzles6[50]
    i = int((puzzles.num_solutions > 5).nonzero()[0])
    y = draw_batch(puzzles, torch.full((10_000,), i), torch.Generator().manual_seed(0)).y
    counts = (y[:, None] == puzzles.solutions_of(i)).all(-1).sum(0)
    assert counts.sum() == 10_000 and chi_square(counts, 10_000 / len(counts) * torch.ones(len(counts)))


def test_is_solved_against_the_judge(puzzles6):
    """Random edits, other solutions, other puzzles: the verdict is the rules', not a label's."""
    rng, geometry, puzzles = Random(1), Geometry(6), puzzles6[50]
    pairs = []
    for i in range(60):
        x = puzzles.x[i].tolist()
        for y in puzzles.solutions_of(i).tolist()[:4]:
            pairs.append((x, y))
            pairs.append((puzzles.x[i - 1].tolist(), y))
            edited = list(y)
            a, b = rng.sample(range(36), 2)
            edited[a], edited[b] = edited[b], edited[a]
            pairs.append((x, edited))
            pairs.append((x, y[:a] + [rng.choice([-1, 0, 1, 6, 7, 99])] + y[a + 1 :]))
            swapped = [{1: 2, 2: 1}.get(v, v) for v in y]  # obeys the rules, breaks clues
            pairs += [(x, swapped), ([0] * 36, swapped)]
    x, y = (torch.tensor(t) for t in zip(*pairs, strict=True))
    expected = torch.tensor([judge(6, a, b) for a, b in pairs])
    assert 0.2 < expected.float().mean() < 0.8
    assert torch.equal(geometry.is_solved(x, y), expected)
    assert torch.equal(geometry.is_solved(x[:, None, None], y[:, None, None])[:, 0, 0], expected)


def test_hash_separates(puzzles6):
    x = torch.cat([puzzles6[1].x, puzzles6[50].x])
    assert len(np.unique(symmetry_hash(x, Geometry(6).relations))) == 200


def test_generated_task(tmp_path):
    task = Sudoku(num_train=40, num_test=20, several_share=0.25, max_solutions=5, cache=tmp_path)
    assert (task.num_cells, task.num_symbols, task.relations.shape) == (36, 7, (3, 36, 36))
    assert (task.train.num_solutions > 1).sum() == 10 and task.train.num_solutions.max() <= 5
    assert {name: p.num_puzzles for name, p in task.test.items()} == {"minimal": 20, "several": 20}
    batch = next(task.batches(8, torch.Generator().manual_seed(0)))
    assert task.is_solved(batch.x, batch.y).all()
    hashes = [symmetry_hash(p.x, task.relations) for p in (task.train, *task.test.values())]
    assert not set(hashes[0]) & (set(hashes[1]) | set(hashes[2])) and len(set(hashes[1])) == 20
    assert Sudoku(num_train=5, num_test=0, several_share=0, cache=None).test == {}


def test_cache(tmp_path, monkeypatch, caplog):
    first = Sudoku(num_train=10, num_test=5, cache=tmp_path)
    assert first.train.num_puzzles == 10
    (file,) = tmp_path.iterdir()  # and no partial file
    monkeypatch.setattr(sudoku_task, "generate_split", None)  # generating again would fail
    second = Sudoku(num_train=10, num_test=5, cache=tmp_path)
    for a, b in zip([first.train, *first.test.values()], [second.train, *second.test.values()], strict=True):
        assert all(torch.equal(s, t) for s, t in zip(a, b, strict=True))
    file.write_bytes(b"half a file")
    with pytest.raises(TypeError):  # it is made again
        _ = Sudoku(num_train=10, num_test=5, cache=tmp_path).train
    assert f"{file} is damaged or cannot be read" in caplog.text


def test_seed_decides_and_workers_do_not():
    draws = [generate(Geometry(4), 250, 9, seed, workers=w) for seed, w in ((0, 1), (0, 2), (1, 1))]
    assert all(torch.equal(a, b) for a, b in zip(draws[0], draws[1], strict=True))
    assert not torch.equal(draws[0].x, draws[2].x)
    assert torch.equal(generate(Geometry(4), 50, 9, first_chunk=1, workers=1).x, draws[0].x[100:150])


def test_render():
    task = Sudoku(n=4, num_train=1, num_test=0, cache=None)
    text = task.render(torch.tensor(parse(PUZZLE4)), torch.tensor(parse(FULL4)))
    assert text.splitlines()[:3] == [
        "+-----+-----+     +-----+-----+",
        "| 1 . | 3 4 |     | 1 2 | 3 4 |",
        "| 3 4 | 1 2 |     | 3 4 | 1 2 |",
    ]
    six = Sudoku(n=6, num_train=1, num_test=0, cache=None).render(torch.arange(36) % 6).splitlines()
    assert six[0] == "+-------+-------+" and [six.index(six[0], 1), len(six)] == [3, 10]


def test_draw_marks_what_is_wrong_in_red():
    import matplotlib.pyplot as plt

    task = Sudoku(n=4, num_train=1, num_test=0, cache=None)
    x = torch.zeros(16, dtype=torch.int64)
    x[0] = 1
    y = torch.tensor([1, 2, 3, 4, 3, 4, 1, 2, 2, 1, 4, 3, 4, 3, 2, 2])  # the last cell should be 1
    figure, axes = plt.subplots()
    task.draw(axes, x, y)
    colors = [text.get_color() for text in axes.texts]
    plt.close(figure)
    red = {i for i, color in enumerate(colors) if color == "#D55E00"}
    assert colors[0] == "#000000" and red == {7, 14, 15}  # its column, its row and box, itself
    assert [text.get_text() for text in axes.texts] == [str(v) for v in y.tolist()]
