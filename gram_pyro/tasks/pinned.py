"""Puzzles are made and kept on the CPU, whatever torch's default device is.

torch.set_default_device and `with torch.device(...)` apply to every tensor made without a device, but not to random
generators, which stay on the CPU. Tensors made on the device of an argument are not affected.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, wraps
from types import FunctionType, GeneratorType
from typing import Any

import torch


def pinned(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function with the CPU as default device; also for what it yields."""

    @wraps(function)
    def on_cpu(*args: Any, **kwargs: Any) -> Any:
        with _on_cpu():
            made = function(*args, **kwargs)
        return _stepwise(made) if isinstance(made, GeneratorType) else made

    return on_cpu


def _on_cpu() -> AbstractContextManager:
    device = torch.device("cpu")
    return nullcontext() if torch.get_default_device() == device else device


def _stepwise(parts: GeneratorType) -> GeneratorType:
    while True:
        with _on_cpu():  # left between two parts, for it would apply to the caller too
            try:
                part = next(parts)
            except StopIteration:
                return
        yield part


def pin(cls: type, **checks: Callable[[Any], Any]) -> None:
    """Pin every method and property that a class defines. The value of property NAME passes through checks[NAME]."""
    for name, member in list(vars(cls).items()):
        if isinstance(member, FunctionType):
            setattr(cls, name, pinned(member))
        elif isinstance(member, property):
            getter = _checked(pinned(member.fget), checks.get(name))
            setattr(cls, name, property(getter, member.fset, member.fdel, member.__doc__))
        elif isinstance(member, cached_property):
            again = cached_property(_checked(pinned(member.func), checks.get(name)))
            again.__set_name__(cls, name)
            setattr(cls, name, again)


def _checked(getter: Callable[[Any], Any], check: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
    return getter if check is None else wraps(getter)(lambda owner: check(getter(owner)))
