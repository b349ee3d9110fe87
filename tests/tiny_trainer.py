"""A trainer of the smallest program, and batches of which a term of the loss left out would show."""

import torch
from tiny import D, L, V, program, relational

from gram_pyro.heads import Heads
from gram_pyro.objectives import Balanced_ELBO
from gram_pyro.readout import CategoricalReadout
from gram_pyro.tasks.base import Batch
from gram_pyro.train import Trainer, TrainSettings


def ragged(size):
    x, y = torch.arange(size)[:, None].expand(size, L) % V, torch.randint(V, (size, L))
    return Batch(x, y, torch.stack([y, (y + 1) % V], 1), torch.ones(size, 2, dtype=torch.bool))


def trainer_of(free_share=0.25, mixer=relational, objective=None, size=8, **options):
    model, guide = program(mixer, num_transitions=2, readout=CategoricalReadout, shaken=False)
    settings = dict(
        updates=100,
        num_segments=2,
        batch_size=size,
        free_share=free_share,
        weight_decay=0.0,
        precision="fp32",
        warmup=1,
    )
    return Trainer(model, guide, Heads(D, 6), objective or Balanced_ELBO(), TrainSettings(**(settings | options)))
