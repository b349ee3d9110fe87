"""Every prior, guide and task of the package, and the arguments that each needs."""

import importlib
import inspect
import pkgutil


def members(package, base):
    """The classes derived from `base` that the files of a package define."""
    for file in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        module = importlib.import_module(file.name)
        for _, cls in inspect.getmembers(module, inspect.isclass):
            if issubclass(cls, base) and not inspect.isabstract(cls) and cls.__module__ == module.__name__:
                yield cls


def given(cls, **fill):
    """The arguments that a class cannot do without; a width, or something to wrap."""
    required = {name for name, p in inspect.signature(cls).parameters.items() if p.default is p.empty}
    return {name: value for name, value in fill.items() if name in required}
