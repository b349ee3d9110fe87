"""Objectives against closed forms: evidence of the linear-Gaussian GRAM, gradients by hand, enumeration."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from oracle import Exact, LinearReadout, law_of_y, linear_problem, log_evidence
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from tiny import D, batch, close, program, seeded_loss
from torch import nn

from gram_pyro.distributions.gradient import scale_gradient, stop_gradient
from gram_pyro.guide import Guide
from gram_pyro.model import GRAM
from gram_pyro.networks.core import Core, State
from gram_pyro.priors.base import Prior
from gram_pyro.priors.gaussian import Gaussian
from gram_pyro.priors.student_t import StudentT
from gram_pyro.training.objectives import Balanced_ELBO, MeanField_ELBO, Surrogate, segment_loss
from guides.bootstrap import Bootstrap


def log_weights(guide, x, y):
    """log p(y, z | x) - log q(z | x, y), [B]."""
    guide(x, y)
    model_trace, guide_trace = guide.get_traces()
    model_trace.compute_log_prob()
    guide_trace.compute_log_prob()
    p = [site["log_prob"] for site in model_trace.nodes.values() if site["type"] == "sample"]
    q = [site["log_prob"] for site in guide_trace.nodes.values() if site["type"] == "sample"]
    assert len(q) == guide.model.num_transitions
    return (sum(p) - sum(q)).detach()


@pytest.mark.parametrize("num_transitions", [1, 2, 4])
def test_exact_posterior_gives_every_weight_the_evidence(num_transitions):
    model, x, y = linear_problem(num_transitions=num_transitions)
    for _ in range(3):
        close(log_weights(Exact(model), x, y), log_evidence(model, x, y))


def test_prior_draws_have_the_closed_form_law_of_y():
    model, x, _ = linear_problem(size=1, cells=1)
    draws = model(x.expand(20_000, 1)).h @ model.readout.w
    mean, variance, _ = law_of_y(model, model.embed(x), model.core.init(model.embed(x)).h, 3)
    noise_free = variance - model.readout.scale**2
    assert abs(draws.mean() - mean).item() < 4 * (noise_free / 20_000).sqrt().item()
    assert abs(draws.var() - noise_free).item() < 4 * (noise_free * (2 / 20_000) ** 0.5).item()


def test_bootstrap_weights_are_unbiased_for_the_evidence():
    model, x, _ = linear_problem(size=1, cells=1, readout_scale=1.0)
    many, e = 20_000, model.embed(x)
    mean, variance, _ = law_of_y(model, e, model.core.init(e).h, model.num_transitions)
    y = mean + 0.5 * variance.sqrt()  # a typical answer: in the tail the weights have no usable standard error
    weights = log_weights(Bootstrap(model), x.expand(many, 1), y.expand(many, 1)).exp()
    truth = log_evidence(model, x, y).exp().item()
    assert abs(weights.mean().item() - truth) < 4 * weights.std().item() / many**0.5
    assert weights.std().item() > 0.01 * truth  # a bootstrap guide is not exact


@pytest.mark.parametrize(
    "options", [{}, {"num_particles": 3}, {"num_particles": 3, "vectorize_particles": True, "max_plate_nesting": 1}]
)
def test_trace_elbo_of_the_exact_guide_is_the_evidence(options):
    model, x, y = linear_problem()
    close(Trace_ELBO(**options).differentiable_loss(model, Exact(model), x, y), -log_evidence(model, x, y).sum())


@pytest.mark.parametrize("prior", [Gaussian, StudentT], ids=["closed KL", "estimated KL"])
@pytest.mark.parametrize("options", [{}, {"num_particles": 3}])
@pytest.mark.parametrize("validated", [True, False])
def test_mean_field_is_pyros_own(prior, options, validated):
    """Value and every gradient, beta and the surrogate's mask included; only the looking is left out, and where nothing
    is validated, densities that nobody asks for."""
    model, guide = program(prior=prior(D, hidden=6))
    x, y = batch()
    named = dict(model.named_parameters(prefix="model")) | dict(guide.named_parameters(prefix="guide"))
    found = []
    for objective in (TraceMeanField_ELBO(**options), MeanField_ELBO(**options)):
        with pyro.validation_enabled(validated):
            pyro.set_rng_seed(2)
            loss, _ = segment_loss(Surrogate(objective), model, guide, x, y, None, beta=0.3)
            pyro.set_rng_seed(2)
            loss = loss + segment_loss(objective, model, guide, x, y, None)[0]
        found.append((loss, torch.autograd.grad(loss, named.values(), allow_unused=True)))
    (theirs, expected), (ours, gradients) = found
    close(ours, theirs)
    for name, a, b in zip(named, gradients, expected, strict=True):
        assert (a is None) == (b is None), name
        if a is not None:
            close(a, b)


@pytest.mark.parametrize("objective", [MeanField_ELBO, Balanced_ELBO, TraceMeanField_ELBO])
def test_particles_side_by_side_without_validation(objective):
    """The loss of three vectorised particles is that with validation on, and so is the state they end in."""
    model, guide = program()
    x, y = batch()
    for nesting in ({"max_plate_nesting": 1}, {}):
        found = []
        for validated in (True, False):
            with pyro.validation_enabled(validated):
                elbo = objective(num_particles=3, vectorize_particles=True, **nesting)
                elbo.loss(model, guide, x, y)  # guesses the nesting
                pyro.set_rng_seed(2)
                loss, state = segment_loss(elbo, model, guide, x, y, None)
                assert state.h.shape == (3, *x.shape, D)
                found.append((loss, state.h))
        close(found[0][0], found[1][0])
        close(found[0][1], found[1][1])


@pytest.mark.parametrize("objective", [MeanField_ELBO(), Balanced_ELBO(), Surrogate(MeanField_ELBO())])
def test_losses_are_floats_as_pyros_are(objective):
    model, guide = program()
    x, y = batch()
    expected = seeded_loss(objective, model, guide, x, y)
    for ask in (objective.loss, objective.loss_and_grads):
        pyro.set_rng_seed(1)
        assert isinstance(loss := ask(model, guide, x, y), float)
        close(loss, expected)


class Rounded(dist.Normal):
    """A law whose draws no gradient passes."""

    has_rsample = False


@pytest.mark.parametrize("name", ["mean_field", "balanced"])
@pytest.mark.parametrize("validated", [True, False])
@pytest.mark.parametrize("law", ["one hot", "coins", "no path"])
def test_a_guide_without_a_path_for_the_gradient_is_refused(name, validated, law):
    laws = {
        "one hot": lambda u: dist.OneHotCategorical(logits=u).to_event(1),
        "coins": lambda u: dist.Bernoulli(logits=u).to_event(2),
        "no path": lambda u: Rounded(u, 1.0).to_event(2),
    }

    class Same(Prior):
        def forward(self, u, t):
            return laws[law](u)

    model, _ = program(prior=Same())
    objective = {"mean_field": MeanField_ELBO, "balanced": Balanced_ELBO}[name]()
    with (
        pyro.validation_enabled(validated),
        pytest.raises(ValueError, match=f"expected a reparameterised sample, which objective {name} needs"),
    ):
        objective.differentiable_loss(model, Bootstrap(model), *batch())


def test_the_weight_of_the_kl_multiplies_the_scale_around_it():
    """beta under an outer scale c: c (E log p(y | z) - beta KL)."""
    model, guide = program()
    x, y = batch()
    losses = {}
    for beta in (0.0, 0.3):
        pyro.set_rng_seed(2)
        losses[beta] = segment_loss(MeanField_ELBO(), model, guide, x, y, None, beta=beta)[0]
        pyro.set_rng_seed(2)
        with pyro.poutine.scale(scale=5.0):
            close(segment_loss(MeanField_ELBO(), model, guide, x, y, None, beta=beta)[0], 5 * losses[beta])
    close(losses[0.3] - losses[0.0], 0.3 * guide.kl().sum())


@pytest.mark.parametrize("objective", [MeanField_ELBO(), Balanced_ELBO(), Trace_ELBO()])
def test_nothing_is_kept_for_gradients_where_none_are_wanted(objective):
    model, guide = program()
    with torch.no_grad():
        loss, state = segment_loss(objective, model, guide, *batch(), None)
    assert not loss.requires_grad and not state.h.requires_grad
    assert not any(site["value"].requires_grad for site in guide.trace.nodes.values() if site["type"] == "sample")


@pytest.mark.parametrize("balance", [0.0, 0.3, 0.8, 1.0])
@pytest.mark.parametrize(
    "options", [{}, {"num_particles": 2}, {"num_particles": 3, "vectorize_particles": True, "max_plate_nesting": 1}]
)
def test_balanced_and_mean_field_bounds_have_one_value(balance, options):
    model, x, y = linear_problem()
    balanced = Balanced_ELBO(balance=balance, **options)
    value = seeded_loss(balanced, model, Exact(model), x, y)
    close(value, seeded_loss(TraceMeanField_ELBO(**options), model, Exact(model), x, y))
    torch.manual_seed(1)
    close(balanced.loss(model, Exact(model), x, y), value)


def test_balanced_bound_of_the_exact_guide_is_the_evidence_on_average():
    model, x, y = linear_problem(size=1)
    many = 4000
    x, y, guide = x.expand(many, 2), y.expand(many, 2), Exact(model)
    truth = log_evidence(model, x[:1], y[:1]).item()
    loss = Balanced_ELBO().differentiable_loss(model, guide, x, y).item() / many
    model_trace, guide_trace = guide.get_traces()
    model_trace.compute_log_prob()
    kls = [
        torch.distributions.kl_divergence(guide_trace.nodes[f"z_{t}"]["fn"], model_trace.nodes[f"z_{t}"]["fn"])
        for t in range(3)
    ]
    each = model_trace.nodes["y"]["log_prob"] - sum(kls)
    close(-each.mean(), loss)
    assert abs(loss + truth) < 4 * each.std().item() / many**0.5


class Drift(Core):
    """u_t = h_{t-1} + e."""

    def init(self, e):
        return State(torch.zeros_like(e), torch.zeros_like(e))

    def predict(self, e, state):
        return State(state.h + e, state.l)


class FreePrior(Prior):
    """One mean and one scale per transition, whatever u_t."""

    def __init__(self, loc, scale):
        super().__init__()
        self.loc, self.scale = nn.Parameter(loc), nn.Parameter(scale)

    def forward(self, u, t):
        return dist.Normal(self.loc[t].expand_as(u), self.scale[t].expand_as(u)).to_event(2)


class FreeGuide(Guide):
    def __init__(self, model, loc, scale):
        super().__init__(model)
        self.q_loc, self.q_scale = nn.Parameter(loc), nn.Parameter(scale)

    def posterior(self, u, y, prior, t):
        return dist.Normal(self.q_loc[t].expand_as(u), self.q_scale[t].expand_as(u)).to_event(2)


@pytest.mark.parametrize("balance", [0.0, 0.3, 0.8, 1.0])
def test_balanced_gradients_are_those_of_the_closed_form(balance):
    size, cells, steps = 4, 2, 2
    x, y = torch.zeros(size, cells, dtype=torch.long), torch.randn(size, cells)
    mp, sp, mq, sq = torch.randn(steps), 0.5 + torch.rand(steps), torch.randn(steps), 0.5 + torch.rand(steps)
    model = GRAM(nn.Embedding(1, 1), Drift(), FreePrior(mp.clone(), sp.clone()), LinearReadout(1, 0.6), steps, 1)
    guide = FreeGuide(model, mq.clone(), sq.clone())
    loss = Balanced_ELBO(balance=balance).differentiable_loss(model, guide, x, y)
    loss.backward()

    with torch.no_grad():
        w, r = model.readout.w.item(), 0.6
        z = [guide.trace.nodes[f"z_{t}"]["value"][..., 0] for t in range(steps)]
        residual = y - w * (steps * model.embed.weight.item() + sum(z))
        loss_by_z = -residual * w / r**2  # [size, cells]: d(-log p(y | h)) / dz_t, for every t
        terms = size * cells
        kl = terms * ((sp / sq).log() + (sq**2 + (mq - mp) ** 2) / (2 * sp**2) - 0.5).sum()
        log_lik = (-0.5 * (residual / r) ** 2 - math.log(r) - 0.5 * math.log(2 * math.pi)).sum()
        close(loss, kl - log_lik)
        close(model.prior.loc.grad, balance * terms * (mp - mq) / sp**2)
        close(model.prior.scale.grad, balance * terms * (1 / sp - (sq**2 + (mq - mp) ** 2) / sp**3))
        by_eps = torch.stack([(loss_by_z * (z[t] - mq[t]) / sq[t]).sum() for t in range(steps)])
        close(guide.q_loc.grad, (1 - balance) * terms * (mq - mp) / sp**2 + loss_by_z.sum())
        close(guide.q_scale.grad, (1 - balance) * terms * (sq / sp**2 - 1 / sq) + by_eps)


@pytest.mark.parametrize("balance", [-0.1, 1.5, float("nan")])
def test_balance_out_of_range(balance):
    with pytest.raises(ValueError, match="expected a number from 0 to 1; the paper uses 0.8"):
        Balanced_ELBO(balance=balance)


def normal(loc, scale):
    return dist.Normal(loc, scale).to_event(2)


def mixture(loc, scale):
    return dist.MixtureSameFamily(dist.Categorical(logits=loc[..., 0]), dist.Normal(loc, scale).to_event(1))


def flow(loc, scale):
    return dist.TransformedDistribution(
        dist.Normal(loc, scale), [dist.transforms.AffineTransform(loc, scale)]
    ).to_event(2)


def full(loc, scale):
    return dist.MultivariateNormal(loc, scale_tril=torch.diag_embed(scale)).expand([4, 2]).to_event(1)


def shifted_base(loc, scale):
    return dist.TransformedDistribution(dist.Normal(loc, scale), [dist.transforms.ExpTransform()]).to_event(2)


LAWS = [
    normal,
    mixture,
    full,
    shifted_base,
    flow,
]


@pytest.mark.parametrize("law_of", LAWS)
def test_stop_gradient_keeps_the_law_and_cuts_the_graph(law_of):
    loc, scale = torch.randn(4, 2, 3, requires_grad=True), torch.rand(4, 2, 3).add(0.5).requires_grad_()
    law = law_of(loc, scale)
    value = law.sample()
    expected = law.log_prob(value)  # fills whatever the law caches, before the copy
    cut = stop_gradient(law)
    close(cut.log_prob(value), expected)
    assert type(cut) is type(law) and cut.event_shape == law.event_shape and cut.batch_shape == law.batch_shape
    assert not cut.log_prob(value).requires_grad
    assert law.log_prob(value).requires_grad, "the original lost its gradient"
    law.log_prob(value).sum().backward()
    assert loc.grad.abs().sum() > 0 and scale.grad.abs().sum() > 0


def test_extreme_balances_train_one_side_through_the_kl():
    """With alpha = 1 the guide's gradient is the likelihood's alone; with alpha = 0 the prior's head gets none."""
    model, guide = program(num_transitions=1)
    x, y = batch()
    head = list(model.prior.parameters())
    loss = seeded_loss(Balanced_ELBO(balance=0.0), model, guide, x, y)
    assert all(g.abs().max() == 0 for g in torch.autograd.grad(loss, head))
    loss = seeded_loss(Balanced_ELBO(balance=1.0), model, guide, x, y)
    likelihood = -model.readout(State(guide.upstream_value("h"), guide.upstream_value("l"))).log_prob(y).sum()
    q = list(guide.q_head.parameters())
    for actual, expected in zip(
        torch.autograd.grad(loss, q, retain_graph=True), torch.autograd.grad(likelihood, q), strict=True
    ):
        close(actual, expected)


@pytest.mark.parametrize("law_of", LAWS)
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_scale_gradient_keeps_the_law_and_passes_a_share_of_the_gradient(law_of, share):
    parameters = torch.randn(4, 2, 3, requires_grad=True), torch.rand(4, 2, 3).add(0.5).requires_grad_()
    law = law_of(*parameters)
    value = law.sample()
    scaled = scale_gradient(law_of(*parameters), share)
    close(scaled.log_prob(value), law.log_prob(value))
    whole = torch.autograd.grad(law.log_prob(value).sum(), parameters)
    for part, of in zip(torch.autograd.grad(scaled.log_prob(value).sum(), parameters), whole, strict=True):
        close(part, share * of)
