"""Guides: where they start and what they compute, against closed forms, and the sentence for what a guide cannot do."""

from functools import partial

import pyro.distributions as dist
import pytest
import torch
from draws import moments_agree
from oracle import Exact, linear_gram
from small_guides import GUIDES, concat
from small_priors import CONTINUOUS, shaken
from tiny import B, D, L, batch, close, program, shake
from torch.distributions import kl_divergence

from gram_pyro.networks.core import State
from guides.categorical import Categorical
from guides.concat import Concat
from guides.cross_attention import CrossAttention
from guides.delayed import Delayed
from guides.encoder import Encoder
from guides.flow import Flow
from guides.glimpse import Glimpse
from guides.residual import Residual
from guides.semi_amortised import SemiAmortised


def posteriors(guide, x, y, state=None):
    guide(x, y, state)
    return [guide.trace.nodes[f"z_{t}"]["fn"] for t in range(guide.model.num_transitions)]


# ---- where they start


@pytest.mark.parametrize("prior", CONTINUOUS)
def test_residual_starts_with_a_kl_of_exactly_zero(prior):
    model, _ = program(prior=shaken(prior, size=0.2))
    guide = Residual(model, D, 6)
    guide(*batch())
    assert guide.kl().eq(0).all() if prior != "flow" else guide.kl().abs().max() < 1e-9  # an inverse rounds
    if prior in ("gaussian", "zero_mean", "annealed"):  # elsewhere the KL of one draw may be negative
        shake(guide)(*batch())
        assert (guide.kl() > 1e-3).all()


@pytest.mark.parametrize("prior", ["student_t", "mixture", "low_rank", "flow"])
def test_residual_is_the_prior_moved_and_stretched_around_its_mean(prior):
    """log q(z) = log p((z - delta - m) / f + m) - sum log f, where m is 0 for a flow."""
    model, _ = program(prior=shaken(prior, size=0.2))
    guide = shake(Residual(model, D, 6), 0.3)
    u, y = torch.randn(B, L, D), batch()[1]
    law, features = model.prior(u, 0), torch.cat([u, guide.q_embed(y)], -1)
    delta, factor = guide.q_shift(features), (3 * (guide.q_factor(features) / 3).tanh()).exp()
    mean = 0 if prior == "flow" else law.mean
    q = guide.posterior(u, y, law, 0)
    z = q.sample()
    close(q.log_prob(z), law.log_prob((z - delta - mean) / factor + mean) - factor.log().sum((-2, -1)), 1e-8)
    assert factor.std() > 0.01


def test_residual_moves_the_mean_and_multiplies_the_deviation_within_bounds():
    model, _ = program()
    guide = shake(Residual(model, D, 6), 0.5)
    u, y = torch.randn(B, L, D), batch()[1]
    prior = model.prior(u, 0)
    law = guide.posterior(u, y, prior, 0)
    features = torch.cat([u, guide.q_embed(y)], -1)
    close(law.mean, prior.mean + guide.q_shift(features))
    close(law.stddev, prior.stddev * (3 * (guide.q_factor(features) / 3).tanh()).exp())
    factor = guide.posterior(1e6 * u, y, prior, 0).stddev / prior.stddev
    assert 0.04 < factor.min() < 0.06 and 19 < factor.max() < 21


def test_categorical_starts_at_the_prior_and_adds_to_its_logits():
    model, _ = program(prior=shaken("categorical"))
    guide = Categorical(model, D, 6)
    x, y = batch()
    guide(x, y)
    assert guide.kl().abs().max() < 1e-12
    u, prior = torch.randn(B, L, D), model.prior(torch.randn(B, L, D), 0)
    law = shake(guide, 0.5).posterior(u, y, prior, 0)
    delta = guide.q_net(torch.cat([u, guide.q_embed(y)], -1)).view(prior.logits.shape)
    close(law.logits, (prior.logits + delta).log_softmax(-1))
    assert kl_divergence(law, prior).min() > 1e-3


def test_cross_attention_starts_as_concat_and_flow_too():
    u, y = torch.randn(B, L, D), batch()[1]
    for name in ("cross_attention", "flow"):
        model, plain = program()
        guide = GUIDES[name](model)
        guide.q_embed, guide.q_head = plain.q_embed, plain.q_head
        z = torch.randn(B, L, D)
        close(*(g.posterior(u, y, None, 0).log_prob(z) for g in (guide, plain)))


# ---- what they compute


def test_cross_attention_by_hand():
    model, _ = program()
    guide = shake(CrossAttention(model, D, 2, 6), 0.3)
    u, y = torch.randn(2, B, L, D), batch()[1]
    e = guide.q_embed(y).expand_as(u)
    seen, size = torch.zeros_like(u), D // 2
    query, key, value = u @ guide.q_query.weight.T, (u + e) @ guide.q_key.weight.T, e @ guide.q_value.weight.T
    for head in range(2):
        part = slice(head * size, (head + 1) * size)
        for i in range(L):
            score = (query[..., i : i + 1, part] * key[..., part]).sum(-1) / size**0.5
            seen[..., i, part] = (score.softmax(-1)[..., None] * value[..., part]).sum(-2)
    truth = guide.q_head(torch.cat([u, e + seen @ guide.q_out.weight.T], -1))
    law = guide.posterior(u, y, None, 0)
    close(law.mean, truth.mean)
    close(law.stddev, truth.stddev)


def test_encoder_by_hand():
    """The core of a guide runs one transition of its own: here two updates of l, then one of h, written out."""
    model, _ = program()
    guide = shake(Encoder(model, D, 6), 0.3)
    u, y = torch.randn(2, B, L, D), batch()[1]
    e, core = guide.q_embed(y).expand_as(u), guide.q_core
    low = core.l0.expand_as(u)
    for _ in range(core.num_updates):
        low = core.low(low + u + e)
    truth = guide.q_head(torch.cat([u, core.high(u + low)], -1))
    law = guide.posterior(u, y, None, 0)
    close(law.mean, truth.mean)
    close(law.stddev, truth.stddev)
    assert not {id(p) for p in core.parameters()} & {id(p) for p in model.parameters()}


def test_a_target_cell_moves_other_cells_only_through_attention_or_a_core():
    model, plain = program()
    u, y = torch.randn(B, L, D), torch.zeros(B, L, dtype=torch.int64)
    other = y.clone()
    other[:, 0] = 1
    wide = [shake(CrossAttention(model, D, 2, 6), 0.3), shake(Encoder(model, D, 6), 0.3)]
    for guide, reaches in ((plain, False), *((guide, True) for guide in wide)):
        moved = (guide.posterior(u, y, None, 0).mean - guide.posterior(u, other, None, 0).mean).abs().amax(-1)
        assert (moved[:, 0] > 1e-6).all() and ((moved[:, 1:] > 1e-9).all() if reaches else (moved[:, 1:] == 0).all())


def test_flow_density_and_draws():
    """E_q[p / q] = 1 for any law p that q covers, so density and draws are of one law."""
    model, _ = program()
    guide = shake(GUIDES["flow"](model), 0.1)
    law = guide.posterior(torch.randn(1, 1, D), torch.zeros(1, 1, dtype=torch.int64), None, 0)
    z = law.sample((20000,))
    target = dist.Normal(z.mean(0), 0.6 * z.std(0)).to_event(2)
    ratio = (target.log_prob(z) - law.log_prob(z)).exp()
    assert abs(ratio.mean() - 1) < 4 * ratio.std() / 20000**0.5 and ratio.std() > 0.1


@pytest.mark.parametrize("name", [n for n in GUIDES if n != "flow"])
def test_draws_have_the_moments_of_the_law(name):
    model, _ = program()
    guide = shake(GUIDES[name](model))
    u = torch.randn(1, L, D)
    law = guide.posterior(u, torch.zeros(1, L, dtype=torch.int64), model.prior(u, 0), 0)
    moments_agree(law.rsample((10000,)).detach(), law.mean.detach(), law.variance.detach())


def test_semi_amortised_steps_uphill_by_finite_differences():
    model, _ = program()
    inner = shake(concat(model), 0.02)
    guide = SemiAmortised(model, lambda _: inner, num_steps=1, rate=0.3)
    u, (_, y) = torch.randn(2, B, L, D), batch()
    prior = dist.Normal(0.1 * u, 0.3).to_event(2)
    guess = inner.posterior(u, y, prior, 0)

    def height(m):
        return model.readout(State(u + m, u)).log_prob(y) + prior.log_prob(m)

    law = guide.posterior(u, y, prior, 0)
    close(law.stddev, guess.stddev)
    for at in ((0, 0, 0), (1, 3, 5)):
        step = torch.zeros(L, D)
        step[at[1:]] = 1e-5
        slope = (height(guess.mean + step) - height(guess.mean - step)) / 2e-5
        moved = (law.mean - guess.mean)[..., at[1], at[2]]
        close(moved, 0.3 * guess.variance[..., at[1], at[2]] * slope, 1e-6)
    for num_steps in (2, 8):
        later = SemiAmortised(model, lambda _: inner, num_steps, 0.3).posterior(u, y, prior, 0)
        assert (height(later.mean) > height(law.mean)).all()


def test_semi_amortised_reaches_the_exact_posterior_mean_of_a_gaussian():
    """One transition of the linear-Gaussian GRAM: the mode of p(y | u + m) p(m | u) is the exact posterior mean."""
    model = linear_gram(dim=2, num_transitions=1, readout_scale=1.0)
    x, y = torch.randint(3, (B, L)), torch.randn(B, L)
    exact = Exact(model)
    [truth] = posteriors(exact, x, y)

    class Wide(Concat):
        def __init__(self, model):
            super().__init__(model, 2, 4)

        def posterior(self, u, y, prior, t):
            return dist.Normal(torch.zeros_like(u), 0.4).to_event(2)

    [law] = posteriors(SemiAmortised(model, Wide, num_steps=300, rate=1.0), x, y)
    close(law.mean, truth.mean, 1e-8)


def test_semi_amortised_needs_no_outer_gradient_and_moves_no_model():
    model, _ = program()
    guide = shake(SemiAmortised(model, concat))
    x, y = batch()
    with torch.no_grad():
        inside = posteriors(guide, x, y)
    assert not inside[0].mean.requires_grad and all(p.grad is None for p in model.parameters())
    u = torch.randn(B, L, D)
    law = guide.posterior(u, y, model.prior(u, 0), 0)
    reached = torch.autograd.grad(law.log_prob(torch.zeros(B, L, D)).sum(), [*model.parameters()], allow_unused=True)
    assert all(g is None for g in reached)
    guess = guide.q_inner.posterior(u, y, None, 0)
    for at in (law.mean, guess.mean):  # the move is a constant: the mean's gradient is that of the guess
        grad = torch.autograd.grad(at.sum(), guide.q_inner.q_head.loc.down.weight)[0]
        close(
            grad,
            torch.autograd.grad(
                guide.q_inner.posterior(u, y, None, 0).mean.sum(), guide.q_inner.q_head.loc.down.weight
            )[0],
        )


# ---- misuse


@pytest.mark.parametrize(
    "guide, prior, message",
    [
        ("residual", "categorical", "got a prior with discrete latents and the guide Residual with continuous ones"),
        ("flow", "categorical", "got a prior with discrete latents and the guide Flow with continuous ones"),
        ("cross_attention", "categorical", "discrete latents and the guide CrossAttention with continuous ones"),
        (
            "categorical",
            "gaussian",
            "got a prior that gives Normal; expected the one-hot latents of prior=categorical",
        ),
    ],
)
def test_a_prior_that_a_guide_cannot_serve(guide, prior, message):
    model, _ = program(prior=shaken(prior))
    make = {**GUIDES, "categorical": partial(Categorical, dim=D, hidden=6)}[guide]
    with pytest.raises(ValueError, match=message):
        make(model)(*batch())


@pytest.mark.parametrize(
    "make, message",
    [
        (partial(Delayed, inner=concat, num_segments=0), "got num_segments=0; expected 1 or more; for no delay"),
        (partial(Glimpse, inner=concat, share=0.0), "got share=0.0; expected the share of cells seen at a transition"),
        (partial(Glimpse, inner=concat, share=1.5), "got share=1.5; expected the share"),
        (partial(SemiAmortised, inner=concat, num_steps=0), "got num_steps=0, rate=0.5; expected"),
        (partial(SemiAmortised, inner=concat, rate=0), "got num_steps=2, rate=0; expected"),
        (partial(CrossAttention, dim=D, num_heads=3), "expected num_heads=3 heads"),
        (partial(Flow, dim=7), "got dim=7, num_layers=2; expected an even dim"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make(program()[0])


def test_semi_amortised_needs_a_gaussian_inside():
    model, _ = program()
    guide = SemiAmortised(model, GUIDES["flow"])
    with pytest.raises(
        ValueError, match="got an inner guide that gives Trans"
    ):
        guide(*batch())
