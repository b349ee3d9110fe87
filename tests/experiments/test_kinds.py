"""kinds.py: weights on sets of puzzles, judged by rules and by CP-SAT."""

import json
from random import Random

import pytest
import torch
from of_rules import write_weights
from omegaconf import OmegaConf
from PIL import Image
from scripts import CONF, experiment, script

from gram_pyro.tasks.candidates.families import Queens, Sudokus
from gram_pyro.tasks.candidates.puzzle import IN
from gram_pyro.tasks.candidates.task import draw

pytest.importorskip("ortools", reason="pip install 'gram_pyro[exact]'")
kinds = experiment("kinds")
SET = {"table": "as trained", "num_puzzles": 3, "given": [10, 12]}


def test_so_many_cells_are_given():
    chosen = OmegaConf.create(SET | {"family": {"_target_": "gram_pyro.tasks.candidates.families.Sudokus", "n": 4}})
    for puzzle in kinds.puzzles(chosen, 0):
        assert 10 <= puzzle.roles.count(IN) <= 12
    assert kinds.puzzles(chosen, 0) == kinds.puzzles(chosen, 0) != kinds.puzzles(chosen, 1)
    puzzle, y = draw(Sudokus(4), Random(0))
    assert kinds.with_clues(puzzle, y, 16, Random(0)).roles == tuple(y)


def test_cp_sat_counts_and_refuses():
    puzzle, y = draw(Queens(6), Random(0))
    wrong = tuple(2 if c % 6 == 0 else 1 for c in range(36))
    milliseconds, count, refused = kinds.judged_by_cp_sat(puzzle, {tuple(y), wrong}, 10)
    assert milliseconds > 0 and (count, refused) == (4, 1)
    assert kinds.judged_by_cp_sat(puzzle, set(), 3)[1:] == (None, 0)


def test_a_table_is_written(tmp_path):
    torch.set_default_dtype(torch.float32)
    write_weights(tmp_path / "any.safetensors")
    few = [
        "only=[queens_8,graphs_8_3]",
        "sets.queens_8.num_puzzles=2",
        "sets.graphs_8_3.num_puzzles=2",
        "num_segments=1",
    ]
    command = [f"weights={tmp_path / 'any.safetensors'}", f"run_dir={tmp_path / 'run'}", "width=30", *few]
    try:
        script("kinds", *command)
        first = json.loads((tmp_path / "run" / "kinds.json").read_text(encoding="utf-8"))["rows"]
        odd = script("kinds", *command, f"run_dir={tmp_path / 'odd'}", "only=[chess]", check=False)
    finally:
        torch.set_default_dtype(torch.float64)
    text = (tmp_path / "run" / "kinds.md").read_text(encoding="utf-8")
    assert text.startswith("## As trained\n\n| kind |") and text.count("\n| ") == 4  # head, rule, two rows
    with Image.open(tmp_path / "run" / "kinds.png") as image:
        assert min(image.size) > 150
    assert [row["kind"] for row in first] == ["queens_8", "graphs_8_3"]
    assert all(row["refused"] == 0 and row["right"] <= row["any"] for row in first)
    assert "got only=['chess']; expected names among sudoku_6, " in odd.stderr


def test_every_set_has_its_table_and_puzzles_of_one_shape():
    sets = OmegaConf.load(CONF / "kinds.yaml").sets
    assert {each.table for each in sets.values()} == {"as trained", "sizes never seen", "kinds never seen"}
    for name in ("sudoku_6", "queens_12", "graphs_20_3", "myciel3", "latin_9"):
        found = kinds.puzzles(OmegaConf.merge(sets[name], {"num_puzzles": 2}), 0)
        assert len({len(puzzle.roles) for puzzle in found}) == 1
