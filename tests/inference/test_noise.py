"""Other noise at sampling time: densities by change of variables, draws by one seed, variances in closed form."""

import math

import pyro.distributions as dist
import pytest
import torch
from oracle import law_from_start, linear_gram
from tiny import B, L, V, batch, close, program
from torch import nn

from gram_pyro.inference.noise import (
    FixedNoise,
    RandomStart,
    Tempered,
    drawn_answers,
    hot_start,
    ptrm,
    random_start,
    rebuilt,
    tempered,
)
from gram_pyro.inference.sampler import sample
from gram_pyro.inference.smc import smc
from gram_pyro.networks.heads import Heads
from gram_pyro.priors.base import Prior
from gram_pyro.priors.noiseless import Noiseless


class Family(Prior):
    """A law of any family around a mean that depends on u and t."""

    def __init__(self, build):
        super().__init__()
        self.build, self.net = build, nn.Linear(2, 2)

    def forward(self, u, t):
        return self.build(self.net(u) + t)


def normal(loc):
    return dist.Normal(loc, 0.3 + loc.square()).to_event(2)


def student(loc):
    return dist.StudentT(4.0, loc, 0.5).to_event(2)


def full(loc):
    return dist.MultivariateNormal(loc, scale_tril=torch.tensor([[0.5, 0.0], [0.3, 0.4]])).to_event(1)


def mixture(loc):
    parts = dist.Normal(torch.stack([loc - 1, loc + 2], -1), 0.5)
    return dist.MixtureSameFamily(dist.Categorical(torch.tensor([0.7, 0.3]).expand(*loc.shape, 2)), parts).to_event(2)


FAMILIES = [normal, student, full, mixture]


def draws_of(prior, u, t=1):
    torch.manual_seed(7)
    return prior(u, t).sample()


@pytest.mark.parametrize("build", FAMILIES)
@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.0])
def test_temperature_scales_the_deviation_from_the_mean(build, temperature):
    """z = m + tau (z' - m) draw by draw, and p_tau(z) = p(z') / tau^(L D)."""
    prior, u = Family(build), torch.randn(6, 3, 2)
    narrow = Tempered(prior, temperature)
    law, base = narrow(u, 1), prior(u, 1)
    assert law.batch_shape == (6,) and law.event_shape == (3, 2)
    z = draws_of(prior, u)
    close(draws_of(narrow, u), base.mean + temperature * (z - base.mean))
    close(law.log_prob(base.mean + temperature * (z - base.mean)), base.log_prob(z) - 3 * 2 * math.log(temperature))
    if temperature == 1:
        close(draws_of(narrow, u), z)
        close(law.log_prob(z), base.log_prob(z))
    else:
        assert (draws_of(narrow, u) - z).abs().min() > 1e-6


@pytest.mark.parametrize("build", FAMILIES)
def test_variance_grows_with_the_square_of_the_temperature(build):
    many, u = 40_000, torch.randn(1, 1, 2)
    prior = Family(build)
    mean, variance = prior(u, 0).mean[0, 0], prior(u, 0).variance[0, 0]
    z = Tempered(prior, 0.5)(u.expand(many, 1, 2), 0).sample()[:, 0]
    assert ((z.mean(0) - mean).abs() < 4 * z.std(0) / many**0.5).all()
    squares = (z - mean).square()
    assert ((squares.mean(0) - 0.25 * variance).abs() < 4 * squares.std(0) / many**0.5).all()


@pytest.mark.parametrize("build", FAMILIES)
def test_temperature_zero_is_a_point_mass(build):
    prior, u = Family(build), torch.randn(6, 3, 2)
    cold = Tempered(prior, 0)
    law = cold(u, 1)
    assert cold.is_point_mass and not Tempered(prior, 0.1).is_point_mass
    close(law.sample(), prior(u, 1).mean)
    assert law.batch_shape == (6,) and law.event_shape == (3, 2)
    close(law.log_prob(prior(u, 1).mean), torch.zeros(6))
    assert (law.log_prob(prior(u, 1).mean + 1e-3) == -torch.inf).all()


def test_a_point_mass_stays_one():
    quiet = Tempered(Noiseless(), 2.0)
    assert quiet.is_point_mass
    close(quiet(torch.randn(6, 3, 2), 0).sample(), torch.zeros(6, 3, 2))


@pytest.mark.parametrize(
    "build",
    [
        lambda loc: dist.Bernoulli(logits=loc).to_event(2),
        lambda loc: dist.Poisson(loc.exp()).to_event(2),
        lambda loc: dist.Cauchy(loc, 1.0).to_event(2),
        lambda loc: dist.StudentT(1.0, loc, 1.0).to_event(2),
    ],
)
@pytest.mark.parametrize("temperature", [0, 0.5])
def test_discrete_laws_and_laws_without_a_mean_are_refused(build, temperature):
    with pytest.raises(
        ValueError, match="got the law Indep.*; expected continuous latents with a finite mean"
    ):
        Tempered(Family(build), temperature)(torch.randn(6, 3, 2), 0)


def test_negative_temperature_and_no_scale():
    with pytest.raises(ValueError, match="got temperature=-0.5; expected 0 or more; 1 is the prior as trained"):
        Tempered(Noiseless(), -0.5)
    with pytest.raises(ValueError, match="got scale=0; expected a positive number; PTRM uses 0.3"):
        FixedNoise(0)


def linear(**options):
    model, x = linear_gram(**options), torch.arange(3)[:, None]
    return model, x


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_tempered_sampling_has_its_law(temperature):
    """The oracle with noise of deviation tau s."""
    model, x = linear(num_transitions=2)
    many = 8000
    answers = tempered(model, x, many, 2, temperature=temperature, chunk=2**18).answers[..., 0]
    with torch.no_grad():
        model.prior.scale *= temperature
    mean, variance = law_from_start(model, x, 2)
    variance = (variance - model.readout.scale**2).item()
    assert ((answers.mean(0) - mean[:, 0]).abs() < 4 * (variance / many) ** 0.5).all()
    assert ((answers.var(0) - variance).abs() < 4 * variance * (2 / many) ** 0.5).all()


def test_temperature_one_is_the_sampler_itself_with_all_its_options():
    model, x = linear()
    heads, options = Heads(2, 4), {"potential": lambda x, state, answers: -answers[:, 0].square(), "threshold": 1.0}
    for sampler, more in ((sample, {}), (smc, options)):
        torch.manual_seed(1)
        expected = sampler(model, x, 6, 2, heads=heads, chunk=9, **more)
        torch.manual_seed(1)
        actual = tempered(model, x, 6, 2, temperature=1.0, sampler=sampler, heads=heads, chunk=9, **more)
        for name in ("answers", "log_weights", "log_evidence", "halt", "value"):
            close(getattr(actual, name), getattr(expected, name))


def rows_of(model):
    rows, predict = [], model.core.predict
    model.core.predict = lambda e, state: rows.append(len(state.h)) or predict(e, state)
    return rows


def test_temperature_zero_runs_one_trajectory_for_all():
    model, x = linear()
    rows = rows_of(model)
    answers = tempered(model, x, 6, 2, temperature=0).answers
    close(answers, answers[:1].expand(6, 3, 1))
    assert rows == [3] * 6


def test_fixed_noise_enters_at_the_first_transition_of_a_segment():
    u = torch.randn(20_000, 1, 2)
    first, later = FixedNoise(0.3)(u, 0), FixedNoise(0.3)(u, 1)
    z = first.sample()
    assert abs(z.mean().item()) < 4 * 0.3 / 40_000**0.5 and abs(z.var().item() - 0.09) < 4 * 0.09 * (2 / 40_000) ** 0.5
    close(first.log_prob(z), dist.Normal(0.0, 0.3).log_prob(z).sum((-1, -2)))
    assert (later.sample() == 0).all() and (later.log_prob(torch.zeros_like(u)) == 0).all()
    assert not FixedNoise(0.3).is_point_mass


@pytest.mark.parametrize("num_transitions, num_segments", [(1, 1), (2, 1), (1, 3)])
def test_ptrm_has_its_law(num_transitions, num_segments):
    """h_t = A h_{t-1} + B e, and noise on the first of every T: the prior of the model plays no part."""
    model, x = linear(num_transitions=num_transitions)
    many, a, w = 8000, model.core.a.detach(), model.readout.w.detach()
    answers = ptrm(model, x, many, num_segments, scale=0.5, chunk=2**18).answers[..., 0]
    clean = sample(rebuilt(model, prior=Noiseless()), x, 1, num_segments).answers[0, :, 0]
    after = [num_transitions * n - 1 for n in range(1, num_segments + 1)]  # transitions from a draw to the end
    variance = sum(0.25 * (w @ torch.linalg.matrix_power(a, k)).square().sum() for k in after).item()
    assert ((answers.mean(0) - clean).abs() < 4 * (variance / many) ** 0.5).all()
    assert ((answers.var(0) - variance).abs() < 4 * variance * (2 / many) ** 0.5).all()


def test_random_start_has_its_law():
    model, x = linear(num_transitions=2)
    model = rebuilt(model, prior=Noiseless())
    many, a, w = 8000, model.core.a.detach(), model.readout.w.detach()
    answers = random_start(model, x, many, 2, scale=0.5, chunk=2**18).answers[..., 0]
    variance = 0.25 * (w @ torch.linalg.matrix_power(a, 4)).square().sum().item()
    clean = sample(model, x, 1, 2).answers[0, :, 0]
    assert ((answers.mean(0) - clean).abs() < 4 * (variance / many) ** 0.5).all()
    assert ((answers.var(0) - variance).abs() < 4 * variance * (2 / many) ** 0.5).all()


def test_random_start_moves_both_streams_everywhere_and_keeps_the_core():
    model, _ = program()
    e = torch.randn(2000, L, 8)
    core, start = RandomStart(model.core, 0.5), model.core.init(e)
    moved = core.init(e)
    for stream, clean in zip(moved, start, strict=True):
        noise = stream - clean
        assert (noise.std(0) - 0.5).abs().max() < 6 * 0.5 / 4000**0.5  # 32 numbers: Bonferroni beyond 4 s.e.
        assert abs(noise.mean().item()) < 4 * 0.5 / noise.numel() ** 0.5
    assert not torch.equal(moved.h - start.h, moved.l - start.l)
    for actual, expected in zip(core.predict(e, moved), model.core.predict(e, moved), strict=True):
        assert torch.equal(actual, expected)
    assert torch.equal(core.perturb(moved, e).h, moved.h + e)


@pytest.mark.parametrize("sampler", [ptrm, random_start])
def test_a_noiseless_program_gives_distinct_trajectories(sampler):
    """Its own sampler runs one trajectory for all; these run every one."""
    model, x = linear()
    model = rebuilt(model, prior=Noiseless())
    assert model.is_deterministic and len(sample(model, x, 10, 2).answers.unique()) == 3
    rows = rows_of(model)
    run = sampler(model, x, 10, 2)
    assert len(run.answers.unique()) == 30 and rows == [30] * 6
    assert (run.log_weights == 0).all() and (run.log_evidence == 0).all()


def test_rebuilt_leaves_the_model_as_it_is():
    model, _ = program(prior=Noiseless(), num_grad_steps=2)
    model.eval()
    parts = (model.embed, model.core, model.prior, model.readout)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    twin = rebuilt(model, core=RandomStart(model.core, 1.0), prior=FixedNoise(0.1))
    assert not twin.is_deterministic and model.is_deterministic
    assert (model.embed, model.core, model.prior, model.readout) == parts and not twin.training
    assert (twin.embed, twin.core.core, twin.readout) == (model.embed, model.core, model.readout)
    assert (twin.num_transitions, twin.num_grad_steps) == (3, 2)
    x, _ = batch()
    ptrm(model, x, 2, 1), random_start(model, x, 2, 1)
    after = model.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    assert all(same is part for same, part in zip(rebuilt(model).children(), model.children(), strict=True))
    assert sample(model, x, 2, 1).answers.shape == (2, B, L)


def test_a_hot_start_is_hot_for_so_many_segments_and_no_longer():
    """Hot for none is plain sampling, hot for all is tempering, and a point mass at first leaves the later draws."""
    model, _ = program()
    x, _ = batch()

    def states(sampler, **options):
        torch.manual_seed(3)
        return sampler(model, x, 4, 3, **options)

    plain, cold = states(sample), states(tempered, temperature=0.5)
    for hot, same in ((0, plain), (3, cold)):
        drawn = states(hot_start, temperature=0.5, num_hot=hot)
        assert torch.equal(drawn.change, same.change) and torch.equal(drawn.log_likelihood, same.log_likelihood)
    for hot in (1, 2):
        drawn = states(hot_start, temperature=0.5, num_hot=hot)
        assert not torch.equal(drawn.change, plain.change) and not torch.equal(drawn.change, cold.change)
    still = states(hot_start, temperature=0.0, num_hot=3)
    assert torch.equal(still.change, still.change[:1].expand_as(still.change))
    moving = states(hot_start, temperature=0.0, num_hot=2)
    assert not torch.isclose(moving.change[0], moving.change[1]).any()


def test_drawn_answers_have_the_law_of_the_readout():
    """One deterministic state per puzzle: frequencies of its answers against the probabilities it gives."""
    model, _ = program(num_transitions=1)
    model = rebuilt(model, prior=Noiseless())
    x, _ = batch()
    found = drawn_answers(model, x, 4000, 2)
    law = model.readout(model.reason(x, model.reason(x)), x)
    probs = law.base_dist.probs
    for symbol in range(V):
        share = (found.answers == symbol).double().mean(0)
        assert ((share - probs[..., symbol]).abs() < 5 * (probs[..., symbol] / 4000).sqrt() + 1e-9).all()
    close(found.log_likelihood, law.log_prob(found.answers))
    assert model.is_deterministic and len(sample(model, x, 3, 1).answers.unique(dim=0)) == 1
