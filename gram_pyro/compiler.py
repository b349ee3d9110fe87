"""torch.compile for the blocks of a network, which are pure functions (Pyro programs do not compile)."""

import logging
import shutil

import torch
from torch import nn

from gram_pyro.layers import Block
from gram_pyro.peers.autoregressive import MaskedBlock

log = logging.getLogger(__name__)


def compile_blocks(network: nn.Module, device: torch.device) -> None:
    """Compile every block of `network` in place; without a C++ compiler on a CPU, say so and leave it as it is.

    Block by block, because all blocks share one compilation: seconds where a whole recursion takes a minute.
    """
    if device.type == "cpu" and not any(map(shutil.which, ("g++", "clang++", "c++"))):
        log.warning("no C++ compiler was found: it runs uncompiled, about 1.3 times slower; install g++")
        return
    for block in network.modules():
        if isinstance(block, Block | MaskedBlock):
            block.compile(dynamic=False)
