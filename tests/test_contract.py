"""Every prior and guide keeps the contract, and every mistake is named in a sentence of its own.

pytest tests/test_contract.py --prior my_module:MyPrior    (or --guide) checks a class of your own the same way.
"""

import importlib
import inspect
import pkgutil
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pyro.distributions as dist
import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

import gram_pyro.priors
import guides
from gram_pyro.contract import DIM, ContractError, check_guide, check_prior
from gram_pyro.contract.guides import Discrete
from gram_pyro.guide import Guide
from gram_pyro.priors.base import Prior
from gram_pyro.priors.categorical import Categorical
from gram_pyro.priors.gaussian import Gaussian
from guides.concat import Concat

ROOT = Path(__file__).parents[1]


def members(package, base):
    """The classes derived from `base` that the files of a package define."""
    for file in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        module = importlib.import_module(file.name)
        for _, cls in inspect.getmembers(module, inspect.isclass):
            if issubclass(cls, base) and not inspect.isabstract(cls) and cls.__module__ == module.__name__:
                yield cls


def given(cls, **fill):
    """The arguments that a class cannot do without; a width, or something to wrap."""
    required = {name for name, p in inspect.signature(cls).parameters.items() if p.default is p.empty}
    return {name: value for name, value in fill.items() if name in required}


def pytest_generate_tests(metafunc):
    for kind, package, base in (("prior", gram_pyro.priors, Prior), ("guide", guides, Guide)):
        if f"{kind}_class" in metafunc.fixturenames:
            if own := metafunc.config.getoption(f"--{kind}"):
                module, _, name = own.partition(":")
                found = [getattr(importlib.import_module(module), name)]
            else:
                found = list(members(package, base))
            metafunc.parametrize(f"{kind}_class", found, ids=lambda cls: f"{cls.__module__}:{cls.__name__}")


def test_every_prior_keeps_the_contract(prior_class):
    check_prior(prior_class(**given(prior_class, dim=DIM, inner=Gaussian(DIM))))


def test_every_guide_keeps_the_contract(guide_class):
    make = partial(guide_class, **given(guide_class, dim=DIM, inner=partial(Concat, dim=DIM)))
    check_guide(make, Categorical(DIM) if guide_class.__module__ == "guides.categorical" else None)


def test_the_walk_finds_them_all():
    names = {
        cls.__module__
        for package, base in ((gram_pyro.priors, Prior), (guides, Guide))
        for cls in members(package, base)
    }
    files = {f"gram_pyro.priors.{f.stem}" for f in (ROOT / "gram_pyro" / "priors").glob("*.py")}
    files |= {f"guides.{f.stem}" for f in (ROOT / "guides").glob("*.py")}
    assert names == files - {"gram_pyro.priors.__init__", "gram_pyro.priors.base", "guides.__init__"}


# ---- priors that are wrong in one way each


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
    Numbers: "the law of Numbers is a Tensor; return a distribution of pyro.distributions",
    TorchLaw: "the law of TorchLaw is a Independent; return a distribution of pyro.distributions",
    NoEvent: r"event shape \[\], and \[L, D\] = \[4, 16\] is expected.*write .to_event\(2\)",
    HalfEvent: r"event shape \[16\], and \[L, D\] = \[4, 16\] is expected.*write .to_event\(1\)",
    FlatEvent: r"batch \[3\] and event \[64\] for u \[3, 4, 16\], and \[3\] and \[4, 16\] are expected",
    FirstParticle: r"batch \[3\] and event \[4, 16\] for u \[2, 4, 3, 4, 16\], and \[2, 4, 3\] and",
    OnlyThreeDims: r"OnlyThreeDims fails where u has shape \[2, 4, 3, 4, 16\].*too many values to unpack",
    Positive: "lives on a part of the real line only, and h = u \\+ z needs latents on all of it",
    Whole: r"batch \[3\] and event \[4\] for u \[3, 4, 16\]",
    PerCell: r"PerCell: log_prob of shape \[3, 4\] came at t=0, and \[3\] is expected",
    Exponential: r"(draws|log_prob) at t=0 is not finite where u is up to [34]\d\d\d in size",
    DividesByNorm: r"DividesByNorm fails where u has shape \[3, 4, 16\] and is up to 0 in size",
    Bf16: "u is torch.float32, and under bf16 autocast z is torch.bfloat16.*write .to\\(u.dtype\\)",
    Dropout: "Dropout: two calls with the same u and t gave two laws",
    Counter: "Counter: two calls with the same u and t gave two laws",
    BatchMean: "BatchMean: changing the state u of one puzzle changed the law of another",
    ParticleMean: "ParticleMean: changing the state u of one puzzle changed the law of another",
    Detached: "Detached: no gradient reaches net.weight, net.bias; use it in the law",
    Unused: "Unused: no gradient reaches spare.weight; use it in the law",
    FalseMass: "is_point_mass is True, and two draws were different",
    HiddenMass: "is_point_mass is False, and two draws were equal",
}


def one_sentence(error):
    text = str(error.value)
    return "\n" not in text and ". " not in text.replace("e.g. ", "")


@pytest.mark.parametrize("prior_type", WRONG_PRIORS, ids=lambda cls: cls.__name__)
def test_a_wrong_prior_is_told_what_is_wrong(prior_type):
    with pytest.raises(ContractError, match=WRONG_PRIORS[prior_type]) as error:
        check_prior(prior_type())
    assert one_sentence(error)


def test_what_was_spoilt_was_right_before():
    check_prior(Wrong())
    check_guide(WrongGuide)


# ---- guides that are wrong in one way each


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


class HidesTheSegment(WrongGuide):
    def numbers(self, u, y):
        return super().numbers(u / (1 + self.segment), y)


class IgnoresThePrior(WrongGuide):
    """Skips the check in Guide, as one that overrides get_posterior may."""

    def get_posterior(self, name, prior):
        return self.posterior(self.upstream_value(f"u_{name[2:]}"), self.args_kwargs[0][1], prior, 0)


WRONG_GUIDES = {
    NoGuide: "made a NoGuide of the model, and a gram_pyro.Guide is expected",
    GuideNoEvent: r"the posterior of GuideNoEvent has event shape \[\], and \[L, D\].*write .to_event\(2\)",
    OnePuzzle: r"batch \[1\] and event \[4, 16\] for u \[3, 4, 16\]",
    OneSided: "lives on a part of the real line only",
    GuideBf16: "under bf16 autocast z is torch.bfloat16",
    GuideExponential: "is not finite where u is up to [34]...",
    CountsItsCalls: "two calls with the same u, y and t gave two laws",
    LeaksState: "changing the state u of one puzzle changed the law of another",
    LeaksSolution: "changing the solution y of one puzzle changed the law of another",
    GuideUnused: "no gradient reaches q_table.weight, q_net.weight; use it in the law",
    SharesAName: "the model has attributes of the same name, embed, and Pyro would train one.*write q_embed",
    OwnsTheModel: "parameters of the model are registered as its own",
    HidesTheSegment: "its law is another in another segment.*write depends_on_segment = True in the class",
    IgnoresThePrior: "under a discrete prior its draws are none the prior could make",
}


@pytest.mark.parametrize("guide_type", WRONG_GUIDES, ids=lambda cls: cls.__name__)
def test_a_wrong_guide_is_told_what_is_wrong(guide_type):
    with pytest.raises(ContractError, match=WRONG_GUIDES[guide_type]) as error:
        check_guide(guide_type)
    assert one_sentence(error)


def test_a_guide_that_is_none_under_some_priors_is_told_so():
    make = lambda model: None if isinstance(model.prior, Discrete) else WrongGuide(model)  # noqa: E731
    with pytest.raises(ContractError, match="made a NoneType of the model"):
        check_guide(make)


def test_what_is_checked_is_a_copy_and_leaves_no_trace():
    prior = Wrong()
    before, state = [p.clone() for p in prior.parameters()], torch.get_rng_state()
    check_prior(prior)
    assert all(torch.equal(a, b) and a.dtype == torch.float64 for a, b in zip(before, prior.parameters(), strict=True))
    assert all(p.grad is None for p in prior.parameters()) and torch.equal(state, torch.get_rng_state())


def test_a_prior_of_another_width():
    check_prior(Gaussian(6), dim=6)
    with pytest.raises(ContractError, match="Gaussian fails where u has shape .*16"):
        check_prior(Gaussian(6))


# ---- a class of one's own, from the command line

HEAVY_TAIL = """
import torch, pyro.distributions as dist
from torch.nn.functional import softplus
from gram_pyro.priors.base import Prior

class HeavyTail(Prior):
    def __init__(self, dim, df=4.0):
        super().__init__()
        self.df, self.net = df, torch.nn.Linear(dim, 2 * dim)

    def forward(self, u, t):
        loc, raw = self.net(u).to(u.dtype).chunk(2, -1)
        return dist.StudentT(self.df, loc, softplus(raw) + 1e-3).to_event(2)
"""


def test_a_prior_of_ones_own_is_found_by_the_option(tmp_path, monkeypatch, request):
    assert request.config.getoption("--prior", default="absent") != "absent"
    (tmp_path / "my_prior.py").write_text(HEAVY_TAIL)
    monkeypatch.syspath_prepend(tmp_path)
    found = []
    options = {"--prior": "my_prior:HeavyTail", "--guide": None}
    config = SimpleNamespace(getoption=options.get)
    collect = SimpleNamespace(
        fixturenames=["prior_class"], config=config, parametrize=lambda _, c, ids: found.extend(c)
    )
    pytest_generate_tests(collect)
    [own] = found
    assert own.__module__ == "my_prior"
    test_every_prior_keeps_the_contract(own)
