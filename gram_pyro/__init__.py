"""Generative recursive reasoning (GRAM, arXiv:2605.19376) as a Pyro program.

Shapes everywhere: K particles, B puzzles, T transitions, L cells, D width, V symbols. Tensor functions act on the
trailing [L, D] and accept any leading dims. Sites: u_0.., z_0.., h, l, y; plate: puzzles (dim -1).
"""

from importlib.metadata import PackageNotFoundError, version

from gram_pyro.guide import Guide
from gram_pyro.harness.load import load, load_model, load_program
from gram_pyro.inference.sampler import sample
from gram_pyro.inference.trajectories import Trajectories
from gram_pyro.model import GRAM

__all__ = ["GRAM", "Guide", "Trajectories", "load", "load_model", "load_program", "sample"]

try:
    __version__ = version("gram_pyro")
except PackageNotFoundError:  # a source tree on the path, not installed
    __version__ = "0+unknown"
