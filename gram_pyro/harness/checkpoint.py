"""Checkpoints: one safetensors file with every tensor of a training run, and its description as JSON in the header.

    model.* guide.* heads.*  the weights being trained     average.*   their exponential moving average
    optimiser.*              AdamW's moments               rng.*       random states: torch, numpy, Python, the data
    log.*                    sums that are not in the metrics table yet

The learning rate is a function of the number of updates, which is in the description. `gram_pyro.storage.tensors`
writes and checks the file.
"""

import logging
from pathlib import Path

import torch
from torch import Tensor, nn

from gram_pyro.harness.former import tensor_of_today
from gram_pyro.harness.random_state import random_state, set_random_state
from gram_pyro.networks.grow import grown
from gram_pyro.storage.tensors import read as read_tensors
from gram_pyro.storage.tensors import write
from gram_pyro.training.learner import Learner

log = logging.getLogger(__name__)


def save(
    path: Path,
    trainer: Learner,
    data_generator: torch.Generator,
    description: dict,
    table: dict[str, Tensor] | None = None,
) -> None:
    """Write a checkpoint. `description` must be JSON: the resolved configuration, and measurements.

    Raises: FloatingPointError if a weight, its average or a moment is not finite, and then writes nothing; OSError.
    """
    average = {f"average.{name}": value for name, value in trainer.ema.module.state_dict().items()}
    moments = {
        f"optimiser.{index}.{name}": torch.as_tensor(value)
        for index, values in trainer.optimiser.state_dict()["state"].items()
        for name, value in values.items()
    }
    averaged = {f"average.{name}": value for name, value in trainer.ema.module.named_parameters()}
    for name, value in (dict(trainer.program.named_parameters()) | averaged | moments).items():
        if not torch.isfinite(value).all():
            raise FloatingPointError(
                f"{name} is not finite at update {trainer.updates}; write a lower learning_rate or precision=fp32"
            )
    random = random_state(device_of(trainer)) | {"data": data_generator.get_state()}
    tensors = dict(trainer.program.state_dict()) | average | moments
    tensors |= {f"rng.{name}": value for name, value in random.items()}
    tensors |= {f"log.{name}": value for name, value in (table or {}).items()}
    write(path, tensors, description | {"updates": trainer.updates})


def read(path: Path) -> tuple[dict[str, Tensor], dict]:
    """The tensors of a checkpoint, by their present names, and its description.  Raises: as `storage.tensors.read`."""
    found, description = read_tensors(path)
    return {tensor_of_today(name): value for name, value in found.items()}, description


def part_of(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, without the prefix."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def device_of(trainer: Learner) -> torch.device:
    return next(trainer.program.parameters()).device


def start_from(path: Path, trainer: Learner) -> dict:
    """Start a run from the averaged weights of another run, of an easier task, a smaller board or a smaller network.

    A network with more hidden units computes the same at the start, see `networks.grow`. Other weights of another
    shape (a larger alphabet) keep their random values, and a warning names them.
    Returns: updates and seconds of training of the weights, including earlier runs.
    Raises: FileNotFoundError, ValueError if `path` is no checkpoint, or one of a different program.
    """
    tensors, description = read(path)
    averages, others = trainer.ema.module, []
    for name, module in trainer.program.items():
        found = grown(averages[name], part_of(tensors, f"average.{name}."))
        own = {key: value for key, value in averages[name].state_dict().items() if differs(value, found.get(key))}
        fill(averages[name], found | own, path)
        module.load_state_dict(averages[name].state_dict())
        others += [f"{name}.{key}" for key in own]
    if others:
        log.warning("%s start at random: in %s they have another shape.", ", ".join(others), path)
    before = description.get("before", {"updates": 0, "seconds": 0.0})
    return {key: before[key] + description[key] for key in before}


def differs(here: Tensor, there: Tensor | None) -> bool:
    """Whether a tensor has another shape in the other run."""
    return there is not None and there.shape != here.shape


def fill(module: nn.Module, weights: dict[str, Tensor], path: str | Path) -> None:
    """Load weights.  Raises: ValueError if they do not fit `module`, with the first that does not."""
    wanted = module.state_dict()
    for name in sorted(wanted.keys() | weights.keys()):
        came, expected = (
            f"of shape {list(part[name].shape)}" if name in part else "absent" for part in (weights, wanted)
        )
        if came != expected:
            raise ValueError(
                f"the weights in {path} do not fit this task or this version: got {name} {came}; expected {expected}; "
                "write weights of this task and size, or the configuration they were trained with"
            )
    module.load_state_dict(weights)


def restore(path: Path, trainer: Learner, data_generator: torch.Generator) -> tuple[dict, dict[str, Tensor]]:
    """Continue a run exactly where it was saved (on another kind of device, with other random numbers).

    Returns: the description, and the table as given to `save`.
    Raises: FileNotFoundError, ValueError if `path` is no checkpoint of this program, or holds weights only.
    """
    tensors, description = read(path)
    if "rng.python" not in tensors:
        raise ValueError(
            f"got {path}, which holds weights and no whole run; expected a run to continue; write start={path} for a "
            "new run"
        )
    for name, module in trainer.program.items():
        fill(module, part_of(tensors, f"{name}."), path)
        fill(trainer.ema.module[name], part_of(tensors, f"average.{name}."), path)
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in part_of(tensors, "optimiser.").items():
        index, _, key = name.partition(".")
        moments.setdefault(int(index), {})[key] = value
    trainer.optimiser.load_state_dict(trainer.optimiser.state_dict() | {"state": moments})
    set_random_state(part_of(tensors, "rng."), device_of(trainer))
    data_generator.set_state(tensors["rng.data"])
    trainer.updates = description["updates"]
    return description, part_of(tensors, "log.")
