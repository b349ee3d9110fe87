"""N-Queens: every claim is checked against a slow method that shares no code with the package, or a file."""

import io
import itertools
import json
import lzma
from collections import defaultdict
from random import Random

import pytest
import torch
from data_folder import DATA, needs
from hydra.utils import instantiate
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from omegaconf import OmegaConf
from plain_queens import board_of, brute, everything
from scripts import ROOT

from gram_pyro.tasks.nqueens import rules as nqueens_rules
from gram_pyro.tasks.nqueens.rules import Board
from gram_pyro.tasks.nqueens.task import BLACK, BLUE, RED, NQueens

CONF = ROOT / "experiments" / "conf" / "task"
needs_data = needs("nqueens")
SOLVED5 = (0, 2, 4, 1, 3)  # a column for each row


def count_broken(n, x, y):
    """The rules, in plain Python."""
    lines = defaultdict(int)
    for r, c in itertools.product(range(n), repeat=2):
        for name in (("row", r), ("col", c), ("diagonal", r - c), ("antidiagonal", r + c)):
            lines[name] += y[r * n + c] == 2
    wrong = sum(count > 1 if "diagonal" in name[0] else count != 1 for name, count in lines.items())
    wrong += sum(a != b for a, b in zip(x, y, strict=True) if a in (1, 2))
    return wrong + sum(b not in (1, 2) for b in y)


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
    monkeypatch.setattr(nqueens_rules, "CHUNK", 30)
    rng, board = Random(0), Board(6)
    x = [[rng.choices([0, 1, 2], [40, 6, 1])[0] for _ in range(36)] for _ in range(70)] + [[0] * 36]
    puzzles = board.complete(torch.tensor(x))
    for i, clues in enumerate(x):
        expected = [y for y in map(board_of, brute(6)) if all(a in (0, b) for a, b in zip(clues, y, strict=True))]
        assert puzzles.solutions_of(i).tolist() == expected
    assert puzzles.x.tolist() == x and {0, 1, 2, 4} <= set(puzzles.num_solutions.tolist())


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


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: NQueens(3, (1,)), "got n=3; expected 4 or more"),
        (lambda: NQueens(split="random"), "got split='random'; write 'class' .* or 'input'"),
        (lambda: NQueens(removed=()), r"got removed=\(\) with n=8; write different numbers of queens from 1 to 8"),
        (lambda: NQueens(removed=(0, 1)), r"got removed=\(0, 1\)"),
        (lambda: NQueens(removed=(9,)), r"got removed=\(9,\)"),
        (lambda: NQueens(removed=(5, 5)), r"got removed=\(5, 5\)"),
        (lambda: NQueens(test_share=0), "got test_share=0; write a share of the puzzles above 0 and below 1"),
        (lambda: NQueens(test_share=1.0), "got test_share=1.0"),
        (lambda: NQueens(4, (4,)).train, r"of 1 symmetry classes with n=4, removed=\(4,\), which leaves"),
        (lambda: NQueens(4, (4,), "input").test, "got test_share=0.15 of 1 puzzles with n=4.*leaves none"),
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
