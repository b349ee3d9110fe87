"""Judges of another package say of answers what our rules say."""

import json

import pytest
import torch
from scripts import experiment

reasoning_gym = pytest.importorskip("reasoning_gym", reason="pip install 'gram_pyro[referees]'")
referees = experiment("referees")


@pytest.mark.parametrize("name", list(referees.DIALECTS))
def test_the_answer_of_a_puzzle_in_our_words_is_right_in_theirs(name):
    """From their answer to our cells and back; and what they give as a puzzle has no cell that contradicts it."""
    dialect = referees.DIALECTS[name]
    judge = reasoning_gym.create_dataset(name, size=5, seed=3, **dialect.options)
    for entry in judge:
        cells = dialect.cells(entry)
        if name == "graph_color":
            colours = entry["metadata"]["possible_answer"]
            answer = cells[: len(referees.PAIRS)] + [2 + colours[v] for v in range(referees.VERTICES)]
            assert json.loads(dialect.text(answer)) == {str(v): colour for v, colour in colours.items()}
        else:
            whole = {"metadata": {"puzzle": [line.split() for line in entry["answer"].split("\n")]}}
            answer = dialect.cells(whole)
            answer = [1 if cell == 0 else cell for cell in answer] if name == "n_queens" else list(map(int, answer))
        assert judge.score_answer(dialect.text(answer), entry) == 1.0
        assert all(given in (0, cell) for given, cell in zip(cells, answer, strict=True))
        wrong = referees.changed(torch.tensor([[answer]]), torch.tensor([cells]))[0, 0].tolist()
        assert sum(a != b for a, b in zip(answer, wrong, strict=True)) <= 1
