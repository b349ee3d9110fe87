"""Priors: densities against closed forms and quadrature, moments of draws, gradients, and training."""

import math

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import scipy.stats
import torch
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from tiny import B, D, L, close, program, shake
from torch.distributions import kl_divergence

from gram_pyro.coupling import CouplingFlow
from gram_pyro.inference.noise import Tempered
from gram_pyro.objectives import Balanced_ELBO, segment_loss
from gram_pyro.priors.annealed import Annealed
from gram_pyro.priors.categorical import Categorical, OneHots
from gram_pyro.priors.flow import Flow
from gram_pyro.priors.gaussian import Gaussian
from gram_pyro.priors.low_rank import LowRank, LowRankNormal
from gram_pyro.priors.mixture import Mixture, ReparameterisedMixture
from gram_pyro.priors.standard import Standard
from gram_pyro.priors.student_t import StudentT
from gram_pyro.priors.zero_mean import ZeroMean
from gram_pyro.stop_gradient import stop_gradient
from guides.categorical import Categorical as CategoricalGuide
from guides.concat import Concat

PRIORS = {
    "gaussian": lambda dim=D: Gaussian(dim, 6),
    "zero_mean": lambda dim=D: ZeroMean(dim, 6),
    "student_t": lambda dim=D: StudentT(dim, 5.0, 6),
    "mixture": lambda dim=D: Mixture(dim, 3, 6),
    "low_rank": lambda dim=D: LowRank(dim, 2, 6),
    "flow": lambda dim=D: Flow(dim, 2, 6),
    "categorical": lambda dim=D: Categorical(dim, dim // 2, 6),
    "annealed": lambda dim=D: Annealed(Gaussian(dim, 6), (2.0, 0.5)),
}
CONTINUOUS = [name for name in PRIORS if name != "categorical"]


def shaken(name, dim=D, size=0.5):
    return shake(PRIORS[name](dim), size)


def moments_agree(draws, mean, variance):
    """Mean and variance of draws [N, ...] within 4.5 standard errors (of up to 100 numbers at once)."""
    num = len(draws)
    error = draws.std(0) / num**0.5
    assert ((draws.mean(0) - mean).abs() < 4.5 * error).all()
    spread = (draws - mean).square()
    assert ((spread.mean(0) - variance).abs() < 4.5 * spread.std(0) / num**0.5).all()


# ---- densities


def test_student_t_is_scipys():
    u, prior = torch.randn(B, L, D), shaken("student_t")
    law = prior(u, 0)
    z = law.sample()
    normal = prior.head(u).base_dist
    truth = (
        scipy.stats.t(5.0, normal.loc.detach().numpy(), normal.scale.detach().numpy()).logpdf(z.numpy()).sum((-2, -1))
    )
    close(law.log_prob(z), truth)
    close(StudentT(D, 5.0, 6, scale=0.3)(u, 0).stddev, torch.full((B, L, D), 0.3))


def test_zero_mean_is_the_gaussian_of_its_deviation():
    law = shaken("zero_mean")(torch.randn(B, L, D), 1)
    assert law.mean.eq(0).all() and law.stddev.std() > 1e-3
    z = law.sample()
    truth = scipy.stats.norm(0, law.stddev.detach().numpy()).logpdf(z.numpy()).sum((-2, -1))
    close(law.log_prob(z), truth)
    close(ZeroMean(D, 6, scale=0.7)(z, 0).stddev, torch.full((B, L, D), 0.7))


def test_annealed_multiplies_the_deviation_and_its_last_factor_goes_on():
    u, inner = torch.randn(B, L, D), shaken("gaussian")
    prior = Annealed(inner, (3.0, 1.5, 0.5))
    for t, factor in enumerate((3.0, 1.5, 0.5, 0.5, 0.5)):
        law, plain = prior(u, t), inner(u, t)
        close(law.mean, plain.mean)
        close(law.stddev, factor * plain.stddev)
    assert Annealed(Standard(0.2), [2])(u, 0).stddev.unique().allclose(torch.tensor(0.4))


def test_mixture_is_the_sum_over_components_shared_by_all_cells():
    u, prior = torch.randn(B, L, D), shaken("mixture")
    law = prior(u, 0)
    z = law.sample()
    weight = (u.mean(-2) @ prior.weights.weight.T).softmax(-1)
    total = 0.0
    for c in range(3):
        part = prior.head(u + prior.code[c])
        density = (
            scipy.stats.norm(part.mean.detach().numpy(), part.stddev.detach().numpy()).logpdf(z.numpy()).sum((-2, -1))
        )
        total = total + weight[:, c].detach().numpy() * np.exp(density)
    close(law.log_prob(z), np.log(total))


def test_low_rank_is_the_multivariate_normal_of_its_covariance():
    u, prior = torch.randn(B, L, D), shaken("low_rank")
    law = prior(u, 0)
    z = law.sample((5,))
    factor = 0.3 * prior.factor(u).tanh().view(B, L * D, 2)
    scale = prior.head(u).stddev.flatten(-2)
    for b in range(B):
        covariance = (factor[b] @ factor[b].T + scale[b].square().diag()).detach().numpy()
        truth = scipy.stats.multivariate_normal(law.mean[b].detach().flatten().numpy(), covariance)
        close(law.log_prob(z)[:, b], truth.logpdf(z[:, b].flatten(1).numpy()), 1e-8)
        close(law.variance[b].flatten(), covariance.diagonal().copy())
        assert abs(covariance[0, D]) > 1e-4  # cells do move together


def test_low_rank_keeps_its_precision_under_autocast():
    u, prior = torch.randn(B, L, D, dtype=torch.float32), shaken("low_rank", size=0.1).float()
    law = prior(u, 0)
    z, arguments = (
        law.sample(),
        (law.mean, law.flat.cov_factor.view(B, L, D, 2), law.flat.cov_diag.sqrt().view(B, L, D)),
    )
    truth = LowRankNormal(*(a.double() for a in arguments)).log_prob(z.double())
    with torch.autocast("cpu", torch.bfloat16):
        inside = LowRankNormal(*arguments)
        close(inside.log_prob(z), truth, 1e-4)
        torch.manual_seed(1)
        draw = inside.rsample()
    torch.manual_seed(1)
    close(draw, law.rsample(), 1e-6)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_density_integrates_to_one(name):
    """Quadrature over one cell of two channels: the smallest latent that couples."""
    law = shaken(name, dim=2, size=0.05)(torch.randn(1, 2), 0)
    half, num = (20.0, 801) if name == "student_t" else (5.0, 401)  # for its tails
    line = torch.linspace(-half, half, num)
    grid = torch.cartesian_prod(line, line)[:, None]
    assert abs(law.log_prob(grid).exp().sum().item() * (2 * half / (num - 1)) ** 2 - 1) < 2e-3


def test_flow_density_is_the_change_of_variables_of_its_jacobian():
    """log q = log base(eps) - log |det dz/d eps|, the Jacobian over all cells at once by autograd."""
    flow = shake(CouplingFlow(4, 3, 6, 2), 0.3)
    context, base = torch.randn(L, 3), dist.Normal(torch.randn(L, 4), 0.5).to_event(2)
    law = flow(base, context)

    def push(eps):
        for transform in law.transforms:
            eps = transform(eps)
        return eps

    eps = base.sample()
    jacobian = torch.autograd.functional.jacobian(push, eps).reshape(4 * L, 4 * L)
    assert ((push(eps) - eps).abs() > 1e-6).all()  # every channel is moved
    assert jacobian[0, 4:].abs().max() + jacobian[-1, :-4].abs().max() > 1e-4  # one cell's noise moves another
    close(law.log_prob(push(eps).detach().clone()), base.log_prob(eps) - torch.linalg.slogdet(jacobian).logabsdet, 1e-9)
    close(CouplingFlow(4, 3, 6, 2)(base, context).log_prob(eps), base.log_prob(eps))  # the identity at the start


def test_categorical_is_a_mass_over_all_one_hot_points():
    prior = shaken("categorical", dim=4)
    law = prior(torch.randn(2, 4), 0)  # 2 cells of 2 groups of 2: 16 points
    codes = torch.cartesian_prod(*[torch.eye(2).unbind()[0].new_tensor([0, 1]).long()] * 4)
    points = torch.nn.functional.one_hot(codes, 2).double().view(16, 2, 4)
    close(law.log_prob(points).exp().sum(), 1.0)
    assert law.support.is_discrete and law.support.check(points).all()
    assert not law.support.check(0.5 * points).any() and not law.support.check(0 * points).any()
    logits = prior.net(torch.randn(2, 4)).view(2, 2, 2)
    assert logits.shape == law.logits.shape
    assert (Categorical(4, 2, 6)(torch.randn(3, 2, 4), 0).log_prob(points[:1]) + 4 * math.log(2)).abs().max() < 1e-12


def test_kl_of_categoricals_by_enumeration():
    u = torch.randn(1, 4)
    p, q = (shaken("categorical", dim=4)(u, 0) for _ in range(2))
    codes = torch.cartesian_prod(torch.arange(2), torch.arange(2))
    points = torch.nn.functional.one_hot(codes, 2).double().view(4, 1, 4)
    log_q, log_p = q.log_prob(points), p.log_prob(points)
    close(kl_divergence(q, p), (log_q.exp() * (log_q - log_p)).sum())
    assert kl_divergence(q, p) > 1e-4


def test_a_share_of_every_category_stays_uniform():
    prior = Categorical(8, 4, 6, uniform=0.2)
    with torch.no_grad():
        prior.net.down.weight.add_(1e4 * torch.randn_like(prior.net.down.weight))
    probs = prior(torch.randn(B, L, 8), 0).logits.exp()
    close(probs.min(), 0.2 / 4)
    close(probs.max(), 0.8 + 0.2 / 4)
    close(probs.sum(-1), torch.ones(B, L, 2))


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


# ---- gradients


def test_a_flow_far_from_its_start_sends_no_draw_out_of_range():
    draws = shaken("flow", size=1.0)(torch.randn(B, L, D), 0).sample((1000,))
    assert draws.abs().max() < 1e4


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
def test_laws_expand_to_particles(name):
    """Pyro expands a law [B] where the particles of a plate have not parted yet."""
    law = shaken(name)(torch.randn(B, L, D), 0)
    wide = law.expand([5, B])
    z = wide.rsample()
    assert wide.batch_shape == (5, B) and z.shape == (5, B, L, D) and (z[0] - z[1]).abs().max() > 0
    close(wide.log_prob(z), law.log_prob(z))


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
        match="objective balanced needs a KL in closed form, and at 'z_0' there is none of Normal from StudentT",
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


# ---- misuse


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: StudentT(D, df=2), "df=2 must exceed 2, so that the deviation is finite"),
        (lambda: Categorical(D, 3), f"num_classes=3 must divide dim={D}"),
        (lambda: Categorical(D, 4, uniform=0), "uniform=0 must lie between 0 and 1"),
        (lambda: Flow(7), "dim=7, num_layers=2 came, and coupling takes an even dim"),
        (lambda: Flow(D, 0), f"dim={D}, num_layers=0 came"),
        (lambda: Annealed(Gaussian(D), ()), r"factors=\[\] came, and at least one is needed, all positive"),
        (lambda: Annealed(Gaussian(D), (1, 0)), r"factors=\[1, 0\] came"),
        (
            lambda: Annealed(StudentT(D))(torch.zeros(L, D), 0),
            "annealed scales the deviation of a Gaussian, and the inner prior gave StudentT$",
        ),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("name", ["flow", "categorical"])
def test_laws_without_a_mean_are_not_tempered(name):
    with pytest.raises(ValueError, match="temperature needs latents with a finite mean on a continuous space"):
        Tempered(shaken(name), 2.0)(torch.randn(B, L, D), 0)


@pytest.mark.parametrize("name", [n for n in CONTINUOUS if n != "flow"])
def test_laws_with_a_mean_are_tempered(name):
    u, prior = torch.randn(B, L, D), shaken(name)
    draws = Tempered(prior, 2.0)(u, 0).sample((4000,))
    moments_agree(
        draws[:, 0, :2, :2], prior(u, 0).mean[0, :2, :2].detach(), 4 * prior(u, 0).variance[0, :2, :2].detach()
    )


def test_a_discrete_prior_refuses_a_continuous_guide():
    model, guide = program(prior=shaken("categorical"))
    message = "latents of the prior are discrete and those of the guide Concat continuous.*use guide=bootstrap"
    with pytest.raises(ValueError, match=message):
        guide(torch.randint(5, (B, L)), torch.randint(5, (B, L)))
    assert isinstance(model.prior(torch.randn(B, L, D), 0), OneHots)
