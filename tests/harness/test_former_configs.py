"""Configurations written before a choice was one, or under another name, mean what they meant."""

from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
from killed import configuration
from omegaconf import OmegaConf

from gram_pyro.harness import resume
from gram_pyro.harness.build import build_learner, choose_device
from gram_pyro.harness.former import MOVED, complete, name_of_today
from gram_pyro.harness.load import RELEASED, released, stored_config
from gram_pyro.harness.trusted import is_part
from gram_pyro.tasks.sudoku.task import Sudoku
from gram_pyro.training.rollout_losses import Cover, Set


def former(config, covering):
    """The same as it was written when `covering` was a key of train."""
    old = OmegaConf.create(OmegaConf.to_container(config, resolve=True))
    for group in ("rollout_loss", "embed", "readout"):
        del old[group]
    del old.train.rollouts_per_puzzle
    old.train.covering = covering
    return old


@pytest.mark.parametrize(("covering", "loss"), [(1, Set), (4, Cover)])
def test_covering_is_a_loss_of_rollouts(local_params, covering, loss):
    config = complete(OmegaConf.to_container(former(configuration("x"), covering)))
    assert "covering" not in config.train
    task = Sudoku(n=4, num_train=4, num_test=0, cache=None)
    config.train.batch_size = 16
    learner = build_learner(config, task, choose_device("cpu"))
    assert isinstance(learner.rollout_loss, loss) and learner.settings.rollouts_per_puzzle == covering


def test_a_configuration_of_today_stays_as_it_is():
    config = configuration("x")
    assert OmegaConf.to_container(complete(config)) == OmegaConf.to_container(config)


def test_weights_that_are_shipped_say_how_they_were_trained():
    known = {"nqueens_10_covering": ("Cover", 16)} | dict.fromkeys(("sudoku", "constraints"), ("MultiSample", 4))
    for name in released():
        config, (loss, each) = stored_config(RELEASED / f"{name}.safetensors"), known.get(name, ("Set", 1))
        assert config.rollout_loss._target_ == f"gram_pyro.training.rollout_losses.{loss}"
        assert config.train.get("rollouts_per_puzzle", 1) == each and "covering" not in config.train


def test_a_folder_of_a_former_run_is_continued(tmp_path, monkeypatch):
    """By its overrides, and by resume=FOLDER; another configuration is still another."""
    config = configuration(tmp_path)
    Path(tmp_path / "config.yaml").write_text(OmegaConf.to_yaml(former(config, 1)), encoding="utf-8")
    (tmp_path / "GRAM.safetensors").touch()
    assert resume.claim_folder(config) == tmp_path
    monkeypatch.setattr(resume.HydraConfig, "get", lambda: SimpleNamespace(overrides=SimpleNamespace(task=[])))
    held = resume.resumed(OmegaConf.create({"resume": str(tmp_path)}))
    assert resume.what_counts(held) == resume.what_counts(config)
    config.train.rollouts_per_puzzle = 4
    with pytest.raises(ValueError, match="train.rollouts_per_puzzle is 1 there and 4 here.; repeat its overrides"):
        resume.claim_folder(config)


def test_every_class_that_was_moved_is_found():
    """Each name of a part, as it was before modules had rooms, is a part today."""
    for old, new in MOVED.items():
        module = import_module(f"gram_pyro.{new}")
        parts = [name for name in vars(module) if is_part(f"gram_pyro.{new}.{name}")]
        assert parts and all(name_of_today(f"gram_pyro.{old}.{name}") == f"gram_pyro.{new}.{name}" for name in parts)


def test_keys_are_renamed_where_they_were_keys_of_a_run():
    old = {"peer": {"_target_": "gram_pyro.peers.vae.VAE"}, "rivals": {"a": {"peer": None}, "b": None}}
    old |= {"task": {"peer": 1}, "train": {}}
    config = complete(old)
    assert config.baseline == {"_target_": "gram_pyro.baselines.vae.VAE"} and config.task == {"peer": 1}
    assert config.baselines == {"a": {"baseline": None}, "b": None} and not {"peer", "rivals"} & config.keys()
    assert complete({"train": {}}).baseline is None  # when there was no such choice


def test_names_are_renamed_at_every_depth_and_others_are_left():
    old = {
        "task": {"_target_": "gram_pyro.tasks.sudoku.Sudoku", "parts": [{"_target_": "gram_pyro.core.tiny"}]},
        "prior": {"_target_": "gram_pyro.priors.gaussian.Gaussian"},
        "guide": {"_target_": "mine.core.Guide", "text": "gram_pyro.core.tiny"},
    }
    config = complete(old)
    assert config.task._target_ == "gram_pyro.tasks.sudoku.task.Sudoku"
    assert config.task.parts[0]._target_ == "gram_pyro.networks.core.tiny"
    assert (config.prior, config.guide) == (old["prior"], old["guide"])
