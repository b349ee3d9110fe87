"""A journal of draws: sampling that was interrupted continues from it, to the same bits.

    with keep_draws(journal):
        trajectories = sampler(...)      any sampler: the draws of a chunk are written, or read if they are there

The key of a chunk is its puzzles and torch's random state before it. The journal keeps its trajectories and the random
state after it.
"""

import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import sha256
from typing import Protocol

import torch
from safetensors.torch import load, save
from torch import Tensor

from gram_pyro.inference.trajectories import History, Trajectories


class Journal(Protocol):
    """Where draws are kept. Attributes: spared, the seconds that reading saved."""

    spared: float

    def once(self, key: str, work: Callable[[], str]) -> str:
        """The result of `work()`, or its stored result for this key."""


JOURNAL: ContextVar[Journal | None] = ContextVar("journal", default=None)


@contextmanager
def keep_draws(journal: Journal) -> Iterator[None]:
    """Within this context, draws are kept in the journal."""
    token = JOURNAL.set(journal)
    try:
        yield
    finally:
        JOURNAL.reset(token)


def clock() -> float:
    """A clock whose differences are seconds of work. The time of draws that are read from the journal counts too."""
    journal = JOURNAL.get()
    return time.monotonic() + (journal.spared if journal else 0.0)


def kept(draw: Callable[[Tensor], Trajectories], index: Tensor, x: Tensor) -> Trajectories:
    """draw(index) of the puzzles x[index], or its result from before an interruption."""
    journal = JOURNAL.get()
    if journal is None:
        return draw(index)

    def work() -> str:
        found = packed(draw(index))
        return b64encode(save(found | under("rng", torch_state(x.device)))).decode()

    about = (index, x[index], *torch_state(x.device).values())
    key = sha256(b"".join(part.cpu().numpy().tobytes() for part in about)).hexdigest()
    tensors = load(b64decode(journal.once(key, work)))
    state = below("rng", tensors)
    torch.set_rng_state(state["cpu"])
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], x.device)
    return unpacked(tensors).to(x.device)


def torch_state(device: torch.device) -> dict[str, Tensor]:
    """The random state that sampling uses."""
    gpu = {"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {}
    return {"cpu": torch.get_rng_state()} | gpu


def packed(found: Trajectories) -> dict[str, Tensor]:
    """Trajectories as tensors by name, copied to the CPU: fields may share memory, which a file does not allow."""
    fields = {name: value for name, value in found._asdict().items() if isinstance(value, Tensor)}
    history = under("history", found.history._asdict()) if found.history else {}
    return {name: value.cpu().contiguous().clone() for name, value in (fields | history).items()}


def unpacked(tensors: dict[str, Tensor]) -> Trajectories:
    """The inverse of `packed`."""
    history = below("history", tensors)
    fields = {name: tensors[name] for name in Trajectories._fields if name in tensors}
    return Trajectories(**fields, history=History(**history) if history else None)


def under(name: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{name}.{key}": value for key, value in tensors.items()}


def below(name: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
