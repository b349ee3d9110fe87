"""Compiled parts: which are, what they compute, and what is said where they cannot be."""

import logging
import shutil
from functools import partial

import pyro
import pytest
import torch
from hydra import compose, initialize_config_dir
from scripts import ROOT
from small_peers import L, V, autoregressive
from tiny import MIXERS, B, batch, close, program

from gram_pyro.build import build_learner
from gram_pyro.compiler import compile_parts
from gram_pyro.tasks.sudoku import Sudoku

CPU = torch.device("cpu")
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # torch's tracer


@pytest.fixture
def traced(monkeypatch):
    """Compilation as far as the graph, in one piece: the C++ that would come of it takes a minute, and is torch's."""
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/g++")
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager", fullgraph=True))
    torch._dynamo.reset()
    validation = pyro.settings.get("validate_distributions_torch")  # torch's tracer turns it off, once
    yield
    pyro.settings.set(validate_distributions_torch=validation)
    torch._dynamo.reset()


def compiled(network):
    """The compiled methods of its modules, by name."""
    return {
        f"{name}.{method}"
        for name, module in network.named_modules()
        for method, value in vars(module).items()
        if hasattr(value, "_torchdynamo_orig_callable")
    }


def named(network):
    """The methods that its modules say can be compiled."""
    modules = network.named_modules()
    return {f"{name}.{method}" for name, module in modules for method in getattr(module, "compiles", ())}


@pytest.mark.parametrize("mixer", MIXERS)
def test_a_compiled_core_predicts_the_same(traced, mixer):
    model, _ = program(mixer)
    x, _ = batch(B)
    e = model.embed(x)
    state = model.core.init(e)
    expected = model.core.predict(e, state)
    law = model.prior(expected.h, 0)
    compile_parts(model, CPU)
    assert compiled(model) == named(model) >= {"core.low.0.forward", "core.high.0.forward", "prior.head.moments"}
    close(model.prior(expected.h, 0).mean, law.mean)
    close(model.prior(expected.h, 0).stddev, law.stddev)
    for found, known in zip(model.core.predict(e, state), expected, strict=True):
        close(found, known)


def test_a_compiled_peer_has_the_same_loss(traced):
    peer = autoregressive()
    x, y = torch.randint(V, (2, B, L))
    expected = peer.loss(x, y)
    compile_parts(peer, CPU)
    assert compiled(peer) == named(peer) >= {"blocks.0.forward", "blocks.1.forward"}
    close(peer.loss(x, y), expected)


def test_without_a_compiler_it_runs_as_it_is_and_says_so(monkeypatch, caplog):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    model, _ = program()
    with caplog.at_level(logging.WARNING):
        compile_parts(model, CPU)
    assert compiled(model) == set() and "no C++ compiler was found: it runs uncompiled" in caplog.text


@pytest.mark.parametrize("wanted", [True, False])
def test_the_configuration_says_whether_to_compile(traced, local_params, wanted):
    with initialize_config_dir(str(ROOT / "experiments" / "conf"), version_base=None):
        config = compose("svi_sudoku", ["experiment=smoke", f"compile={wanted}", "run_dir=x"])
    learner = build_learner(config, Sudoku(n=4, num_train=4, num_test=0, cache=None), CPU)
    for part in (learner.model.core, learner.model.prior, learner.guide.q_head, learner.heads):
        assert compiled(part) == (named(part) if wanted else set())
    assert compiled(learner.averaged) == (named(learner.averaged) if wanted else set())
