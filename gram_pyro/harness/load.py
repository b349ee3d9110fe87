"""Load a trained program in one line."""

from pathlib import Path
from typing import NamedTuple

import pyro
import torch
from hydra.utils import get_object
from omegaconf import DictConfig

from gram_pyro.guide import Guide
from gram_pyro.harness import trusted
from gram_pyro.harness.build import build_guide, build_heads, build_model, build_task, choose_device
from gram_pyro.harness.checkpoint import fill, part_of, read
from gram_pyro.harness.described import described
from gram_pyro.harness.former import complete
from gram_pyro.model import GRAM
from gram_pyro.networks.heads import Heads
from gram_pyro.tasks.base import Task

RELEASED = Path(__file__).parents[1] / "released"


class Program(NamedTuple):
    """The program of a checkpoint: moving averages of the weights, in evaluation mode."""

    model: GRAM
    guide: Guide
    heads: Heads

    def to(self, device: torch.device | str) -> "Program":
        """The program on a device. The modules are moved in place."""
        return Program(*(module.to(device) for module in self))

    def __str__(self) -> str:
        """The parts with their numbers of parameters, and the sites of a segment with their shapes."""
        return described(*self)


def weights_file(weights: str | Path) -> Path:
    """The file of a checkpoint: of shipped weights if `weights` is their name, otherwise at that path.

    Raises: ValueError, with the known names, if it is an unknown name.
    """
    path, shipped = Path(weights), RELEASED / f"{weights}.safetensors"
    if shipped.is_file():
        return shipped
    if not path.suffix and len(path.parts) == 1 and not path.exists():
        raise ValueError(f"no weights named {str(weights)!r} are shipped; write one of {', '.join(released())}")
    return path


def stored_config(weights: str | Path, trust: bool = False) -> DictConfig:
    """The resolved configuration of a checkpoint's training.

    Args: weights, a name or a path; trust, whether it may name parts of other packages, which then run.
    Raises: as `weights_file`, `checkpoint.read` and `trusted.check`.
    """
    path = weights_file(weights)
    _, description = read(path)
    if not isinstance(description.get("config"), dict):
        raise ValueError(f"got {path}, which holds no configuration of a program; write a checkpoint of a training run")
    config = complete(description["config"])
    trusted.check(config, path, trust)
    return config


def serves_every_size(config: DictConfig) -> bool:
    """Whether weights with this stored configuration serve boards of every size."""
    return getattr(get_object(config.embed._target_), "serves_every_size", False)


def build_program(
    config: DictConfig, task: Task, weights: str | Path, device: torch.device | str | None = None
) -> Program:
    """The model, guide and heads that `config` describes, for puzzles of `task`, with the averages of a checkpoint.

    Args: device, None: torch's default device.
    Raises: FileNotFoundError, ValueError if `weights` is no checkpoint, or one of another program or task.
    """
    path = weights_file(weights)
    if config.get("baseline"):
        raise ValueError(
            f"{path} holds {config.baseline._target_}, which has no trajectories; give the checkpoint of a GRAM"
        )
    tensors, _ = read(path)
    with pyro.settings.context(module_local_params=True), torch.device("cpu"):
        model = build_model(config, task)
        program = Program(model, build_guide(config, model), build_heads(config))
    for name, module in program._asdict().items():
        fill(module, part_of(tensors, f"average.{name}."), path)
        module.eval()
    return program.to(torch.get_default_device() if device is None else device)


def load_program(weights: str | Path, task: Task, trust: bool = False) -> Program:
    """The program of a checkpoint, given by name or path, for puzzles of `task`.

    Args and Raises: as `stored_config` and `build_program`.
    """
    return build_program(stored_config(weights, trust), task, weights)


def load(
    weights: str | Path, *, trust: bool = False, device: torch.device | str | None = None, **changes: object
) -> tuple[Task, Program]:
    """A shipped program, or that of a checkpoint, and its task: ``task, program = gram_pyro.load("sudoku_6x6")``.

    A checkpoint that names parts of other packages is refused; pass trust=True if you trust whoever sent it.
    The program is on `device`: cpu, cuda, auto (the GPU if there is one), or None, torch's default device.
    `changes` are arguments of the task that replace the stored ones: ``gram_pyro.load("sudoku", n=16)``.
    Raises: as `stored_config` and `build_program`; ValueError if the weights do not fit the task as changed.
    """
    config = stored_config(weights, trust)
    task = build_task(config, changes)
    return task, build_program(config, task, weights, device and choose_device(str(device)))


def released() -> list[str]:
    """The names of shipped weights."""
    return sorted(path.stem for path in RELEASED.glob("*.safetensors"))


def load_model(weights: str | Path, task: Task) -> GRAM:
    """The model alone, see `load_program`; it must consist of parts of this package."""
    return load_program(weights, task).model
