"""Compiled blocks: which are, what they compute, and what is said where they cannot be."""

import logging
import shutil
from functools import partialmethod

import pyro
import pytest
import torch
from hydra import compose, initialize_config_dir
from scripts import ROOT
from small_peers import L, V, autoregressive
from tiny import MIXERS, B, batch, close, program
from torch import nn

from gram_pyro.build import build_learner
from gram_pyro.compiler import compile_blocks
from gram_pyro.layers import Block
from gram_pyro.peers.autoregressive import MaskedBlock
from gram_pyro.tasks.sudoku import Sudoku

CPU = torch.device("cpu")
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # torch's tracer


@pytest.fixture
def traced(monkeypatch):
    """Compilation as far as the graph, in one piece: the C++ that would come of it takes a minute, and is torch's."""
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/g++")
    monkeypatch.setattr(nn.Module, "compile", partialmethod(nn.Module.compile, backend="eager", fullgraph=True))
    torch._dynamo.reset()
    validation = pyro.settings.get("validate_distributions_torch")  # torch's tracer turns it off, once
    yield
    pyro.settings.set(validate_distributions_torch=validation)
    torch._dynamo.reset()


def compiled(network):
    return {name for name, module in network.named_modules() if module._compiled_call_impl is not None}


@pytest.mark.parametrize("mixer", MIXERS)
def test_a_compiled_core_predicts_the_same(traced, mixer):
    model, _ = program(mixer)
    x, _ = batch(B)
    e = model.embed(x)
    state = model.core.init(e)
    expected = model.core.predict(e, state)
    compile_blocks(model, CPU)
    assert compiled(model) == {name for name, module in model.named_modules() if isinstance(module, Block)} != set()
    for found, known in zip(model.core.predict(e, state), expected, strict=True):
        close(found, known)


def test_a_compiled_peer_has_the_same_loss(traced):
    peer = autoregressive()
    x, y = torch.randint(V, (2, B, L))
    expected = peer.loss(x, y)
    compile_blocks(peer, CPU)
    assert compiled(peer) == {name for name, module in peer.named_modules() if isinstance(module, MaskedBlock)} != set()
    close(peer.loss(x, y), expected)


def test_without_a_compiler_it_runs_as_it_is_and_says_so(monkeypatch, caplog):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    model, _ = program()
    with caplog.at_level(logging.WARNING):
        compile_blocks(model, CPU)
    assert compiled(model) == set() and "no C++ compiler was found: it runs uncompiled" in caplog.text


@pytest.mark.parametrize("wanted", [True, False])
def test_the_configuration_says_whether_to_compile(traced, local_params, wanted):
    with initialize_config_dir(str(ROOT / "experiments" / "conf"), version_base=None):
        config = compose("svi_sudoku", ["experiment=smoke", f"compile={wanted}", "run_dir=x"])
    learner = build_learner(config, Sudoku(n=4, num_train=4, num_test=0, cache=None), CPU)
    assert bool(compiled(learner.model.core)) == wanted and not compiled(learner.guide)
