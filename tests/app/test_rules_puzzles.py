"""Puzzles that state their rules: solved from a file, a folder and a text, counted, drawn, evaluated."""

import csv
import json

import pytest
import torch
from of_rules import LATIN, TIMETABLE, write_weights
from PIL import Image
from scripts import script

from gram_pyro.app.puzzle import answer_in_words, as_text, of_rules, read_queens, read_sudoku, with_rules
from gram_pyro.app.reading import read_puzzles, states_rules
from gram_pyro.app.solution_count import count_of_rules, count_solutions
from gram_pyro.tasks.candidates.packed import violations
from gram_pyro.tasks.candidates.text import read_text
from gram_pyro.tasks.candidates.written import WrittenPuzzle, borders


@pytest.fixture
def weights(tmp_path):
    torch.set_default_dtype(torch.float32)
    write_weights(tmp_path / "any.safetensors")
    yield f"weights={tmp_path / 'any.safetensors'}"
    torch.set_default_dtype(torch.float64)


def write(folder, **texts):
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def test_a_puzzle_is_solved_from_its_file(tmp_path, weights):
    write(tmp_path, latin=LATIN)
    picture = tmp_path / "answers.png"
    found = script("solve", f"puzzle={tmp_path / 'latin.yaml'}", weights, "num_segments=1", f"save={picture}")
    lines = found.stdout.splitlines()
    assert lines[:2] == [". .", ". ."]
    assert "2 distinct solutions of 2," in found.stdout
    rows = [line.split() for line in lines if set(line.split()) == {"1", "2"}]  # both solutions, side by side
    assert sorted(rows) == [["1", "2", "2", "1"], ["2", "1", "1", "2"]]
    with Image.open(picture) as image:
        assert image.size[0] > 300


def test_cells_without_a_grid_are_listed(tmp_path, weights):
    write(tmp_path, timetable=TIMETABLE)
    found = script("solve", f"puzzle={tmp_path / 'timetable.yaml'}", weights, "num_segments=1", "num_particles=200")
    assert found.stdout.startswith("maths    .\nphysics  .\nart      .\n")
    assert "4 distinct solutions of 4," in found.stdout and "art      tuesday" in found.stdout


def test_a_folder_is_solved_and_a_text(tmp_path, weights):
    folder = tmp_path / "puzzles"
    folder.mkdir()
    write(folder, latin=LATIN, timetable=TIMETABLE, none=LATIN.replace("1..2", "1..1").replace("rules", "# rules"))
    script("solve", f"puzzle={folder}", weights, "num_segments=1", "num_particles=200", f"run_dir={tmp_path / 'run'}")
    with open(tmp_path / "run" / "solve.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {(row["puzzle"], row["exist"], row["solutions"]) for row in rows} == {
        ("latin.yaml", "2", "2"), ("timetable.yaml", "4", "4"), ("none.yaml", "1", "1"),
    }  # fmt: skip
    assert {row["solution"] for row in rows if row["puzzle"] == "latin.yaml"} == {"1221", "2112"}
    text = json.dumps({"cells": ["a"], "symbols": ["x"]})
    assert "1 distinct solution of 1" in script("solve", f"puzzle='{text}'", weights, "num_segments=1").stdout


def test_weights_that_take_rules_take_every_kind(weights):
    for puzzle in ("1....2..........", "1...", "1-2,2-3"):
        found = script("solve", f"puzzle={puzzle}", weights, "num_segments=1", "num_particles=2", "most=2", check=False)
        assert "distinct solution" in found.stdout


@pytest.mark.parametrize("text", ["1..3.4..2......1", "................"])
def test_a_sudoku_states_its_rules(text):
    puzzle = read_sudoku(text)
    stated = with_rules(puzzle)
    assert as_text(stated, stated.x) == as_text(puzzle, puzzle.x)
    assert count_of_rules(stated.rules) == (1 if "3" in text else 288)
    assert answer_in_words(stated.rules, stated.x) == text


def test_queens_state_their_rules():
    board = read_queens("......")
    stated = with_rules(board)
    assert count_solutions(stated, None) == 4 and with_rules(stated) is stated


def test_a_mistake_is_a_sentence_with_its_line(tmp_path, weights):
    write(tmp_path, odd="grid: 2x2\nsymbols: 1..2\nrules: [row]\n")
    found = script("solve", f"puzzle={tmp_path / 'odd.yaml'}", weights, check=False)
    assert "odd.yaml, line 3: got the rule 'row'; expected one of rows" in found.stderr
    with pytest.raises(ValueError, match="^line 2: got nothing for symbols"):
        read_puzzles("grid: 2x2\nsymbols:\n")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="got the folder .*empty without a file of puzzles; write the name"):
        read_puzzles(str(tmp_path / "empty"))
    found = script("solve", "puzzle=" + "'{\"queens\": 3}'", weights, check=False)
    assert "this puzzle has no solution" in found.stdout


def test_what_states_rules_is_told_from_what_does_not():
    assert states_rules(TIMETABLE) and states_rules('{"queens": 8}') and states_rules("# mine\nqueens: 8")
    assert not states_rules("5..3.6..3..........1........14..2...") and not states_rules("1-2,2-3")


def test_without_the_exact_referee_a_search_counts(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "gram_pyro.tasks.candidates.referee", None)
    assert count_of_rules(read_text(TIMETABLE)) == 4
    assert count_of_rules(read_text("queens: 8")) == 92
    assert count_of_rules(read_text("queens: 20")) is None


def test_regions_are_drawn():
    rows = "".join(f"      {row}\n" for row in ("AABB", "AABB", "CCDD", "CDCD"))
    lines = borders(read_text("grid: 4x4\nsymbols: 1..4\nrules:\n  - rows\n  - columns\n  - regions: |\n" + rows))
    assert len(lines) == 16 + 8 + 8  # the grid; A and B; C and D do not hang together
    assert len(borders(read_text("grid: 2x2\nsymbols: 1..2\nrules: [rows, columns]"))) == 8


def test_what_breaks_a_rule_is_red_and_clues_are_black():
    from gram_pyro.plots.style import plt

    task = WrittenPuzzle(read_text(LATIN + "given: {a1: 1}"))
    for board, colour in (((2, 1, 1, 2, 1, 2, 2, 1), "#0072B2"), ((2, 1, 2, 1, 1, 2, 2, 1), "#D55E00")):
        figure, axes = plt.subplots()
        y = torch.tensor(board)
        assert (violations(task.x, y) == 0) == (colour == "#0072B2")
        task.draw(axes, task.x, y)
        first, second = [(text.get_text(), text.get_color()) for text in axes.texts[:2]]
        assert first == ("1", "#000000") and second == (task.symbols(y)[1], colour)
        plt.close(figure)
    assert of_rules(task.puzzle).x.equal(task.x)


def test_a_folder_is_evaluated(tmp_path, weights):
    folder = tmp_path / "puzzles"
    folder.mkdir()
    write(folder, latin=LATIN, other=LATIN + "given: {a1: 1}\n", timetable=TIMETABLE)
    few = ["num_segments=1", "widths=[1,100]", "chunk=512", f"run_dir={tmp_path / 'run'}"]
    found = script("evaluate", weights.replace("weights", "checkpoint"), f"task.test={folder}", *few)
    assert "2 puzzles '4 cells, 2 symbols'" in found.stdout and "1 puzzle '3 cells, 3 symbols'" in found.stdout
    assert json.loads(found.stdout.splitlines()[-1])["any"]["100"] == 1.0
    (folder / "none.yaml").write_text(json.dumps({"queens": 3}))
    found = script("evaluate", weights.replace("weights", "checkpoint"), f"task.test={folder}", *few, check=False)
    assert "got a puzzle of 3 cells, number 1 of its shape, and found no solution of it; leave it out" in found.stderr
