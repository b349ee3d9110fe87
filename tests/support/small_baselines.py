"""Baselines small enough to enumerate what they answer."""

from itertools import product

import torch
from tiny import mixing, relational, relations

from gram_pyro.baselines.autoregressive import Autoregressive
from gram_pyro.baselines.masked_diffusion import MaskedDiffusion
from gram_pyro.baselines.train import BaselineTrainer
from gram_pyro.tasks.base import Batch
from gram_pyro.training.learner import TrainSettings

L, V, D = 3, 3, 8
ANSWERS = torch.tensor(list(product(range(V), repeat=L)))  # all V^L
SUBSETS = list(product((False, True), repeat=L))  # of cells that are known
PUZZLES = torch.tensor([[0, 1, 2], [2, 0, 0]])


def autoregressive(num_cells=L, num_symbols=V, **options):
    return Autoregressive(num_cells, num_symbols, None, D, **({"num_layers": 2, "num_heads": 2} | options))


def diffusion(num_cells=L, num_symbols=V, mixer=mixing, **options):
    matrices = relations(2) if num_cells == 4 else None
    return MaskedDiffusion(num_cells, num_symbols, matrices, D, mixer, **({"num_layers": 2} | options))


BASELINES = [autoregressive, diffusion, lambda *sizes: diffusion(*sizes, mixer=relational)]


def trainer_of(baseline, **options):
    settings = dict(updates=60, num_segments=1, batch_size=16, precision="fp32", warmup=2, ema=0.8, weight_decay=0.0)
    return BaselineTrainer(baseline, TrainSettings(**(settings | options)))


def twice(half):
    """Puzzles that show their first half, and answers that repeat it."""
    return torch.cat([half, torch.zeros_like(half)], -1), torch.cat([half, half], -1)


def copies(generator=None, size=16, num_cells=4):
    x, y = twice(torch.randint(1, 3, (size, num_cells // 2), generator=generator))
    return Batch(x, y, y[:, None], torch.ones(size, 1, dtype=torch.bool))


def shown(y, share=0.4):
    """A puzzle that shows some cells of y."""
    return y * (torch.rand(y.shape) < share)
