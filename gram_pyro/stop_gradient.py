"""A law whose parameters no gradient reaches."""

import copy
from typing import Any

from torch import Tensor
from torch.distributions import Distribution, Transform


def stop_gradient(law: Distribution) -> Distribution:
    """The same law with every parameter cut from the graph, those of nested laws and transforms included."""
    return _cut(law, {})


def _cut(value: Any, twins: dict[int, Any]) -> Any:
    if isinstance(value, Tensor):
        return value.detach()
    if type(value) in (list, tuple):
        return type(value)(_cut(v, twins) for v in value)
    if not isinstance(value, Distribution | Transform):
        return value
    if id(value) not in twins:  # a transform and its inverse refer to each other
        twins[id(value)] = twin = copy.copy(value)
        for name, attribute in vars(value).items():
            setattr(twin, name, _cut(attribute, twins))
    return twins[id(value)]
