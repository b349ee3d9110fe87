"""A trained model in one line."""

from pathlib import Path

import pyro
from omegaconf import DictConfig, OmegaConf

from gram_pyro.build import build_model
from gram_pyro.checkpoint import part_of, read
from gram_pyro.model import GRAM
from gram_pyro.tasks.base import Task


def stored_config(path: str | Path) -> DictConfig:
    """The resolved configuration a checkpoint was trained with."""
    return OmegaConf.create(read(Path(path))[1]["config"])


def load_model(path: str | Path, task: Task) -> GRAM:
    """The averaged model of a checkpoint, in evaluation mode, for puzzles of `task`.

    Raises: FileNotFoundError, ValueError: no checkpoint, or one of another task.
    """
    tensors, description = read(Path(path))
    config = OmegaConf.create(description["config"])
    with pyro.settings.context(module_local_params=True):
        model = build_model(config, task)
    try:
        model.load_state_dict(part_of(tensors, "average.model."))
    except RuntimeError as error:
        raise ValueError(f"the weights in {path} do not fit this task or this version: {error}") from error
    return model.eval()
