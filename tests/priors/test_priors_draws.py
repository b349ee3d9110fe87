"""Draws of priors: their moments, the gradients through them, and training."""

import math

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from draws import moments_agree
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from small_priors import CONTINUOUS, PRIORS, shaken
from tiny import B, D, L, close, program, shake

from gram_pyro.distributions.gradient import stop_gradient
from gram_pyro.inference.noise import Tempered
from gram_pyro.priors.mixture import Mixture, ReparameterisedMixture
from gram_pyro.training.objectives import Balanced_ELBO, segment_loss
from guides.categorical import Categorical as CategoricalGuide
from guides.concat import Concat

# ---- draws


@pytest.mark.parametrize("name", ["zero_mean", "student_t", "mixture", "low_rank", "categorical", "annealed"])
def test_draws_have_the_moments_of_the_law(name):
    law = shaken(name, dim=4)(torch.randn(2, 4), 0)
    draws = law.rsample((20000,)).detach()
    if name == "categorical":
        assert law.support.check(draws).all()
        mean = law.logits.exp().flatten(-2)
        moments_agree(draws, mean, mean * (1 - mean))
    else:
        moments_agree(draws, law.mean.detach(), law.variance.detach())


def test_low_rank_draws_move_cells_together():
    law = shaken("low_rank", dim=4)(torch.randn(2, 4), 0)
    deviation = (law.sample((40000,)) - law.mean.detach()).flatten(1)
    factor = law.flat.cov_factor.detach()
    products = deviation[:, :, None] * deviation[:, None]
    truth = factor @ factor.T + law.flat.cov_diag.detach().diag()
    assert ((products.mean(0) - truth).abs() < 4.5 * products.std(0) / 200).all()


def test_flow_draws_follow_its_density():
    """E_z~q f(z) by draws against the same by quadrature, for f the two means and the product."""
    law = shaken("flow", dim=2, size=0.1)(torch.randn(1, 2), 0)
    line = torch.linspace(-4, 4, 401)
    grid = torch.cartesian_prod(line, line)[:, None]
    mass = (law.log_prob(grid).exp() * (8 / 400) ** 2).detach()
    draws = law.sample((40000,))
    for f in (lambda z: z[..., 0, 0], lambda z: z[..., 0, 1], lambda z: z[..., 0, 0] * z[..., 0, 1]):
        values = f(draws)
        assert abs(values.mean() - (mass * f(grid)).sum()) < 4 * values.std() / 200


def test_mixture_draws_choose_one_component_for_all_cells():
    means = torch.tensor([-5.0, 5.0])[:, None, None].expand(2, L, D)
    weights = dist.Categorical(torch.tensor([0.2, 0.8]))
    law = ReparameterisedMixture(weights, dist.Normal(means, 0.3).to_event(2))
    sign = law.rsample((4000,)).sign().flatten(1)
    assert (sign == sign[:, :1]).all()
    assert abs((sign[:, 0] > 0).double().mean() - 0.8) < 4 * (0.16 / 4000) ** 0.5


def test_components_part_as_they_learn():
    """All are one Gaussian at the start; two clusters pull them apart, slowly."""
    prior, u = Mixture(2, 2, 6), torch.zeros(64, 2, 2)
    optimiser = torch.optim.Adam(prior.parameters(), lr=0.1)
    means = prior(u, 0).component_distribution.mean
    assert means[:, 0].equal(means[:, 1])
    for _ in range(40):
        z = torch.randn(64, 1, 1).sign() + 0.2 * torch.randn(64, 2, 2)
        optimiser.zero_grad()
        (-prior(u, 0).log_prob(z).mean()).backward()
        optimiser.step()
    means = prior(u, 0).component_distribution.mean[0]
    assert ((means[0] - means[1]).abs() > 0.1).all()


def test_a_flow_far_from_its_start_sends_no_draw_out_of_range():
    draws = shaken("flow", size=1.0)(torch.randn(B, L, D), 0).sample((1000,))
    assert draws.abs().max() < 1e4


@pytest.mark.parametrize("name", PRIORS)
def test_laws_expand_to_particles(name):
    """Pyro expands a law [B] where the particles of a plate have not parted yet."""
    law = shaken(name)(torch.randn(B, L, D), 0)
    wide = law.expand([5, B])
    z = wide.rsample()
    assert wide.batch_shape == (5, B) and z.shape == (5, B, L, D) and (z[0] - z[1]).abs().max() > 0
    close(wide.log_prob(z), law.log_prob(z))


@pytest.mark.parametrize("name", [n for n in CONTINUOUS if n != "flow"])
def test_laws_with_a_mean_are_tempered(name):
    u, prior = torch.randn(B, L, D), shaken(name)
    draws = Tempered(prior, 2.0)(u, 0).sample((4000,))
    moments_agree(
        draws[:, 0, :2, :2], prior(u, 0).mean[0, :2, :2].detach(), 4 * prior(u, 0).variance[0, :2, :2].detach()
    )


# ---- gradients


@pytest.mark.parametrize("name", ["mixture", "low_rank"])
def test_gradient_through_draws_is_that_of_the_moments(name):
    """d E[a . z] / d parameter = d (a . mean) / d parameter, for means and scales; |z|^2 likewise."""
    u, prior = torch.randn(2, 4), shaken(name, dim=4)
    law, a = prior(u, 0), torch.randn(2, 4)
    p = prior.head.loc.down.weight
    truth = torch.autograd.grad((a * law.mean).sum(), p, retain_graph=True)[0]
    estimates = torch.stack(
        [torch.autograd.grad((a * law.rsample((200,)).mean(0)).sum(), p, retain_graph=True)[0] for _ in range(30)]
    )
    assert ((estimates.mean(0) - truth).abs() < 4.5 * estimates.std(0) / 30**0.5 + 1e-9).all()


def test_stop_gradient_reaches_the_networks_inside_a_flow():
    law = shaken("flow", size=0.1)(torch.randn(B, L, D), 0)
    z = law.sample()
    cut = stop_gradient(law)
    close(cut.log_prob(z), law.log_prob(z))
    assert law.log_prob(z).requires_grad and not cut.log_prob(z).requires_grad


@pytest.mark.parametrize("name", PRIORS)
def test_training_lowers_the_loss(local_params, name):
    """Under mean-field and trace ELBO, from one start; the guide is of the prior's family where it must be."""
    for objective in (TraceMeanField_ELBO(max_plate_nesting=1), Trace_ELBO(max_plate_nesting=1)):
        pyro.set_rng_seed(0)
        model, guide = program(prior=PRIORS[name](), shaken=False)
        guide = CategoricalGuide(model, D, 6) if name == "categorical" else guide
        parameters = [*model.parameters(), *guide.parameters()]
        optimiser = torch.optim.Adam(parameters, lr=2e-2)
        x, y = torch.randint(5, (8, L)), torch.randint(1, 3, (8, L))
        losses = []
        for _ in range(15):
            loss, _ = segment_loss(objective, model, guide, x, y, None)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        assert sum(losses[-3:]) < 0.8 * sum(losses[:3])


def test_balanced_says_that_it_needs_a_closed_kl():
    model, guide = program(prior=shaken("student_t"))
    x = y = torch.randint(5, (B, L))
    with pytest.raises(
        ValueError,
        match="got Normal and StudentT at 'z_0', whose KL has no closed form; expected one",
    ):
        segment_loss(Balanced_ELBO(), model, guide, x, y, None)
    loss, _ = segment_loss(TraceMeanField_ELBO(), model, guide, x, y, None)
    assert torch.isfinite(loss) and torch.isfinite(guide.kl()).all()


def test_estimated_kl_of_heavy_tails_is_right():
    """What mean_field estimates by one draw, averaged, is the KL by quadrature, cell by cell."""
    model, _ = program(prior=shaken("student_t", size=0.1))
    guide = shake(Concat(model, D, 6))
    x, y = torch.randint(5, (1, L)), torch.randint(5, (1, L))
    guide(x, y)
    site = guide.trace.nodes["z_0"]
    q, p = site["fn"], site["infer"]["prior"]
    z = q.sample((20000,))
    estimate = q.log_prob(z) - p.log_prob(z)
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    points = q.mean[..., None] + q.stddev[..., None] * torch.as_tensor(nodes)
    ratio = dist.Normal(q.mean[..., None], q.stddev[..., None]).log_prob(points)
    ratio = ratio - dist.StudentT(5.0, p.base_dist.loc[..., None], p.base_dist.scale[..., None]).log_prob(points)
    truth = (ratio * torch.as_tensor(weights)).sum() / math.sqrt(2 * math.pi)
    assert abs(estimate.mean() - truth) < 4 * estimate.std() / 20000**0.5
