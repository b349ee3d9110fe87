"""A GRAM whose evidence and posterior have a closed form: everything linear, everything Gaussian, cells independent.

    u_t = A h_{t-1} + B e,   z_t ~ N(C u_t, s^2 I),   h_t = u_t + z_t,   y ~ N(w . h_T, r^2)          per cell

With F = (I + C) A and G = (I + C) B the state is h_t = F h_{t-1} + G e + s eps_t, so k transitions after h_t

    y | h_t ~ N(w . F^k h_t + sum_{j<k} w . F^j G e,   r^2 + s^2 sum_{j<k} |w F^j|^2)      evidence: t = 0, k = T

and conditioning z_t ~ N(C u_t, s^2 I) on that scalar observation gives the exact q(z_t | z_<t, y).
"""

import pyro.distributions as dist
import torch
from torch import nn

from gram_pyro.guide import Guide
from gram_pyro.model import GRAM
from gram_pyro.networks.core import Core, State
from gram_pyro.networks.embed import TokenEmbedding
from gram_pyro.networks.readout import Readout
from gram_pyro.priors.base import Prior


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

    def forward(self, state, x=None):
        return dist.Normal(state.h @ self.w, self.scale).to_event(1)

    def answer(self, state, x=None):
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


def law_from_start(model, x, num_segments=1):
    """Mean [B, L] and variance (a scalar) of y given x, at the end of `num_segments` segments."""
    e = model.embed(x)
    return law_of_y(model, e, model.core.init(e).h, num_segments * model.num_transitions)[:2]


def log_evidence(model, x, y, num_segments=1):
    """log p(y | x), [B], nats."""
    mean, variance = law_from_start(model, x, num_segments)
    return dist.Normal(mean, variance.sqrt()).log_prob(y).sum(-1).detach()


def posterior_of_answer(model, x, y, num_segments=1):
    """Mean [B, L] and variance (a scalar) of w . h_N given x and y: y is that number seen with noise r."""
    mean, variance = law_from_start(model, x, num_segments)
    signal = variance - model.readout.scale**2
    return (mean + signal / variance * (y - mean)).detach(), (signal * model.readout.scale**2 / variance).detach()


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


class Affine(Guide):
    """N(W_t u_t + b_t + g_t y, S_t S_t') with parameters of its own, which start as the exact posterior of the puzzle
    x [1, L]: c_t is the mean of y where u_t = 0, and gain and covariance are those of `Exact`."""

    @torch.no_grad()
    def __init__(self, model, x):
        super().__init__(model)
        e, c, variance = model.embed(x), model.prior.c, model.prior.scale**2
        eye = torch.eye(len(c))
        weight, bias, gains, tril = [], [], [], []
        for t in range(model.num_transitions):
            mean, noise, row = law_of_y(model, e, torch.zeros_like(e), model.num_transitions - 1 - t)
            gain = variance * row / (variance * row @ row + noise)
            weight.append(c - torch.outer(gain, row @ (eye + c)))
            bias.append(-mean[0, :, None] * gain)
            gains.append(gain)
            tril.append(torch.linalg.cholesky(variance * (eye - torch.outer(gain, row))))
        self.q_weight, self.q_bias, self.q_gain, self.q_tril = (
            nn.Parameter(torch.stack(part)) for part in (weight, bias, gains, tril)
        )

    def posterior(self, u, y, prior, t):
        loc = u @ self.q_weight[t].T + self.q_bias[t] + y[..., None] * self.q_gain[t]
        return dist.MultivariateNormal(loc, scale_tril=self.q_tril[t].tril()).to_event(1)


class Scaled(Guide):
    """`Exact` with `factor` times its covariance."""

    def __init__(self, model, factor):
        super().__init__(model)
        self.factor = factor

    def posterior(self, u, y, prior, t):
        law = Exact.posterior(self, u, y, prior, t).base_dist
        return dist.MultivariateNormal(law.loc, self.factor * law.covariance_matrix).to_event(1)
