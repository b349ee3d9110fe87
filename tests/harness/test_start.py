"""Runs that begin with the weights of another one: on the same alphabet, on a larger one, and of another program."""

import json
import logging
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from scripts import CONF, experiment

from gram_pyro.harness import checkpoint, trial
from gram_pyro.harness.build import build_learner, choose_device
from gram_pyro.harness.claim import Claim

SMALL = """
    task.num_train=40 task.num_test=6 task.max_solutions=3 +task.cache=null dim=16 core.hidden=16 core.num_layers=1
    core.mixer.num_heads=2 compile=false device=cpu train.num_segments=2 train.batch_size=8 task_name=t method_name=m
    watch.num_puzzles=4 watch.every=2 evaluate.num_puzzles=4 evaluate.widths=[1,2] evaluate.num_segments=2
"""


def configured(*overrides):
    with initialize_config_dir(str(CONF), version_base=None):
        return compose("svi_sudoku", overrides=[*SMALL.split(), "run_dir=x", *overrides])


def learner_of(config, seed):
    torch.manual_seed(seed)
    return build_learner(config, instantiate(config.task), torch.device("cpu"))


@pytest.fixture
def begun(local_params, tmp_path):
    """A checkpoint of 4x4 whose averages differ from its weights."""
    config = configured("task.n=4", "train.updates=4")
    learner = learner_of(config, 1)
    with torch.no_grad():
        for p in learner.ema.module.parameters():
            p += torch.randn_like(p)
    path = tmp_path / "first.safetensors"
    checkpoint.save(path, learner, torch.Generator(), {"seconds": 2.5, "config": {}})
    return path, learner.ema.module.state_dict()


def test_the_same_program_starts_with_the_averages(begun):
    path, averages = begun
    learner = learner_of(configured("task.n=4", "train.updates=4"), 2)
    assert checkpoint.start_from(path, learner) == {"updates": 0, "seconds": 2.5}
    for name, value in averages.items():
        assert learner.program.state_dict()[name].equal(value) and learner.ema.module.state_dict()[name].equal(value)
    assert learner.updates == 0 and not learner.optimiser.state_dict()["state"]


def test_a_larger_board_takes_what_fits_and_names_the_rest(begun, caplog):
    path, averages = begun
    config = configured("task.n=6", "train.updates=4")
    learner, untouched = learner_of(config, 2), learner_of(config, 2).program.state_dict()
    with caplog.at_level(logging.WARNING):
        checkpoint.start_from(path, learner)
    of_symbols = {"model.embed.table.weight", "model.readout.logits.weight", "guide.q_embed.table.weight"}
    for name, value in learner.program.state_dict().items():
        assert value.equal(untouched[name] if name in of_symbols else averages[name]), name
        assert learner.ema.module.state_dict()[name].equal(value)
    assert all(name in caplog.text for name in of_symbols) and "start at random" in caplog.text


@pytest.mark.parametrize("other", ["core=flat", "prior=standard"])
def test_another_program_is_refused(begun, other):
    path, _ = begun
    config = configured("task.n=4", "train.updates=4", *(["core.num_layers=1", "core.hidden=16"]), other)
    with pytest.raises(ValueError, match="do not fit this task or this version"):
        checkpoint.start_from(path, learner_of(config, 2))


def test_a_run_tells_what_it_started_from_and_its_baselines_do_not_start_there(tmp_path, local_params):
    first = configured("task.n=4", "train.updates=2", f"run_dir={tmp_path / 'first'}", "baselines.deterministic=null")
    trial.run(first, Claim)
    weights = tmp_path / "first" / "GRAM.safetensors"
    second = configured("task.n=4", "train.updates=4", f"run_dir={tmp_path / 'second'}", f"start={weights}")
    trial.run(second, Claim)
    programs = json.loads((tmp_path / "second" / "results.json").read_text())["programs"]
    held = checkpoint.read(weights)[1]
    assert programs["GRAM"]["before"] == {"updates": 2, "seconds": held["seconds"]} and programs["GRAM"]["updates"] == 4
    assert "before" not in programs["deterministic"] and programs["deterministic"]["config"]["start"] is None
    row, *_ = experiment("table").read_run(tmp_path / "second" / "results.json", 2)
    assert row["updates"] == 6 and row["minutes"] == (held["seconds"] + programs["GRAM"]["seconds"]) / 60
    third = configured("task.n=4", "train.updates=2", "run_dir=x", f"start={tmp_path / 'second' / 'GRAM.safetensors'}")
    assert checkpoint.start_from(Path(third.start), learner_of(third, 0))["updates"] == 6


def test_a_start_that_is_not_there_is_named(local_params):
    learner = learner_of(configured("task.n=4", "train.updates=4"), 2)
    with pytest.raises(FileNotFoundError, match="there is no checkpoint at nowhere.safetensors"):
        checkpoint.start_from(Path("nowhere.safetensors"), learner)


@pytest.mark.parametrize("there", [True, False])
def test_a_gpu_is_taken_where_there_is_one_and_asked_for_in_vain_where_not(monkeypatch, there):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert choose_device("auto").type == ("cuda" if there else "cpu") and choose_device("cpu").type == "cpu"
    if there:
        assert choose_device("cuda:1") == torch.device("cuda", 1)
    else:
        with pytest.raises(ValueError, match="got device=cuda:1; expected a GPU that torch can use"):
            choose_device("cuda:1")
    for name in ("meta", "mps", "abc"):
        with pytest.raises(ValueError, match=f"got device={name}, which cannot be used here .*; write device=cpu"):
            choose_device(name)
