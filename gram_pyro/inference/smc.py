"""Sampling with a potential G: sequential Monte Carlo, and importance resampling of whole trajectories.

    smc    resamples after a segment if the ESS of a puzzle is low      target: prior(trajectory) G(h_N)
    sir    resamples once, at the end                                   the same target, the same Z = E_prior[G(h_N)]

With the value head as G = P(right | h), Z is the probability that a prior trajectory solves the puzzle, and the target
is the prior given that it does. Source: ours; potentials by halt head: Guided reasoning (arXiv:2605.25230).
"""

import torch
from torch import Tensor

from gram_pyro.inference.chunks import in_chunks, in_segments
from gram_pyro.inference.finite import check_landed
from gram_pyro.inference.kept import kept
from gram_pyro.inference.particle_filter import ParticleFilter
from gram_pyro.inference.particles import Cloud, from_prior
from gram_pyro.inference.potentials import Potential
from gram_pyro.inference.resampling import Scheme, systematic
from gram_pyro.inference.sampler import DEFAULT_CHUNK, check_halting, check_puzzles, check_sizes, halt, land
from gram_pyro.inference.trajectories import Trajectories, concatenate, equally_long
from gram_pyro.inference.weights import normalise
from gram_pyro.model import GRAM
from gram_pyro.networks.core import State
from gram_pyro.networks.heads import Heads


@torch.no_grad()
def smc(
    model: GRAM,
    x: Tensor,
    num_particles: int,
    num_segments: int,
    *,
    potential: Potential,
    resample: Scheme = systematic,
    threshold: float = 0.5,
    heads: Heads | None = None,
    halt_at: float | None = None,
    chunk: int = DEFAULT_CHUNK,
) -> Trajectories:
    """K trajectories per puzzle, resampled after a segment where ESS < threshold K. The last weights are kept.

    Puzzles are run in groups of about `chunk` rows; the K states of one puzzle are in the same group. A group ends when
    all its trajectories have halted.
    Raises: ValueError as `check_puzzles`, or if all K particles of a puzzle have weight zero; FloatingPointError if a
    number is not finite, or log G is NaN or +inf.
    """
    check_sizes(num_particles, num_segments)
    check_puzzles(model, x)
    check_halting(heads, halt_at)
    if not 0 <= threshold <= 1:
        raise ValueError(f"got threshold={threshold}; expected a share of the particles, 0 (never) to 1 (always)")

    def steered(group: Tensor) -> Trajectories:
        puzzles = group.repeat(num_particles)
        rows = x[puzzles]
        cloud = Cloud(from_prior(model, rows), model.start(rows), chunk, puzzles)
        particles = ParticleFilter(cloud, num_particles, resample, threshold)

        def log_g(index: Tensor, state: State) -> Tensor:
            return potential(rows[index], state, model.readout.answer(state, rows[index]))

        for segment in in_segments(range(num_segments), num_segments):
            log_ratio = cloud.advance()
            halt(cloud, heads, halt_at)
            potentials = cloud.read(log_g)
            check_landed({"potential": potentials}, cloud.depth, cloud.puzzles)
            particles.weigh(log_ratio, potentials)
            if segment < num_segments - 1:
                particles.steer()
            if cloud.halted.all():
                break
        normalise(particles.log_weights, particles.first)  # raises
        landed = land(cloud, model, rows, heads, num_particles)
        dtype = landed.log_weights.dtype
        return landed._replace(
            log_weights=particles.log_weights.to(dtype),
            log_evidence=particles.evidence().to(dtype),
            history=particles.history(),
        )

    groups = in_chunks(torch.arange(len(x), device=x.device), max(1, chunk // num_particles))
    return concatenate(equally_long([kept(steered, group, x) for group in groups]))


def sir(
    model: GRAM, x: Tensor, num_particles: int, num_segments: int, *, resample: Scheme = systematic, **kwargs: object
) -> Trajectories:
    """Sampling importance resampling: K whole prior trajectories, weighted by G(h_N) and resampled once."""
    weighted = smc(model, x, num_particles, num_segments, resample=resample, threshold=0.0, **kwargs)
    ancestors = resample(weighted.log_weights)
    weighted.history.ancestors[-1] = ancestors
    return weighted.select(ancestors)._replace(history=weighted.history)
