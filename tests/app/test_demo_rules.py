"""Puzzles that state their rules, on the page: read, solved, shown, refused."""

import json
import math

import pytest
import torch
from of_rules import LATIN, TIMETABLE, write_weights
from omegaconf import OmegaConf
from scripts import CONF, experiment

from gram_pyro.app.puzzle import ANY_RULES, read_rules
from gram_pyro.app.shown import spec
from gram_pyro.app.solution_count import count_solutions

demo = experiment("demo")
CONFIG = OmegaConf.load(CONF / "demo.yaml")


@pytest.fixture
def boards(tmp_path):
    torch.set_default_dtype(torch.float32)
    write_weights(tmp_path / "any.safetensors")
    yield demo.open_boards([ANY_RULES], [str(tmp_path / "any.safetensors")])
    torch.set_default_dtype(torch.float64)


def ask(boards, text, **changes):
    """The outcome, as the page gets it, after as many segments as were noted."""
    fields = {"kind": "rules", "text": text, "sampler": "ancestral", "num_particles": 40, "num_segments": 2, "seed": 0}
    config = OmegaConf.merge(CONFIG, {"samplers": {"ancestral": OmegaConf.load(CONF / "sampler" / "ancestral.yaml")}})
    wish = demo.read_wish(json.dumps(fields | changes).encode(), config, boards)
    noted = []
    outcome = demo.answer(wish, config, boards, noted.append)
    assert noted == [1, 2]
    return json.loads(json.dumps(outcome))


def test_a_grid_is_solved(boards):
    outcome = ask(boards, LATIN)
    assert outcome["spec"] == {
        "cells": ["a1", "b1", "a2", "b2"],
        "symbols": ["1", "2"],
        "grid": [2, 2],
        "clues": "0000",
    }
    assert {s["board"] for s in outcome["solutions"]} == {"1221", "2112"}
    for boards_then, right in zip(outcome["answers"], outcome["right"], strict=True):
        assert [board in ("1221", "2112") for board in boards_then] == right
    ones = [sum(board[cell] == "1" for board in outcome["answers"][-1]) / 40 for cell in range(4)]
    entropy = [-sum(p * math.log(p) for p in (one, 1 - one) if p) for one in ones]
    assert outcome["entropy"] == pytest.approx(entropy, abs=1e-4)


def test_cells_by_name_are_solved(boards):
    outcome = ask(boards, TIMETABLE)
    assert outcome["spec"]["grid"] is None and outcome["clues"] == "000"
    for found in outcome["solutions"]:
        times = dict(pair.rsplit("=", 1) for pair in found["text"].replace("monday ", "monday_").split(" "))
        assert times["maths"] != times["physics"] and times["art"] == "tuesday" != times["maths"]


def test_a_mistake_has_its_line(boards):
    with pytest.raises(ValueError, match="^line 3: got the rule 'row'; expected one of rows"):
        ask(boards, LATIN.replace("rows", "row"))
    with pytest.raises(ValueError, match="got 36 symbols and 36 candidates; the page shows up to 35 and 4096; write"):
        ask(boards, "cells: [a]\nsymbols: 1..36")
    with pytest.raises(ValueError, match="no weights for a puzzle that states its rules, but for: 6x6 Sudoku"):
        ask({"6x6 Sudoku": None}, LATIN)


def test_examples_are_puzzles():
    counts = {title: count_solutions(read_rules(text), None) for title, text in CONFIG.examples.rules_0.items()}
    for title, count in counts.items():
        assert count and (title[0].isalpha() or title.startswith(f"{count} solution"))
    assert spec(read_rules(next(iter(CONFIG.examples.rules_0.values()))))["symbols"][2] == "tuesday"
