"""Segments sampled per second, by depth and width, with and without halting; and the cost of SMC.

A halted trajectory counts for all requested segments, to show what halting saves.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from gram_pyro.benchmark.clock import Line, compared, milliseconds, take_turns
from gram_pyro.harness.load import Program
from gram_pyro.inference.potentials import halt
from gram_pyro.inference.sampler import sample
from gram_pyro.inference.smc import sir, smc
from gram_pyro.tasks.base import Task


def measure_throughput(
    program: Program,
    x: Tensor,
    depths: Sequence[int],
    widths: Sequence[int],
    halt_at: float,
    precision: torch.autocast,
    warmup: int,
    repeats: int,
) -> list[Line]:
    """Thousands of trajectory segments per second, for puzzles x [B, L]."""
    ways, segments = {}, {}
    for width in widths:
        for depth in depths:
            for note, threshold in (("", None), (f", halted at {halt_at}", halt_at)):
                way = f"K = {width}, depth {depth}{note}"
                ways[way] = partial(sample, program.model, x, width, depth, heads=program.heads, halt_at=threshold)
                segments[way] = len(x) * width * depth
    with precision:
        seconds = take_turns(ways, warmup, repeats, x.device)
    return compared("sampling", {way: segments[way] / s / 1e3 for way, s in seconds.items()}, "1000 segments/s")


def measure_smc(
    task: Task,
    program: Program,
    x: Tensor,
    width: int,
    depth: int,
    precision: torch.autocast,
    warmup: int,
    repeats: int,
) -> list[Line]:
    """Milliseconds of K trajectories per puzzle: plain, resampled once, and after every segment, by the halt head."""
    potential = halt(task, program.heads)
    ways = {
        "ancestral": partial(sample, program.model, x, width, depth, heads=program.heads),
        "sir": partial(sir, program.model, x, width, depth, heads=program.heads, potential=potential),
        "smc": partial(smc, program.model, x, width, depth, heads=program.heads, potential=potential),
    }
    with precision:
        return milliseconds("SMC", take_turns(ways, warmup, repeats, x.device))
