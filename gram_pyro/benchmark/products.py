"""The core's speed as a share of the machine's speed of matrix products.

    share = (floating-point operations of the core / its seconds) / (2 n^3 / seconds of a product of n x n matrices)

Both are measured in the same run, in turns. Only matrix products count as operations of the core.
`measure_products` runs cores of random weights forward, `measure_boards` one core on boards of several sizes, forward
and with its gradient.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from gram_pyro.benchmark.clock import Line, compared, take_turns
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


def measure_boards(
    boards: Mapping[str, tuple[Core, Tensor]],
    size: int,
    device: torch.device,
    compiled: bool,
    warmup: int,
    repeats: int,
) -> list[Line]:
    """GFLOP/s of a bf16 core on boards of several sizes, and microseconds per token.

    Args: boards, the core and its input e [B, tokens, D] by the name of a board; size, n of the product.
    """
    dtype = PRECISIONS["bf16"]
    square = torch.randn(size, size, device=device, dtype=dtype)
    work, ways, tokens = {"products": 2 * size**3}, {"products": lambda: square @ square}, {}
    for board, (core, e) in boards.items():
        core, e = core.to(device=device, dtype=dtype), e.detach().to(device=device, dtype=dtype).requires_grad_()

        def forward(core: Core = core, e: Tensor = e) -> None:
            with torch.no_grad():
                core.predict(e, State(e, e))

        def with_gradient(core: Core = core, e: Tensor = e) -> None:
            core.predict(e, State(e, e)).h.square().mean().backward()

        for name, way in ((f"{board}, forward", forward), (f"{board}, with its gradient", with_gradient)):
            with FlopCounterMode(display=False) as counter:
                way()
            work[name], ways[name], tokens[name] = counter.get_total_flops(), way, e.shape[:-1].numel()
        if compiled:
            compile_parts(core, device)
    seconds = take_turns(ways, warmup, repeats, device)
    rates = compared("core by size of board", {way: work[way] / s / 1e9 for way, s in seconds.items()}, "GFLOP/s")
    return rates + compared("cost of a token", {way: 1e6 * seconds[way] / n for way, n in tokens.items()}, "us")
