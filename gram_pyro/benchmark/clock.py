"""Median times over repeats. The ways to compare take turns, so that a slow moment of the machine affects all."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch


class Line(NamedTuple):
    """A line of the table: a way of doing something, its value, and the ratio to the first way of its group."""

    group: str
    way: str
    value: float
    unit: str
    ratio: float


def now(device: torch.device) -> float:
    """Seconds; on one CPU thread, process time, for the machine may be shared."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif torch.get_num_threads() == 1:
        return time.process_time()
    return time.perf_counter()


def take_turns(
    ways: Mapping[str, Callable[[], object]], warmup: int, repeats: int, device: torch.device
) -> dict[str, float]:
    """Median seconds of every way."""
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for repeat in range(warmup + repeats):
        for way, work in ways.items():
            torch.manual_seed(repeat)
            start = now(device)
            work()
            if repeat >= warmup:
                seconds[way].append(now(device) - start)
    return {way: statistics.median(times) for way, times in seconds.items()}


def compared(group: str, values: Mapping[str, float], unit: str) -> list[Line]:
    """Values as lines, each with its ratio to the first."""
    first = next(iter(values.values()))
    return [Line(group, way, value, unit, value / first) for way, value in values.items()]


def milliseconds(group: str, seconds: Mapping[str, float]) -> list[Line]:
    return compared(group, {way: 1e3 * s for way, s in seconds.items()}, "ms")
