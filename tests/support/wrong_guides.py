"""Guides that are wrong in one way each, and what they are told."""

import pyro.distributions as dist
from torch import nn
from torch.nn.functional import softplus

from gram_pyro.contract import DIM
from gram_pyro.guide import Guide


class WrongGuide(Guide):
    """A guide that keeps the contract, to be spoilt in one place."""

    def __init__(self, model):
        super().__init__(model)
        self.q_table = nn.Embedding(model.embed.num_symbols, DIM)
        self.q_net = nn.Linear(DIM, 2 * DIM)

    def numbers(self, u, y):
        loc, raw = self.q_net(u + self.q_table(y)).to(u.dtype).chunk(2, -1)
        return loc, softplus(raw) + 1e-3

    def posterior(self, u, y, prior, t):
        return dist.Normal(*self.numbers(u, y)).to_event(2)


class NoGuide(nn.Module):
    def __init__(self, model):
        super().__init__()


class GuideNoEvent(WrongGuide):
    def posterior(self, u, y, prior, t):
        return dist.Normal(*self.numbers(u, y))


class OnePuzzle(WrongGuide):
    """Pyro would expand this law over the puzzles without a word."""

    def posterior(self, u, y, prior, t):
        law = super().posterior(u, y, prior, t).base_dist
        return dist.Normal(law.loc[..., :1, :, :], law.scale[..., :1, :, :]).to_event(2)


class OneSided(WrongGuide):
    def posterior(self, u, y, prior, t):
        return dist.LogNormal(*self.numbers(u, y)).to_event(2)


class GuideBf16(WrongGuide):
    def numbers(self, u, y):
        loc, raw = self.q_net(u + self.q_table(y)).chunk(2, -1)
        return loc, softplus(raw) + 1e-3


class GuideExponential(WrongGuide):
    def numbers(self, u, y):
        loc, scale = super().numbers(u, y)
        return loc, (u / 2).exp() * scale


class CountsItsCalls(WrongGuide):
    calls = 0

    def numbers(self, u, y):
        self.calls += 1
        return super().numbers(u / self.calls, y)


class LeaksState(WrongGuide):
    def numbers(self, u, y):
        return super().numbers(u.roll(1, -3), y)


class LeaksSolution(WrongGuide):
    def numbers(self, u, y):
        return super().numbers(u, y.roll(1, 0))


class GuideUnused(WrongGuide):
    def posterior(self, u, y, prior, t):
        return dist.Normal(
            self.numbers(u, y)[0] + prior.mean, 1.0 + 0 * prior.mean + self.q_net.bias[0].square()
        ).to_event(2)

    def numbers(self, u, y):
        return super().numbers(u, 0 * y)[0].detach(), None


class SharesAName(WrongGuide):
    def __init__(self, model):
        super().__init__(model)
        self.embed = nn.Linear(DIM, DIM)


class OwnsTheModel(WrongGuide):
    def __init__(self, model):
        super().__init__(model)
        self.q_readout = model.readout


class IgnoresThePrior(WrongGuide):
    """Skips the check in Guide, as one that overrides get_posterior may."""

    def get_posterior(self, name, prior):
        return self.posterior_in(0, self.upstream_value(f"u_{name[2:]}"), self.args_kwargs[0][1], prior, 0)


class BeginsWithOne(WrongGuide):
    def start(self, x, y):
        return self.model.start(x[:1])


class Rounded(dist.Normal):
    has_rsample = False


class NoPath(WrongGuide):
    def posterior(self, u, y, prior, t):
        return Rounded(*self.numbers(u, y)).to_event(2)


WRONG_GUIDES = {
    NoGuide: "got a NoGuide from .*; expected a gram_pyro.Guide",
    GuideNoEvent: r"the posterior of GuideNoEvent: got event shape \[\]; expected \[L, D\].*write .to_event\(2\)",
    OnePuzzle: r"batch \[1\] and event \[4, 16\] for u \[3, 4, 16\]",
    OneSided: "whose support is a part of the real line",
    GuideBf16: "got z of torch.bfloat16 .* under bf16 autocast",
    GuideExponential: "is not finite where .u. is up to [34]...",
    CountsItsCalls: "two calls with the same u, y and t gave two laws",
    LeaksState: "changing the state u of one puzzle changed the law of another",
    LeaksSolution: "changing the solution y of one puzzle changed the law of another",
    GuideUnused: "no gradient reaches q_table.weight, q_net.weight; use it in the law",
    SharesAName: "got attributes embed, which the model has too, so that Pyro would train one.*write q_embed",
    OwnsTheModel: "got parameters of the model among its own",
    NoPath: "which has no rsample, under a prior whose draws are reparameterised.*expected a law with rsample",
    BeginsWithOne: r"got start.x, y. of shapes .*expected \[\[3, 4, 16\], .*begin with self.model.start",
    IgnoresThePrior: "got draws outside the support of a discrete prior",
}
