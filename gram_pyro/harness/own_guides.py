"""Import our package `guides` even if another module of that name hides it.

A file guides.py beside a user's script, or in the current folder, hides ours, which is the folder beside gram_pyro.
Within `own_guides` the name means ours.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

NAME = "guides"
HOME = Path(__file__).parents[2] / NAME
loaded: dict[str, ModuleType] = {}  # our modules, while another one has their name


def is_own(target: str) -> bool:
    """Whether a name such as guides.concat.Concat belongs to a file of ours."""
    package, _, rest = target.partition(".")
    return package == NAME and (HOME / f"{rest.partition('.')[0]}.py").is_file()


def is_hidden() -> bool:
    """Whether `import guides` gives, or would give, another module than ours."""
    if NAME in sys.modules:
        places = getattr(sys.modules[NAME], "__path__", ())
    elif spec := PathFinder.find_spec(NAME):
        places = spec.submodule_search_locations or ()
    else:  # ours is an editable install, which Python searches last
        return False
    return [Path(place).resolve() for place in places] != [HOME.resolve()]


@contextmanager
def own_guides() -> Iterator[None]:
    """A context in which `guides` and its modules are ours. Afterwards they are restored."""
    if not is_hidden():
        yield
        return
    theirs = taken()
    sys.modules.update(loaded)
    try:
        if not loaded:
            spec = spec_from_file_location(NAME, HOME / "__init__.py", submodule_search_locations=[str(HOME)])
            sys.modules[NAME] = module_from_spec(spec)
            spec.loader.exec_module(sys.modules[NAME])
        yield
    finally:
        loaded.update(taken())
        sys.modules.update(theirs)


def taken() -> dict[str, ModuleType]:
    """Remove `guides` and its modules from sys.modules.  Returns: the removed modules."""
    names = [name for name in sys.modules if name.partition(".")[0] == NAME]
    return {name: sys.modules.pop(name) for name in names}
