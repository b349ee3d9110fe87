"""Experiments as modules: their parts, without a process for each."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[1]


def experiment(name: str) -> ModuleType:
    """experiments/NAME.py, imported."""
    spec = spec_from_file_location(name, ROOT / "experiments" / f"{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
