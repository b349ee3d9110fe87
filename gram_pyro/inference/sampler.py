"""Ancestral sampling: K trajectories per puzzle from the prior, N segments deep.

z_t^k ~ p(z_t | u_t^k),  y^k = argmax p(y | h_T^k)                                 paper section 4

The random numbers are drawn chunk by chunk from torch's generator. So with the same seed, another `chunk` gives other
answers of the same law, and the configuration stores `chunk` beside the seed. (Equal noise would not give equal bits
either: rounding depends on the shape of a batch.)

A sampler is a function of (model, x, num_particles, num_segments) and keywords that returns Trajectories. The others
are in smc.py and noise.py.
"""

from collections.abc import Callable, Sequence
from itertools import chain, repeat

import torch
from torch import Tensor, nn

from gram_pyro.inference.chunks import in_chunks, in_segments
from gram_pyro.inference.finite import check_landed
from gram_pyro.inference.kept import kept
from gram_pyro.inference.particles import Cloud, from_prior
from gram_pyro.inference.trajectories import Trajectories, in_one_piece, stack
from gram_pyro.model import GRAM
from gram_pyro.networks.core import State
from gram_pyro.networks.heads import Heads

Sampler = Callable[..., Trajectories]
DEFAULT_CHUNK = 256  # rows; larger chunks do not fit into the cache of a CPU and are slower
CHUNKS_TOGETHER = 8  # run together where trajectories halt


def sample(model: GRAM, x: Tensor, num_particles: int, num_segments: int, **options: object) -> Trajectories:
    """K independent prior trajectories per puzzle; options as for `run`."""
    check_sizes(num_particles, num_segments)
    return run([(model, num_segments)], x, num_particles, **options)


@torch.no_grad()
def run(
    stages: Sequence[tuple[GRAM, int]],
    x: Tensor,
    num_particles: int,
    *,
    heads: Heads | None = None,
    halt_at: float | None = None,
    chunk: int = DEFAULT_CHUNK,
) -> Trajectories:
    """K independent trajectories per puzzle, through stages (model, number of segments) of one program whose prior may
    change between stages. Sampling ends early when all trajectories have halted.

    The K trajectories are rows of the batch, run `chunk` rows at a time, so memory grows neither with K nor with depth.
    Where trajectories halt, CHUNKS_TOGETHER chunks run together, and the rows that go on are packed into full chunks.
    Of a deterministic recursion one trajectory is run and copied K times, or read K times if its answers are drawn.
    Args: x [B, L]; heads judge the final states; a trajectory halts at the first segment with halt(h) > halt_at.
    Raises: ValueError as `check_puzzles`, if halt_at is given without heads, or chunk is below 1; FloatingPointError if
    a number is not finite.
    """
    check_puzzles(stages[0][0], x)
    check_halting(heads, halt_at)
    if chunk < 1:
        raise ValueError(f"got chunk={chunk}; expected 1 or more, the number of rows run at once")
    first, last = stages[0][0], stages[-1][0]
    num_paths = 1 if all(model.has_one_path for model, _ in stages) else num_particles
    num_readings = num_particles if num_paths == 1 and last.readout.answers_at_random else 1
    puzzles = torch.arange(len(x), device=x.device).repeat(num_paths)  # the puzzle of every row
    num_segments = sum(count for _, count in stages)

    def landed(index: Tensor) -> Trajectories:
        part = x[index]
        cloud = Cloud(from_prior(first, part), first.start(part), chunk, index)
        models = chain.from_iterable(repeat(model, count) for model, count in stages)
        for model in in_segments(models, num_segments):
            cloud.propose = from_prior(model, part)
            cloud.advance()
            halt(cloud, heads, halt_at)
            if cloud.halted.all():
                break
        return stack([land(cloud, last, part, heads, 1) for _ in range(num_readings)])

    together = chunk if halt_at is None else CHUNKS_TOGETHER * chunk
    parts = (kept(landed, index, x) for index in in_chunks(puzzles, together))
    flat = in_one_piece(parts, len(puzzles))  # every path as a puzzle of its own
    shaped = flat.per_particle(lambda field: field.unflatten(1, (num_paths, len(x))).flatten(0, 1))
    wide = shaped.per_particle(lambda field: field.expand(num_particles, *field.shape[1:]))
    return wide._replace(log_evidence=torch.zeros_like(wide.log_weights[0]))


def check_puzzles(model: nn.Module, x: Tensor) -> None:
    """Raises: ValueError unless x is [B, L] of whole numbers, B > 0, and on the device of the model."""
    if x.ndim != 2 or not x.numel():
        advice = "x[None]" if x.ndim == 1 and x.numel() else "x.view(-1, L)" if x.numel() else "at least one puzzle"
        raise ValueError(f"got x of shape {list(x.shape)}; expected [B, L], a row for every puzzle; write {advice}")
    if x.dtype not in (torch.int32, torch.int64):
        raise ValueError(f"got x of {x.dtype}; expected whole numbers, the symbol of every cell; write x.long()")
    weight = next(model.parameters(), x)
    if weight.device != x.device:
        raise ValueError(
            f"got x on {x.device} and a program on {weight.device}; expected both on one device; write "
            f"x.to({str(weight.device)!r}), or program.to({str(x.device)!r})"
        )


def check_sizes(num_particles: int, num_segments: int) -> None:
    """Raises: ValueError unless both are 1 or more."""
    if num_particles < 1 or num_segments < 1:
        raise ValueError(f"got num_particles={num_particles}, num_segments={num_segments}; expected 1 or more of both")


def check_halting(heads: Heads | None, halt_at: float | None) -> None:
    """Raises: ValueError if halt_at is given without heads, or is not between 0 and 1."""
    if halt_at is None:
        return
    if heads is None:
        raise ValueError(f"got halt_at={halt_at} and no heads; expected heads, for the halt head; write heads=...")
    if not 0 < halt_at < 1:
        raise ValueError(
            f"got halt_at={halt_at}; expected a probability between 0 and 1; leave it out to run to full depth"
        )


def halt(cloud: Cloud, heads: Heads | None, halt_at: float | None) -> None:
    """Halt the trajectories whose halt probability exceeds `halt_at`."""
    if halt_at is not None:
        going = (~cloud.halted).nonzero().squeeze(1)
        cloud.halted[going] = cloud.read(lambda index, state: heads(state).halt.sigmoid() > halt_at, going)


def land(cloud: Cloud, model: GRAM, x: Tensor, heads: Heads | None, num_particles: int) -> Trajectories:
    """The result of K x B rows (particles first) of puzzles x [K B, L], with equal weights.

    Raises: FloatingPointError if the readout or a head gives a number that is not finite.
    """
    answers = cloud.read(lambda index, state: model.readout.answer(state, x[index]))

    def likelihood(index: Tensor, state: State) -> Tensor:
        return model.readout(state, x[index]).log_prob(answers[index])

    flat = {
        "answers": answers,
        "log_weights": torch.zeros_like(cloud.change),
        "log_likelihood": cloud.read(likelihood),
        "depth": cloud.depth,
        "change": cloud.change,
        "halt": None if heads is None else cloud.read(lambda index, state: heads(state).halt),
        "value": None if heads is None else cloud.read(lambda index, state: heads(state).value),
    }
    logits = {f"{name} head": flat[name].abs() for name in ("halt", "value") if heads is not None}
    check_landed({"y": flat["log_likelihood"]} | logits, cloud.depth, cloud.puzzles)
    flat |= {name: flat[name].sigmoid() for name in ("halt", "value") if heads is not None}
    num_puzzles = len(cloud.depth) // num_particles
    shaped = {n: f if f is None else f.unflatten(0, (num_particles, num_puzzles)) for n, f in flat.items()}
    return Trajectories(log_evidence=cloud.change.new_zeros(num_puzzles), **shaped)
