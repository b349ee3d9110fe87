"""torch.compile for the parts of a network that are pure functions of tensors (Pyro programs do not compile)."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import nn

from gram_pyro.networks.core import Core

SHAPES = 64  # compilations per part: with and without gradient, for several sizes of board; torch's limit is 8
MOST = 300  # letters of a compiler's message that are shown

log = logging.getLogger(__name__)


class Compiler:
    """torch.compile, with a fallback: if it fails at the first call, everything runs uncompiled.

    Only a call shows whether the compiler works: it may be installed and lack a header, or disk space.
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
                    log.warning("%s: it runs uncompiled, about 1.3 times slower; install or repair g++", reason)
            return method(*args, **kwargs)

        return run


def compile_parts(network: nn.Module, device: torch.device) -> None:
    """Compile in place the methods that modules of `network` name in their attribute `compiles`, a tuple.

    If no compiler works, or a core names no methods, a warning says so and the code runs uncompiled.
    Modules are compiled one by one, because all modules of a class share a compilation: that takes seconds, and the
    whole recursion a minute. On a CPU the first number of rows gets its own compilation, and the second serves every
    number at the same speed. So guided rows, rollout rows and sampling share one compilation.
    """
    torch._dynamo.config.recompile_limit = max(SHAPES, torch._dynamo.config.recompile_limit)
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
