"""A problem whose trajectories halt by what is known of their state, and every sampler."""

from functools import partial

import torch
from oracle import linear_gram
from torch import nn

from gram_pyro.inference.noise import hot_start
from gram_pyro.inference.sampler import sample
from gram_pyro.inference.smc import sir, smc
from gram_pyro.networks.heads import HeadLogits

SAMPLERS = {
    "ancestral": sample,
    "hot": partial(hot_start, temperature=2.0, num_hot=2),
    "hot for ever": partial(hot_start, temperature=2.0, num_hot=10**9),
    "smc": partial(smc, potential=lambda x, state, answers: state.h[:, 0, 0], threshold=1.0),
    "sir": partial(sir, potential=lambda x, state, answers: state.h[:, 0, 0]),
}


def problem():
    with torch.random.fork_rng():  # the problem is one, whatever the seed of the draws
        torch.manual_seed(0)
        return linear_gram(num_transitions=2, readout_scale=0.5), torch.arange(3)[:, None]


class Above(nn.Module):
    """A verdict that can be read off the state: the logit of halting is the first coordinate of h, minus `bar`."""

    def __init__(self, bar):
        super().__init__()
        self.bar = bar

    def forward(self, state):
        return HeadLogits(state.h[..., 0, 0] - self.bar, -state.h[..., 0, 0])
