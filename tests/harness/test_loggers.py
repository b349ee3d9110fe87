"""Rows of metrics beside the table: nowhere, to TensorBoard, to Weights & Biases; packages are stood in for."""

import csv
import sys
from types import ModuleType, SimpleNamespace

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from scripts import CONF

from gram_pyro.harness import trial
from gram_pyro.harness.claim import Claim
from gram_pyro.harness.loggers import open_logger

ROWS = [{"updates": 2, "loss": 3.5, "kl_0": 0.5}, {"updates": 4, "loss": 2.5, "kl_0": 0.25}]


def config_of(*overrides, name="svi_sudoku"):
    with initialize_config_dir(str(CONF), version_base=None):
        return compose(name, overrides=["task_name=t", "method_name=m", "run_dir=x", *overrides])


@pytest.fixture
def packages(monkeypatch):
    """TensorBoard and wandb that note what they are told."""
    told = []

    class SummaryWriter:
        def __init__(self, folder, purge_step):
            told.append(("open", folder, purge_step))

        def add_scalar(self, name, value, step):
            told.append((name, value, step))

        def flush(self):
            pass

    wandb = ModuleType("wandb")
    wandb.init = lambda **how: told.append(how) or SimpleNamespace(log=lambda row, step: told.append((row, step)))
    tensorboard = ModuleType("torch.utils.tensorboard")
    tensorboard.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", tensorboard)
    return told


@pytest.mark.parametrize("overrides", [[], ["logger=none"]])
def test_nothing_is_logged_unless_it_is_asked_for(tmp_path, packages, overrides):
    write = open_logger(config_of(*overrides), tmp_path, "GRAM")
    for row in ROWS:
        write(row)
    assert packages == [] and list(tmp_path.iterdir()) == []
    open_logger(OmegaConf.create({}), tmp_path, "GRAM")(ROWS[0])  # a run of before there were loggers


def test_tensorboard_is_told_every_number(tmp_path, packages):
    write = open_logger(config_of("logger=tensorboard"), tmp_path, "GRAM")
    for row in ROWS:
        write(row)
    assert packages == [
        ("open", tmp_path / "tensorboard" / "GRAM", 2),
        ("loss", 3.5, 2),
        ("kl_0", 0.5, 2),
        ("loss", 2.5, 4),
        ("kl_0", 0.25, 4),
    ]


def test_wandb_is_told_every_row_and_goes_on_with_the_same_run(tmp_path, packages):
    for program in ("GRAM", "GRAM"):
        write = open_logger(config_of("logger=wandb", "logger.project=mine", "seed=7"), tmp_path, program)
    write(ROWS[0])
    first, second, logged = packages
    assert first == second and first["id"] == f"{tmp_path.name}-GRAM" and first["resume"] == "allow"
    assert first["project"] == "mine" and first["config"]["seed"] == 7 and logged == (ROWS[0], 2)


@pytest.mark.parametrize("name, module", [("tensorboard", "torch.utils.tensorboard"), ("wandb", "wandb")])
def test_a_package_that_is_not_there_is_named(tmp_path, monkeypatch, name, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ValueError, match=f"got logger={name}; expected its package .* pip install 'gram_pyro.{name}.'"):
        open_logger(config_of(f"logger={name}"), tmp_path, "GRAM")


def test_a_logger_there_is_not_is_refused(tmp_path):
    with pytest.raises(ValueError, match="got logger.name=mlflow; write logger=none, logger=tensorboard or logger=wa"):
        open_logger(config_of("logger.name=mlflow"), tmp_path, "GRAM")


def test_a_run_tells_what_its_table_holds(tmp_path, packages, local_params):
    small = ("experiment=smoke", "logger=wandb", "baselines.deterministic=null", "device=cpu", f"run_dir={tmp_path}")
    trial.run(config_of(*small), Claim)
    with (tmp_path / "GRAM.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    told = [row for row, _ in packages[1:]]
    assert [{name: str(value) for name, value in row.items()} for row in told] == table and table


@pytest.mark.parametrize("name", sorted(path.stem for path in CONF.glob("svi_*.yaml")))
def test_every_task_has_the_choice(name):
    assert config_of("logger=tensorboard", name=name).logger.name == "tensorboard"
