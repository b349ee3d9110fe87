"""Errors against closed forms, simulation and the bootstrap."""

import math

import pytest
import torch

from gram_pyro.evaluation.statistics import Estimate, mcnemar, over_seeds, quantile, ratio, rule_of_three


def test_a_mean_and_its_error_by_hand():
    values = torch.tensor([1.0, 4.0, 2.0, 5.0])
    estimate = ratio(values)
    assert estimate == pytest.approx((3.0, math.sqrt((4 + 1 + 1 + 4) / 3 / 4), 4))
    assert math.isnan(ratio(values[:1]).se) and ratio(values[:1]).num_groups == 1


def test_a_mean_is_paired_where_it_is_of_differences():
    better, worse, shared = torch.randn(50) + 1, torch.randn(50), 100 * torch.randn(50)
    assert ratio((better + shared) - (worse + shared)).se == pytest.approx(ratio(better - worse).se)


def test_the_error_of_a_ratio_is_that_of_the_bootstrap():
    """Weights as skewed as those of pooled coverage."""
    weight = torch.randint(1, 40, (400,)).double() ** 2
    share = torch.rand(400).double()
    estimate = ratio(share * weight, weight)
    index = torch.randint(400, (4000, 400))
    again = (share * weight)[index].sum(1) / weight[index].sum(1)
    assert estimate.mean == pytest.approx((share * weight).sum().item() / weight.sum().item())
    assert estimate.se == pytest.approx(again.std().item(), rel=0.08)


def test_puzzles_of_a_group_count_once():
    values, groups = torch.randn(30), torch.randperm(30)
    once = ratio(values)
    again = ratio(values.repeat(4), groups=groups.repeat(4))
    assert again == pytest.approx(once) and ratio(values.repeat(4)).se < 0.6 * once.se


def test_limits_hold_the_truth_as_often_as_they_say_with_few_groups():
    """Two normal deviations are 95.4 %, of 5 puzzles as of 500; with the normal law it would be 88 % of 5."""
    for count in (5, 50):
        values = torch.randn(4000, count, dtype=torch.float64)
        mean, se = values.mean(1), values.std(1) / count**0.5
        inside = (mean.abs() < quantile(2.0, count) * se).double().mean().item()
        assert abs(inside - 0.9545) < 4 * math.sqrt(0.9545 * 0.0455 / 4000)
    low, high = Estimate(1.0, 0.1, 10**6).limits(3)
    assert (low, high) == pytest.approx((0.7, 1.3), abs=1e-4)
    assert all(math.isnan(limit) for limit in ratio(torch.ones(1)).limits(3))
    assert quantile(3, 10) == pytest.approx(4.094, abs=1e-3) and quantile(3, 5) == pytest.approx(6.620, abs=1e-3)


def test_few_seeds_have_wide_intervals():
    mean, se, half = over_seeds([90.0, 96.0, 93.0])
    assert (mean, se, half) == pytest.approx((93, math.sqrt(3), 4.30265 * math.sqrt(3)), rel=1e-5)
    assert over_seeds([1.0]) == (1.0, None, None)
    assert over_seeds([1.0, 3.0])[2] == pytest.approx(12.7062, rel=1e-5)


def test_rule_of_three():
    """A rate of 3 / n leaves n trials without a failure one time in twenty."""
    assert rule_of_three(300) == 0.01 and rule_of_three(0) == rule_of_three(2) == 1
    assert (1 - rule_of_three(1000)) ** 1000 == pytest.approx(0.05, abs=1e-3)


def test_mcnemar_by_hand_and_between_equals():
    first, second = torch.tensor([1, 1, 1, 1, 0, 1]).bool(), torch.tensor([0, 0, 0, 1, 0, 0]).bool()
    assert mcnemar(first, second) == (4, 0, pytest.approx(2 / 2**4))
    assert mcnemar(first, first) == (0, 0, 1.0) and mcnemar(second, first)[:2] == (0, 4)
    small = sum(mcnemar(*(torch.rand(2, 200) < 0.7)).p < 0.05 for _ in range(400))
    assert small < 400 * 0.05 + 4 * math.sqrt(400 * 0.05)  # exact tests err on the safe side
