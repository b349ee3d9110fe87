"""The probability of a solution: bounds on log p(y | x) over whole trajectories, with the guide as proposal.

    w_k = p(y | h_N) prod p(z) / q(z | y) over all N segments,  z ~ q          log-weights [K, B], nats

    ELBO     E log w                <=  log p(y | x)
    IWAE_K   E log 1/K sum_k w_k    <=  log p(y | x), increasing in K
    SMC      resampled after segments, log G = log p(y | h_n)

y is observed once, after the last segment. For a puzzle with M solutions, a perfect model has log p(y | x) = -log M.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from gram_pyro.guide import Guide
from gram_pyro.inference.finite import check_landed
from gram_pyro.inference.particle_filter import ParticleFilter
from gram_pyro.inference.particles import Cloud, Propose
from gram_pyro.inference.resampling import Scheme, systematic
from gram_pyro.inference.sampler import DEFAULT_CHUNK, check_puzzles, check_sizes
from gram_pyro.inference.weights import log_mean_exp
from gram_pyro.model import GRAM
from gram_pyro.networks.core import State
from gram_pyro.training.importance import Weighed


def from_guide(model: GRAM, guide: Guide, x: Tensor, y: Tensor) -> Propose:
    """Advance by drawing every latent from the guide.  Shapes: x, y [R, L]."""

    def propose(index: Tensor, state: State, segment: int) -> tuple[State, Tensor]:
        weighed = Weighed(model, guide, x[index], y[index], state, segment)
        return guide.final_state(), weighed.latents

    return propose


@torch.no_grad()
def guided_filter(
    model: GRAM,
    guide: Guide,
    x: Tensor,
    y: Tensor,
    num_particles: int,
    num_segments: int,
    *,
    resample: Scheme = systematic,
    threshold: float = 0.5,
    chunk: int = DEFAULT_CHUNK,
    first: int = 0,
) -> ParticleFilter:
    """K guided trajectories per pair (x, y), both [B, L], weighted by p(y | h_n); threshold 0 never resamples.

    Args: first, the index of the first puzzle, for messages.
    Raises: ValueError, FloatingPointError if a weight, or a number in its computation, is not finite.
    """
    rows, targets = x.repeat(num_particles, 1), y.repeat(num_particles, 1)
    puzzles = torch.arange(first, first + len(x), device=x.device).repeat(num_particles)
    cloud = Cloud(from_guide(model, guide, rows, targets), model.start(rows), chunk, puzzles)
    particles = ParticleFilter(cloud, num_particles, resample, threshold)

    def likelihood(index: Tensor, state: State) -> Tensor:
        return model.readout(state, rows[index]).log_prob(targets[index])

    for segment in range(num_segments):
        weights = {"z": cloud.advance(), "y": cloud.read(likelihood)}
        check_landed(weights, cloud.depth, cloud.puzzles)
        particles.weigh(*weights.values())
        if segment < num_segments - 1:
            particles.steer()
    return particles


def guided_filters(
    model: GRAM,
    guide: Guide,
    x: Tensor,
    y: Tensor,
    num_particles: int,
    num_segments: int,
    *,
    chunk: int = DEFAULT_CHUNK,
    **options: object,
) -> Iterator[ParticleFilter]:
    """`guided_filter` for one group of puzzles after the other, so that about `chunk` trajectories run together."""
    check_sizes(num_particles, num_segments)
    check_puzzles(model, x)
    size = max(1, chunk // num_particles)
    for first in range(0, len(x), size):
        pairs = x[first : first + size], y[first : first + size]
        yield guided_filter(model, guide, *pairs, num_particles, num_segments, chunk=chunk, first=first, **options)


def log_weights(
    model: GRAM, guide: Guide, x: Tensor, y: Tensor, num_particles: int, num_segments: int, chunk: int = DEFAULT_CHUNK
) -> Tensor:
    """Log-weights of K independent guided trajectories, [K, B], nats."""
    filters = guided_filters(model, guide, x, y, num_particles, num_segments, chunk=chunk, threshold=0.0)
    return torch.cat([particles.log_weights for particles in filters], 1)


def smc_evidence(
    model: GRAM, guide: Guide, x: Tensor, y: Tensor, num_particles: int, num_segments: int, **options: object
) -> Tensor:
    """log of the unbiased SMC estimate of p(y | x), [B], nats; options as for `guided_filter`.

    If an early segment says little about the last, the estimate has a heavy tail: it is nearly always too low, and
    rarely far too high. If it is below IWAE, use IWAE.
    """
    filters = guided_filters(model, guide, x, y, num_particles, num_segments, **options)
    return torch.cat([particles.evidence() for particles in filters])


def bound(log_weights: Tensor, num_particles: int) -> Tensor:
    """IWAE_K of every puzzle, [B], nats: the mean over all disjoint groups of K. K = 1 is the ELBO.

    For one set of weights the bounds always increase in K if each K divides the next (Jensen).
    Raises: ValueError if there are fewer than K weights.
    """
    num_groups = len(log_weights) // num_particles
    if num_groups == 0:
        raise ValueError(f"got {len(log_weights)} weights per puzzle; expected at least K={num_particles}")
    groups = log_weights[: num_groups * num_particles].unflatten(0, (num_groups, num_particles))
    return log_mean_exp(groups.transpose(0, 1)).mean(0)
