"""Compiled parts: which are, what they compute, and what is said where they cannot be."""

import logging
import subprocess
from functools import partial

import pyro
import pytest
import torch
from hydra import compose, initialize_config_dir
from scripts import ROOT
from small_baselines import L, V, autoregressive
from tiny import MIXERS, B, batch, close, program
from wrong_cores import WrongCore

from gram_pyro.harness.build import build_learner
from gram_pyro.tasks.sudoku.task import Sudoku
from gram_pyro.training.compiler import compile_parts

CPU = torch.device("cpu")
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # torch's tracer


@pytest.fixture
def traced(monkeypatch):
    """Compilation as far as the graph, in one piece: the C++ that would come of it takes a minute, and is torch's."""
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
        if callable(value) and hasattr(value, "__wrapped__")
    }


def named(network):
    """The methods that its modules say can be compiled."""
    modules = network.named_modules()
    return {f"{name}.{method}" for name, module in modules for method in getattr(module, "compiles", ())}


def test_a_core_that_names_nothing_to_compile_is_told_once(traced, caplog):
    model, _ = program()
    model.core = WrongCore(8, 4, None)
    with caplog.at_level(logging.WARNING):
        compile_parts(torch.nn.ModuleList([model, model.core]), CPU)
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["WrongCore runs uncompiled"]
    caplog.clear()
    compile_parts(program()[0], CPU)
    assert not caplog.records


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


def test_a_compiled_baseline_has_the_same_loss(traced):
    baseline = autoregressive()
    x, y = torch.randint(V, (2, B, L))
    expected = baseline.loss(x, y)
    compile_parts(baseline, CPU)
    assert compiled(baseline) == named(baseline) >= {"blocks.0.forward", "blocks.1.forward"}
    close(baseline.loss(x, y), expected)


def fails(graph, inputs):
    """A backend as one whose compiler is there: it starts, and fails."""
    subprocess.run(["false"], check=True)


@pytest.fixture
def predicting(monkeypatch):
    """A model that compiles nothing yet, and predicting(): the state it predicts, and how often it tried to compile."""
    torch._dynamo.reset()
    validation = pyro.settings.get("validate_distributions_torch")
    model, _ = program()
    e, tried = model.embed(batch(B)[0]), []

    def predict(backend=None):
        def noted(*args):
            tried.append(args)
            return backend(*args)

        if backend:
            monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=noted))
        return model.core.predict(e, model.core.init(e)), tried

    yield model, predict
    pyro.settings.set(validate_distributions_torch=validation)
    torch._dynamo.reset()


def test_a_compiler_that_fails_is_tried_once_and_said_to_fail(predicting, caplog):
    model, predict = predicting
    expected, tried = predict(backend=fails)
    compile_parts(model, CPU)
    with caplog.at_level(logging.WARNING):
        found = [predict()[0] for _ in range(2)]
    assert len(tried) == 1 and all(torch.equal(a, b) for state in found for a, b in zip(state, expected, strict=True))
    (said,) = [record.message for record in caplog.records if "uncompiled" in record.message]
    assert "CalledProcessError: Command '['false']' returned non-zero exit status 1" in said
    assert said.endswith(": it runs uncompiled, about 1.3 times slower; install or repair g++")


def test_without_a_working_compiler_it_runs_as_it_is(predicting, caplog):
    """As torch itself finds it, where the compiler fails at everything."""
    model, predict = predicting
    expected, _ = predict()
    compile_parts(model, CPU)
    with caplog.at_level(logging.WARNING), torch._inductor.config.patch({"cpp.cxx": (None, "/bin/false")}):
        found, _ = predict()
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert "No working C++ compiler found" in caplog.text and "it runs uncompiled" in caplog.text


def test_errors_of_what_is_compiled_are_not_taken_for_the_compilers(traced):
    model, _ = program()
    e = model.embed(batch(B)[0])
    compile_parts(model, CPU)
    with pytest.raises(RuntimeError, match="size|shape|Dimension"):
        model.core.predict(e[..., :-1], model.core.init(e))


@pytest.mark.parametrize("wanted", [True, False])
def test_the_configuration_says_whether_to_compile(traced, local_params, wanted):
    with initialize_config_dir(str(ROOT / "experiments" / "conf"), version_base=None):
        config = compose("svi_sudoku", ["experiment=smoke", f"compile={wanted}", "run_dir=x"])
    learner = build_learner(config, Sudoku(n=4, num_train=4, num_test=0, cache=None), CPU)
    for part in (learner.model.core, learner.model.prior, learner.guide.q_head, learner.heads):
        assert compiled(part) == (named(part) if wanted else set())
    assert compiled(learner.averaged) == (named(learner.averaged) if wanted else set())
