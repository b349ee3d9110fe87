"""A law whose parameters no gradient reaches, or a share of it."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.distributions import Distribution, Transform


def stop_gradient(law: Distribution) -> Distribution:
    """The same law with every parameter cut from the graph, those of nested laws, transforms and networks included."""
    return _changed(law, Tensor.detach, {})


def scale_gradient(law: Distribution, share: float) -> Distribution:
    """The same law; what its parameters get of a gradient is multiplied by `share`. Networks inside it get none."""
    return _changed(law, partial(_Scaled.apply, share), {})


class _Scaled(torch.autograd.Function):
    """The identity, with a gradient that is not its own."""

    @staticmethod
    def forward(ctx: FunctionCtx, share: float, value: Tensor) -> Tensor:
        ctx.share = share
        return value.view_as(value)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[None, Tensor]:
        return None, ctx.share * gradient


def _changed(value: Any, change: Callable[[Tensor], Tensor], twins: dict[int, Any]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if type(value) in (list, tuple):
        return type(value)(_changed(v, change, twins) for v in value)
    if isinstance(value, partial):
        return partial(value.func, *(_changed(v, change, twins) for v in value.args))
    if isinstance(value, nn.Module) and not isinstance(value, Transform):
        return copy.deepcopy(value).requires_grad_(False)
    if not isinstance(value, Distribution | Transform):
        return value
    if id(value) not in twins:  # a transform and its inverse refer to each other
        twins[id(value)] = twin = copy.copy(value)
        for name, attribute in vars(value).items():
            setattr(twin, name, _changed(attribute, change, twins))
    return twins[id(value)]
