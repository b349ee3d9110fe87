"""Every prior and guide keeps the contract.

pytest tests/test_contract.py --prior my_module:MyPrior    (or --guide) checks a class of your own the same way.
"""

import importlib
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from members import given, members
from scripts import ROOT
from wrong_priors import Wrong

import gram_pyro.priors
import guides
from gram_pyro.contract import DIM, ContractError, check_guide, check_prior
from gram_pyro.guide import Guide
from gram_pyro.priors.base import Prior
from gram_pyro.priors.categorical import Categorical
from gram_pyro.priors.gaussian import Gaussian
from guides.concat import Concat


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
