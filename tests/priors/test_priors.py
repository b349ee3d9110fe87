"""Priors: densities against closed forms and quadrature, and the sentence for what a prior cannot do."""

import math

import numpy as np
import pyro.distributions as dist
import pytest
import scipy.stats
import torch
from small_priors import CONTINUOUS, shaken
from tiny import B, D, L, close, program, shake
from torch.distributions import kl_divergence

from gram_pyro.distributions.coupling import CouplingFlow
from gram_pyro.inference.noise import Tempered
from gram_pyro.priors.annealed import Annealed
from gram_pyro.priors.categorical import Categorical, OneHots
from gram_pyro.priors.flow import Flow
from gram_pyro.priors.gaussian import Gaussian
from gram_pyro.priors.glimpsed import Glimpsed, glimpse
from gram_pyro.priors.low_rank import LowRankNormal
from gram_pyro.priors.standard import Standard
from gram_pyro.priors.student_t import StudentT
from gram_pyro.priors.zero_mean import ZeroMean

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


def test_standard_noise_does_not_depend_on_the_state():
    law = Standard(0.5)(torch.randn(3, 4, 8), 0)
    assert law.batch_shape == (3,) and law.event_shape == (4, 8)
    close(law.log_prob(torch.zeros(3, 4, 8)), torch.full((3,), 32 * (math.log(2) - 0.5 * math.log(2 * math.pi))))
    with pytest.raises(ValueError, match="got scale=0; expected a positive number; for no noise write prior=noiseless"):
        Standard(0)


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


def test_glimpsed_knows_of_every_patch_which_of_its_pixels_are_seen():
    """Its law is the head's on the state and a sum over the seen pixels of the patch, found by row and column."""
    patch, columns, rows = 2, 6, 4
    prior = shake(Glimpsed(D, 0.4, 6, columns=columns, patch=patch), 0.5)
    u = torch.randn(20, rows * columns // patch**2, D)
    seen = glimpse(u, rows * columns, 0.4)
    assert 0.2 < seen.double().mean() < 0.6
    told = torch.zeros_like(u)
    for i in range(rows * columns):
        row, column = divmod(i, columns)
        token = row // patch * (columns // patch) + column // patch
        told[:, token] += seen[:, i, None] * 2 * prior.seen.weight[:, row % patch * patch + column % patch]
    law, truth = prior(u, 0).base_dist, prior.head(torch.cat([u, told], -1)).base_dist
    close(law.loc, truth.loc)
    close(law.scale, truth.scale)
    assert (law.loc - prior.head(torch.cat([u, 0 * told], -1)).base_dist.loc).abs().max() > 1e-3
    with pytest.raises(ValueError, match="got patch=4 and columns=6; expected a side that divides the columns"):
        Glimpsed(D, 0.4, columns=6, patch=4)


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


def test_every_layer_of_a_flow_reads_its_context():
    """Another context of one cell moves that cell, in each coupling by itself."""
    flow = shake(CouplingFlow(4, 3, 6, 2), 0.3)
    context, base = torch.randn(L, 3), dist.Normal(torch.randn(L, 4), 0.5).to_event(2)
    eps, other = base.sample(), context.index_fill(0, torch.tensor([1]), 2.0)
    laws = (flow(base, c).transforms for c in (context, other))
    changes = [(a(eps) - b(eps)).abs().amax(-1) > 1e-4 for a, b in zip(*laws, strict=True) if hasattr(a, "split_dim")]
    assert [change.tolist() for change in changes] == 4 * [[False, True, False, False]]


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


# ---- misuse


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: StudentT(D, df=2), "got df=2; expected more than 2, so that the deviation is finite"),
        (lambda: Categorical(D, 3), f"got num_classes=3; expected a divisor of dim={D}"),
        (lambda: Categorical(D, 4, uniform=0), "got uniform=0; expected a number between 0 and 1"),
        (lambda: Flow(7), "got dim=7, num_layers=2; expected an even dim"),
        (lambda: Flow(D, 0), f"got dim={D}, num_layers=0; expected"),
        (lambda: Annealed(Gaussian(D), ()), r"got factors=\[\]; expected at least one, all positive"),
        (lambda: Annealed(Gaussian(D), (1, 0)), r"got factors=\[1, 0\]; expected"),
        (
            lambda: Annealed(StudentT(D))(torch.zeros(L, D), 0),
            "got an inner prior that gives StudentT; expected a diagonal Gaussian",
        ),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("name", ["flow", "categorical"])
def test_laws_without_a_mean_are_not_tempered(name):
    with pytest.raises(ValueError, match="expected continuous latents with a finite mean"):
        Tempered(shaken(name), 2.0)(torch.randn(B, L, D), 0)


def test_a_discrete_prior_refuses_a_continuous_guide():
    model, guide = program(prior=shaken("categorical"))
    message = "got a prior with discrete latents and the guide Concat with continuous ones.*write guide=bootstrap"
    with pytest.raises(ValueError, match=message):
        guide(torch.randint(5, (B, L)), torch.randint(5, (B, L)))
    assert isinstance(model.prior(torch.randn(B, L, D), 0), OneHots)
