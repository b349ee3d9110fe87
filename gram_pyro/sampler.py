"""Ancestral sampling: K trajectories per puzzle from the prior, N segments deep.

z_t^k ~ p(z_t | u_t^k),  y^k = argmax p(y | h_T^k)                                 paper section 4
"""

import torch
from torch import Tensor

from gram_pyro.model import GRAM


@torch.no_grad()
def sample(model: GRAM, x: Tensor, num_particles: int, num_segments: int, chunk: int = 1024) -> Tensor:
    """Decoded answers of K prior trajectories per puzzle.

    Width is folded into the batch and run `chunk` rows at a time, so memory does not grow with K. Under a point-mass
    prior one trajectory is run and counted K times.
    Shapes: x [B, L] -> [K, B, L], on the device of x.
    """
    num_distinct = 1 if model.prior.is_point_mass else num_particles
    rows = x.expand(num_distinct, *x.shape).flatten(0, 1)
    answers = torch.cat([answer(model, part, num_segments) for part in rows.split(chunk)])
    return answers.unflatten(0, (num_distinct, len(x))).expand(num_particles, -1, -1)


def answer(model: GRAM, x: Tensor, num_segments: int) -> Tensor:
    """One prior trajectory per row.  Shapes: [B, L] -> [B, L]."""
    state = None
    for _ in range(num_segments):
        state = model(x, state=state)
    return model.readout.answer(state)
