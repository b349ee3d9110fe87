"""A GRAM whose evidence and posterior have a closed form: everything linear, everything Gaussian, cells independent.

    u_t = A h_{t-1} + B e,   z_t ~ N(C u_t, s^2 I),   h_t = u_t + z_t,   y ~ N(w . h_T, r^2)          per cell

With F = (I + C) A and G = (I + C) B the state is h_t = F h_{t-1} + G e + s eps_t, so k transitions after h_t

    y | h_t ~ N(w . F^k h_t + sum_{j<k} w . F^j G e,   r^2 + s^2 sum_{j<k} |w F^j|^2)      evidence: t = 0, k = T

and conditioning z_t ~ N(C u_t, s^2 I) on that scalar observation gives the exact q(z_t | z_<t, y).
"""

import pyro.distributions as dist
import torch
from torch import nn

from gram_pyro.core import Core, State
from gram_pyro.embed import TokenEmbedding
from gram_pyro.guide import Guide
from gram_pyro.model import GRAM
from gram_pyro.priors.base import Prior
from gram_pyro.readout import Readout


class LinearCore(Core):
    def __init__(self, dim):
        super().__init__()
        self.a = nn.Parameter(0.5 * torch.randn(dim, dim))
        self.b = nn.Parameter(0.5 * torch.randn(dim, dim))
        self.register_buffer("h0", torch.randn(dim))

    def init(self, e):
        return State(self.h0.expand_as(e), torch.zeros_like(e))

    def predict(self, e, state):
        return State(state.h @ self.a.T + e @ self.b.T, state.l)


class LinearPrior(Prior):
    def __init__(self, dim, scale):
        super().__init__()
        self.c = nn.Parameter(0.3 * torch.randn(dim, dim))
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, u, t):
        tril = self.scale * torch.eye(u.shape[-1])
        return dist.MultivariateNormal(u @ self.c.T, scale_tril=tril).to_event(1)


class LinearReadout(Readout):
    def __init__(self, dim, scale):
        super().__init__()
        self.w = nn.Parameter(torch.randn(dim))
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, state):
        return dist.Normal(state.h @ self.w, self.scale).to_event(1)

    def answer(self, state):
        return state.h @ self.w


def linear_gram(dim=2, num_symbols=3, num_transitions=3, num_grad_steps=1, prior_scale=0.7, readout_scale=0.4):
    return GRAM(
        TokenEmbedding(num_symbols, dim),
        LinearCore(dim),
        LinearPrior(dim, prior_scale),
        LinearReadout(dim, readout_scale),
        num_transitions,
        num_grad_steps,
    )


@torch.no_grad()
def law_of_y(model, e, h, num_transitions):
    """Mean [..., L], variance (a scalar) and sensitivity to h [D] of y, `num_transitions` transitions after h."""
    core, prior, readout = model.core, model.prior, model.readout
    feedback = torch.eye(len(core.a)) + prior.c
    f, g = feedback @ core.a, feedback @ core.b
    row, mean, variance = readout.w, torch.zeros(e.shape[:-1]), readout.scale**2
    for _ in range(num_transitions):
        mean = mean + e @ (row @ g)
        variance = variance + prior.scale**2 * row @ row
        row = row @ f
    return mean + h @ row, variance, row


def log_evidence(model, x, y):
    """log p(y | x), [B], nats."""
    e = model.embed(x)
    mean, variance, _ = law_of_y(model, e, model.core.init(e).h, model.num_transitions)
    return dist.Normal(mean, variance.sqrt()).log_prob(y).sum(-1).detach()


class Exact(Guide):
    """q(z_t | z_<t, y) = p(z_t | z_<t, x, y)."""

    def posterior(self, u, y, prior, t):
        model = self.model
        e = model.embed(self.args_kwargs[0][0])
        loc, variance = u @ model.prior.c.T, model.prior.scale**2
        mean, noise, row = law_of_y(model, e, u + loc, model.num_transitions - 1 - t)
        gain = variance * row / (variance * row @ row + noise)
        covariance = variance * (torch.eye(len(row)) - torch.outer(gain, row))
        return dist.MultivariateNormal(loc + (y - mean)[..., None] * gain, covariance).to_event(1)


def linear_problem(size=5, cells=2, **kwargs):
    model = linear_gram(**kwargs)
    return model, torch.randint(3, (size, cells)), torch.randn(size, cells)
