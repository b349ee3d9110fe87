"""Boards of Sudoku: nearest ones, classes, draws and the task, against enumeration of all 288 boards of 4x4."""

import math

import pytest
import torch
from boards_of_4x4 import FOUR, boards_task, every_board
from plain_rules import sudoku_is_right
from tiny import close

from gram_pyro.tasks.sudoku.boards import SudokuBoards, draw_boards, keep_clues
from gram_pyro.tasks.sudoku.classes import BoardClasses
from gram_pyro.tasks.sudoku.rules import Geometry
from gram_pyro.tasks.sudoku.task import random_symmetries


@pytest.fixture(scope="module")
def boards4():
    return every_board()


@pytest.fixture(scope="module")
def task():
    return boards_task()


def greedy(boards, clues, ranking):
    """What `nearest` promises, by filtering all boards: a pair is taken if a board has it and those before it."""
    left = [b for b in boards if all(c in (0, d) for c, d in zip(clues, b, strict=True))]
    for cell, digit in ranking:
        left = [b for b in left if b[cell] == digit] or left
    return left[0] if left else None


def test_nearest_is_the_greedy_choice_with_perfect_foresight(boards4):
    generator = torch.Generator().manual_seed(0)
    pairs = [(cell, digit) for cell in range(16) for digit in range(1, 5)]
    for trial in range(60):
        board = boards4[int(torch.randint(288, (), generator=generator))]
        kept = keep_clues(torch.tensor([board]), torch.tensor([trial % 9]), generator)[0].tolist()
        ranking = [pairs[i] for i in torch.randperm(64, generator=generator).tolist()]
        assert FOUR.nearest(kept, ranking) == greedy(boards4, kept, ranking)


def test_nearest_of_a_valid_board_is_the_board_itself(boards4):
    generator = torch.Generator().manual_seed(1)
    for board in boards4[::29]:
        score = torch.rand(16, 4, generator=generator)
        score[torch.arange(16), torch.tensor(board) - 1] += 0.3  # its digits lead their own cells, not all cells
        score[torch.arange(16), torch.tensor(board) - 1] = score.amax(1) + 1e-3
        ranking = [(i // 4, i % 4 + 1) for i in score.flatten().argsort(descending=True).tolist()]
        assert FOUR.nearest([0] * 16, ranking) == board


def test_nearest_gives_up_where_there_is_no_board_or_no_choice_is_left():
    pairs = [(cell, digit) for cell in range(16) for digit in range(1, 5)]
    unsolvable = [1, 2, 3, 0, 0, 0, 0, 4] + [0] * 8  # the last cell of the first row can be no digit
    assert FOUR.nearest(unsolvable, pairs) is None
    assert FOUR.nearest([0] * 16, pairs, limit=0) is None
    assert FOUR.nearest([0] * 16, pairs, limit=20) is not None


def test_classes_of_4x4_are_the_orbits_of_random_symmetries(boards4):
    classes, boards = BoardClasses(FOUR), torch.tensor(boards4)
    assert classes.num_boards == 288
    generator = torch.Generator().manual_seed(0)
    cells, digits = random_symmetries(FOUR, 4000, generator)
    orbits = []
    for start in (0, *range(1, 288)):
        if any(tuple(boards4[start]) in orbit for orbit in orbits):
            continue
        start_board = boards[start].expand(4000, -1)
        moved = digits.gather(1, start_board.gather(1, cells))
        orbits.append(set(map(tuple, moved.tolist())))
    assert sorted(len(orbit) for orbit in orbits) == sorted((288 * classes.law).round().long().tolist())
    label = classes(boards)
    for orbit in orbits:
        assert len({int(label[boards4.index(list(board))]) for board in orbit}) == 1


def test_there_are_49_classes_of_28200960_boards_of_6x6():
    geometry = Geometry(6)  # counted by Jarvis and Russell, who had another program
    classes = BoardClasses(geometry)
    assert classes.num_boards == 28200960 and len(classes.law) == 49
    close(classes.law.sum(), 1)
    start = classes.boards[torch.arange(0, len(classes.boards), 4000)]
    cells, digits = random_symmetries(geometry, len(start), torch.Generator().manual_seed(0))
    assert classes(digits.gather(1, start.gather(1, cells))).equal(classes(start))


def test_classes_of_larger_boards_are_refused():
    with pytest.raises(ValueError, match="got n=9; expected n up to 6"):
        BoardClasses(Geometry(9))
    with pytest.raises(KeyError):
        BoardClasses(FOUR)(torch.ones(1, 16, dtype=torch.long))


def test_boards_are_drawn_uniformly(boards4):
    count = 288 * 50
    drawn = draw_boards(FOUR, count, seed=0)
    hits = torch.tensor([[boards4.index(board)] for board in drawn.tolist()]).flatten().bincount(minlength=288)
    chi2 = ((hits - 50) ** 2 / 50).sum().item()
    assert abs(chi2 - 287) < 5 * math.sqrt(2 * 287)


def test_boards_too_many_to_enumerate_are_drawn_by_a_solver():
    boards = draw_boards(Geometry(9), 4, seed=0)
    texts = {"".join(map(str, board)) for board in boards.tolist()}
    assert len(texts) == 4 and all(sudoku_is_right("." * 81, text, 3, 3) for text in texts)
    assert draw_boards(Geometry(9), 4, seed=0).equal(boards) and not draw_boards(Geometry(9), 4, seed=1).equal(boards)


# ---- the task


def test_batches_hold_a_board_and_some_of_its_cells(task):
    generator = torch.Generator().manual_seed(0)
    batches = task.batches(500, generator)
    x, y, solutions, valid = (torch.cat(field) for field in zip(*(next(batches) for _ in range(8)), strict=True))
    assert task.is_solved(x, y).all() and valid.all() and solutions.equal(y[:, None])
    counts = (x != 0).sum(1)
    shares = counts.bincount(minlength=16) / len(x)
    expected = torch.zeros(16)
    expected[:8] = 0.6 / 8
    expected[0] += 0.4
    error = (expected * (1 - expected) / len(x)).sqrt()
    assert (abs(shares - expected) <= 4 * error).all()
    held = (x != 0)[counts == 7].double().mean(0)
    assert (abs(held - 7 / 16) < 4 * math.sqrt(7 / 16 * 9 / 16 / (counts == 7).sum())).all()


def test_test_sets_have_so_many_clues_and_a_solution_each(task):
    assert list(task.test) == ["0 clues", "5 clues"]
    for name, puzzles in task.test.items():
        assert ((puzzles.x != 0).sum(1) == int(name.split()[0])).all() and puzzles.num_puzzles == 12
        assert task.is_solved(puzzles.x, puzzles.solutions).all()
    assert task.train.num_puzzles == 40


def test_puzzles_with_one_solution_have_one_and_as_many_clues_as_asked_for(boards4):
    task = SudokuBoards(n=4, num_train=3, num_test=60, max_clues=4, test_clues=(), one_solution=(7, 9), cache=None)
    ((name, puzzles),) = task.test.items()
    assert name == "7 to 9 clues, one solution" and puzzles.num_puzzles == 60
    for clues, solution in zip(puzzles.x.tolist(), puzzles.solutions.tolist(), strict=True):
        assert [b for b in boards4 if all(c in (0, d) for c, d in zip(clues, b, strict=True))] == [solution]
    assert (puzzles.x != 0).sum(1).unique().tolist() == [7, 8, 9]


def test_near_reads_probabilities(task, boards4):
    torch.manual_seed(0)
    x = task.test["5 clues"].x
    log_prob = torch.randn(12, 16, 5).log_softmax(-1)
    boards, valid = task.near(x, log_prob)
    assert valid.all() and boards.shape == (12, 1, 16)
    for row in range(12):
        pairs = [(cell, digit) for cell in range(16) for digit in range(1, 5)]
        ranking = sorted(pairs, key=lambda pair: -log_prob[row][pair].item())
        assert boards[row, 0].tolist() == greedy(boards4, x[row].tolist(), ranking)
    contradiction = torch.tensor([[1, 2, 3, 0, 0, 0, 0, 4] + [0] * 8])
    assert task.near(contradiction, log_prob[:1])[1].tolist() == [[False]]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"num_train": 0}, "num_train=0.*expected num_train >= 1"),
        ({"blank_share": 1.5}, "blank_share=1.5.*0 <= blank_share <= 1"),
        ({"max_clues": 17}, "got max_clues=17.*expected 0 to 16 clues"),
        ({"one_solution": (9, 20)}, r"one_solution=\[9, 20\]; expected .*16 cells"),
        ({"one_solution": (9, 8), "max_clues": 4, "test_clues": ()}, r"got one_solution=\[9, 8\]; write"),
        ({"test_clues": (3, 40)}, r"test_clues=\[3, 40\].*16 cells"),
    ],
)
def test_wrong_arguments_get_a_sentence(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        SudokuBoards(n=4, **wrong)
