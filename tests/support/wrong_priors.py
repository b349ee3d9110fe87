"""Priors that are wrong in one way each, and what they are told."""

import pyro.distributions as dist
import torch
from torch import nn
from torch.nn.functional import softplus

from gram_pyro.contract import DIM
from gram_pyro.priors.base import Prior


class Wrong(Prior):
    """A prior that keeps the contract, to be spoilt in one place."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(DIM, 2 * DIM)

    def numbers(self, u):
        loc, raw = self.net(u).to(u.dtype).chunk(2, -1)
        return loc, softplus(raw) + 1e-3

    def forward(self, u, t):
        return dist.Normal(*self.numbers(u)).to_event(2)


class Numbers(Wrong):
    def forward(self, u, t):
        return self.numbers(u)[0]


class TorchLaw(Wrong):
    def forward(self, u, t):
        return torch.distributions.Independent(torch.distributions.Normal(*self.numbers(u)), 2)


class NoEvent(Wrong):
    def forward(self, u, t):
        return dist.Normal(*self.numbers(u))


class HalfEvent(Wrong):
    def forward(self, u, t):
        return dist.Normal(*self.numbers(u)).to_event(1)


class FlatEvent(Wrong):
    def forward(self, u, t):
        loc, scale = self.numbers(u)
        return dist.Normal(loc.flatten(-2), scale.flatten(-2)).to_event(1)


class FirstParticle(Wrong):
    def forward(self, u, t):
        return super().forward(u if u.ndim == 3 else u[0, 0], t)


class OnlyThreeDims(Wrong):
    def forward(self, u, t):
        size, cells, dim = u.shape
        return super().forward(u.view(size, cells, dim), t)


class Positive(Wrong):
    def forward(self, u, t):
        return dist.LogNormal(*self.numbers(u)).to_event(2)


class Whole(Wrong):
    def forward(self, u, t):
        return dist.Categorical(logits=u).to_event(1)


class PerCell(Wrong):
    def forward(self, u, t):
        law = super().forward(u, t)
        law.log_prob = lambda z: law.base_dist.log_prob(z).sum(-1)
        return law


class Exponential(Wrong):
    def numbers(self, u):
        loc, _ = super().numbers(u)
        return loc, self.net(u).to(u.dtype).chunk(2, -1)[1].exp()


class DividesByNorm(Wrong):
    def numbers(self, u):
        return super().numbers(u / u.norm(dim=-1, keepdim=True))


class Bf16(Wrong):
    def numbers(self, u):
        loc, raw = self.net(u).chunk(2, -1)
        return loc, softplus(raw) + 1e-3


class Dropout(Wrong):
    def numbers(self, u):
        return super().numbers(nn.functional.dropout(u, 0.1))


class Counter(Wrong):
    calls = 0

    def numbers(self, u):
        self.calls += 1
        return super().numbers(u + 0.01 * self.calls)


class BatchMean(Wrong):
    def numbers(self, u):
        return super().numbers(u - u.mean(-3, keepdim=True))


class ParticleMean(Wrong):
    def numbers(self, u):
        return super().numbers(u - u.mean(0) if u.ndim == 5 else u)


class Detached(Wrong):
    def numbers(self, u):
        loc, scale = super().numbers(u)
        return loc.detach(), scale.detach()


class Unused(Wrong):
    def __init__(self):
        super().__init__()
        self.spare = nn.Linear(2, 2, bias=False)


class FalseMass(Wrong):
    is_point_mass = True


class HiddenMass(Prior):
    def forward(self, u, t):
        return dist.Delta(torch.zeros_like(u)).to_event(2)


WRONG_PRIORS = {
    Numbers: "the law of Numbers: got a Tensor; expected a distribution of pyro.distributions",
    TorchLaw: "the law of TorchLaw: got a Independent; expected a distribution of pyro.distributions",
    NoEvent: r"got event shape \[\]; expected \[L, D\] = \[4, 16\].*write .to_event\(2\)",
    HalfEvent: r"got event shape \[16\]; expected \[L, D\] = \[4, 16\].*write .to_event\(1\)",
    FlatEvent: r"batch \[3\] and event \[64\] for u \[3, 4, 16\]; expected \[3\] and \[4, 16\]",
    FirstParticle: r"batch \[3\] and event \[4, 16\] for u \[2, 4, 3, 4, 16\]; expected \[2, 4, 3\] and",
    OnlyThreeDims: r"OnlyThreeDims fails where u has shape \[2, 4, 3, 4, 16\].*too many values to unpack",
    Positive: "whose support is a part of the real line; expected all of it",
    Whole: r"batch \[3\] and event \[4\] for u \[3, 4, 16\]",
    PerCell: r"PerCell: got log_prob of shape \[3, 4\] at t=0; expected \[3\]",
    Exponential: r"(draws|log_prob) at t=0 is not finite where .u. is up to [34]\d\d\d;",
    DividesByNorm: r"DividesByNorm fails where u has shape \[3, 4, 16\] and .u. is up to 0;",
    Bf16: "got z of torch.bfloat16 .* under bf16 autocast; expected the torch.float32 of u; write .to\\(u.dtype\\)",
    Dropout: "Dropout: two calls with the same u and t gave two laws",
    Counter: "Counter: two calls with the same u and t gave two laws",
    BatchMean: "BatchMean: changing the state u of one puzzle changed the law of another",
    ParticleMean: "ParticleMean: changing the state u of one puzzle changed the law of another",
    Detached: "Detached: no gradient reaches net.weight, net.bias; use it in the law",
    Unused: "Unused: no gradient reaches spare.weight; use it in the law",
    FalseMass: "got is_point_mass=True and two different draws",
    HiddenMass: "got is_point_mass=False and two equal draws",
}
