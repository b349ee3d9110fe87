"""SMC and SIR where everything is linear and Gaussian: with log G = log p(y | h), Z is p(y | x).

N segments of T transitions are N T transitions of the oracle. Replicas of one puzzle are folded into the batch.
"""

import math

import pytest
import torch
from oracle import law_from_start, linear_gram, log_evidence, posterior_of_answer
from tiny import close

from gram_pyro.evaluation.evaluate import judge
from gram_pyro.evaluation.metrics import report
from gram_pyro.inference.noise import rebuilt
from gram_pyro.inference.particle_filter import ParticleFilter
from gram_pyro.inference.particles import Cloud
from gram_pyro.inference.resampling import multinomial, residual, stratified, systematic
from gram_pyro.inference.sampler import sample
from gram_pyro.inference.smc import sir, smc
from gram_pyro.networks.core import State
from gram_pyro.networks.heads import Heads
from gram_pyro.priors.noiseless import Noiseless
from gram_pyro.tasks.base import Puzzles, Task


class Positive(Task):
    """An answer is right if it is above 0."""

    train, test = None, {}

    def is_solved(self, x, y):
        return (y > 0).all(-1)

    def augment(self, batch, generator):
        return batch


SCHEMES = [multinomial, stratified, systematic, residual]
N, FLOOR = 3, 0.08


def problem():
    """A program of one cell, and for each of its three puzzles an answer that is somewhat off."""
    with torch.random.fork_rng():  # the problem is one, whatever the seed of the draws
        torch.manual_seed(0)
        model = linear_gram(num_transitions=2, readout_scale=0.5)
    x = torch.arange(3)[:, None]
    mean, variance = law_from_start(model, x, N)
    return model, x, (mean + torch.tensor([[0.3], [-0.8], [0.6]]) * variance.sqrt()).detach()


def likelihood(model, table, floor=FLOOR):
    """log G = log(p(y | h) + c) with y = table[x], so that Z = p(y | x) + c.

    At c = 0 the variance of G_n / G_m is infinite after a resampling in favour of G_m, unless the recursion forgets
    slowly; then no number of replicas tells a biased estimate from an unbiased one.
    """
    return lambda x, state, answers: (model.readout(state).log_prob(table[x[..., 0]]).exp() + floor).log()


def within(values, truth, limit=4):
    """Whether the mean of `values` over dim 0 is the truth, in standard errors."""
    return ((values.mean(0) - truth).abs() < limit * values.std(0) / len(values) ** 0.5).all()


CASES = [(sir, {"resample": systematic}), (smc, {"threshold": 0.0})]
CASES += [(smc, {"resample": scheme, "threshold": threshold}) for scheme in SCHEMES for threshold in (0.5, 1.0)]


@pytest.mark.parametrize("num_particles", [8, 32, 128])
@pytest.mark.parametrize("sampler, options", CASES)
def test_evidence_is_unbiased(sampler, options, num_particles):
    model, x, y = problem()
    many, x, y = 65_536 // num_particles, x[:1], y[:1]
    run = sampler(model, x.expand(many, 1), num_particles, N, potential=likelihood(model, y), chunk=2**18, **options)
    ratio = run.log_evidence.exp() / (log_evidence(model, x, y, N).exp() + FLOOR)
    assert run.log_evidence.shape == (many,) and ratio.std() / many**0.5 < 0.01
    assert within(ratio, 1)
    resampled = (run.history.ancestors[:-1] != torch.arange(num_particles)[:, None]).any(1).double().mean()
    threshold = options.get("threshold", 0.0)
    assert resampled == 0 if threshold == 0 else resampled > 0.2 if threshold == 0.5 else resampled > 0.9


@pytest.mark.parametrize("sampler, options", [CASES[0], CASES[4], CASES[9]])
def test_weighted_answers_have_the_law_of_the_target(sampler, options):
    """E[Z^ sum_k v_k f(answer_k)] = p(y) E[f | y] + c E[f], without bias, for every puzzle."""
    model, x, y = problem()
    many = 2000
    run = sampler(model, x.repeat(many, 1), 32, N, potential=likelihood(model, y), chunk=2**18, **options)
    share = run.log_weights.softmax(0)
    assert (run.log_weights == 0).all() if sampler is sir else run.log_weights.std() > 0.1
    mean, variance = posterior_of_answer(model, x, y, N)
    prior_mean, prior_variance = law_from_start(model, x, N)
    evidence, prior_variance = log_evidence(model, x, y, N).exp(), prior_variance - model.readout.scale**2
    off = run.answers[..., 0].view(32, many, 3) - mean[:, 0]
    gap = (prior_mean - mean)[:, 0]
    for f, truth in ((off, FLOOR * gap), (off.square(), evidence * variance + FLOOR * (prior_variance + gap**2))):
        assert within(run.log_evidence.view(many, 3).exp() * (share.view(32, many, 3) * f).sum(0), truth.detach())


def test_answers_of_many_particles_have_the_law_of_the_posterior():
    """Without a floor the target is the posterior itself."""
    model, x, y = problem()
    run = smc(model, x, 20_000, N, potential=likelihood(model, y, 0.0), threshold=0.0, chunk=2**18)
    mean, variance = posterior_of_answer(model, x, y, N)
    share = run.log_weights.softmax(0)
    off = run.answers[..., 0] - mean[:, 0]
    for f, truth in ((off, 0.0), (off.square(), variance)):
        estimate = (share * f).sum(0)
        assert ((estimate - truth).abs() < 4 * (share.square() * (f - estimate).square()).sum(0).sqrt()).all()
    ratio = run.log_evidence - log_evidence(model, x, y, N)
    assert (ratio.abs() < 4 * (share.square().sum(0) - 1 / 20_000).sqrt()).all()


@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("chunk", [7, 1024])
def test_history_tells_what_was_done(threshold, chunk):
    """The weights and the evidence, recomputed particle by particle from the potentials and the ancestors."""
    model, x, y = problem()
    num, potential, seen = 12, likelihood(model, y), []

    def watched(x, state, answers):
        seen.append(torch.stack([potential(x, state, answers), x[:, 0]]))
        return seen[-1][0]

    x = torch.tensor([[0], [1], [2], [1], [0]])
    run = smc(model, x, num, N, potential=watched, threshold=threshold, chunk=chunk)
    per_group = max(1, chunk // num)
    groups, rows = [list(range(5))[i : i + per_group] for i in range(0, 5, per_group)], torch.cat(seen, 1)
    assert rows.shape == (2, N * num * 5)
    for group, flat in zip(groups, rows.split([N * num * len(g) for g in groups], 1), strict=True):
        log_g, puzzle = flat.view(2, N, num, len(group))
        assert torch.equal(puzzle, x[group, 0].expand(N, num, -1).double())
        for column, b in enumerate(group):
            start, evidence = [0.0] * num, 0.0
            for n in range(N):
                weights = [log_g[n, k, column].item() - start[k] for k in range(num)]
                close(run.history.log_weights[n, :, b], weights)
                parents = run.history.ancestors[n, :, b].tolist()
                w = [math.exp(v) for v in weights]
                low = sum(w) ** 2 / sum(v * v for v in w) < threshold * num
                if n == N - 1 or not low:
                    assert parents == list(range(num))
                else:
                    start = [log_g[n, parent, column].item() for parent in parents]
                    evidence += math.log(sum(w) / num)
            close(run.log_evidence[b], evidence + math.log(sum(w) / num))
            close(run.log_weights[:, b], weights)
    moved = (run.history.ancestors != torch.arange(num)[:, None]).any(1).sum(1).tolist()  # puzzles, after every segment
    assert moved[-1] == 0 and (moved[0] == 0) == (threshold == 0) and (threshold < 1 or moved == [5, 5, 0])


def test_threshold_zero_is_sir_before_its_last_step():
    model, x, y = problem()
    options = {"potential": likelihood(model, y), "chunk": 50}
    torch.manual_seed(5)
    weighted = smc(model, x, 40, N, threshold=0.0, **options)
    torch.manual_seed(5)
    resampled = sir(model, x, 40, N, **options)
    chosen = resampled.history.ancestors[-1]
    close(resampled.log_evidence, weighted.log_evidence)
    close(resampled.answers, weighted.answers.gather(0, chosen[..., None]))
    close(resampled.log_likelihood, weighted.log_likelihood.gather(0, chosen))
    assert (resampled.log_weights == 0).all() and (chosen != torch.arange(40)[:, None]).any()
    expected = 40 * weighted.log_weights.softmax(0)
    counts = torch.zeros(40, 3).scatter_add_(0, chosen, torch.ones(40, 3))
    assert ((counts - expected).abs() < 1).all()  # systematic


def only_above(bound):
    return lambda x, state, answers: torch.where(answers[:, 0] > bound, 0.0, -torch.inf)


@pytest.mark.parametrize("resample", SCHEMES)
def test_weight_zero_is_never_continued_or_chosen(resample):
    model, x, _ = problem()
    median = law_from_start(model, x[:1], N)[0].item()
    x = x[:1].expand(50, 1)
    run = smc(model, x, 64, N, potential=only_above(median), resample=resample, threshold=1.0)
    died = run.history.log_weights == -torch.inf
    assert died[:-1].any(1).double().mean() > 0.5
    assert not died[:-1].gather(1, run.history.ancestors[:-1]).any()
    assert torch.equal(run.answers[..., 0] > median, run.log_weights == 0)
    assert (sir(model, x, 64, N, potential=only_above(median), resample=resample).answers > median).all()


def test_probability_of_an_event_is_its_evidence():
    """G = 1 where the answer exceeds c: Z = P(w . h_N > c)."""
    model, x, _ = problem()
    mean, variance = law_from_start(model, x[:1], N)
    deviation = (variance - model.readout.scale**2).sqrt()
    run = sir(model, x[:1].expand(2000, 1), 40, N, potential=only_above(mean.item()), chunk=2**18)
    assert within(run.log_evidence.exp(), 0.5)
    c = mean + 0.5 * deviation
    run = smc(model, x[:1].expand(2000, 1), 60, N, potential=only_above(c.item()), threshold=0.0, chunk=2**18)
    assert within(run.log_evidence.exp(), 0.5 * math.erfc(0.5 / 2**0.5))


@pytest.mark.parametrize("sampler", [smc, sir])
@pytest.mark.parametrize("num_segments", [1, 3])
def test_a_potential_that_leaves_nothing_or_is_no_number(sampler, num_segments):
    model, x, _ = problem()
    nothing = lambda x, state, answers: torch.where(x[:, 0] == 1, -torch.inf, 0.0)  # noqa: E731
    for chunk in (1, 1024):  # the number is that of the puzzle, not of its place in a chunk
        with pytest.raises(ValueError, match="weight zero for all 5 particles of puzzle 1; .* use a potential that is"):
            sampler(model, x, 5, num_segments, potential=nothing, chunk=chunk)
    for bad in (math.nan, math.inf):
        with pytest.raises(FloatingPointError, match="at site 'potential' of segment 1 of puzzle 2,.*the potential"):
            sampler(
                model, x, 5, num_segments, potential=lambda x, state, answers, b=bad: torch.where(x[:, 0] == 2, b, 0.0)
            )


def test_only_the_last_potential_counts_without_resampling():
    """Nothing is lost when all particles have weight zero on the way, for none has to be chosen."""
    model, x, y = problem()
    calls = []

    def late(x, state, answers):
        calls.append(len(x))
        return torch.full((len(x),), 0.0 if len(calls) == N else -torch.inf)

    assert smc(model, x, 4, N, potential=late, threshold=0.0).log_evidence.tolist() == [0.0, 0.0, 0.0]
    for bad in (math.nan, math.inf):  # but what is not a weight is not one on the way either
        calls.clear()
        with pytest.raises(FloatingPointError, match="at site 'potential' of segment 1 of puzzle 0"):
            smc(model, x, 4, N, potential=lambda *args, b=bad: torch.where(late(*args) < 0, b, 0.0), threshold=0.0)


def test_thresholds_outside_the_unit_interval():
    model, x, y = problem()
    for threshold in (-0.1, 1.5):
        with pytest.raises(ValueError, match=f"got threshold={threshold}; expected a share of the particles, 0 .never"):
            smc(model, x, 4, 1, potential=likelihood(model, y), threshold=threshold)


def test_permuted_puzzles_give_permuted_results():
    model, x, y = problem()
    model = rebuilt(model, prior=Noiseless())
    order = torch.tensor([2, 0, 1])
    for sampler in (smc, sir):
        first, second = (sampler(model, p, 6, N, potential=likelihood(model, y), chunk=12) for p in (x, x[order]))
        close(second.answers, first.answers[:, order])
        close(second.log_evidence, first.log_evidence[order])
        close(second.history.log_weights, first.history.log_weights[..., order])
        assert torch.pdist(first.answers[0]).min() > 1e-6


def test_only_the_puzzle_that_degenerates_is_resampled():
    """An easy puzzle beside a hard one is left alone: its weights, history and evidence stay its own."""
    model, x, y = problem()
    potential = lambda x, state, answers: torch.where(x[:, 0] == 1, 40.0, 0.01) * -answers[:, 0].square()  # noqa: E731
    run = smc(model, x, 50, N, potential=potential, threshold=0.5)
    moved = (run.history.ancestors != torch.arange(50)[:, None]).any(1)
    assert moved.tolist() == [[False, True, False]] * (N - 1) + [[False] * 3]


@pytest.mark.parametrize("threshold, resampled", [(0.5, False), (0.5 + 1e-9, True)])
def test_particles_are_resampled_below_the_threshold_and_not_at_it(threshold, resampled):
    """Of four particles two weigh nothing: their effective number is two, exactly."""
    state = State(torch.arange(4.0)[:, None, None], torch.zeros(4, 1, 1))
    particles = ParticleFilter(Cloud(None, state, 4), 4, systematic, threshold)
    particles.weigh(torch.zeros(4), torch.tensor([0.0, 0.0, -torch.inf, -torch.inf]))
    particles.steer()
    assert (particles.cloud.state.h.flatten().tolist() == [0, 0, 1, 1]) == resampled
    assert torch.equal(particles.ancestors[-1][:, 0], torch.arange(4)) != resampled


def test_k_trajectories_are_k_runs():
    model, x, _ = problem()
    torch.manual_seed(3)
    together = sample(model, x, 5, N, chunk=3)
    torch.manual_seed(3)
    apart = [sample(model, x, 1, N) for _ in range(5)]
    for name in ("answers", "log_likelihood", "change", "depth", "log_weights"):
        assert torch.equal(getattr(together, name), torch.cat([getattr(run, name) for run in apart])), name
    assert torch.unique(together.answers, dim=0).shape == together.answers.shape
    close(together.log_likelihood, torch.full((5, 3), -math.log(0.5 * (2 * math.pi) ** 0.5)))  # the mode of N(., 0.5)


@pytest.mark.parametrize("chunk", [1, 7, 12, 1024])
def test_chunks_do_not_change_shapes(chunk):
    model, x, y = problem()
    for sampler in (smc, sir):
        run = sampler(model, x, 6, 2, potential=likelihood(model, y), chunk=chunk, heads=Heads(2, 4))
        assert run.answers.shape == (6, 3, 1) and run.log_evidence.shape == (3,) and run.num_particles == 6
        for field in (run.log_weights, run.log_likelihood, run.depth, run.change, run.halt, run.value):
            assert field.shape == (6, 3) and not field.requires_grad
        assert run.history.log_weights.shape == run.history.ancestors.shape == (2, 6, 3)


@pytest.mark.parametrize("sampler, options", [CASES[0], CASES[4]])
def test_particles_that_were_weighed_together_are_not_cut_into_fewer(sampler, options):
    """Resampled particles lie sorted by ancestor, so that 5 of 20 in a row are alike: they are judged as 20 only."""
    model, x, y = problem()
    found = sampler(model, x, 20, N, potential=likelihood(model, y), **options)
    task, puzzles = Positive(), Puzzles.from_lists(x.tolist(), [[row] for row in x.tolist()])
    result = judge(task, puzzles, found)
    assert result.whole and list(report(result, [1, 5, 20])["any"]) == [20]
    free = judge(task, puzzles, sample(model, x, 20, N))
    assert not free.whole and list(report(free, [1, 5, 20])["any"]) == [1, 5, 20]
    assert judge(task, puzzles, found._replace(history=None, log_weights=torch.randn(20, 3))).whole
