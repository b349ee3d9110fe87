"""One seed, one result, to the bit: in training, whatever is looked at in between, and in sampling."""

import random

import numpy as np
import pyro
import pytest
import torch
from hydra.utils import instantiate
from killed import CPU, configuration
from safetensors.torch import load_file

from gram_pyro.evaluation.evaluate import evaluate
from gram_pyro.harness import checkpoint, trial
from gram_pyro.harness.build import build_learner
from gram_pyro.harness.resume import claim_folder


@pytest.fixture(scope="module")
def task():
    return instantiate(configuration("x").task)


@pytest.fixture
def trained(tmp_path, local_params, task):
    """train(name, **watch): the whole checkpoint of a run whatever happened before, as training is started."""

    def train(name, seed=0, **watch):
        config = configuration(tmp_path / name)
        config.seed, config.train.updates, config.train.precision = seed, 10, "fp32"
        config.model.num_transitions = 2
        config.watch.update(watch)
        with pyro.validation_enabled(False):
            trial.train("GRAM", config, task, claim_folder(config), CPU)
        return load_file(tmp_path / name / "GRAM.safetensors")

    return train


@pytest.fixture(scope="module")
def kept():
    return {}


@pytest.fixture
def plain(trained, kept):
    """A run as it is shipped, trained once."""
    if not kept:
        kept |= trained("plain")
    return kept


def differing(one, other):
    """Names of what two checkpoints hold differently; what the table has not told yet is not of the run."""
    assert one.keys() == other.keys()
    return [name for name in one if not torch.equal(one[name], other[name]) and not name.startswith("log.")]


def test_a_seed_fixes_every_number(trained, plain):
    torch.rand(7), np.random.rand(7), random.random()  # whatever ran before
    assert differing(plain, trained("second")) == []
    changed = differing(plain, trained("third", seed=1))
    assert {name.split(".")[0] for name in changed} >= {"model", "guide", "heads", "average", "optimiser", "rng"}


@pytest.mark.parametrize("watch", [{"every": 1}, {"every": 4}, {"every": 100}, {"num_puzzles": 1}])
def test_looking_in_between_changes_nothing(trained, plain, watch):
    """Evaluation every 3 updates against more, fewer, none but the last, and of other puzzles: the weights, their
    average, the moments and all random states are the same."""
    assert differing(plain, trained("watched", **watch)) == []


def test_the_table_says_the_same_of_the_same_updates(trained, tmp_path):
    """Rows of 4 updates are means of rows of 1."""
    rows = {}
    for every in (1, 4):
        trained(str(every), every=every)
        lines = (tmp_path / str(every) / "GRAM.csv").read_text().splitlines()
        rows[every] = [dict(zip(lines[0].split(","), map(float, line.split(",")), strict=True)) for line in lines[1:]]
    assert [row["updates"] for row in rows[4]] == [4, 8, 10]
    for row, (begin, end) in zip(rows[4], ((0, 4), (4, 8), (8, 10)), strict=True):
        assert row["prior_accuracy"] == rows[1][end - 1]["prior_accuracy"]
        for name in ("loss", "kl_0", "kl_1", "set_loss", "heads_loss"):
            mean = sum(one[name] for one in rows[1][begin:end]) / (end - begin)
            assert row[name] == pytest.approx(mean, rel=1e-9)


def test_an_evaluation_is_fixed_by_its_seed(task, local_params):
    learner = build_learner(configuration("x"), task, CPU)
    puzzles, tables = task.test["several"], []
    for seed in (3, 3, 4):
        torch.rand(5)
        trajectories, _, table = evaluate(learner.sample, task, puzzles, 2, [1, 4], seed, CPU)
        tables.append((trajectories.log_likelihood, {k: v for k, v in table.items() if k != "seconds"}))
    assert torch.equal(tables[0][0], tables[1][0]) and tables[0][1] == tables[1][1]
    assert not torch.equal(tables[0][0], tables[2][0])


def test_a_checkpoint_is_a_function_of_the_run(trained, tmp_path):
    """But for the seconds it took, where and with what it was made."""
    trained("one"), trained("two")
    one, two = (checkpoint.read(tmp_path / name / "GRAM.safetensors")[1] for name in ("one", "two"))
    for description in (one, two):
        del description["seconds"], description["config"]["run_dir"]
    assert one == two and one["updates"] == 10
