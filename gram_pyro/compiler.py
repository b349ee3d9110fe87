"""torch.compile for the blocks of the recursive core, its one pure function (Pyro programs do not compile)."""

import logging
import shutil

import torch

from gram_pyro.core import Core
from gram_pyro.layers import Block

log = logging.getLogger(__name__)


def compile_core(core: Core, device: torch.device) -> None:
    """Compile every block of `core` in place; without a C++ compiler on a CPU, say so and leave it as it is.

    Block by block, because all blocks share one compilation: seconds where the whole recursion takes a minute.
    """
    if device.type == "cpu" and not any(map(shutil.which, ("g++", "clang++", "c++"))):
        log.warning("no C++ compiler was found: the core runs uncompiled, about 1.3 times slower; install g++")
        return
    for block in core.modules():
        if isinstance(block, Block):
            block.compile(dynamic=False)
