"""The kinds of values that the arguments of a component take, by annotation: `int`, `float | None`, `Sequence[str]`"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from inspect import isclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from gram_pyro.harness.schema import FLAG, PART, SECTION, TEXT, Kind, is_number, listed

PLAIN = {
    int: Kind(lambda v: isinstance(v, int) and not isinstance(v, bool), "a whole number"),
    float: Kind(is_number, "a number"),
    bool: FLAG,
    str: TEXT,
    Path: TEXT,
    NoneType: Kind(lambda v: v is None, "null"),
}


@cache
def kinds_of(component: Callable) -> dict[str, Kind]:
    """The kind of every argument whose annotation states one, by name."""
    try:
        hints = get_type_hints(component.__init__ if isclass(component) else component)
    except (NameError, TypeError, AttributeError):  # names that do not exist at run time
        return {}
    found = {name: kind_of(hint) for name, hint in hints.items() if name != "return"}
    return {name: kind for name, kind in found.items() if kind is not None}


def kind_of(hint: Any) -> Kind | None:
    """The kind of an annotation; None: any value. Other classes than those above are parts."""
    if hint in PLAIN:
        return PLAIN[hint]
    origin, below = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        kinds = [kind_of(each) for each in below]
        return None if None in kinds else either(kinds)
    if isclass(origin) and issubclass(origin, Mapping):
        return SECTION
    if isclass(origin) and issubclass(origin, Sequence):
        each = kind_of(below[0])
        return each and listed(each, 0)
    return PART if isclass(hint) or origin is not None else None


def either(kinds: Sequence[Kind]) -> Kind:
    """A kind that accepts values of any of several kinds."""
    written = dict.fromkeys(kind.write for kind in kinds)
    return Kind(lambda v: any(kind.takes(v) for kind in kinds), " or ".join(written))
