"""Every test starts from one known global state, and fails if it leaves another behind."""

import os

os.environ.setdefault("MPLBACKEND", "Agg")

import pyro
import pytest
import torch
from pyro.poutine.runtime import _PYRO_STACK

torch.set_num_threads(1)


def pytest_addoption(parser) -> None:
    """Check a class of your own: pytest tests/contract --prior my_module:MyPrior, or --guide, --core, --task"""
    for kind in ("prior", "guide", "core", "task"):
        parser.addoption(f"--{kind}", metavar="MODULE:CLASS", help=f"check this {kind} in place of the package's own")


def global_state() -> dict:
    """What a test may not change."""
    return {
        "default dtype": torch.get_default_dtype(),
        "gradients enabled": torch.is_grad_enabled(),
        "pyro handlers": len(_PYRO_STACK),
        **{f"pyro setting {name}": value for name, value in pyro.settings.get().items()},
    }


@pytest.fixture(autouse=True)
def known_state():
    dtype, settings = torch.get_default_dtype(), pyro.settings.get()
    torch.set_default_dtype(torch.float64)
    pyro.enable_validation(True)
    pyro.clear_param_store()
    pyro.set_rng_seed(0)
    before = global_state()
    yield
    after = global_state()
    pyro.clear_param_store()
    _PYRO_STACK.clear()
    torch.set_grad_enabled(True)
    torch.set_default_dtype(dtype)
    pyro.settings.set(**settings)
    changed = [f"{name}: {before[name]} became {after[name]}" for name in before if before[name] != after[name]]
    if changed:
        pytest.fail("the test changed global state: " + "; ".join(changed))


@pytest.fixture
def local_params():
    """The parameters of a module belong to it, as in training (outside, Pyro's global store owns them)."""
    with pyro.settings.context(module_local_params=True):
        yield


@pytest.fixture
def single_precision():
    """New tensors are float32, as in training."""
    torch.set_default_dtype(torch.float32)
    yield
    torch.set_default_dtype(torch.float64)
