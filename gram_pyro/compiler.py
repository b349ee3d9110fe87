"""torch.compile for the recursive core, the one pure function of the program (Pyro programs do not compile)."""

import logging
import shutil

import torch

from gram_pyro.core import Core

log = logging.getLogger(__name__)


def compile_core(core: Core, device: torch.device) -> None:
    """Compile `core.predict` in place; without a C++ compiler on a CPU, say so and leave it as it is."""
    if device.type == "cpu" and not any(map(shutil.which, ("g++", "clang++", "c++"))):
        log.warning(
            "no C++ compiler was found, so the core runs uncompiled, about 1.3 times slower; install g++ to change that"
        )
        return
    core.predict = torch.compile(core.predict, dynamic=False)
