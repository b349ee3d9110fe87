"""Resampling: counts that are right on average, never a particle of weight zero, and the bounds of every scheme."""

import math

import pytest
import torch
from tiny import close

from gram_pyro.inference import resampling
from gram_pyro.inference.resampling import BELOW_ONE, inverse_cdf, multinomial, residual, stratified, systematic

SCHEMES = [multinomial, stratified, systematic, residual]
MANY = 4000

WEIGHTS = {
    "one": [1.0],
    "equal": [1.0] * 7,
    "zeros inside and at both ends": [0.0, 0.3, 0.0, 0.0, 2.0, 1.1, 0.0],
    "halves": [0.5, 0.5, 0.0, 1.0],
    "one dominates": [1e-3, 1e-3, 1.0, 1e-3, 1e-3],
    "irregular": [0.7, 0.1, 0.4, 1.3, 0.05, 0.9, 0.25, 0.6, 1.9, 0.33, 0.2],
}


def counts_of(scheme, log_weights):
    """How often every particle is chosen, [K, B]."""
    ancestors = scheme(log_weights)
    assert ancestors.shape == log_weights.shape and ancestors.dtype == torch.int64
    return torch.zeros(log_weights.shape).scatter_add_(0, ancestors, torch.ones(log_weights.shape))


def check_law(counts, expected, tolerance=4):
    """Counts [K, R] of R replicas against their expectation [K]."""
    error = counts.std(1) / counts.shape[1] ** 0.5
    assert ((counts.mean(1) - expected).abs() <= tolerance * error + 1e-12).all()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("values", WEIGHTS.values(), ids=WEIGHTS.keys())
def test_counts_are_unbiased_and_weight_zero_is_never_chosen(scheme, values):
    weights = torch.tensor(values)
    expected = len(values) * weights / weights.sum()
    counts = counts_of(scheme, weights.log()[:, None].expand(-1, MANY) - 3.7)
    assert (counts.sum(0) == len(values)).all()
    assert (counts[weights == 0] == 0).all()
    check_law(counts, expected)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_place_counts_alike(scheme):
    """Permuting particles permutes the expected counts; nothing depends on where a particle stands."""
    weights = torch.tensor(WEIGHTS["irregular"])
    for order in (torch.arange(11).flip(0), torch.randperm(11)):
        counts = counts_of(scheme, weights[order].log()[:, None].expand(-1, MANY))
        check_law(counts, 11 * weights[order] / weights.sum())


def test_bounds_on_counts():
    """Systematic: floor or ceiling of K w. Stratified: within two of K w. Residual: at least the floor."""
    weights = torch.rand(13, MANY).pow(3)
    expected = 13 * weights / weights.sum(0)
    counts = counts_of(systematic, weights.log())
    assert ((counts == expected.floor()) | (counts == expected.ceil())).all()
    counts = counts_of(stratified, weights.log())
    assert ((counts - expected).abs() < 2).all() and (counts > expected.ceil()).any()
    counts = counts_of(residual, weights.log())
    assert (counts >= expected.floor()).all() and (counts > expected.ceil()).any()
    assert (counts_of(multinomial, weights.log()) < expected.floor()).any()


@pytest.mark.parametrize("num", [2, 7, 49, 100, 128, 1000])
@pytest.mark.parametrize("scheme", [stratified, systematic, residual])
def test_equal_weights_keep_every_particle(scheme, num):
    """K w = 1 is a whole number, whatever rounding makes of it (49 x 1/49 < 1 in floating point)."""
    for level in (0.0, -3.3, 1e4):
        assert torch.equal(scheme(torch.full((num, 5), level)), torch.arange(num)[:, None].expand(-1, 5))


@pytest.mark.parametrize("copies", [[3, 0, 1, 2, 0, 0], [0, 25, 3] + [1] * 21 + [0] * 25], ids=["few", "49"])
@pytest.mark.parametrize("scheme", [systematic, residual])
def test_whole_numbers_of_copies_are_exact(scheme, copies):
    assert sum(copies) == len(copies)
    values = torch.tensor(copies, dtype=torch.float64)[:, None].expand(-1, 200)
    assert torch.equal(counts_of(scheme, (values / 7).log()), values)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_variance_of_the_estimate_is_at_most_multinomial(scheme):
    """Of a sum over particles; the three refinements promise no more noise (systematic: not in general, but here)."""
    weights = torch.tensor(WEIGHTS["irregular"])
    w = weights / weights.sum()
    f = torch.arange(11.0)
    counts = counts_of(scheme, w.log()[:, None].expand(-1, MANY))
    variance = (f[:, None] * counts).sum(0).var()
    exact = 11 * ((w * f**2).sum() - (w * f).sum() ** 2)
    error = exact * (2 / MANY) ** 0.5
    if scheme is multinomial:
        assert (variance - exact).abs() < 4 * error
    else:
        assert variance < exact - 4 * error


@pytest.mark.parametrize("scheme", SCHEMES)
def test_puzzles_are_independent(scheme):
    """Two puzzles with the same weights are resampled apart, and a third's weights do not matter to them."""
    weights = torch.tensor(WEIGHTS["irregular"]).log()
    pairs = torch.stack([counts_of(scheme, weights[:, None].expand(-1, 2)) for _ in range(600)])  # [R, K, 2]
    for k in range(11):
        first, second = pairs[:, k].T
        assert abs(torch.corrcoef(torch.stack([first, second]))[0, 1].item()) < 4 / 600**0.5
    torch.manual_seed(1)
    both = scheme(torch.stack([weights, torch.zeros(11)], 1))
    torch.manual_seed(1)
    assert torch.equal(scheme(torch.stack([weights, weights.flip(0)], 1))[:, 0], both[:, 0])


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extremes(scheme, dtype):
    """Weights beyond the range of float32, with nothing at both ends."""
    zero = -torch.inf
    weights = torch.tensor([zero, -1e30, 88.8, 88.8, -200.0, 3e4, 3e4, -3e38, zero], dtype=dtype)
    counts = counts_of(scheme, weights[:, None].expand(-1, 500))
    assert (counts[[0, 1, 2, 3, 4, 7, 8]] == 0).all()
    check_law(counts[5:7], torch.tensor([4.5, 4.5]))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("draw", [0.0, BELOW_ONE])
def test_the_ends_of_the_unit_interval(monkeypatch, scheme, draw):
    """Uniform numbers of exactly 0, and as near to 1 as they come, still fall on a particle with weight."""
    assert BELOW_ONE < 1 and math.nextafter(BELOW_ONE, 2) == 1
    monkeypatch.setattr(resampling.torch, "rand_like", lambda like: torch.full_like(like, draw))
    for values in WEIGHTS.values():
        for dtype in (torch.float32, torch.float64):
            weights = torch.tensor(values, dtype=dtype)
            ancestors = scheme(weights.log()[:, None].expand(-1, 3))
            assert ((0 <= ancestors) & (ancestors < len(values))).all() and (weights[ancestors] > 0).all()


def test_inverse_cdf_by_hand():
    weights = torch.tensor([[0.0, 1.0], [0.5, 0.0], [0.0, 0.0], [1.5, 3.0]])
    points = torch.tensor([[0.0, 0.0], [0.24, 0.25], [0.25, 0.2499], [1.0, 1.0]])
    close(inverse_cdf(points, weights), [[1, 0], [1, 3], [3, 0], [3, 3]])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_misuse(scheme):
    weights = torch.zeros(4, 3)
    weights[:, 1] = -torch.inf
    with pytest.raises(ValueError, match="got weight zero for all 4 particles of puzzle 1; expected one above"):
        scheme(weights)
    for bad in (math.nan, math.inf):
        weights = torch.zeros(4, 3)
        weights[3, 2] = bad
        with pytest.raises(ValueError, match=f"got the log-weight {bad} of particle 3 of puzzle 2"):
            scheme(weights)
