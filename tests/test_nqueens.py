"""N-Queens: every claim is checked against a slow method that shares no code with the package, or a file."""

import gzip
import io
import itertools
import json
import logging
import lzma
import os
import tarfile
from collections import Counter, defaultdict
from pathlib import Path
from random import Random

import pytest
import torch
from hydra.utils import instantiate
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from omegaconf import OmegaConf

from gram_pyro.tasks.base import draw_batch
from gram_pyro.tasks.nqueens import BLACK, BLUE, RED, NQueens, read_excluded
from gram_pyro.tasks.nqueens_pairs import NQueensPairs
from gram_pyro.tasks.nqueens_rules import Board

DATA = Path(os.environ.get("GRAM_DATA", Path(__file__).parents[2] / "shared" / "data"))
CONF = Path(__file__).parents[1] / "experiments" / "conf" / "task"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="GRAM_DATA is not set and ../shared/data is not there")
SOLVED5 = (0, 2, 4, 1, 3)  # a column for each row


def board_of(columns, n=None, queen=2, other=1):
    """Cells of a board with these queens."""
    n = n or len(columns)
    return [queen if columns[r] == c else other for r in range(n) for c in range(n)]


def attack(a, b):
    (r, c), (s, d) = a, b
    return r == s or c == d or abs(r - s) == abs(c - d)


def brute(n):
    """All solutions, from all permutations."""
    return [
        p
        for p in itertools.permutations(range(n))
        if not any(attack(a, b) for a, b in itertools.combinations(enumerate(p), 2))
    ]


def count_broken(n, x, y):
    """The rules, in plain Python."""
    lines = defaultdict(int)
    for r, c in itertools.product(range(n), repeat=2):
        for name in (("row", r), ("col", c), ("diagonal", r - c), ("antidiagonal", r + c)):
            lines[name] += y[r * n + c] == 2
    wrong = sum(count > 1 if "diagonal" in name[0] else count != 1 for name, count in lines.items())
    wrong += sum(a != b for a, b in zip(x, y, strict=True) if a in (1, 2))
    return wrong + sum(b not in (1, 2) for b in y)


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


def pack(folder, *texts):
    """An archive of instances."""
    path = folder / "diagonals.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for number, text in enumerate(texts, 1):
            info = tarfile.TarInfo(f"diag/{number}.param")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return path


@pytest.fixture(scope="module")
def task8():
    return NQueens()


@pytest.fixture(scope="module")
def input8():
    return NQueens(split="input")


def sets(puzzles):
    """Puzzles with their solution sets: {x: set of y}."""
    return {tuple(x): set(map(tuple, puzzles.solutions_of(i).tolist())) for i, x in enumerate(puzzles.x.tolist())}


def everything(task):
    """Train and test puzzles with their solution sets."""
    return sets(task.train) | sets(task.test["completions"])


@pytest.mark.parametrize("n", [4, 5, 6, 7])
def test_solutions_by_brute_force(n):
    board = Board(n)
    assert board.columns.tolist() == [list(p) for p in brute(n)]
    assert board.place(board.columns).long().tolist() == [board_of(p, queen=1, other=0) for p in brute(n)]


@needs_data
def test_solutions_of_the_file():
    stored = json.loads(lzma.open(DATA / "nqueens" / "all_solutions_n4_to_n10.json.xz").read())
    assert {n: len(boards) for n, boards in stored.items()} == dict(
        zip("4 5 6 7 8 9 10".split(), (2, 10, 4, 40, 92, 352, 724), strict=True)
    )
    for n, boards in stored.items():
        assert Board(int(n)).columns.tolist() == sorted(boards)


@pytest.mark.parametrize("n, removed", [(5, (1, 2, 5)), (6, (2, 3, 4)), (7, (5,))])
def test_puzzles_and_their_solutions_by_brute_force(n, removed):
    expected = defaultdict(set)
    for solution in brute(n):
        for k in removed:
            for gone in itertools.combinations(range(n), k):
                x = board_of([n if r in gone else c for r, c in enumerate(solution)], n, other=0)
                expected[tuple(x)].add(tuple(board_of(solution)))
    assert everything(NQueens(n, removed, split="input", test_share=0.5)) == expected


def test_completion_of_any_puzzle(monkeypatch):
    """Queens and empty cells given at random, also with no solution; several chunks."""
    monkeypatch.setattr("gram_pyro.tasks.nqueens_rules.CHUNK", 30)
    rng, board = Random(0), Board(6)
    x = [[rng.choices([0, 1, 2], [40, 6, 1])[0] for _ in range(36)] for _ in range(70)] + [[0] * 36]
    puzzles = board.complete(torch.tensor(x))
    for i, clues in enumerate(x):
        expected = [y for y in map(board_of, brute(6)) if all(a in (0, b) for a, b in zip(clues, y, strict=True))]
        assert puzzles.solutions_of(i).tolist() == expected
    assert puzzles.x.tolist() == x and {0, 1, 2, 4} <= set(puzzles.num_solutions.tolist())


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


def test_relations_by_definition():
    relations = NQueens(5, (2,)).relations
    for i, j in itertools.product(range(25), repeat=2):
        (r, c), (s, d) = divmod(i, 5), divmod(j, 5)
        expected = [r == s, c == d, r - c == s - d, r + c == s + d]
        assert relations[:, i, j].tolist() == [e and i != j for e in expected]


@pytest.mark.parametrize(
    "x, y, broken",
    [
        ([0] * 25, board_of(SOLVED5), 0),
        (board_of([0, 5, 5, 1, 5], 5, other=0), board_of(SOLVED5), 0),  # given queens kept
        ([0] * 24 + [1], board_of(SOLVED5), 0),  # and a cell given as empty
        (board_of([1, 5, 5, 5, 5], 5, other=0), board_of(SOLVED5), 1),  # a given queen lost
        ([1] + [0] * 24, board_of(SOLVED5), 1),  # a queen where the puzzle says empty
        ([0] * 25, [1] * 25, 10),  # five rows and five columns
        ([0] * 25, [0] * 25, 35),  # and 25 cells left blank
        ([0] * 25, board_of(SOLVED5)[:-1] + [0], 1),  # one blank cell
        ([0] * 25, board_of(SOLVED5)[:-1] + [7], 1),  # no symbol of ours
        ([0] * 25, board_of((0, 1, 2, 3, 4)), 1),  # one diagonal with five queens
        ([0] * 25, board_of((4, 3, 2, 1, 0)), 1),  # one antidiagonal
        ([0] * 25, board_of((0, 2, 4, 1, 5), 5), 2),  # last row and column 3 without a queen
        ([0] * 25, board_of((0, 2, 4, 1, 3))[:-1] + [2], 3),  # two in the last row, column, diagonal
        ([0] * 25, [2] * 25, 24),  # ten straight lines and seven of nine each way
    ],
)
def test_violations_by_hand(x, y, broken):
    assert count_broken(5, x, y) == broken
    assert Board(5).violations(torch.tensor(x), torch.tensor(y)) == broken


def test_violations_of_random_boards():
    """Solutions, edited solutions, and noise; verdicts and counts; the dimensions of x and y broadcast."""
    rng, task = Random(1), NQueens(6, (2, 3))
    solutions, pairs = brute(6), []
    for _ in range(300):
        y = board_of(rng.choice(solutions))
        x = [v if rng.random() < 0.2 else 0 for v in y]
        if rng.random() < 0.6:
            for cell in rng.sample(range(36), rng.randint(1, 3)):
                y[cell] = rng.choice([-1, 0, 1, 2, 3])
        pairs.append((x, y))
    x, y = (torch.tensor(t) for t in zip(*pairs, strict=True))
    expected = torch.tensor([count_broken(6, a, b) for a, b in pairs])
    assert 0.3 < (expected == 0).float().mean() < 0.7
    assert torch.equal(task.violations(x, y), expected) and torch.equal(task.is_solved(x, y), expected == 0)
    crossed = task.violations(x[:5], y[:20, None])
    assert crossed.tolist() == [[count_broken(6, a, b) for a, _ in pairs[:5]] for _, b in pairs[:20]]


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


def test_excluded_by_brute_force(tmp_path, caplog):
    lists = ([[3, 0], [7, 1]], [[0, 1]], [[5, 0], [0, 1], [10, 1], [2, 0], [6, 1]], [[5, 0]])
    texts = [f"n =  6\nnumdiags =  {len(d)}\ndiags =  {json.dumps(d)}\n" for d in lists]
    with caplog.at_level(logging.WARNING):
        puzzles = read_excluded(pack(tmp_path, *texts), Board(6))
    expected, unsolvable = {}, set()
    for diagonals, length in ((d, length) for d in lists for length in range(1, len(d) + 1)):
        closed = {
            (r, c)
            for r, c in itertools.product(range(6), repeat=2)
            if any(d == (r + c if kind else r - c + 5) for d, kind in diagonals[:length])
        }
        x = tuple(int((r, c) in closed) for r, c in itertools.product(range(6), repeat=2))
        solutions = {tuple(board_of(p)) for p in brute(6) if closed.isdisjoint(enumerate(p))}
        if solutions:
            expected[x] = solutions
        else:
            unsolvable.add(x)
    assert sets(puzzles) == expected and puzzles.num_puzzles == len(expected) and unsolvable
    total = len(expected) + len(unsolvable)
    assert f"{len(unsolvable)} of {total} puzzles of " in caplog.text and "no solution and are left out" in caplog.text


@needs_data
def test_excluded_of_the_file(monkeypatch, caplog):
    monkeypatch.setenv("GRAM_DATA", str(DATA))
    task = NQueens(excluded="nqueens/diag-8.tar.gz")
    with caplog.at_level(logging.WARNING):
        assert list(task.test) == ["completions", "excluded_diagonals"]
    puzzles = task.test["excluded_diagonals"]
    assert "4604 of 6983 puzzles of " in caplog.text and puzzles.num_puzzles == 2379
    assert len(puzzles.x.unique(dim=0)) == 2379 and puzzles.x.unique().tolist() == [0, 1]
    solutions = brute(8)
    for i in range(0, 2379, 40):
        closed = {divmod(cell, 8) for cell in puzzles.x[i].nonzero().flatten().tolist()}
        expected = [board_of(p) for p in solutions if closed.isdisjoint(enumerate(p))]
        assert puzzles.solutions_of(i).tolist() == expected
    owner = torch.repeat_interleave(torch.arange(2379), puzzles.num_solutions)
    assert task.is_solved(puzzles.x[owner], puzzles.solutions).all()


GOOD = "n =  6\nnumdiags =  1\ndiags =  [[5, 0]]\n"


@pytest.mark.parametrize(
    "texts, message",
    [
        ((GOOD, GOOD.replace("6", "8", 1)), "2.param: a board of n=8 came; expected n=6, as of this task"),
        ((GOOD.replace("numdiags", "number"),), "1.param: 'n = .* came; expected n = 8 numdiags = 2 diags ="),
        ((GOOD.replace("[[5, 0]]", "[[5, 0]"),), "1.param: .* came; expected n = 8"),
        ((GOOD.replace("[5, 0]", "[5]"),), "1.param: .* came; expected n = 8"),
        ((GOOD.replace("1", "2"),), r"numdiags=2, diags=\[\[5, 0\]\] came; expected so many pairs \[0 .. 10, 0 or 1\]"),
        ((GOOD.replace("5", "11"),), r"diags=\[\[11, 0\]\] came; expected so many pairs"),
        ((GOOD.replace("0", "2"),), r"diags=\[\[5, 2\]\] came; expected so many pairs"),
        ((), "holds no file; expected at least one instance"),
    ],
)
def test_excluded_errors(tmp_path, texts, message):
    with pytest.raises(ValueError, match=message):
        read_excluded(pack(tmp_path, *texts), Board(6))


def test_damaged_archives(tmp_path):
    whole = pack(tmp_path, *[GOOD] * 20).read_bytes()
    places = range(30, len(whole), 7)  # the name in front is not protected by the sum
    damaged = [whole[:i] + bytes([whole[i] ^ 255]) + whole[i + 1 :] for i in places]
    for content in (b"no archive", whole[: len(whole) // 2], gzip.compress(b"no archive"), b"", *damaged):
        (tmp_path / "bad.tar.gz").write_bytes(content)
        with pytest.raises(ValueError, match="bad.tar.gz is damaged or no .tar.gz of text files"):
            read_excluded(tmp_path / "bad.tar.gz", Board(6))
    with pytest.raises(FileNotFoundError, match="none.tar.gz is not there"):
        _ = NQueens(6, (3, 4), excluded="none.tar.gz").test


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: NQueens(3, (1,)), "n=3 came; write n of 4 or more"),
        (lambda: NQueens(split="random"), "split='random' came; write 'class' .* or 'input'"),
        (lambda: NQueens(removed=()), r"removed=\(\) came for n=8; write different numbers of queens from 1 to 8"),
        (lambda: NQueens(removed=(0, 1)), r"removed=\(0, 1\) came"),
        (lambda: NQueens(removed=(9,)), r"removed=\(9,\) came"),
        (lambda: NQueens(removed=(5, 5)), r"removed=\(5, 5\) came"),
        (lambda: NQueens(test_share=0), "test_share=0 came; write a share of the puzzles above 0 and below 1"),
        (lambda: NQueens(test_share=1.0), "test_share=1.0 came"),
        (lambda: NQueens(4, (4,)).train, r"n=4, removed=\(4,\) make 1 symmetry classes, .* leaves none to train on"),
        (lambda: NQueens(4, (4,), "input").test, "make 1 puzzles, and test_share=0.15 leaves none"),
    ],
)
def test_argument_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("name, n", [("nqueens_8", 8), ("nqueens_10", 10)])
def test_configurations(name, n):
    task = instantiate(OmegaConf.load(CONF / f"{name}.yaml"))
    assert isinstance(task, NQueens) and task.n == n and task.split == "class" and task.removed == (n - 3, n - 2, n - 1)


def test_render():
    task = NQueens(5, (2,))
    x = torch.tensor(board_of([5, 5, 4, 5, 5], 5, other=0))
    x[0] = 1
    assert task.render(x, torch.tensor(board_of(SOLVED5))).splitlines() == [
        "+-----------+     +-----------+",
        "| - . . . . |     | Q - - - - |",
        "| . . . . . |     | - - Q - - |",
        "| . . . . Q |     | - - - - Q |",
        "| . . . . . |     | - Q - - - |",
        "| . . . . . |     | - - - Q - |",
        "+-----------+     +-----------+",
    ]
    assert task.render(x).splitlines()[3] == "| . . . . Q |"


def drawn(x, y=None):
    """Where on the board there are marks, of which colour: {(row, column): (face, edge)}, none a pair of None."""
    axes = Figure().add_subplot()
    NQueens(5, (2,)).draw(axes, x, y)
    axes.figure.savefig(io.BytesIO())
    marks = {}
    for patch in axes.patches:
        (left, low), (right, high) = patch.get_path().get_extents().get_points()
        faces = [to_hex(c).upper() if c[3] else None for c in (patch.get_facecolor(), patch.get_edgecolor())]
        assert right - left < 1 and high - low < 1
        marks[round((low + high) / 2), round((left + right) / 2)] = tuple(faces)
    return marks, axes.images[0].get_array()


def test_draw():
    x = torch.tensor(board_of([0, 5, 5, 5, 5], 5, other=0))
    assert drawn(x)[0] == {(0, 0): (BLACK, None)}
    marks, squares = drawn(x, torch.tensor(board_of(SOLVED5)))
    assert marks == {cell: (BLUE if cell[0] else BLACK, None) for cell in enumerate(SOLVED5)}
    assert len({tuple(c) for c in squares.reshape(-1, 3).tolist()}) == 2
    x[24] = 1  # grey, and yet a queen comes there; one given queen is lost, one cell left blank, two queens attack
    x[7] = 2
    y = torch.tensor(board_of((0, 5, 1, 2, 4), 5))
    y[4] = 0
    marks, squares = drawn(x, y)
    assert marks == {
        (0, 0): (BLACK, None),  # given and attacked from (4, 4): stays black
        (0, 4): (RED, None),
        (1, 2): (None, RED),
        (2, 1): (RED, None),
        (3, 2): (RED, None),
        (4, 4): (RED, None),
    }
    assert squares[4, 4].tolist() not in (squares[0, 0].tolist(), squares[0, 1].tolist())


@pytest.mark.parametrize("pair", [(0, 4), (4, 0), (1, 16), (5, 9), (3, 15), (10, 22)])
def test_draw_shows_every_kind_of_attack(pair):
    y = torch.tensor([2 if cell in pair else 1 for cell in range(25)])
    assert drawn(torch.zeros(25, dtype=torch.int64), y)[0] == {divmod(cell, 5): (RED, None) for cell in pair}
    x = torch.ones(25, dtype=torch.int64)
    y[pair[0]] = 1
    assert drawn(x, y)[0] == {divmod(pair[1], 5): (RED, None)}  # attacked by none, but the cell was to be empty
