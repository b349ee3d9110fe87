"""Calibration: of the answers with confidence c, a share c should be right.

    ECE = sum_bins n_b / N |accuracy_b - confidence_b|      Brier = 1/N sum (c - r)^2      AUROC = P(c_right > c_wrong)

All are functions of confidence [N] and right [N] bool, one entry per puzzle, as `evaluate.selected` returns them.
Choose a threshold on other puzzles than those it is reported on.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Bins(NamedTuple):
    """A reliability diagram.

    Shapes: [M], the bins that are not empty, in order of confidence. confidence and accuracy are means over the bin;
    count is int64.
    """

    confidence: Tensor
    accuracy: Tensor
    count: Tensor


class Curve(NamedTuple):
    """The result of answering only at confidence >= threshold.

    Shapes: [M], the distinct confidences from high to low; the share answered, and the accuracy among those answered.
    """

    threshold: Tensor
    answered: Tensor
    accuracy: Tensor


def check_pairs(score: Tensor, right: Tensor) -> None:
    """Raises: ValueError unless both are [N], N > 0, right is bool, and no score is NaN."""
    if score.ndim != 1 or score.shape != right.shape or not len(score):
        raise ValueError(
            f"got shapes {list(score.shape)} and {list(right.shape)}; expected one score and one verdict per puzzle, "
            "[N] and [N]"
        )
    if right.dtype != torch.bool:
        raise ValueError(f"got right of {right.dtype}; expected bool; write right.bool()")
    if (bad := torch.isnan(score)).any():
        raise ValueError(f"got NaN as the score of puzzle {bad.nonzero()[0].item()}; expected a number")


def check_probabilities(confidence: Tensor, right: Tensor) -> None:
    """Raises: ValueError as `check_pairs`, and unless every confidence is between 0 and 1."""
    check_pairs(confidence, right)
    if (bad := (confidence < 0) | (confidence > 1)).any():
        puzzle = bad.nonzero()[0].item()
        raise ValueError(
            f"got the confidence {confidence[puzzle].item()} of puzzle {puzzle}; expected a probability; write "
            "logits.sigmoid(), or log_likelihood.exp()"
        )


def reliability(confidence: Tensor, right: Tensor, num_bins: int = 10) -> Bins:
    """Mean confidence and accuracy in bins of equal width [i / M, (i + 1) / M), the last closed; without empty bins.

    Raises: ValueError as `check_probabilities`, or if num_bins < 1.
    """
    check_probabilities(confidence, right)
    if num_bins < 1:
        raise ValueError(f"got num_bins={num_bins}; expected 1 or more")
    edges = torch.arange(1, num_bins, dtype=torch.float64, device=confidence.device) / num_bins
    index = torch.bucketize(confidence, edges.to(confidence.dtype), right=True)
    count, confidences, rights = (
        torch.bincount(index, values, minlength=num_bins) for values in (None, confidence.double(), right.double())
    )
    full = count > 0
    return Bins(confidences[full] / count[full], rights[full] / count[full], count[full])


def calibration_error(confidence: Tensor, right: Tensor, num_bins: int = 10) -> float:
    """Expected calibration error: the mean distance of accuracy from confidence. With few data it is biased upwards.

    Raises: as `reliability`.  Source: Guo et al., On calibration of modern neural networks.
    """
    bins = reliability(confidence, right, num_bins)
    return (bins.count * (bins.accuracy - bins.confidence).abs()).sum().item() / len(confidence)


def brier(confidence: Tensor, right: Tensor) -> float:
    """Mean squared error of the probability; 1/4 for a constant 1/2.  Raises: as `check_probabilities`."""
    check_probabilities(confidence, right)
    return (confidence.double() - right.double()).square().mean().item()


def auroc(score: Tensor, right: Tensor) -> float:
    """The probability that a right answer scores above a wrong one, ties counted half (Mann-Whitney).

    The score need not be a probability. NaN if all are right or all are wrong.
    Raises: as `check_pairs`.
    """
    check_pairs(score, right)
    num_right, num_wrong = right.sum().item(), (~right).sum().item()
    if num_right == 0 or num_wrong == 0:
        return float("nan")
    _, inverse, count = score.unique(return_inverse=True, return_counts=True)
    rank = count.cumsum(0) - (count.double() - 1) / 2  # from 1; equal scores get their mean rank
    above = rank[inverse][right].sum().item() - num_right * (num_right + 1) / 2
    return above / (num_right * num_wrong)


def risk_curve(confidence: Tensor, right: Tensor) -> Curve:
    """Accuracy against the share answered, a point per distinct confidence.  Raises: as `check_probabilities`."""
    check_probabilities(confidence, right)
    threshold, inverse = confidence.unique(return_inverse=True)
    count, rights = (torch.bincount(inverse, values).flip(0).cumsum(0) for values in (None, right.double()))
    return Curve(threshold.flip(0), count.double() / len(confidence), rights / count)


def threshold_for(confidence: Tensor, right: Tensor, accuracy: float) -> float | None:
    """The smallest threshold such that at it, and at every higher one, the accuracy among those answered is at least
    `accuracy`; None if the highest confidence does not reach it.

    Raises: ValueError as `check_probabilities`, or unless the accuracy is between 0 and 1.
    """
    if not 0 <= accuracy <= 1:
        raise ValueError(f"got accuracy={accuracy}; expected a share of the answers, 0 to 1")
    curve = risk_curve(confidence, right)
    kept = int((curve.accuracy >= accuracy).long().cumprod(0).sum())
    return curve.threshold[kept - 1].item() if kept else None
