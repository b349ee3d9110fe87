"""The random states of a run as tensors: those of torch (and its GPU), numpy and Python."""

import random

import numpy as np
import torch
from torch import Tensor


def random_state(device: torch.device) -> dict[str, Tensor]:
    """All random states by name; on a GPU, that of `device` too."""
    _, words, spare = random.getstate()
    _, keys, *rest = np.random.get_state()
    states = {
        "torch": torch.get_rng_state(),
        "numpy": torch.tensor([*keys.tolist(), *rest], dtype=torch.float64),  # words of 32 bits are exact
        "python": torch.tensor([*words, spare is not None, spare or 0.0], dtype=torch.float64),
    }
    return states | ({"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


def set_random_state(states: dict[str, Tensor], device: torch.device) -> None:
    """The inverse of `random_state`. A run that moves from a CPU to a GPU continues with the GPU's present state."""
    torch.set_rng_state(states["torch"])
    *keys, place, has_spare, spare = states["numpy"].tolist()
    np.random.set_state(("MT19937", np.array(keys, dtype=np.uint32), int(place), int(has_spare), spare))
    *words, has_spare, spare = states["python"].tolist()
    random.setstate((3, tuple(map(int, words)), spare if has_spare else None))
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
