"""Log-weights: sums in plain Python, exact Pareto tails, and what may never be repaired."""

import math

import pytest
import torch
from pyro.ops.stats import fit_generalized_pareto
from tiny import close

from gram_pyro.inference.weights import check, ess, log_mean_exp, normalise, pareto_k, pareto_threshold

FUNCTIONS = [normalise, ess, pareto_k]


def column(values, num=1):
    """The same weights for `num` puzzles, as [K, num] log-weights."""
    return torch.tensor(values).log()[:, None].expand(-1, num).clone()


@pytest.mark.parametrize("values", [[1.0], [0.5, 2.0, 0.25], [0.0, 3.0, 0.0, 1.0], [1.0] * 7])
def test_sums_by_hand(values):
    total, squares = sum(values), sum(v * v for v in values)
    weights = torch.stack([column(values)[:, 0], column(values)[:, 0] + 700, column(values)[:, 0] - 2000], 1)
    mean = math.log(total / len(values))
    close(log_mean_exp(weights), [mean, mean + 700, mean - 2000])
    close(normalise(weights), torch.tensor(values)[:, None].expand(-1, 3) / total)
    close(ess(weights), [total**2 / squares] * 3)


def test_every_puzzle_by_itself_and_every_order_of_particles():
    weights = 5 * torch.randn(30, 4)
    order = torch.randperm(30)
    for function in (log_mean_exp, ess, pareto_k):
        value = function(weights)
        assert value.shape == (4,)
        close(function(weights[order]), value)
        close(torch.cat([function(weights[:, b : b + 1]) for b in range(4)]), value)
        close(function(weights[:, [2, 0, 3, 1]]), value[[2, 0, 3, 1]])


def test_no_weight_at_all_has_mean_zero_and_nothing_else():
    weights = torch.zeros(30, 3)
    weights[:, 1] = -torch.inf
    assert log_mean_exp(weights).tolist() == [0.0, -torch.inf, 0.0]
    assert check(weights) is weights
    for function in FUNCTIONS:
        with pytest.raises(ValueError, match="got weight zero for all 30 particles of puzzle 1"):
            function(weights)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("function", [check, *FUNCTIONS])
def test_what_is_not_a_weight_is_never_repaired(function, bad):
    weights = torch.zeros(30, 3)
    weights[17, 2] = bad
    with pytest.raises(ValueError, match=f"got the log-weight {bad} of particle 17 of puzzle 2; expected a"):
        function(weights)
    assert not torch.isfinite(weights[17, 2]), "the caller's weights were written to"
    assert not torch.isfinite(log_mean_exp(weights)[2])


def pareto_quantiles(k, num):
    """Log of `num` quantiles of the generalised Pareto law of shape k, in random order: its largest draws, exactly."""
    u = (torch.arange(num, dtype=torch.float64) + 0.5) / num
    return (((1 - u) ** -k - 1) / k).log()[torch.randperm(num)]


@pytest.mark.parametrize("k", [0.2, 0.5, 1.0])
def test_pareto_shape_of_exact_quantiles(k):
    """The tail of a generalised Pareto law is one of the same k. The fit shrinks it towards 1/2 by ten observations,
    and is within 4 of its asymptotic standard errors (1 + k) / sqrt(M) of that, M = 3 sqrt(K) the size of the tail."""
    num = 40_000
    tail = math.ceil(3 * num**0.5)
    estimate = pareto_k(torch.stack([pareto_quantiles(k, num), 400 + pareto_quantiles(k, num)], 1))
    shrunk = (tail * k + 10 * 0.5) / (tail + 10)
    assert ((estimate - shrunk).abs() < 0.06).all() and 0.06 < 4 * (1 + k) / tail**0.5
    close(estimate[0], estimate[1])  # weights have no unit


def test_pareto_shape_of_draws_is_right_on_average():
    """log-weights Exponential(1 / k) are Pareto weights of shape k."""
    ks = torch.tensor([0.2, 0.5, 1.0])
    many, num = 60, 4000
    draws = -(torch.rand(num, 3, many).log()) * ks[:, None]
    estimate = pareto_k(draws.flatten(1)).view(3, many)
    tail = math.ceil(3 * num**0.5)
    shrunk = (tail * ks + 5) / (tail + 10)
    error = estimate.std(1) / many**0.5
    assert ((estimate.mean(1) - shrunk).abs() < 4 * error + 0.02).all()  # the fit's own bias is O(1 / M)
    assert (error < 0.03).all()


def test_pareto_shape_where_weights_degenerate():
    """Worst of all is one particle that outweighs the rest beyond what float64 can hold: never "not a number"."""
    spread = torch.stack([torch.linspace(0, 1, 100), torch.linspace(0, 1e4, 100), torch.linspace(0, 1e5, 100)], 1)
    k = pareto_k(spread)
    assert k[0] < 0.7 and (k[1:] > 0.7).all()
    assert pareto_k(torch.zeros(100, 2)).isnan().all()  # equal weights have no tail
    few = torch.full((100, 1), -torch.inf)
    few[:5] = torch.randn(5, 1)
    assert pareto_k(few).isnan().all()  # nor have five


@pytest.mark.parametrize("num, tail", [(30, 6), (100, 20), (224, 45), (226, 46), (400, 60)])
def test_the_tail_of_the_weights_is_a_fifth_of_few_and_three_roots_of_many(num, tail):
    """M = ceil(min(K / 5, 3 sqrt K)): the fit to the M largest, and to one more or less it is another."""
    weights = 1.5 * torch.randn(num)
    fits = []
    for size in (tail - 1, tail, tail + 1):
        largest = weights.sort().values[-size - 1 :].sub(weights.max()).exp()
        fits.append(fit_generalized_pareto(largest[1:] - largest[0])[0])
    close(pareto_k(weights[:, None]), [fits[1]])
    assert min(abs(fits[1] - other) for other in (fits[0], fits[2])) > 1e-4


def test_pareto_shape_needs_a_tail():
    assert pareto_k(torch.randn(25, 2)).shape == (2,)
    with pytest.raises(ValueError, match="got 24 particles; expected at least 25"):
        pareto_k(torch.randn(24, 2))
    assert pareto_k(torch.randn(25, 2, dtype=torch.float32)).dtype == torch.float32


def test_the_threshold_of_the_pareto_shape_rises_with_the_number_of_weights_to_a_limit():
    assert pareto_threshold(200) == pytest.approx(0.5654, abs=1e-4) and pareto_threshold(100) == pytest.approx(0.5)
    assert pareto_threshold(2154) < 0.7 and pareto_threshold(2155) == pareto_threshold(10**6) == 0.7
