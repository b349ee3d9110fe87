"""Guides: what each claims of itself, against closed forms; segments, gradients and training."""

from functools import partial

import pyro
import pyro.distributions as dist
import pytest
import torch
from draws import moments_agree
from oracle import Exact, law_from_start, linear_gram, log_evidence
from pyro.infer import SVI, Trace_ELBO, TraceMeanField_ELBO
from pyro.poutine import trace
from small_priors import CONTINUOUS, shaken
from tiny import B, D, L, batch, close, parameters, program, shake
from torch.distributions import kl_divergence

from gram_pyro.core import State
from gram_pyro.heads import Heads
from gram_pyro.importance import RWS, DReG
from gram_pyro.inference.evidence import bound, guided_filter, log_weights
from gram_pyro.learner import TrainSettings
from gram_pyro.objectives import Balanced_ELBO, segment_loss
from gram_pyro.tasks.base import Batch
from gram_pyro.train import Trainer
from guides.bootstrap import Bootstrap
from guides.categorical import Categorical
from guides.concat import Concat
from guides.cross_attention import CrossAttention
from guides.delayed import Delayed
from guides.flow import Flow
from guides.residual import Residual
from guides.semi_amortised import SemiAmortised

concat = partial(Concat, dim=D, hidden=6)
GUIDES = {
    "concat": concat,
    "residual": partial(Residual, dim=D, hidden=6),
    "cross_attention": partial(CrossAttention, dim=D, num_heads=2, hidden=6),
    "flow": partial(Flow, dim=D, num_layers=1, hidden=6),
    "semi_amortised": partial(SemiAmortised, inner=concat),
    "delayed": partial(Delayed, inner=concat),
}
MEAN_FIELD, TRACE = (elbo(max_plate_nesting=1) for elbo in (TraceMeanField_ELBO, Trace_ELBO))


def posteriors(guide, x, y, state=None):
    guide(x, y, state)
    return [guide.trace.nodes[f"z_{t}"]["fn"] for t in range(guide.model.num_transitions)]


def priors(guide):
    return [guide.trace.nodes[f"z_{t}"]["infer"]["prior"] for t in range(guide.model.num_transitions)]


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


def test_a_target_cell_moves_other_cells_only_through_attention():
    model, plain = program()
    u, y = torch.randn(B, L, D), torch.zeros(B, L, dtype=torch.int64)
    other = y.clone()
    other[:, 0] = 1
    for guide, reaches in ((plain, False), (shake(CrossAttention(model, D, 2, 6), 0.3), True)):
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
    guide.segment = 1
    u = torch.randn(1, 2, D)
    law = guide.posterior(u, torch.zeros(1, 2, dtype=torch.int64), model.prior(u, 0), 0)
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


# ---- segments


def delayed(num_segments, **options):
    model, _ = program(**options)
    return model, shake(Delayed(model, concat, num_segments))


def test_delayed_is_the_prior_and_then_the_inner_guide():
    model, guide = delayed(2)
    u, y = torch.randn(B, L, D), batch()[1]
    prior = model.prior(u, 0)
    for segment in range(4):
        guide.segment = segment
        law = guide.posterior(u, y, prior, 0)
        if segment < 2:
            assert law is prior
        else:
            close(law.mean, guide.q_inner.posterior(u, y, prior, 0).mean)


@pytest.mark.parametrize(
    "objective", [MEAN_FIELD, TRACE, DReG(num_particles=2), RWS(num_particles=2)], ids=lambda o: type(o).__name__
)
def test_delayed_knows_the_segment_in_training(local_params, objective):
    """DReG runs the program twice per segment and RWS asks the guide once more: a count of calls would be wrong."""
    model, guide = delayed(2)
    settings = TrainSettings(updates=8, num_segments=4, batch_size=4, free_share=0.5, precision="fp32")
    trainer = Trainer(model, guide, Heads(D), objective, settings)
    seen, posterior = [], guide.posterior

    def watched(u, y, prior, t):
        law = posterior(u, y, prior, t)
        seen.append((guide.segment, law is prior))
        return law

    guide.posterior = watched
    x, y = batch(4)
    for _ in range(2):
        record = trainer.trajectory(Batch(x, y, y[:, None], torch.ones(4, 1, dtype=torch.bool)))
    per_segment = len(seen) // 8
    assert [s for s, _ in seen] == [s for _ in range(2) for s in range(4) for _ in range(per_segment)]
    assert all(is_prior == (segment < 2) for segment, is_prior in seen)
    assert (record["kl"] > 0).all()


def test_delayed_knows_the_segment_in_evidence():
    """Weights of a trajectory whose guide is the prior for m segments, on the oracle: those segments weigh nothing, a
    guide that is exact afterwards leaves the evidence unbiased, and chunks do not count as segments."""
    model = linear_gram(num_transitions=2, readout_scale=0.8)
    x = torch.randint(3, (3, 2))
    mean, variance = law_from_start(model, x, num_segments=2)
    y = (mean + 0.7 * variance.sqrt() * torch.randn(3, 2)).detach()
    guide = Delayed(model, Bootstrap, 1)
    for chunk in (7, 1024):
        weights = log_weights(model, guide, x, y, 400, 2, chunk=chunk)
        truth = log_evidence(model, x, y, num_segments=2)
        estimate = weights.exp()
        assert ((estimate.mean(0) - truth.exp()).abs() < 4.5 * estimate.std(0) / 20).all()
    segments, posterior = [], guide.posterior

    def watched(*args):
        segments.append(guide.segment)
        return posterior(*args)

    guide.posterior = watched
    guided_filter(model, guide, x, y, 4, 3, chunk=5)
    assert segments == [s for s in range(3) for _ in range(2 * 3)]  # 12 rows are 3 chunks


def test_delayed_evidence_is_that_of_the_inner_guide_from_where_it_starts():
    """A trajectory with m = 1 of N = 2: the weight is p(y | h) p / q of the last segment alone."""
    model, guide = delayed(1, num_transitions=2)
    x, y = batch()
    ratios, posterior = [], guide.posterior

    def watched(u, y, prior, t):
        law = posterior(u, y, prior, t)
        z = law.rsample()
        ratios.append(prior.log_prob(z) - law.log_prob(z))
        return dist.Delta(z, law.log_prob(z), event_dim=2)

    guide.posterior = watched
    particles = guided_filter(model, guide, x, y, 5, 2, threshold=0.0)
    assert all(r.eq(0).all() for r in ratios[:2]) and all((r != 0).all() for r in ratios[2:])
    answer = model.readout(particles.cloud.state).log_prob(y.repeat(5, 1))
    close(particles.log_weights, (answer + sum(ratios)).view(5, 3))


def test_a_call_without_a_state_starts_a_trajectory():
    model, guide = delayed(1)
    x, y = batch()
    guide.segment = 3
    guide(x, y)
    assert guide.segment == 0 and guide.kl().eq(0).all()
    guide.segment = 3
    guide(x, y, guide.final_state())
    assert guide.segment == 3 and (guide.kl() > 1e-3).all()
    guide(x, y, state=None)
    assert guide.segment == 0


# ---- training


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
                guide.segment = segment
                loss, state = segment_loss(objective, model, guide, x, y, state)
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
    guide.segment = 1
    x, y = batch()
    state = State(torch.randn(B, L, D), torch.randn(B, L, D))
    before = {n: p.detach().clone() for n, p in parameters(model, guide).items()}
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 1e-2}), Trace_ELBO())
    for _ in range(3):
        svi.step(x, y, state)
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


# ---- misuse


@pytest.mark.parametrize(
    "guide, prior, message",
    [
        ("residual", "categorical", "are discrete and those of the guide Residual continuous"),
        ("flow", "categorical", "are discrete and those of the guide Flow continuous"),
        ("cross_attention", "categorical", "are discrete and those of the guide CrossAttention continuous"),
        (
            "categorical",
            "gaussian",
            "guide=categorical corrects the logits of prior=categorical, and the prior gave Normal",
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
        (partial(Delayed, inner=concat, num_segments=0), "num_segments=0 must be at least 1; for no delay"),
        (partial(SemiAmortised, inner=concat, num_steps=0), "num_steps=0, rate=0.5 came"),
        (partial(SemiAmortised, inner=concat, rate=0), "num_steps=2, rate=0 came"),
        (partial(CrossAttention, dim=D, num_heads=3), "does not split into num_heads=3"),
        (partial(Flow, dim=7), "coupling takes an even dim"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make(program()[0])


def test_semi_amortised_needs_a_gaussian_inside():
    model, _ = program()
    guide = SemiAmortised(model, GUIDES["flow"])
    with pytest.raises(
        ValueError, match="guide=semi_amortised refines the mean of a Gaussian, and the inner guide gave Trans"
    ):
        guide(*batch())


def test_a_guide_adds_no_site():
    model, _ = program()
    for make in GUIDES.values():
        sites = trace(make(model)).get_trace(*batch())
        names = [n for n, s in sites.nodes.items() if s["type"] == "sample" and n.startswith("z")]
        assert names == ["z_0", "z_1", "z_2"]
