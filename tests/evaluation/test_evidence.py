"""Evidence by guided trajectories against its closed form, and whether the guide is calibrated."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from oracle import Affine, Exact, Scaled, law_from_start, linear_gram, log_evidence
from pyro import poutine
from tiny import DoubleReadout, close, program
from torch import nn

from gram_pyro.evaluation.evidence import bound, guided_filter, log_weights, smc_evidence
from gram_pyro.inference.resampling import multinomial, residual, stratified, systematic
from gram_pyro.inference.weights import pareto_k
from gram_pyro.model import GRAM
from gram_pyro.networks.core import Core, State
from gram_pyro.networks.embed import TokenEmbedding
from gram_pyro.priors.base import Prior
from guides.bootstrap import Bootstrap

SCHEMES = [multinomial, stratified, systematic, residual]


def problem(num_transitions=2, cells=2, readout_scale=0.6, num_segments=1):
    """Three puzzles with answers that are somewhat off."""
    with torch.random.fork_rng():  # the problem is one, whatever the seed of the draws
        torch.manual_seed(0)
        model = linear_gram(num_transitions=num_transitions, readout_scale=readout_scale)
        x = torch.randint(3, (3, cells))
    mean, variance = law_from_start(model, x, num_segments)
    return model, x, (mean + torch.tensor([[0.3], [-0.8], [0.6]]) * variance.sqrt()).detach()


@pytest.mark.parametrize("num_transitions", [1, 3])
@pytest.mark.parametrize("chunk", [4, 1024])
def test_exact_guide_gives_every_weight_the_evidence(num_transitions, chunk):
    model, x, y = problem(num_transitions)
    truth = log_evidence(model, x, y)
    weights = log_weights(model, Exact(model), x, y, 7, 1, chunk=chunk)
    assert weights.shape == (7, 3) and not weights.requires_grad
    close(weights, truth.expand(7, 3), 1e-9)
    close(smc_evidence(model, Exact(model), x, y, 7, 1, chunk=chunk), truth, 1e-9)


@pytest.mark.parametrize("rows", [[12], [5, 5, 2]])
def test_weights_are_the_ratio_of_densities_over_all_segments(rows):
    """Recomputed from what was drawn: every segment's latents count once, the answer of a row's own puzzle once."""
    model, guide = program(num_transitions=2)
    x, y = torch.randint(5, (3, 4)), torch.randint(5, (3, 4))
    ratios, posterior = [], guide.posterior

    def watched(u, y, prior, t):
        law = posterior(u, y, prior, t)
        z = law.rsample()
        ratios.append(prior.log_prob(z) - law.log_prob(z))
        return pyro.distributions.Delta(z, law.log_prob(z), event_dim=2)

    guide.posterior = watched
    particles = guided_filter(model, guide, x, y, 4, 3, threshold=0.0, chunk=max(rows))
    assert [len(r) for r in ratios] == [num for num in rows for _ in range(2)] * 3  # segments, chunks, transitions
    total = torch.cat(ratios).view(-1)
    by_row = torch.zeros(12)
    for segment in total.split(24):
        for start, part in zip([0, 5, 10], segment.split([2 * num for num in rows]), strict=False):
            by_row[start : start + len(part) // 2] += part.view(2, -1).sum(0)
    answer = model.readout(particles.cloud.state).log_prob(y.repeat(4, 1))
    close(particles.log_weights, (answer + by_row).view(4, 3))


@pytest.mark.parametrize("estimate", [log_weights, smc_evidence])
def test_a_weight_that_is_no_number_raises(estimate):
    model, x, y = problem()
    y[1] = torch.nan
    message = "got a number that is not finite at site 'y' of segment 1 of puzzle 1,.*what the readout returns"
    for chunk in (5, 1024):
        with pyro.validation_enabled(False), pytest.raises(FloatingPointError, match=message):
            estimate(model, Bootstrap(model), x, y, 5, 2, chunk=chunk)


@pytest.mark.parametrize(
    "guide_of, num_segments",
    [(lambda m: Scaled(m, 1.3), 1), (lambda m: Scaled(m, 0.8), 1), (lambda m: Scaled(m, 1.4), 3), (Bootstrap, 3)],
)
def test_bounds_are_ordered_and_weights_unbiased(guide_of, num_segments):
    model, x, y = problem(num_segments=num_segments, readout_scale=0.6 if num_segments == 1 else 2.0)
    truth = log_evidence(model, x, y, num_segments)
    weights = log_weights(model, guide_of(model), x, y, 20_000, num_segments, chunk=2**17)
    ratio = (weights - truth).exp()
    error = ratio.std(0) / 20_000**0.5
    assert ((ratio.mean(0) - 1).abs() < 4 * error).all() and (error < 0.1).all() and (error > 1e-4).all()
    bounds = torch.stack([bound(weights, num) for num in (1, 10, 100, 1000)])
    assert (bounds.diff(dim=0) > 0).all()  # Jensen, without exception
    for value, num in zip(bounds, (1, 10, 100, 1000), strict=True):
        each = torch.stack([bound(part, num) for part in weights.split(num)])
        close(each.mean(0), value)
        assert (value < truth + 4 * each.std(0) / len(each) ** 0.5).all()
    assert ((bounds[-1] - truth).abs() < 0.2 * (bounds[0] - truth).abs()).all()


def test_bound_by_hand():
    weights = torch.tensor([[0.0], [math.log(3)], [2.0], [2.0], [7.0]])
    close(bound(weights, 1), [(math.log(3) + 11) / 5])
    close(bound(weights, 2), [(math.log(2) + 2) / 2])  # the fifth is left over
    close(bound(weights, 5), [math.log((4 + 2 * math.exp(2) + math.exp(7)) / 5)])
    with pytest.raises(ValueError, match="got 5 weights per puzzle; expected at least K=6"):
        bound(weights, 6)


@pytest.mark.parametrize("options", [{"threshold": 0.0}, *({"resample": r, "threshold": 0.9} for r in SCHEMES)])
def test_smc_evidence_is_unbiased(options):
    """A wide guide and a likelihood that is wide too, so that the weights have a variance; see the note in test_smc."""
    model, x, y = problem(num_segments=3, cells=1, readout_scale=3.0)
    many = 3000
    guide, truth = Scaled(model, 1.3), log_evidence(model, x, y, 3).repeat(many)
    particles = guided_filter(model, guide, x, y, 8, 3, chunk=2**17, **options)
    estimate = smc_evidence(model, guide, x.repeat(many, 1), y.repeat(many, 1), 8, 3, chunk=2**17, **options)
    ratio = (estimate - truth).exp().view(many, 3)
    error = ratio.std(0) / many**0.5
    assert ((ratio.mean(0) - 1).abs() < 4 * error).all() and (error < 0.05).all()
    moved = (particles.history().ancestors != torch.arange(8)[:, None]).any()
    assert moved == (options["threshold"] > 0)


def test_the_smc_estimate_repeats_its_weights_without_resampling():
    model, x, y = problem(num_segments=2)
    guide = Scaled(model, 1.5)
    torch.manual_seed(2)
    weights = log_weights(model, guide, x, y, 10, 2)
    torch.manual_seed(2)
    close(smc_evidence(model, guide, x, y, 10, 2, threshold=0.0), bound(weights, 10))


def test_pareto_shape_tells_good_guides_from_bad():
    """Covariance times c at D dimensions: the weights have a Pareto tail of shape 1 - c for c < 1, none for c > 1."""
    model, x, y = problem()
    good = pareto_k(log_weights(model, Scaled(model, 1.1), x, y, 4000, 1, chunk=2**17))
    bad = pareto_k(log_weights(model, Scaled(model, 0.1), x, y, 4000, 1, chunk=2**17))
    worse = pareto_k(log_weights(model, Scaled(model, 1e-4), x, y, 4000, 1, chunk=2**17))
    assert (good < 0.5).all() and (bad > 0.7).all() and (worse > 0.9).all()


class Ranks(nn.Module):
    """Simulation-based calibration: the rank of a statistic of the true latents among L draws of the guide."""

    def __init__(self, model, guide, many, draws):
        super().__init__()
        x = torch.arange(3)[:, None].repeat(many // 3 + 1, 1)[:many]
        truth = poutine.trace(model).get_trace(x).nodes
        with pyro.plate("particles", draws, dim=-2):
            guide(x, truth["y"]["value"])
        self.truth, self.drawn = truth, guide.trace.nodes

    def uniform(self, name, statistic):
        """chi^2 of the ranks against a uniform law on 0 .. L."""
        drawn, truth = (statistic(nodes[name]["value"]) for nodes in (self.drawn, self.truth))
        ranks = (drawn < truth).sum(0)
        counts = torch.bincount(ranks, minlength=len(drawn) + 1)
        expected = len(ranks) / len(counts)
        return ((counts - expected).square() / expected).sum().item()


CHI_SQUARE_19 = 43.82  # its 0.999 quantile
STATISTICS = [
    ("z_0", lambda z: z[..., 0, 0]),
    ("z_1", lambda z: z[..., 0, 1]),
    ("h", lambda h: h[..., 0, 1]),
    ("z_1", lambda z: z.square().sum((-1, -2))),
]


@pytest.mark.parametrize("name, statistic", STATISTICS)
def test_calibration_of_an_exact_guide(name, statistic):
    model = linear_gram(num_transitions=2, readout_scale=0.6)
    assert Ranks(model, Exact(model), 4000, 19).uniform(name, statistic) < CHI_SQUARE_19


@pytest.mark.parametrize("name, statistic", STATISTICS)
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_calibration_notices_a_covariance_that_is_off_by_two(name, statistic, factor):
    model = linear_gram(num_transitions=2, readout_scale=0.6)
    assert Ranks(model, Scaled(model, factor), 4000, 19).uniform(name, statistic) > CHI_SQUARE_19


def test_the_affine_guide_of_the_oracle_is_the_exact_one():
    model, x, y = problem(3)
    affine = Affine(model, x[1:2])
    close(log_weights(model, affine, x[1:2], y[1:2], 5, 1), log_evidence(model, x[1:2], y[1:2]).expand(5, 1), 1e-9)


class Bent(Core):
    def init(self, e):
        return State(torch.full_like(e, 0.4), torch.zeros_like(e))

    def predict(self, e, state):
        return State(torch.tanh(1.5 * state.h + e), state.l)


class Wavering(Prior):
    """Neither its mean nor its width is linear in u."""

    def forward(self, u, t):
        return dist.Normal(torch.sin(2 * u), 0.3 + 0.9 * torch.sigmoid(3 * u)).to_event(2)


def by_quadrature(model, x, y, num_nodes=400):
    """p(y | x) of two transitions, one cell and one channel: trapezoids over z_1, and over z_2 at every node.

    Everything is written out again here; only the numbers of embedding and readout are the model's.
    """
    nodes = torch.linspace(-9, 9, num_nodes, dtype=torch.float64)
    weights = (-nodes.square() / 2).softmax(0)
    e, w = model.embed(x).detach()[:, 0], model.readout.logits.weight.detach()[:, 0]

    def after(h):
        u = torch.tanh(1.5 * h + e[:, :, None])
        return u[..., None] + torch.sin(2 * u)[..., None] + (0.3 + 0.9 / (1 + torch.exp(-3 * u)))[..., None] * nodes

    first = after(torch.full((len(x), 1, 1), 0.4))[:, :, 0]  # [B, 1, N]
    second = after(first)  # [B, 1, N, N]
    p = (second[:, 0, ..., None] * w).softmax(-1)
    chosen = p[torch.arange(len(x)), :, :, y[:, 0]]
    return torch.einsum("bij,i,j->b", chosen, weights, weights)


def test_evidence_is_that_of_quadrature():
    """Where nothing is linear, so that no closed form helps: weights and the particle filter are unbiased."""
    torch.manual_seed(0)
    readout = DoubleReadout(1, 3)
    torch.nn.init.normal_(readout.logits.weight, std=2.0)
    model = GRAM(TokenEmbedding(3, 1), Bent(), Wavering(), readout, 2)
    x, y = torch.tensor([[0], [1], [2]]), torch.tensor([[1], [2], [0]])
    truth = by_quadrature(model, x, y)
    close(truth, by_quadrature(model, x, y, 600), 1e-8)
    draws = log_weights(model, Bootstrap(model), x, y, 8000, 1, chunk=24_000).exp()
    assert ((draws.mean(0) - truth).abs() < 4 * draws.std(0) / 8000**0.5).all()
    runs = torch.stack([smc_evidence(model, Bootstrap(model), x, y, 20, 1).exp() for _ in range(60)])
    assert ((runs.mean(0) - truth).abs() < 4 * runs.std(0) / 60**0.5).all()
