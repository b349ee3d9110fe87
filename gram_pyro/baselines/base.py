"""A baseline in place of GRAM: a conditional generative model of answers, p(y | x), without recursion."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from gram_pyro.inference.chunks import in_chunks
from gram_pyro.inference.finite import check_weights
from gram_pyro.inference.kept import kept
from gram_pyro.inference.sampler import DEFAULT_CHUNK, check_puzzles
from gram_pyro.inference.trajectories import Trajectories


class Baseline(nn.Module, ABC):
    """To add one: subclass, and run it with ``baseline=own baseline._target_=my_module.MyBaseline``. A cell that x
    shows keeps its symbol in every answer, see `gram_pyro.networks.readout.clamp`.

    Attributes: num_symbols V; num_cells L.
    Raises: ValueError if the task has boards of several sizes.
    """

    def __init__(self, num_cells: int, num_symbols: int) -> None:
        super().__init__()
        if not isinstance(num_symbols, int):
            raise ValueError(
                f"got {num_symbols}, V by the number of cells; expected one V, because a baseline answers boards of "
                "one size; write a task of one size"
            )
        self.num_cells, self.num_symbols = num_cells, num_symbols

    @abstractmethod
    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """A bound on -log p(y | x), a scalar in nats per puzzle.  Shapes: x, y [B, L]."""

    @abstractmethod
    def draw(self, x: Tensor) -> Tensor:
        """One answer per row.  Shapes: [R, L] -> [R, L] int64."""


@torch.no_grad()
def sample_baseline(baseline: Baseline, x: Tensor, num_particles: int, *, chunk: int = DEFAULT_CHUNK) -> Trajectories:
    """K answers per puzzle as Trajectories, so that a baseline is evaluated like everything else. It has no depth, no
    heads and no state: depth is 1, likelihood and change are zero.

    Raises: ValueError as `check_puzzles`; FloatingPointError if a weight is not finite.
    """
    check_puzzles(baseline, x)
    check_weights(baseline)
    rows = x.repeat(num_particles, 1)

    def drawn(index: Tensor) -> Trajectories:
        return weightless(baseline.draw(rows[index])[None])

    parts = [kept(drawn, index, rows) for index in in_chunks(torch.arange(len(rows), device=x.device), chunk)]
    return weightless(torch.cat([part.answers[0] for part in parts]).view(num_particles, *x.shape))


def weightless(answers: Tensor) -> Trajectories:
    """Answers [K, B, L] as trajectories of depth 1, of which nothing else is known."""
    zero = torch.zeros(answers.shape[:2], device=answers.device)
    return Trajectories(answers, zero, zero[0], zero, torch.ones_like(zero, dtype=torch.int64), zero)
