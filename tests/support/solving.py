"""experiments/solve.py in this process: what is asked of it, and where its runs lie."""

from contextlib import contextmanager

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import setup_globals
from omegaconf import OmegaConf
from scripts import CONF

from gram_pyro.harness.command import quoted
from gram_pyro.harness.load import released

TWENTY_ONE = "5..3.6..3..........1........14..2..."


@contextmanager
def configured(*overrides):
    """What Hydra makes of a command line, in this process; single precision, as scripts have it."""
    with initialize_config_dir(str(CONF), version_base=None):
        written = [quoted(override, ("puzzle", "queens", "weights", "save", "run_dir")) for override in overrides]
        config = compose("solve", overrides=written, return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    torch.set_default_dtype(torch.float32)
    try:
        yield config
    finally:
        torch.set_default_dtype(torch.float64)
        HydraConfig.instance().cfg = None


def needs(name):
    """Skips a test where the package has no weights of this name."""
    return pytest.mark.skipif(name not in released(), reason=f"no weights {name} are shipped")


def stamped(folder):
    setup_globals()  # Hydra's resolvers
    return OmegaConf.create({"run_dir": f"{folder}/${{now:%Y-%m-%d}}"})  # of one day, as of one second
