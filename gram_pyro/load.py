"""A trained program in one line."""

from pathlib import Path
from typing import NamedTuple

import pyro
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from gram_pyro.build import build_guide, build_heads, build_model
from gram_pyro.guide import Guide
from gram_pyro.heads import Heads
from gram_pyro.model import GRAM
from gram_pyro.runs.checkpoint import fill, part_of, read
from gram_pyro.tasks.base import Task

RELEASED = Path(__file__).parent / "released"
FORMER_CONSTANTS = {
    "embed": {"_target_": "gram_pyro.embed.TokenEmbedding", "_partial_": True},
    "readout": {"_target_": "gram_pyro.readout.CategoricalReadout", "_partial_": True},
    "rollout_loss": {"_target_": "gram_pyro.rollout_losses.Set"},
}
COVERING = {"_target_": "gram_pyro.rollout_losses.Cover"}  # what train.covering above 1 meant


class Program(NamedTuple):
    """What a checkpoint holds: moving averages, in evaluation mode."""

    model: GRAM
    guide: Guide
    heads: Heads


def stored_config(path: str | Path) -> DictConfig:
    """The resolved configuration a checkpoint was trained with."""
    return complete(read(Path(path))[1]["config"])


def complete(config: dict | DictConfig) -> DictConfig:
    """A stored configuration as it would be written today: with the choices that were none yet, and today's names."""
    config = OmegaConf.merge(FORMER_CONSTANTS, config)
    if "covering" in config.get("train", {}):
        config.train.rollouts_per_puzzle = config.train.pop("covering")
        if config.train.rollouts_per_puzzle > 1:
            config.rollout_loss = COVERING
    return config


def load_program(path: str | Path, task: Task) -> Program:
    """The model, guide and heads of a checkpoint, for puzzles of `task`.

    Raises: FileNotFoundError, ValueError: no checkpoint, or one of another task.
    """
    tensors, description = read(Path(path))
    config = complete(description["config"])
    if config.get("peer"):
        raise ValueError(
            f"{path} holds {config.peer._target_}, which has no trajectories; give the checkpoint of a GRAM"
        )
    with pyro.settings.context(module_local_params=True):
        model = build_model(config, task)
        guide = build_guide(config, model)
    program = Program(model, guide, build_heads(config))
    for name, module in program._asdict().items():
        fill(module, part_of(tensors, f"average.{name}."), path)
        module.eval()
    return program


def load(name: str) -> tuple[Task, Program]:
    """A shipped program and its task: ``task, program = gram_pyro.load("sudoku_6x6")``.

    Raises: ValueError, with the names there are, if there is none of that name.
    """
    path = RELEASED / f"{name}.safetensors"
    if not path.is_file():
        raise ValueError(f"no weights named {name!r} are shipped; there are {', '.join(released())}")
    task = instantiate(stored_config(path).task)
    return task, load_program(path, task)


def released() -> list[str]:
    """The names `load` knows."""
    return sorted(path.stem for path in RELEASED.glob("*.safetensors"))


def load_model(path: str | Path, task: Task) -> GRAM:
    """The model alone, see `load_program`."""
    return load_program(path, task).model
