"""No set of puzzles is empty, wherever it comes from."""

import csv

import networkx as nx
import pytest
import torch
from scripts import script

from gram_pyro.tasks.base import NO_TESTS, Puzzles, Task, concatenate, subset, unseen
from gram_pyro.tasks.colouring.task import Colouring
from gram_pyro.tasks.nqueens import task as nqueens_task
from gram_pyro.tasks.nqueens.task import NQueens
from gram_pyro.tasks.sudoku.mixture import SudokuMixture
from gram_pyro.tasks.sudoku.sizes import SudokuSizes
from gram_pyro.tasks.sudoku.task import Sudoku

NOTHING = Puzzles(torch.zeros(0, 4, dtype=torch.long), torch.zeros(0, 4, dtype=torch.long), torch.zeros(1).long())
ONE = Puzzles(torch.ones(1, 4, dtype=torch.long), torch.ones(1, 4, dtype=torch.long), torch.arange(2))
PUZZLE, FULL = "1...............", "1234341221434321"


class Given(Task):
    def __init__(self, train, test):
        self.sets = train, test

    @property
    def train(self):
        return self.sets[0]

    @property
    def test(self):
        return self.sets[1]

    def is_solved(self, x, y):
        return (x == y).all(-1)

    def augment(self, batch, generator):
        return batch


def write(path, *rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("question", "answer"), *rows])
    return path


def test_sets_that_a_task_gives():
    task = Given(ONE, {"a": ONE, "b": NOTHING})
    assert task.train is ONE
    with pytest.raises(ValueError, match="got no puzzle in the set 'b': none was found, or train has the"):
        _ = task.test
    with pytest.raises(ValueError, match="got no puzzle in the set 'train'.*expected at least 1; write another file"):
        next(Given(NOTHING, {}).batches(2, torch.Generator()))
    assert Given(ONE, {}).test == {}  # nothing to test on is a choice


def test_all_test_puzzles_left_out_for_being_those_of_train(tmp_path):
    train, test = (write(tmp_path / f"{name}.csv", (FULL[:-1] + ".", FULL)) for name in ("train", "test"))
    for task in (
        Sudoku(4, train=train, test=test),
        SudokuMixture(train, {"hard": test}, n=4, num_train=3, max_clues=9),
    ):
        with pytest.raises(ValueError, match="got no puzzle in the set '(test.csv|hard)'.*train has the"):
            _ = task.test
    sizes = SudokuSizes({"four": Sudoku(4, train=train, test=test)}, {"four": 1.0})
    with pytest.raises(ValueError, match="got no puzzle in the set 'test.csv'"):
        _ = sizes.test


def test_graphs_that_are_all_of_train(tmp_path):
    path = tmp_path / "graphs.g6"
    train = Colouring(4, num_train=5, num_test=1, cache=None)
    nx.write_graph6(train._graph(train.train.x[0]), path, header=False)
    with pytest.raises(ValueError, match="got no puzzle in the set 'graphs.g6'"):
        _ = Colouring(4, num_train=5, num_test=1, test=path, cache=None).test


def test_diagonals_that_leave_no_place_for_a_queen(tmp_path, monkeypatch):
    monkeypatch.setattr(nqueens_task, "read_excluded", lambda path, board: NOTHING)
    with pytest.raises(ValueError, match="got no puzzle in the set 'excluded_diagonals'"):
        _ = NQueens(5, removed=(2,), excluded=tmp_path).test


@pytest.mark.parametrize("limit", [0, -1])
def test_no_puzzle_of_a_set(limit):
    with pytest.raises(ValueError, match=f"got num_puzzles={limit}; expected at least 1; write null for all puzzles"):
        subset(ONE, limit)
    assert subset(ONE, 1) is ONE and subset(ONE, None) is ONE


@pytest.mark.parametrize("ask", [unseen, lambda task: concatenate([*task.test.values()])])
@pytest.mark.parametrize("task", [Given(ONE, {}), Sudoku(4, num_test=0, num_train=2, cache=None), Sudoku(4, test={})])
def test_nothing_to_test_on_where_it_is_needed(ask, task):
    with pytest.raises(ValueError, match=NO_TESTS):
        ask(task)


@pytest.mark.parametrize(
    "name, overrides, message",
    [
        ("evaluate", ["checkpoint=sudoku_4x4", "num_puzzles=0"], "num_puzzles=0"),
        ("evaluate", ["checkpoint=sudoku_4x4", "task.num_test=0"], NO_TESTS),
        ("search", ["checkpoint=sudoku_4x4", "num_puzzles=0"], "num_puzzles=0"),
        ("calibration", ["checkpoint=sudoku_4x4", "task.num_test=0"], NO_TESTS),
        ("svi_sudoku", ["experiment=smoke", "task.num_test=0"], NO_TESTS),
    ],
)
def test_experiments_say_so_in_one_sentence(tmp_path, name, overrides, message):
    ended = script(name, *overrides, f"run_dir={tmp_path / 'run'}", "device=cpu", check=False)
    assert ended.returncode == 1 and message in ended.stderr.splitlines()[-1] and "Traceback" not in ended.stderr
