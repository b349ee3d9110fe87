"""Experiments without a process for each: their parts as modules, or a whole command line in this process."""

import io
import logging
import os
import runpy
import sys
from collections.abc import Callable
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from importlib.util import module_from_spec, spec_from_file_location
from inspect import unwrap
from pathlib import Path
from subprocess import CompletedProcess
from types import ModuleType
from unittest.mock import patch

import pyro
import torch
from hydra.core.hydra_config import HydraConfig

ROOT = Path(__file__).parents[2]
CONF = ROOT / "experiments" / "conf"


def experiment(name: str) -> ModuleType:
    """experiments/NAME.py, imported."""
    spec = spec_from_file_location(name, ROOT / "experiments" / f"{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def work(name: str) -> Callable:
    """What experiments/NAME.py does, without its command line: a function of a configuration or a study."""
    return unwrap(experiment(name).main)


def script(name: str, *overrides: str, check: bool = True) -> CompletedProcess:
    """`python experiments/NAME.py OVERRIDES` from the root, in this process: to start one takes seconds.

    Raises: AssertionError with its error output if `check` and it does not exit with 0.
    """
    output, errors, code = io.StringIO(), io.StringIO(), 0
    with ExitStack() as around:
        for context in (as_a_new_process(), redirect_stdout(output), redirect_stderr(errors)):
            around.enter_context(context)
        around.enter_context(patch.object(sys, "argv", [name, *overrides]))
        try:
            runpy.run_path(str(ROOT / "experiments" / f"{name}.py"), run_name="__main__")
        except SystemExit as stopped:  # as the interpreter ends: a number is the code, anything else is printed
            code = stopped.code if isinstance(stopped.code, int) else int(stopped.code is not None)
            if not isinstance(stopped.code, int | None):
                errors.write(f"{stopped.code}\n")
    assert not check or code == 0, errors.getvalue()
    return CompletedProcess([name, *overrides], code, output.getvalue(), errors.getvalue())


@contextmanager
def as_a_new_process():
    """The global state that a process starts with, and what was there before afterwards."""
    root, folder = logging.getLogger(), Path.cwd()
    dtype, settings, handlers, level = torch.get_default_dtype(), pyro.settings.get(), root.handlers[:], root.level
    os.chdir(ROOT)
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        os.chdir(folder)
        torch.set_default_dtype(dtype)
        pyro.settings.set(**settings)
        root.handlers[:], root.level = handlers, level
        HydraConfig.instance().cfg = None
