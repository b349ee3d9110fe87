"""The worked example of a task: its solutions by another solver, and from the class to a trained program."""

import csv
import importlib
import json
import sys

import pytest
import torch
from doc_pages import blocks
from scripts import ROOT, script

PAGE = ROOT / "docs" / "extend" / "example.md"


@pytest.fixture
def futoshiki(tmp_path, monkeypatch):
    """The module of the page."""
    [file] = [block for block in blocks(PAGE, "python") if block.title]
    (tmp_path / file.title).write_text(file.text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "futoshiki", raising=False)
    return importlib.import_module("futoshiki")


def by_cp_sat(x, n):
    """All boards of a puzzle, by constraint programming."""
    cp_model = pytest.importorskip("ortools.sat.python.cp_model")
    model, found = cp_model.CpModel(), []
    board = [[model.new_int_var(1, n, f"{i},{j}") for j in range(n)] for i in range(n)]
    for i in range(n):
        model.add_all_different(board[i])
        model.add_all_different([row[i] for row in board])
    across = [(board[i][j], board[i][j + 1]) for i in range(n) for j in range(n - 1)]
    down = [(board[i][j], board[i + 1][j]) for i in range(n - 1) for j in range(n)]
    for cell, clue in zip(sum(board, []), x[: n * n], strict=True):
        if clue:
            model.add(cell == clue)
    for (one, other), sign in zip(across + down, x[n * n :], strict=True):
        if sign != n + 3:
            model.add(one < other if sign == n + 1 else one > other)

    class Keep(cp_model.CpSolverSolutionCallback):
        def on_solution_callback(self):
            found.append([self.value(cell) for row in board for cell in row])

    solver = cp_model.CpSolver()
    solver.parameters.enumerate_all_solutions, solver.parameters.num_workers = True, 1
    solver.solve(model, Keep())
    return sorted(found)


def test_its_lists_are_those_of_another_solver(futoshiki):
    task = futoshiki.Futoshiki(num_puzzles=30, num_signs=4, num_clues=2)
    puzzles = task.train
    for i in range(puzzles.num_puzzles):
        boards = puzzles.solutions_of(i)[:, :16].tolist()
        assert sorted(boards) == by_cp_sat(puzzles.x[i].tolist(), 4)
    assert len(futoshiki.latin_squares(3)) == 12 and len(futoshiki.latin_squares(4)) == 576


def test_it_trains_at_smoke_size_and_is_called_by_its_class(futoshiki, tmp_path):
    options = ("task=own", "task._target_=futoshiki.Futoshiki", "+task.num_puzzles=60", "experiment=smoke")
    done = script("svi_sudoku", *options, f"run_dir={tmp_path / 'run'}")
    assert "VERDICT" in done.stdout
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    config = results["programs"]["GRAM"]["config"]
    assert (config["task_name"], config["task"]["_target_"]) == ("Futoshiki", "futoshiki.Futoshiki")
    with (tmp_path / "run" / "GRAM.csv").open(newline="") as file:
        assert all(torch.isfinite(torch.tensor(float(row["loss"]))) for row in csv.DictReader(file))
