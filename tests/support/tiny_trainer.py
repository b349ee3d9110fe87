"""A trainer of the smallest program, and batches of which a term of the loss left out would show."""

import torch
from tiny import D, L, V, program, relational

from gram_pyro.networks.heads import Heads
from gram_pyro.networks.readout import CategoricalReadout
from gram_pyro.tasks.base import Batch
from gram_pyro.training.objectives import Balanced_ELBO
from gram_pyro.training.relay import Relay
from gram_pyro.training.trainer import Trainer, TrainSettings


def ragged(size):
    """Two solutions that share their first half, and rows that differ in the clue in their first cell."""
    y = torch.randint(V, (size, L))
    y[:, 0] = torch.arange(size) % V
    other = torch.cat([y[:, : L // 2], (y[:, L // 2 :] + 1) % V], 1)
    x = y * (torch.arange(L) == 0)
    return Batch(x, y, torch.stack([y, other], 1), torch.ones(size, 2, dtype=torch.bool))


def trainer_of(rollout_share=0.25, mixer=relational, objective=None, size=8, rollout_loss=None, **options):
    model, guide = program(mixer, num_transitions=2, readout=CategoricalReadout, shaken=False)
    settings = dict(
        updates=100,
        num_segments=2,
        batch_size=size,
        rollout_share=rollout_share,
        weight_decay=0.0,
        precision="fp32",
        warmup=1,
    )
    settings = TrainSettings(**(settings | options))
    kind = Relay if settings.relay else Trainer
    return kind(model, guide, Heads(D, 6), objective or Balanced_ELBO(), settings, rollout_loss)
