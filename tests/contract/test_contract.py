"""Every prior, guide, core and task keeps the contract.

pytest tests/contract/test_contract.py --prior my_module:MyPrior    (or --guide, --core, --task) checks your own class.
"""

import importlib
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from members import given, members
from scripts import ROOT
from small_tasks import TASKS
from tiny import MIXERS
from wrong_priors import Wrong

import gram_pyro.priors
import gram_pyro.tasks
import guides
from gram_pyro.contract import DIM, ContractError, check_core, check_guide, check_prior, check_task
from gram_pyro.contract.laws import NUM_SYMBOLS
from gram_pyro.guide import Guide
from gram_pyro.networks.candidates import ConstraintMixer
from gram_pyro.networks.canvas import Canvas
from gram_pyro.networks.cell_logits import PixelLogits
from gram_pyro.networks.core import DirectPrediction, Flat, Hierarchical, tiny
from gram_pyro.networks.embed import TokenEmbedding
from gram_pyro.priors.base import Prior
from gram_pyro.priors.categorical import Categorical
from gram_pyro.priors.denoising import Denoising
from gram_pyro.priors.gaussian import Gaussian
from gram_pyro.tasks.base import Task
from gram_pyro.tasks.candidates.written import WrittenPuzzle
from gram_pyro.tasks.sudoku.rules import Geometry
from guides.concat import Concat

KINDS = {
    "prior": list(members(gram_pyro.priors, Prior)),
    "guide": list(members(guides, Guide)),
    "core": [Hierarchical, tiny, Flat, DirectPrediction],
    "task": list(TASKS),
}


def with_canvas(core):
    """A core that says it has the channels of a canvas. A real one would hold what was drawn, and so choose u_t."""
    core.num_channels = NUM_SYMBOLS - 1
    return core


COMPANIONS = {  # of guides that need a prior, or a core, of their own
    "guides.categorical": (Categorical(DIM),),
    "guides.denoising": (Denoising(DIM, 6, NUM_SYMBOLS - 1), with_canvas),
}


def pytest_generate_tests(metafunc):
    for kind, classes in KINDS.items():
        if f"{kind}_class" in metafunc.fixturenames:
            if own := metafunc.config.getoption(f"--{kind}"):
                module, _, name = own.partition(":")
                classes = [getattr(importlib.import_module(module), name)]
            metafunc.parametrize(f"{kind}_class", classes, ids=lambda cls: f"{cls.__module__}:{cls.__name__}")


def test_every_prior_keeps_the_contract(prior_class):
    check_prior(prior_class(**given(prior_class, dim=DIM, inner=Gaussian(DIM))))


def test_a_prior_that_draws_images_keeps_the_contract():
    check_prior(Denoising(DIM, 6, 2, columns=4, patch=2, logits=PixelLogits))


def test_every_guide_keeps_the_contract(guide_class):
    make = partial(guide_class, **given(guide_class, dim=DIM, inner=partial(Concat, dim=DIM)))
    check_guide(make, *COMPANIONS.get(guide_class.__module__, ()))


@pytest.mark.parametrize("mixer", MIXERS)
def test_every_core_keeps_the_contract(core_class, mixer):
    check_core(partial(core_class, mixer=mixer))


def test_a_core_with_a_canvas_keeps_the_contract():
    check_core(partial(Canvas, partial(Hierarchical, mixer=MIXERS[0]), TokenEmbedding, num_symbols=3))


def test_a_core_of_candidates_keeps_the_contract():
    constraints = Geometry(4).constraints
    make = partial(Hierarchical, mixer=ConstraintMixer, num_layers=1)
    check_core(make, (constraints,), constraints.num_candidates)


def test_every_task_keeps_the_contract(task_class, tmp_path):
    for make in TASKS.get(task_class, [lambda folder: task_class()]):
        check_task(make(tmp_path))


def test_the_walk_finds_them_all():
    names = {
        cls.__module__
        for package, base in ((gram_pyro.priors, Prior), (guides, Guide))
        for cls in members(package, base)
    }
    files = {f"gram_pyro.priors.{f.stem}" for f in (ROOT / "gram_pyro" / "priors").glob("*.py")}
    files |= {f"guides.{f.stem}" for f in (ROOT / "guides").glob("*.py")}
    assert names == files - {"gram_pyro.priors.__init__", "gram_pyro.priors.base", "guides.__init__"}
    assert set(members(gram_pyro.tasks, Task)) - {WrittenPuzzle} == set(TASKS)  # one puzzle is not trained on


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


def asked_for(kind, path):
    """What the option --KIND PATH has checked."""
    config = SimpleNamespace(getoption={f"--{kind}": path}.get)
    found = []
    metafunc = SimpleNamespace(
        fixturenames=[f"{kind}_class"], config=config, parametrize=lambda _, c, ids: found.extend(c)
    )
    pytest_generate_tests(metafunc)
    [own] = found
    return own


def test_a_prior_of_ones_own_is_found_by_the_option(tmp_path, monkeypatch, request):
    assert request.config.getoption("--prior", default="absent") != "absent"
    (tmp_path / "my_prior.py").write_text(HEAVY_TAIL)
    monkeypatch.syspath_prepend(tmp_path)
    own = asked_for("prior", "my_prior:HeavyTail")
    assert own.__module__ == "my_prior"
    test_every_prior_keeps_the_contract(own)


def test_cores_and_tasks_of_ones_own_are_found_by_the_option(tmp_path, request):
    assert all(request.config.getoption(f"--{kind}", default="absent") != "absent" for kind in ("core", "task"))
    with pytest.raises(ContractError, match="TestedOnTrain: a puzzle of test 'rings'"):
        test_every_task_keeps_the_contract(asked_for("task", "wrong_tasks:TestedOnTrain"), tmp_path)
    assert asked_for("core", "wrong_cores:WrongCore").__module__ == "wrong_cores"
