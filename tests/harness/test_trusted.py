"""A file is data: what a checkpoint or a run folder names is not run, unless the user says trust=true."""

import sys
from functools import cache
from types import SimpleNamespace

import pytest
from every_size import configured, write_weights
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from scripts import CONF, experiment, script

import gram_pyro
from gram_pyro.harness import trial, trusted
from gram_pyro.harness.load import load_program, released, stored_config
from gram_pyro.harness.study import open_study
from gram_pyro.storage.tensors import read, write
from gram_pyro.tasks.sudoku.task import Sudoku

FOREIGN = """
from pathlib import Path
from gram_pyro.priors.gaussian import Gaussian
HERE = Path(__file__).parent
(HERE / "imported").touch()
def run(*args, **kwargs):
    (HERE / "ran").touch()
class Mine(Gaussian):
    pass
"""
GADGETS = {  # what is changed in a configuration, and what a refusal names
    "a function of another package": ({"task": {"_target_": "foreign.run"}}, "foreign.run"),
    "a nested one": ({"task": {"cache": [{"deep": {"_target_": "foreign.run"}}]}}, "foreign.run"),
    "a part that is called later": ({"core": {"attention": {"_target_": "foreign.run", "_partial_": True}}}, "foreign"),
    "an import that does something": ({"objective": {"_target_": "foreign"}}, "foreign"),
    "a foreign class in one of ours": ({"prior": {"dim": {"_target_": "foreign.Mine", "dim": 8}}}, "foreign.Mine"),
    "a module that ours imports": ({"embed": {"_target_": "gram_pyro.model.pyro.nn.PyroModule"}}, "PyroModule"),
    "a class that ours imports": ({"guide": {"_target_": "gram_pyro.harness.load.Path"}}, "harness.load.Path"),
    "a function of ours that writes": ({"task": {"_target_": "gram_pyro.storage.atomic.write_atomically"}}, "write_at"),
    "a method of ours": ({"baselines": {"a": {"prior": {"_target_": "gram_pyro.GRAM.reason"}}}}, "GRAM.reason"),
    "what is not even a name": ({"readout": {"_target_": 7}}, "7"),
    "a name within a name": ({"task": {"_target_": {"_target_": "foreign.run"}}}, "foreign.run"),
    "a list of names": ({"task": {"train": [{"_target_": ["foreign.run"]}]}}, "foreign.run"),
    "no name at all": ({"readout": {"_target_": None}}, "None"),
    "a name below a function": ({"task": {"_target_": "gram_pyro.load.load_model"}}, "gram_pyro.load.load_model"),
}


@pytest.fixture(autouse=True)
def foreign(tmp_path, monkeypatch):
    """A module on the path that leaves a file when it is imported, and another when its function is called."""
    (tmp_path / "foreign.py").write_text(FOREIGN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("foreign", None)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A checkpoint of a small program."""
    path = tmp_path_factory.mktemp("weights") / "GRAM.safetensors"
    write_weights(path, 4)
    return path


def changed(weights, folder, changes):
    """The checkpoint with another configuration, in a run folder.  Returns: its path."""
    tensors, description = read(weights)
    config = OmegaConf.merge(description["config"], changes)
    path = folder / "run" / "GRAM.safetensors"
    path.parent.mkdir()
    write(path, tensors, description | {"config": OmegaConf.to_container(config)})
    (path.parent / "config.yaml").write_text(OmegaConf.to_yaml(config), encoding="utf-8")
    return path


@cache
def composed(name, *overrides):
    """A configuration of an experiment, but for what only a started application knows."""
    with initialize_config_dir(str(CONF), version_base=None):
        return compose(name, overrides=[*overrides, "run_dir=x"])


def resume(path, trust):
    """As on the command line, up to the point where training would begin."""
    config = composed("svi_sudoku", "task_name=x", "method_name=x").copy()
    config.resume, config.trust = str(path.parent), trust
    return trial.resumed(config)


def study(path, trust):
    """What evaluate.py and every other study do first."""
    config = composed("evaluate", "sampler_name=x", "device=cpu", "checkpoint=x").copy()
    config.checkpoint, config.trust, config.run_dir = str(path), trust, f"{path.parent}/study"
    return open_study(config)


demo = cache(experiment)


DOORS = {
    "load": lambda path, trust: gram_pyro.load(path, trust=trust),
    "load_program": lambda path, trust: load_program(path, Sudoku(4, test={}), trust),
    "a study": study,
    "resume": resume,
    "the page": lambda path, trust: demo("demo").open_boards([], [str(path)], trust),
}


@pytest.fixture
def no_overrides(monkeypatch):
    """Nothing beside resume= and trust=."""
    hydra = OmegaConf.create({"overrides": {"task": ["resume=x", "trust=true"]}})
    monkeypatch.setattr(HydraConfig, "get", lambda: hydra)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("gadget", GADGETS)
def test_a_file_runs_nothing_through_any_door(no_overrides, weights, foreign, gadget, door):
    changes, named = GADGETS[gadget]
    path = changed(weights, foreign, changes)
    with pytest.raises(ValueError, match=rf"got .*{named}.* in \S*run/\S+; expected parts of gram_pyro.*trust=true"):
        DOORS[door](path, False)
    assert not (foreign / "imported").exists() and not (foreign / "ran").exists()


COMMANDS = {
    "solve": ("puzzle=..2.4.3.3.4.....", "weights={}"),
    "evaluate": ("checkpoint={}", "device=cpu", "run_dir=x"),
    "svi_sudoku": ("resume={.parent}",),
    "demo": ("weights=[{}]", "port=0"),
    "benchmark": ("weights={}",),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_is_given_such_a_file_ends_in_one_sentence(weights, foreign, command):
    path = changed(weights, foreign, {"task": {"_target_": "foreign.run"}})
    done = script(command, *(argument.format(path) for argument in COMMANDS[command]), check=False)
    error = done.stderr.splitlines()[-1]  # above it, benchmark.py has a bar
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert error.startswith("error: ") and "got 'foreign.run' in" in error and "; expected parts of" in error
    assert not (foreign / "imported").exists()


@pytest.mark.parametrize("config", ["x", ["x"], None, 7])
def test_what_is_no_configuration_is_refused(weights, tmp_path, config):
    tensors, description = read(weights)
    write(tmp_path / "x.safetensors", tensors, description | {"config": config})
    with pytest.raises(ValueError, match="x.safetensors, which holds no configuration of a program; write"):
        gram_pyro.load(tmp_path / "x.safetensors")


@pytest.mark.parametrize("trust", [1, "true", "false", None])
def test_only_true_is_trust(weights, foreign, trust):
    path = changed(weights, foreign, {"prior": {"_target_": "foreign.Mine"}})
    with pytest.raises(ValueError, match="got 'foreign.Mine' in"):
        gram_pyro.load(path, trust=trust)


@pytest.mark.parametrize("door", DOORS)
def test_what_is_trusted_is_named_and_runs(no_overrides, weights, foreign, door, caplog):
    path = changed(weights, foreign, {"prior": {"_target_": "foreign.Mine"}})
    DOORS[door](path, True)
    found = [record.getMessage() for record in caplog.records if "foreign" in record.getMessage()]
    file = path if door != "resume" else path.with_name("config.yaml")
    assert found == [f"{file} is trusted: it runs 'foreign.Mine'."]
    assert (foreign / "imported").exists()


@pytest.mark.parametrize("text", ["${dim}", "${oc.env:HOME}", r"\${oc.env:HOME}", "x${.n}"])
def test_a_file_refers_to_nothing(weights, foreign, text):
    """Not even to a name that would be checked before it is another one."""
    path = changed(weights, foreign, {})
    tensors, description = read(path)
    description["config"]["task"]["_target_"] = text
    write(path, tensors, description)
    with pytest.raises(ValueError, match="got task._target_=.*; expected a value, as runs store it, not a reference"):
        gram_pyro.load(path, trust=True)


def test_what_is_shipped_and_what_the_choices_name_are_parts():
    """Of the groups that a run stores."""
    for name in released():
        assert trusted.foreign(stored_config(name)) == []
    stored = "core embed guide objective baseline prior readout rollout_loss task".split()
    choices = [file for group in stored for file in (CONF / group).glob("[!o]*.yaml")]
    assert len(choices) > 60
    for file in choices:
        assert trusted.foreign(OmegaConf.load(file)) == [], file
    assert trusted.foreign(configured()) == []


def test_what_a_compiler_left_in_a_module_is_no_part(monkeypatch):
    """torch.compile writes functions without a module of their own into the module that it compiles."""
    left = SimpleNamespace(__module__=None)
    monkeypatch.setattr("gram_pyro.networks.layers.compiled", left, raising=False)
    assert not trusted.is_part("gram_pyro.networks.layers.compiled")


def test_what_the_user_types_is_his_own(foreign):
    """A prior of his own is trained, and the run continued by repeating the command."""
    config = composed("svi_sudoku", "task_name=x", "method_name=x", "prior._target_=foreign.Mine").copy()
    config.run_dir = str(foreign / "run")
    for _ in range(2):
        assert trial.claim_folder(config) == foreign / "run"
    assert trusted.foreign(config) == ["'foreign.Mine'"] and not (foreign / "imported").exists()
