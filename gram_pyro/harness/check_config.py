"""Check a configuration key by key before anything is built, so that a typing error costs a sentence, not a run.

schema.py gives the kind of each key's value, and annotations those of the arguments of components. Source: ours.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pydoc import ErrorDuringImport, locate

from hydra.core.hydra_config import HydraConfig
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gram_pyro.harness.annotations import kinds_of
from gram_pyro.harness.calls import SECTIONS, check_call, check_kind
from gram_pyro.harness.own_guides import is_own, own_guides
from gram_pyro.harness.schema import ARGUMENTS, FILES_OR_NULL, TEXT, TEXT_OR_NULL, Kind, kind_of


def task_name(choice: str, target: str) -> str:
    """The name of a task in tables: the choice, or the class if the choice is `own`.

    It is the resolver ${task_name:choice,target} of configurations.
    """
    return target.rpartition(".")[2] if choice == "own" else choice


OmegaConf.register_new_resolver("task_name", task_name, replace=True)


def check_given(config: DictConfig) -> None:
    """Raises: ValueError if a required value is missing: the class of a part with the choice `own`."""
    for place, _, value in leaves(OmegaConf.to_container(config, resolve=False)):
        if value == MISSING:
            raise ValueError(f"got no {place}; expected a class of your own; write {place}=my_file.MyClass")


def check_settings(config: DictConfig) -> None:
    """Raises: ValueError, with the key, if a value is missing, of the wrong kind or out of range; if a part has another
    width than `dim`; if a value refers to an unknown key."""
    script = HydraConfig.get().job.name if HydraConfig.initialized() else ""
    try:
        values = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as problem:
        check_values(OmegaConf.to_container(config), script)  # the value it refers to may have the wrong kind
        raise ValueError(" ".join(str(problem).split())) from None
    if "checkpoint" in values and isinstance(values.get("task"), Mapping):  # null: as it was trained
        values["task"] = {key: value for key, value in values["task"].items() if value is not None}
    check_values(values, script)


def check_values(values: Mapping, script: str, place: str = "", dim: object = None) -> None:
    """Raises: as `check_settings`, for values outside parts."""
    places = {f"{place}.{key}" if place else str(key): value for key, value in values.items()}
    for where, value in places.items():  # before the values below them, which may refer to these
        check(where, value, kind_of(where, script))
    for where, value in places.items():
        if isinstance(value, Mapping):
            if (name := where.rpartition(".")[2]) in SECTIONS:
                check_call(where, SECTIONS[name], value)
            (check_part if "_target_" in value else check_values)(value, script, where, dim or values.get("dim"))


def check_part(values: Mapping, script: str, place: str, dim: object) -> None:
    """Raises: as `check_settings`, for a part and the parts in it."""
    part = component(f"{place}._target_", values["_target_"])
    check_kind(place, part)
    check_call(place, part, values)
    kinds = kinds_of(part)
    for key, value in values.items():
        where = f"{place}.{key}"
        for kind in (ARGUMENTS.get(key), kinds.get(key)):
            check(where, value, kind)
        if key == "dim" and dim is not None and value != dim and not refers(value):
            raise ValueError(f"got {where}={value} with dim={dim}; leave it out, all parts have one width")
        if isinstance(value, Mapping):
            (check_part if "_target_" in value else check_values)(value, script, where, dim)


def check(where: str, value: object, kind: Kind | None) -> None:
    """Raises: ValueError if a value is missing, or not of this kind (None: any)."""
    if value == "???" or not (kind is None or refers(value) or kind.takes(value)):
        raise ValueError(f"got {where}={shown(value)}; write {kind.write if kind else 'a value'}")


def refers(value: object) -> bool:
    """Whether a value is an unresolved reference to another key."""
    return isinstance(value, str) and "${" in value


def component(where: str, name: object) -> Callable:
    """The class or function that a _target_ names.  Raises: ValueError if there is none."""
    check(where, name, TEXT)
    try:
        with own_guides() if is_own(name) else nullcontext():
            found = locate(name)
    except ErrorDuringImport as problem:
        raise ValueError(f"got {where}={name}, which cannot be imported: {problem.value}") from problem
    if not callable(found):
        raise ValueError(f"got {where}={name}, which is not the name of a class or function; write MODULE.CLASS")
    return found


def shown(value: object) -> str:
    """A value as it is written on a command line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def text_keys(values: Mapping, script: str, place: str = "") -> Iterator[str]:
    """The dotted keys outside parts that take text."""
    for key, value in values.items():
        where = f"{place}.{key}" if place else str(key)
        if kind_of(where, script) in (TEXT, TEXT_OR_NULL, FILES_OR_NULL):
            yield where
        elif isinstance(value, Mapping) and value.get("_target_") is None:
            yield from text_keys(value, script, where)


def leaves(value: object, place: str = "", name: str = "") -> Iterator[tuple[str, str, object]]:
    """The dotted place, last key and value of every value; of a list every item, or [] if it is empty."""
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from leaves(below, f"{place}.{key}" if place else str(key), str(key))
    elif isinstance(value, Sequence) and not isinstance(value, str) and len(value):
        for below in value:
            yield from leaves(below, place, name)
    else:
        yield place, name, value
