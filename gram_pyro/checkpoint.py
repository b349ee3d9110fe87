"""Checkpoints: one safetensors file with every tensor of a training run, and its description as JSON in the header.

    model.* guide.* heads.*  the weights being trained     average.*       their exponential moving average
    optimiser.*              AdamW's moments               rng.*           torch's and the data's random state

Loading never executes code. Files are written whole or not at all.
"""

import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from gram_pyro.learner import Learner

FORMAT = "gram_pyro-2"


def save(path: Path, trainer: Learner, data_generator: torch.Generator, description: dict) -> None:
    """Write a checkpoint atomically. `description` must be JSON: the resolved configuration and what was measured."""
    tensors = dict(trainer.program.state_dict())
    tensors |= {f"average.{name}": value for name, value in trainer.ema.module.state_dict().items()}
    for index, moments in trainer.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": torch.as_tensor(value) for name, value in moments.items()}
    tensors |= {"rng.torch": torch.get_rng_state(), "rng.data": data_generator.get_state()}
    write(path, tensors, description | {"updates": trainer.updates})


def write(path: Path, tensors: dict[str, Tensor], description: dict) -> None:
    """Write tensors and a description as one file, atomically."""
    header = {"format": FORMAT, "description": json.dumps(description)}
    part = path.with_suffix(".part")
    save_file({name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}, part, header)
    os.replace(part, path)


def read(path: Path) -> tuple[dict[str, Tensor], dict]:
    """The tensors and the description of a checkpoint.

    Raises: FileNotFoundError, ValueError: a sentence that says what the file is not.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no checkpoint at {path}; run `make sudoku`, or give the path of a run's .safetensors file"
        )
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except SafetensorError as error:
        raise ValueError(
            f"{path} is not a whole safetensors file ({error}); give a checkpoint written by this program"
        ) from error
    if header.get("format") != FORMAT:
        raise ValueError(
            f"{path} has format {header.get('format')!r}, and this program reads {FORMAT!r}; train it again"
        )
    return tensors, json.loads(header["description"])


def part_of(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors under `prefix`, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def start_from(path: Path, trainer: Learner) -> None:
    """Begin a run with the averaged weights of another one: of an easier task, or a smaller board.

    Raises: FileNotFoundError, ValueError: no checkpoint, or one of a program that is built otherwise.
    """
    tensors, _ = read(path)
    averages = trainer.ema.module
    for name, module in trainer.program.items():
        fill(averages[name], part_of(tensors, f"average.{name}."), path)
        module.load_state_dict(averages[name].state_dict())


def fill(module: nn.Module, weights: dict[str, Tensor], path: str | Path) -> None:
    """Load weights.  Raises: ValueError if they are not those of `module`."""
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"the weights in {path} do not fit this task or this version: {error}") from error


def restore(path: Path, trainer: Learner, data_generator: torch.Generator) -> dict:
    """Continue a run exactly where it was saved.  Returns: the description."""
    tensors, description = read(path)
    for name, module in trainer.program.items():
        module.load_state_dict(part_of(tensors, f"{name}."))
    trainer.ema.module.load_state_dict(part_of(tensors, "average."))
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in part_of(tensors, "optimiser.").items():
        index, _, key = name.partition(".")
        moments.setdefault(int(index), {})[key] = value
    trainer.optimiser.load_state_dict(trainer.optimiser.state_dict() | {"state": moments})
    torch.set_rng_state(tensors["rng.torch"])
    data_generator.set_state(tensors["rng.data"])
    trainer.updates = description["updates"]
    trainer.ema.n_averaged.fill_(trainer.updates)
    return description
