"""Checkpoints: one safetensors file with every tensor of a training run, and its description as JSON in the header.

    model.* guide.* heads.*  the weights being trained     average.*   their exponential moving average
    optimiser.*              AdamW's moments               rng.*       random states: torch, numpy, Python, the data
    log.*                    what the metrics table has not told yet

    sum = SHA-256 of the description and of the name, type, shape and bytes of every tensor

The learning rate is a function of the number of updates, which the description has. Loading never executes code, and a
file that was changed by one bit is refused. Files are written whole or not at all (`gram_pyro.harness.atomic`).
"""

import json
import logging
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from gram_pyro.harness.atomic import write_atomically
from gram_pyro.harness.random_state import random_state, set_random_state
from gram_pyro.tasks.summed import digest
from gram_pyro.training.learner import Learner

FORMAT = "gram_pyro-3"
UNSUMMED = "gram_pyro-2"  # as before the sum: its weights can be read, and a run of it cannot be continued
PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")  # torch.save: of today, and plain pickles

log = logging.getLogger(__name__)


def save(
    path: Path,
    trainer: Learner,
    data_generator: torch.Generator,
    description: dict,
    table: dict[str, Tensor] | None = None,
) -> None:
    """Write a checkpoint. `description` must be JSON: the resolved configuration and what was measured.

    Raises: FloatingPointError, and nothing is written, if a weight, its average or a moment is not finite; OSError.
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
                f"{name} is not finite at update {trainer.updates}; lower learning_rate or use precision=fp32"
            )
    random = random_state(device_of(trainer)) | {"data": data_generator.get_state()}
    tensors = dict(trainer.program.state_dict()) | average | moments
    tensors |= {f"rng.{name}": value for name, value in random.items()}
    tensors |= {f"log.{name}": value for name, value in (table or {}).items()}
    write(path, tensors, description | {"updates": trainer.updates})


def write(path: Path, tensors: dict[str, Tensor], description: dict) -> None:
    """Write tensors and a description as one file.  Raises: OSError."""
    text = json.dumps(description)
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    header = {"format": FORMAT, "sum": digest(tensors, text), "description": text}
    write_atomically(path, to_bytes(tensors, header))


def read(path: Path) -> tuple[dict[str, Tensor], dict]:
    """The tensors and the description of a checkpoint.

    Raises: FileNotFoundError, ValueError: a sentence that says what the file is not.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no checkpoint at {path}; run `make sudoku`, or give the path of a run's .safetensors file"
        )
    data = path.read_bytes()  # at once: a run that goes on replaces the file
    if data.startswith(PICKLES):
        raise ValueError(
            f"{path} is a pickle (as torch.save writes), which is not opened because opening one can run any program; "
            "give a .safetensors checkpoint written by this program"
        )
    try:
        tensors = from_bytes(data)
    except SafetensorError as error:
        raise ValueError(
            f"{path} is not a whole safetensors file ({error}); give a checkpoint written by this program"
        ) from error
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__", {})
    if header.get("format") not in (FORMAT, UNSUMMED):
        raise ValueError(
            f"{path} has format {header.get('format')!r}, and this program reads {FORMAT!r}; train it again"
        )
    text = header.get("description", "")
    if header.get("sum") != (digest(tensors, text) if header["format"] == FORMAT else None):
        raise ValueError(
            f"{path} is damaged: its numbers are not those that were written; copy it again from where it came, or "
            "delete it and train it again"
        )
    return tensors, json.loads(text)


def part_of(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors under `prefix`, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def device_of(trainer: Learner) -> torch.device:
    return next(trainer.program.parameters()).device


def start_from(path: Path, trainer: Learner) -> dict:
    """Begin a run with the averaged weights of another one: of an easier task, or a smaller board.

    Weights that have another shape here (a larger alphabet) begin at random, and a warning names them.
    Returns: updates and seconds of training that the weights have had, the runs before that one included.
    Raises: FileNotFoundError, ValueError: no checkpoint, or one of a program that is built otherwise.
    """
    tensors, description = read(path)
    averages, others = trainer.ema.module, []
    for name, module in trainer.program.items():
        found = part_of(tensors, f"average.{name}.")
        own = {key: value for key, value in averages[name].state_dict().items() if differs(value, found.get(key))}
        fill(averages[name], found | own, path)
        module.load_state_dict(averages[name].state_dict())
        others += [f"{name}.{key}" for key in own]
    if others:
        log.warning("%s begin at random: in %s they have another shape.", ", ".join(others), path)
    before = description.get("before", {"updates": 0, "seconds": 0.0})
    return {key: before[key] + description[key] for key in before}


def differs(here: Tensor, there: Tensor | None) -> bool:
    """Whether a tensor has another shape in the other run."""
    return there is not None and there.shape != here.shape


def fill(module: nn.Module, weights: dict[str, Tensor], path: str | Path) -> None:
    """Load weights.  Raises: ValueError if they are not those of `module`, with the first that is not."""
    wanted = module.state_dict()
    for name in sorted(wanted.keys() | weights.keys()):
        came, expected = (
            f"of shape {list(part[name].shape)}" if name in part else "absent" for part in (weights, wanted)
        )
        if came != expected:
            raise ValueError(
                f"the weights in {path} do not fit this task or this version: {name} is {came} there and {expected} "
                "here; give weights of this task and size, or the configuration they were trained with"
            )
    module.load_state_dict(weights)


def restore(path: Path, trainer: Learner, data_generator: torch.Generator) -> tuple[dict, dict[str, Tensor]]:
    """Continue a run exactly where it was saved (on another kind of device: but for its random numbers).

    Returns: the description; the table, as `save` got it.
    Raises: FileNotFoundError, ValueError: no checkpoint of this program, or one that holds no run.
    """
    tensors, description = read(path)
    if "rng.python" not in tensors:
        raise ValueError(
            f"{path} holds weights and no whole run, so it cannot be continued; begin a new run with start={path}"
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
