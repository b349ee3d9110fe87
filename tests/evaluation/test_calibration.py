"""Calibration against pair counting, closed forms, and people who say what is true."""

import math

import pytest
import torch

from gram_pyro.evaluation.calibration import auroc, brier, calibration_error, reliability, risk_curve, threshold_for
from gram_pyro.evaluation.metrics import standard_error


def honest(num_puzzles):
    """Confidence uniform on [0, 1], and right with exactly that probability."""
    confidence = torch.rand(num_puzzles)
    return confidence, torch.rand(num_puzzles) < confidence


def coarse(num_puzzles):
    """Few distinct confidences, so many ties, and no relation to being right."""
    return torch.randint(0, 6, (num_puzzles,)) / 5, torch.rand(num_puzzles) < 0.6


def test_honest_confidence_lies_on_the_diagonal():
    confidence, right = honest(20_000)
    bins = reliability(confidence, right, 10)
    assert bins.count.sum() == 20_000 and len(bins.count) == 10
    se = (bins.confidence * (1 - bins.confidence) / bins.count).sqrt()
    assert ((bins.accuracy - bins.confidence).abs() < 4 * se).all()
    squares = (confidence - right.double()).square()
    assert abs(brier(confidence, right) - 1 / 6) < 4 * standard_error(squares)  # E c (1 - c)
    areas = torch.tensor([auroc(c, r) for c, r in zip(confidence.split(200), right.split(200), strict=True)])
    assert abs(areas.mean().item() - 5 / 6) < 4 * standard_error(areas)  # P(c > c'), densities 2 c and 2 (1 - c')


def test_bins_by_hand():
    confidence = torch.tensor([0.0, 0.25, 0.5, 0.7, 1.0])
    bins = reliability(confidence, torch.tensor([True, False, True, False, True]), 4)
    assert bins.count.tolist() == [1, 1, 2, 1]  # a bin holds its left edge, the last both
    assert bins.confidence.tolist() == pytest.approx([0.0, 0.25, 0.6, 1.0])
    assert bins.accuracy.tolist() == [1.0, 0.0, 0.5, 1.0]
    assert reliability(confidence[:1], torch.tensor([True]), 4).count.tolist() == [1]  # empty bins are left out
    whole = reliability(confidence, torch.tensor([True, False, True, False, True]), 1)
    assert whole.confidence.item() == pytest.approx(0.49) and whole.accuracy.item() == 0.6


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("num_bins", [5, 10, 100])
def test_a_confidence_on_an_edge_belongs_above_it(dtype, num_bins):
    confidence = torch.tensor([i / num_bins for i in range(num_bins)], dtype=dtype)
    bins = reliability(confidence, torch.ones(num_bins, dtype=torch.bool), num_bins)
    assert bins.count.tolist() == [1] * num_bins
    assert bins.confidence.tolist() == confidence.double().tolist()


def test_closed_forms_of_one_who_always_says_the_same():
    right = torch.arange(100) < 40
    for c in (0.1, 0.4, 0.95):
        confidence = torch.full((100,), c)
        assert calibration_error(confidence, right) == pytest.approx(abs(c - 0.4))
        assert brier(confidence, right) == pytest.approx(0.4 * (1 - c) ** 2 + 0.6 * c**2)
        assert auroc(confidence, right) == 0.5


def test_brier_is_reliability_minus_resolution_plus_uncertainty():
    confidence, right = coarse(500)
    bins = reliability(confidence, right, 10)  # one confidence per bin: Murphy's decomposition is exact
    share, base = bins.count / 500, right.double().mean()
    parts = (share * (bins.confidence - bins.accuracy) ** 2).sum() - (share * (bins.accuracy - base) ** 2).sum()
    assert brier(confidence, right) == pytest.approx((parts + base * (1 - base)).item(), abs=1e-12)
    error = (share * (bins.confidence - bins.accuracy).abs()).sum().item()
    assert calibration_error(confidence, right, 10) == pytest.approx(error, abs=1e-12)


def test_signs_do_not_cancel_between_bins():
    confidence = torch.tensor([0.2] * 10 + [0.8] * 10)
    right = torch.tensor([True] * 4 + [False] * 6 + [True] * 6 + [False] * 4)
    assert calibration_error(confidence, right) == pytest.approx(0.2)
    assert calibration_error(confidence, right, 1) == pytest.approx(0.0)


def test_auroc_counts_pairs():
    for _ in range(10):
        score, right = coarse(60)
        score = 10 * score - 5  # need not be a probability
        pairs = [(a > b) + (a == b) / 2 for a in score[right].tolist() for b in score[~right].tolist()]
        assert auroc(score, right) == pytest.approx(sum(pairs) / len(pairs), abs=1e-12)
        assert auroc(-score, right) == pytest.approx(1 - auroc(score, right), abs=1e-12)
        assert auroc(score.exp(), right) == pytest.approx(auroc(score, right), abs=1e-12)
    assert auroc(right.double(), right) == 1 and auroc(-right.double(), right) == 0


def test_auroc_needs_both_kinds():
    assert math.isnan(auroc(torch.rand(3), torch.ones(3, dtype=torch.bool)))
    assert math.isnan(auroc(torch.rand(3), torch.zeros(3, dtype=torch.bool)))


def test_risk_curve_answers_the_confident():
    confidence, right = coarse(80)
    curve = risk_curve(confidence, right)
    assert curve.threshold.tolist() == sorted(set(confidence.tolist()), reverse=True)
    for threshold, answered, accuracy in zip(*(field.tolist() for field in curve), strict=True):
        among = [r for c, r in zip(confidence.tolist(), right.tolist(), strict=True) if c >= threshold]
        assert answered == pytest.approx(len(among) / 80, abs=1e-12)
        assert accuracy == pytest.approx(sum(among) / len(among), abs=1e-12)
    assert curve.answered[-1] == 1


def test_results_do_not_depend_on_the_order_of_the_puzzles():
    confidence, right = coarse(80)
    order = torch.randperm(80)
    for function in (calibration_error, brier, auroc):
        assert function(confidence[order], right[order]) == pytest.approx(function(confidence, right), abs=1e-12)
    for function in (reliability, risk_curve):
        for a, b in zip(function(confidence[order], right[order]), function(confidence, right), strict=True):
            assert torch.allclose(a, b)


def test_threshold_by_hand():
    confidence = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5])
    right = torch.tensor([True, True, False, True, False])  # accuracies 1, 1, 2/3, 3/4, 3/5
    assert threshold_for(confidence, right, 1.0) == 0.8
    assert threshold_for(confidence, right, 0.75) == 0.8  # 0.6 would do, but 0.7 would not
    assert threshold_for(confidence, right, 0.65) == 0.6
    assert threshold_for(confidence, right, 0.6) == 0.5  # met exactly
    assert threshold_for(confidence, right, 0.0) == 0.5
    assert threshold_for(confidence, ~right, 0.1) is None  # the most confident is wrong
    assert threshold_for(torch.tensor([0.5, 0.5]), torch.tensor([True, False]), 0.6) is None  # equals stand together


def test_threshold_keeps_its_promise():
    for _ in range(20):
        confidence, right = coarse(60)
        confidence = confidence.float()
        for target in (0.5, 0.6, 0.7):
            values = sorted(set(confidence.tolist()))
            good = {t: right[confidence >= t].double().mean().item() >= target for t in values}
            kept = [t for t in values if all(good[higher] for higher in values if higher >= t)]
            assert threshold_for(confidence, right, target) == (min(kept) if kept else None)


PROBABILISTIC = (reliability, calibration_error, brier, risk_curve, lambda c, r: threshold_for(c, r, 0.5))


@pytest.mark.parametrize("function", (*PROBABILISTIC, auroc))
def test_misuse(function):
    right = torch.ones(3, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"got shapes \[2\] and \[3\]; expected"):
        function(torch.rand(2), right)
    with pytest.raises(ValueError, match=r"got shapes \[3, 1\] and \[3, 1\]; expected"):
        function(torch.rand(3, 1), right[:, None])
    with pytest.raises(ValueError, match=r"got shapes \[0\] and \[0\]; expected"):
        function(torch.rand(0), right[:0])
    with pytest.raises(ValueError, match="got right of torch.int64; expected bool"):
        function(torch.rand(3), right.long())
    with pytest.raises(ValueError, match="got NaN as the .* of puzzle 1"):
        function(torch.tensor([0.5, math.nan, 0.5]), right)


@pytest.mark.parametrize("function", PROBABILISTIC)
@pytest.mark.parametrize("bad", [-0.5, 1.5, math.inf])
def test_a_confidence_is_a_probability(function, bad):
    with pytest.raises(ValueError, match=f"got the confidence {bad} of puzzle 2; expected a probability"):
        function(torch.tensor([0.0, 1.0, bad]), torch.ones(3, dtype=torch.bool))


def test_misuse_of_options():
    confidence, right = honest(5)
    with pytest.raises(ValueError, match="got num_bins=0; expected 1 or more"):
        reliability(confidence, right, 0)
    for accuracy in (-0.1, 90, math.nan):
        with pytest.raises(ValueError, match=f"got accuracy={accuracy}; expected a share of the answers"):
            threshold_for(confidence, right, accuracy)
