"""The core's speed as a share of the machine's speed of matrix products, forward, without a gradient.

    share = (floating-point operations of the core / its seconds) / (2 n^3 / seconds of a product of n x n matrices)

Both are measured in the same run, in turns. Only matrix products count as operations of the core.
"""

from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from gram_pyro.benchmark.clock import Line, take_turns
from gram_pyro.networks.core import Core, State
from gram_pyro.training.compiler import compile_parts
from gram_pyro.training.precision import PRECISIONS


@torch.no_grad()
def measure_products(
    make: Callable[[int], Core],
    dim: int,
    lengths: list[int],
    batch: int,
    size: int,
    device: torch.device,
    compiled: bool,
    warmup: int,
    repeats: int,
) -> list[Line]:
    """GFLOP/s of square products and of cores make(L) of width `dim`, in every precision."""
    lines = []
    for precision, dtype in PRECISIONS.items():
        square = torch.randn(size, size, device=device, dtype=dtype)
        work, ways = {"products": 2 * size**3}, {"products": lambda a=square: a @ a}
        for length in lengths:
            core = make(length).to(device=device, dtype=dtype)
            e = torch.randn(batch, length, dim, device=device, dtype=dtype)
            with FlopCounterMode(display=False) as counter:
                core.predict(e, State(e, e))
            if compiled:
                compile_parts(core, device)
            way = f"core, L = {length}"
            work[way] = counter.get_total_flops()
            ways[way] = lambda core=core, e=e: core.predict(e, State(e, e))
        seconds = take_turns(ways, warmup, repeats, device)
        rates = {way: work[way] / s / 1e9 for way, s in seconds.items()}
        lines += [
            Line("share of the machine", f"{precision}: {way}", rate, "GFLOP/s", rate / rates["products"])
            for way, rate in rates.items()
        ]
    return lines
