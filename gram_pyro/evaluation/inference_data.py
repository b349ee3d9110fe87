"""Latents and log-likelihoods of trajectories as arviz.InferenceData, for its diagnostics and plots.

    prior            z_t ~ p(z_t | u_t)                          what the model thinks without the answer
    posterior        z_t ~ q(z_t | u_t, y)                       where y and the guide are given
    log_likelihood   log p(y | h_N) of every trajectory          of y where it is given, else of its own answer

K trajectories are K draws of one chain; a latent has the dims puzzle, segment, transition, cell, channel. All of them
are held: K B N T L D numbers.
Source: ours; the scheme of InferenceData, Kumar et al. 2019; pip install 'gram_pyro[arviz]'.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch
from pyro import poutine
from torch import Tensor

from gram_pyro.guide import Guide
from gram_pyro.inference.sampler import check_puzzles, check_sizes
from gram_pyro.model import GRAM
from gram_pyro.training.importance import Weighed

if TYPE_CHECKING:
    from arviz import InferenceData

LATENT = ["puzzle", "segment", "transition", "cell", "channel"]


def inference_data(
    model: GRAM, x: Tensor, num_particles: int, num_segments: int, y: Tensor | None = None, guide: Guide | None = None
) -> "InferenceData":
    """K trajectories per puzzle, N segments deep, with all that was drawn.

    Groups: prior (z, answer), log_likelihood (y, nats per puzzle), observed_data (x, y); with y and a guide also
    posterior (z) and sample_stats (log_weight = log p(y, z) / q(z), nats per puzzle), and log_likelihood is then that
    of the posterior, so that arviz.loo and arviz.compare take it.
    Shapes: x, y [B, L].
    Raises: ImportError without arviz; ValueError as `sample`, or if one of y and guide came alone.
    """
    try:
        from arviz import from_dict
    except ImportError:
        raise ImportError("inference_data needs arviz; write pip install 'gram_pyro[arviz]'") from None
    if (y is None) != (guide is None):
        given = "guide" if y is None else "y"
        raise ValueError(f"got {given} alone; expected y and guide, for draws of q(z | u, y), or none; write both")
    check_sizes(num_particles, num_segments)
    check_puzzles(model, x)
    drawn = from_prior(model, x, num_particles, num_segments)
    groups = {"prior": {"z": drawn["z"], "answer": drawn["answer"]}, "log_likelihood": {"y": drawn["y"]}}
    observed = {"x": x}
    if guide is not None:
        guided = from_guide(model, guide, x, y, num_particles, num_segments)
        groups |= {"posterior": {"z": guided["z"]}, "log_likelihood": {"y": guided["y"]}}
        groups |= {"sample_stats": {"log_weight": guided["y"] + guided["log_ratio"]}}
        observed |= {"y": y}
    arrays = {group: {name: in_arviz(value) for name, value in fields.items()} for group, fields in groups.items()}
    cells = {"answer": ["puzzle", "cell"], "x": ["puzzle", "cell"]}
    made = from_dict(**arrays, dims={"z": LATENT, "log_weight": ["puzzle"], "y": ["puzzle"]} | cells)
    observed_arrays = {name: each.cpu().numpy() for name, each in observed.items()}
    return made + from_dict(observed_data=observed_arrays, dims=cells | {"y": cells["x"]})


def in_arviz(value: Tensor) -> np.ndarray:
    """[K, ...] as one chain of K draws."""
    return value[None].cpu().numpy()


@torch.no_grad()
def from_prior(model: GRAM, x: Tensor, num_particles: int, num_segments: int) -> dict[str, Tensor]:
    """Shapes: z [K, B, N, T, L, D]; answer [K, B, L]; y, its own log-likelihood [K, B]."""
    rows = x.repeat(num_particles, 1)
    state, latents = model.start(rows), []
    for _ in range(num_segments):
        trace = poutine.trace(model.reason).get_trace(rows, state)
        latents.append(stacked(trace, model.num_transitions))
        state = trace.nodes["_RETURN"]["value"]
    answer = model.readout.answer(state, rows)
    fields = {"z": torch.stack(latents, 1), "answer": answer, "y": model.readout(state, rows).log_prob(answer)}
    return {name: value.unflatten(0, (num_particles, len(x))) for name, value in fields.items()}


@torch.no_grad()
def from_guide(
    model: GRAM, guide: Guide, x: Tensor, y: Tensor, num_particles: int, num_segments: int
) -> dict[str, Tensor]:
    """Shapes: z [K, B, N, T, L, D]; y, log p(y | h_N), and log_ratio, log p(z) / q(z), both [K, B], nats."""
    rows, targets = x.repeat(num_particles, 1), y.repeat(num_particles, 1)
    state, latents, ratios = model.start(rows), [], []
    for segment in range(num_segments):
        weighed = Weighed(model, guide, rows, targets, state, segment)
        latents.append(stacked(weighed.guide_trace, model.num_transitions))
        ratios.append(weighed.latents)
        state = guide.final_state()
    fields = {"z": torch.stack(latents, 1), "y": weighed.answer, "log_ratio": sum(ratios)}
    return {name: value.unflatten(0, (num_particles, len(x))) for name, value in fields.items()}


def stacked(trace: poutine.Trace, num_transitions: int) -> Tensor:
    """The latents of a segment, [R, T, L, D]."""
    return torch.stack([trace.nodes[f"z_{t}"]["value"] for t in range(num_transitions)], 1)
