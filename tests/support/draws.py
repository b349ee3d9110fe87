"""Whether draws have the law that they should, within some standard errors."""

import numpy as np


def moments_agree(draws, mean, variance):
    """Mean and variance of draws [N, ...] within 4.5 standard errors (of up to 100 numbers at once)."""
    num = len(draws)
    error = draws.std(0) / num**0.5
    assert ((draws.mean(0) - mean).abs() < 4.5 * error).all()
    spread = (draws - mean).square()
    assert ((spread.mean(0) - variance).abs() < 4.5 * spread.std(0) / num**0.5).all()


def chi_square(counts, expected):
    """Whether counts fit: the statistic lies within 5 standard deviations of its mean (false alarm about 1e-5)."""
    counts, expected = np.asarray(counts), np.asarray(expected)
    df = len(counts) - 1
    return ((counts - expected) ** 2 / expected).sum() < df + 5 * (2 * df) ** 0.5
