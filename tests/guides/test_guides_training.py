"""Guides in training: every parameter moves, the loss falls, bounds stay below the evidence."""

import pyro
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.poutine import trace
from small_guides import GUIDES, MEAN_FIELD, TRACE
from tiny import B, D, L, batch, close, parameters, program, shake

from gram_pyro.evaluation.evidence import bound, log_weights
from gram_pyro.networks.core import State
from gram_pyro.training.objectives import Balanced_ELBO, segment_loss


@pytest.mark.parametrize("name", GUIDES)
def test_every_parameter_trains_and_the_loss_falls(local_params, name):
    """A trajectory of two segments per step, so that the delayed guide has its say."""
    for objective in (MEAN_FIELD, TRACE):
        pyro.set_rng_seed(0)
        model, _ = program(shaken=False)
        guide = GUIDES[name](model)
        optimiser = torch.optim.Adam([*model.parameters(), *guide.parameters()], lr=3e-2)
        before = {n: p.detach().clone() for n, p in parameters(model, guide).items()}
        x, y = torch.randint(5, (8, L)), torch.randint(1, 3, (8, L))
        losses = []
        for _ in range(8):
            state = None
            for segment in range(2):
                loss, state = segment_loss(objective, model, guide, x, y, state, segment)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                losses.append(loss.item())
        assert sum(losses[-4:]) < 0.8 * sum(losses[:4])
        assert all((p - before[n]).abs().max() > 0 for n, p in parameters(model, guide).items())


@pytest.mark.parametrize("name", [n for n in GUIDES if n != "flow"])
def test_gaussian_guides_train_by_the_balanced_objective(name):
    model, _ = program()
    guide = shake(GUIDES[name](model))
    x, y = batch()
    torch.manual_seed(0)
    balanced, _ = segment_loss(Balanced_ELBO(), model, guide, x, y, None)
    torch.manual_seed(0)
    plain, _ = segment_loss(MEAN_FIELD, model, guide, x, y, None)
    close(balanced, plain)


@pytest.mark.parametrize("name", GUIDES)
def test_stock_svi_trains_every_parameter(name):
    """Pyro's global store keys parameters by name; a nested guide's have names of their own too."""
    model, _ = program(shaken=False)
    guide = GUIDES[name](model)
    x, y = batch()
    state = State(torch.randn(B, L, D), torch.randn(B, L, D))
    before = {n: p.detach().clone() for n, p in parameters(model, guide).items()}
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 1e-2}), Trace_ELBO())
    for _ in range(3):
        svi.step(x, y, state, 1)
    moved = {n: (p - before[n]).abs().max() for n, p in parameters(model, guide).items()}
    assert all(m > 0 for m in moved.values()), [n for n, m in moved.items() if m == 0]


@pytest.mark.parametrize("name", GUIDES)
def test_bounds_are_below_the_evidence_and_rise_with_width(name):
    """IWAE of the same weights rises where the widths divide each other; particles run side by side."""
    model, _ = program()
    guide = shake(GUIDES[name](model))
    weights = log_weights(model, guide, *batch(), 16, 2)
    values = torch.stack([bound(weights, k) for k in (1, 4, 16)])
    assert torch.isfinite(values).all() and (values.diff(dim=0) >= -1e-9).all()


def test_a_guide_adds_no_site():
    model, _ = program()
    for make in GUIDES.values():
        sites = trace(make(model)).get_trace(*batch())
        names = [n for n, s in sites.nodes.items() if s["type"] == "sample" and n.startswith("z")]
        assert names == ["z_0", "z_1", "z_2"]
