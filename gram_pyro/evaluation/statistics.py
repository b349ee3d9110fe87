"""Standard errors: over puzzles, clusters of puzzles, and training seeds.

    ratio r = sum_b a_b / sum_b c_b      se^2 = G / (G - 1) sum_g (sum_{b in g} a_b - r c_b)^2 / (sum_b c_b)^2

With c = 1 it is a mean. The puzzles of a group (symmetric images, say) count as one observation: G groups.
Source: the delta method, with the sandwich estimator for clusters; the laws are scipy's.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import torch
from scipy import stats
from torch import Tensor


class Estimate(NamedTuple):
    """A mean or ratio, its standard error (NaN if there is one group only), and the number of groups."""

    mean: float
    se: float
    num_groups: int

    def limits(self, sigmas: float) -> tuple[float, float]:
        """Confidence limits, with the probability that a normal variable is within `sigmas` deviations of its mean.

        They are Student's t limits, which are wide for few groups: 3 becomes 4.1 at 10 groups and 6.6 at 5.
        """
        half = quantile(sigmas, self.num_groups) * self.se
        return self.mean - half, self.mean + half


@cache
def quantile(sigmas: float, count: int) -> float:
    """Student's t, in standard errors of `count` observations, with the tail of `sigmas` normal deviations."""
    return float(stats.t.isf(stats.norm.sf(sigmas), count - 1)) if count > 1 else math.nan


def ratio(numerator: Tensor, denominator: Tensor | None = None, groups: Tensor | None = None) -> Estimate:
    """sum(numerator) / sum(denominator) over puzzles.

    Shapes: numerator, denominator [B] (None: ones); groups [B], equal for puzzles of one group (None: all differ).
    """
    numerator = numerator.double()
    denominator = torch.ones_like(numerator) if denominator is None else denominator.double()
    total, value = denominator.sum(), numerator.sum() / denominator.sum()
    residual = numerator - value * denominator
    if groups is not None:
        _, index = torch.unique(groups, return_inverse=True)
        residual = residual.new_zeros(int(index.max()) + 1 if len(index) else 0).index_add_(0, index, residual)
    count = len(residual)
    se = (residual.square().sum() * count / (count - 1)).sqrt() / total if count > 1 else total.new_tensor(math.nan)
    return Estimate(value.item(), se.item(), count)


def over_seeds(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """Mean, its standard error, and half of its 95 % interval by Student's t; None for the last two of one value.

    With two seeds, one standard error covers the mean half of the time; 95 % take 12.7 of them, with three seeds 4.3.
    """
    mean, se, count = ratio(torch.tensor(values, dtype=torch.float64, device="cpu"))
    return (mean, None, None) if count < 2 else (mean, se, float(stats.t.isf(0.025, count - 1)) * se)


def rule_of_three(trials: int) -> float:
    """Upper 95 % limit of the rate of failures if none of `trials` independent trials failed."""
    return min(1.0, 3 / trials) if trials else 1.0


class McNemar(NamedTuple):
    """Two methods on the same puzzles: right by the first alone, by the second alone; exact two-sided p-value."""

    first_only: int
    second_only: int
    p: float


def mcnemar(first: Tensor, second: Tensor) -> McNemar:
    """Is one method right more often?  Shapes: first, second [B] bool, right or wrong on every puzzle.

    Only puzzles on which exactly one method is right count. Half of them are expected for each method.
    """
    gained, lost = int((first & ~second).sum()), int((second & ~first).sum())
    return McNemar(gained, lost, float(stats.binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0)
