"""Cores that are wrong in one way each, and what they are told."""

import torch
from torch import nn

from gram_pyro.networks.core import Core, State
from gram_pyro.networks.layers import normalise


class WrongCore(Core):
    """A core that keeps the contract, to be spoilt in one place."""

    def __init__(self, dim, num_cells, relations):
        super().__init__()
        self.net = nn.Linear(dim, dim)
        self.register_buffer("h0", torch.randn(dim))

    def init(self, e):
        return State(self.h0.expand_as(e), torch.zeros_like(e))

    def step(self, h):
        return normalise(h + self.net(h).to(h.dtype))

    def predict(self, e, state):
        return State(self.step(state.h + e), state.l)


class NoCore(nn.Module):
    def __init__(self, dim, num_cells, relations):
        super().__init__()


class Pair(WrongCore):
    def predict(self, e, state):
        return tuple(super().predict(e, state))


class OneCell(WrongCore):
    def step(self, h):
        return super().step(h)[..., :1, :]


class Explodes(WrongCore):
    def step(self, h):
        return h.exp() * super().step(h)


class HalfPrecision(WrongCore):
    def step(self, h):
        return self.net(h)


class ThreeDims(WrongCore):
    def predict(self, e, state):
        rows, cells, dim = e.shape
        return super().predict(e, state)


class DropsOut(WrongCore):
    def step(self, h):
        return nn.functional.dropout(super().step(h), 0.5)


class Counts(WrongCore):
    calls = 0

    def step(self, h):
        self.calls += 1
        return super().step(h) / self.calls


class InPlace(WrongCore):
    def perturb(self, state, z):
        return State(state.h.add_(z), state.l)


class Remembers(WrongCore):
    def init(self, e):
        self.h0 += 1
        return super().init(e)


class Silent(WrongCore):
    def perturb(self, state, z):
        return state


class Averages(WrongCore):
    def step(self, h):
        return super().step(h - h.mean(0))


class DrawsItsStart(WrongCore):
    def init(self, e):
        return State(torch.randn_like(e), torch.zeros_like(e))


class SaysItDraws(WrongCore):
    starts_at_random = True


class Unused(WrongCore):
    def __init__(self, dim, num_cells, relations):
        super().__init__(dim, num_cells, relations)
        self.other = nn.Linear(dim, dim)


class NoSuchMethod(WrongCore):
    compiles = ("forwards",)


class Breaks(WrongCore):
    compiles = ("step",)

    def step(self, h):
        return super().step(h) if h.isfinite().all() else h


WRONG_CORES = {
    NoCore: "got a NoCore from .*; expected a gram_pyro.Core",
    Pair: r"from predict\(e, state\); expected a State of h and l \[2, 4, 3, 4, 16\]",
    OneCell: r"expected a State of h and l \[2, 4, 3, 4, 16\]",
    Explodes: r"predict\(e, state\) is not finite where .e. and .h. are up to",
    HalfPrecision: "got torch.bfloat16, torch.float32 from predict",
    ThreeDims: r"predict\(e, state\) fails where e has shape \[2, 4, 3, 4, 16\]",
    DropsOut: "expected a function: no dropout, counter or draw",
    Counts: "expected a function: no dropout, counter or draw",
    InPlace: r"perturb\(state, z\) writes into its arguments",
    Remembers: r"init\(e\) writes into a buffer or parameter",
    Silent: "got one state from perturb for two latents",
    Averages: "predict.* of one puzzle changes if others are in the batch",
    DrawsItsStart: "two calls of init gave two states; write starts_at_random = True",
    SaysItDraws: "two calls of init gave one state; write starts_at_random = False",
    Unused: "no gradient reaches other.weight, other.bias",
    NoSuchMethod: "got 'forwards' in compiles of .*, which has no such method",
    Breaks: "a method named in compiles is not a pure function of tensors",
}
