"""A law whose parameters no gradient reaches."""

import copy
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.distributions import Distribution, Transform


def stop_gradient(law: Distribution) -> Distribution:
    """The same law with every parameter cut from the graph, those of nested laws, transforms and networks included."""
    return _cut(law, {})


def _cut(value: Any, twins: dict[int, Any]) -> Any:
    if isinstance(value, Tensor):
        return value.detach()
    if type(value) in (list, tuple):
        return type(value)(_cut(v, twins) for v in value)
    if isinstance(value, partial):
        return partial(value.func, *(_cut(v, twins) for v in value.args))
    if isinstance(value, nn.Module) and not isinstance(value, Transform):
        return copy.deepcopy(value).requires_grad_(False)
    if not isinstance(value, Distribution | Transform):
        return value
    if id(value) not in twins:  # a transform and its inverse refer to each other
        twins[id(value)] = twin = copy.copy(value)
        for name, attribute in vars(value).items():
            setattr(twin, name, _cut(attribute, twins))
    return twins[id(value)]
