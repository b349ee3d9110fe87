"""Safety of files: the configuration in a checkpoint or a run folder may name parts of gram_pyro and guides only.

`hydra.utils.instantiate` calls whatever a `_target_` names. So every `_target_`, at every depth, is checked before
anything is built. A part is a class of this package from which tasks, networks and losses are made, or a function whose
annotation returns one. The check imports only modules of this package. What users write themselves is not checked.
"""

import logging
from collections.abc import Iterator, Mapping
from functools import cache, reduce
from importlib import import_module
from inspect import isclass, isfunction
from typing import Any

from omegaconf import DictConfig, OmegaConf
from pyro.infer import ELBO
from torch import nn

from gram_pyro.harness.calls import BUILT, KINDS, SECTIONS
from gram_pyro.harness.check_config import check as check_value
from gram_pyro.harness.check_config import check_values, leaves
from gram_pyro.harness.own_guides import is_own, own_guides
from gram_pyro.harness.schema import COUNT, SECTION, TEXT
from gram_pyro.tasks.base import Task
from gram_pyro.tasks.candidates.families import Family
from gram_pyro.training.rollout_losses import RolloutLoss

PARTS = (Task, Family, nn.Module, ELBO, RolloutLoss)
OF_PYRO = {"pyro.infer.Trace_ELBO", "pyro.infer.TraceMeanField_ELBO"}  # the bounds that our configuration names

log = logging.getLogger(__name__)


def check(config: DictConfig, source: object, trust: bool = False) -> None:
    """Check a configuration read from the file `source`, before it is built.

    Args: trust, whether the user trusts the file; then a warning names the foreign parts.
    Raises: ValueError if it names foreign parts and `trust` is not True, refers to other values, or is not the
    configuration of a program, as runs store it.
    """
    plain = OmegaConf.to_container(config)
    for place, _, value in leaves(plain):
        if isinstance(value, str) and "${" in value:
            raise ValueError(f"got {place}={value} in {source}; expected a value, as runs store it, not a reference")
    names = ", ".join(foreign(plain))
    if names and trust is not True:
        raise ValueError(
            f"got {names} in {source}; expected parts of gram_pyro or guides only, because opening the file would run "
            "it; if you trust whoever sent the file, write trust=true (in Python trust=True)"
        )
    if names:
        tell(str(source), names)
    try:
        check_program(plain)
    except ValueError as problem:
        raise ValueError(f"{source} is not as runs store it: {problem}") from None


def check_program(values: Mapping) -> None:
    """Raises: ValueError, with the key, unless the values describe a program. What they name is imported."""
    given = {key for key, value in values.items() if value is not None}  # baseline=null: for GRAM
    for key in [*BUILT, *(KINDS.keys() & given - BUILT.keys())]:
        check_value(key, values.get(key), SECTION)
        if key not in SECTIONS:
            check_value(f"{key}._target_", values[key].get("_target_"), TEXT)
    check_value("dim", values.get("dim"), COUNT)
    check_values(values, "")


@cache
def tell(source: str, names: str) -> None:
    """Warn, once, about trusted foreign parts."""
    log.warning("%s is trusted: it runs %s.", source, names)


def foreign(config: DictConfig | Mapping) -> list[str]:
    """The foreign names in a configuration, in quotes."""
    plain = OmegaConf.to_container(config) if isinstance(config, DictConfig) else config
    return list(dict.fromkeys(repr(name) for name in targets(plain) if not is_part(name)))


def targets(value: Any) -> Iterator[Any]:
    """Every `_target_`, at every depth."""
    if isinstance(value, Mapping):
        if "_target_" in value:
            yield value["_target_"]
        value = list(value.values())
    if isinstance(value, list):
        for below in value:
            yield from targets(below)


def is_part(name: Any) -> bool:
    """Whether `name` is MODULE.NAME of a part that this package defines, or one of Pyro's bounds."""
    if not isinstance(name, str):
        return False
    module, _, attribute = name.rpartition(".")
    if not (module.split(".")[0] == "gram_pyro" or is_own(module)):
        return name in OF_PYRO
    with own_guides():
        try:
            found = vars(import_module(module)).get(attribute)
            called = reduce(getattr, name.split(".")[1:], import_module(name.split(".")[0]))  # as Hydra looks it up
        except (ImportError, AttributeError):
            return False
    if found is not called or (getattr(found, "__module__", None) or "").split(".")[0] not in ("gram_pyro", "guides"):
        return False
    made = found.__annotations__.get("return") if isfunction(found) else found
    return isclass(made) and issubclass(made, PARTS)
