"""What arviz is handed: latents that are those of the trajectories, weights that are the evidence."""

import sys
import warnings
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from oracle import Exact, linear_gram, log_evidence
from pyro import poutine
from tiny import close, program

from gram_pyro.evaluation.inference_data import inference_data

K, N = 6, 2
needs_arviz = pytest.mark.skipif(find_spec("arviz") is None, reason='needs pip install "gram_pyro[arviz]"')


@pytest.fixture(scope="module")
def arviz():
    with warnings.catch_warnings(action="ignore"):  # it tells of its next version when it is imported
        import arviz
    return arviz


@pytest.fixture
def linear():
    model = linear_gram(num_transitions=2)
    x = torch.randint(3, (3, 2))
    return model, x, torch.randn(3, 2)


@needs_arviz
def test_latents_replayed_end_in_the_answers(arviz, local_params):
    model, _ = program()
    x = torch.randint(1, 5, (3, 4))
    found = inference_data(model, x, K, N)
    z = torch.from_numpy(found.prior["z"].values[0])
    assert found.prior["z"].dims == ("chain", "draw", "puzzle", "segment", "transition", "cell", "channel")
    assert z.shape[:4] == (K, 3, N, model.num_transitions) and len(z.unique()) == z.numel()
    state = None
    for n in range(N):
        latents = {f"z_{t}": z[:, :, n, t] for t in range(model.num_transitions)}
        with torch.no_grad():
            state = poutine.condition(model.reason, latents)(x, state)
    answers = model.readout.answer(state, x)
    assert np.array_equal(found.prior["answer"].values[0], answers.numpy())
    close(torch.from_numpy(found.log_likelihood["y"].values[0]), model.readout(state, x).log_prob(answers), 1e-10)
    assert np.array_equal(found.observed_data["x"].values, x.numpy()) and "posterior" not in found.groups()


@needs_arviz
def test_weights_of_an_exact_guide_are_the_evidence(arviz, linear):
    model, x, y = linear
    found = inference_data(model, x, K, 1, y, Exact(model))
    weight = torch.from_numpy(found.sample_stats["log_weight"].values[0])
    close(weight, log_evidence(model, x, y).expand(K, -1), 1e-10)
    posterior, prior = (found[group]["z"].values for group in ("posterior", "prior"))
    assert posterior.shape == prior.shape == (1, K, 3, 1, 2, 2, 2) and not np.isclose(posterior, prior).any()


@needs_arviz
def test_arviz_takes_it(arviz, linear, tmp_path):
    model, x, y = linear
    found = inference_data(model, x, 40, 1, y, Exact(model))
    with warnings.catch_warnings(action="ignore"):
        summary = arviz.summary(found, var_names=["z"], kind="stats")
        found.to_netcdf(str(tmp_path / "a.nc"))
        back = arviz.from_netcdf(str(tmp_path / "a.nc"))
        assert arviz.loo(back).n_data_points == 3
    by_hand = found.posterior["z"].values[0].mean(0).ravel()
    assert np.allclose(np.sort(summary["mean"].values), np.sort(by_hand), atol=6e-4)  # it rounds to 3 digits


def test_without_arviz_it_is_said_how_to_get_it(linear, monkeypatch):
    monkeypatch.setitem(sys.modules, "arviz", None)
    with pytest.raises(ImportError, match=r"inference_data needs arviz; write pip install 'gram_pyro\[arviz\]'"):
        inference_data(linear[0], linear[1], 2, 1)


@needs_arviz
def test_an_answer_without_a_guide_is_refused(arviz, linear):
    model, x, y = linear
    with pytest.raises(ValueError, match="got y alone; expected y and guide"):
        inference_data(model, x, 2, 1, y)
