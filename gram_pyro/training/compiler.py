"""torch.compile for the parts of a network that are pure functions of tensors (Pyro programs do not compile)."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import nn

from gram_pyro.networks.core import Core

SHAPES = 64  # a part may be compiled for: with and without a gradient, of boards of several sizes; torch stops at 8
MOST = 300  # letters of what a compiler says

log = logging.getLogger(__name__)


class Compiler:
    """torch.compile, tried: where it fails, at the first call of what is compiled, that and all else runs as it is.

    Whether a compiler works is known when it has worked. One may be there and fail, for a header or for room.
    """

    def __init__(self, device: torch.device) -> None:
        self.dynamic = None if device.type == "cpu" else False
        self.works = True

    def compiled(self, method: Callable) -> Callable:
        fast = torch.compile(method, dynamic=self.dynamic)

        @wraps(method)
        def run(*args: Any, **kwargs: Any) -> Any:
            if self.works:
                try:
                    return fast(*args, **kwargs)
                except torch._dynamo.exc.TorchDynamoException as problem:
                    self.works = False
                    reason = " ".join(str(problem).split()).partition(" Set TORCH")[0][:MOST]
                    log.warning("%s: it runs uncompiled, about 1.3 times slower; install or mend g++", reason)
            return method(*args, **kwargs)

        return run


def compile_parts(network: nn.Module, device: torch.device) -> None:
    """Compile in place what modules of `network` name in their attribute `compiles`, a tuple of methods; where no
    compiler works, or a core names nothing, say so and run it as it is.

    Part by part, because all modules of a class share one compilation: seconds where a whole recursion takes a minute.
    On a CPU the first number of rows is compiled for itself and the second for every number, at the same speed: guided
    and free rows, and what sampling and halting bring, then share one compilation.
    """
    torch._dynamo.config.recompile_limit = max(SHAPES, torch._dynamo.config.recompile_limit)  # above it, nothing is
    compiler = Compiler(device)
    for core in {type(part): part for part in network.modules() if isinstance(part, Core)}.values():
        if not any(getattr(part, "compiles", ()) for part in core.modules()):
            log.warning(
                '%s runs uncompiled: no part of it names methods; write compiles = ("forward",) in the class '
                "of a part that is a pure function of tensors",
                type(core).__name__,
            )
    for module in network.modules():
        for name in getattr(module, "compiles", ()):
            setattr(module, name, compiler.compiled(getattr(module, name)))
