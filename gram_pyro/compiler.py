"""torch.compile for the parts of a network that are pure functions of tensors (Pyro programs do not compile)."""

import logging
import shutil

import torch
from torch import nn

SHAPES = 64  # a part may be compiled for: with and without a gradient, of boards of several sizes; torch stops at 8

log = logging.getLogger(__name__)


def compile_parts(network: nn.Module, device: torch.device) -> None:
    """Compile in place what modules of `network` name in their attribute `compiles`, a tuple of methods; without a C++
    compiler on a CPU, say so and leave the network as it is.

    Part by part, because all modules of a class share one compilation: seconds where a whole recursion takes a minute.
    On a CPU the first number of rows is compiled for itself and the second for every number, at the same speed: guided
    and free rows, and what sampling and halting bring, then share one compilation.
    """
    if device.type == "cpu" and not any(map(shutil.which, ("g++", "clang++", "c++"))):
        log.warning("no C++ compiler was found: it runs uncompiled, about 1.3 times slower; install g++")
        return
    torch._dynamo.config.recompile_limit = max(SHAPES, torch._dynamo.config.recompile_limit)  # above it, nothing is
    for module in network.modules():
        for name in getattr(module, "compiles", ()):
            setattr(module, name, torch.compile(getattr(module, name), dynamic=None if device.type == "cpu" else False))
