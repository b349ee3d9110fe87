"""Resampling schemes: K ancestors per puzzle, drawn so that particle k is chosen K w_k times on average.

    scheme(log_weights [K, B]) -> ancestors [K, B] int64           independently for every puzzle

All are unbiased and never choose a particle of weight zero. They raise as `weights.normalise`. Systematic resampling
has the least noise in practice.
Source: Douc, Cappe & Moulines, Comparison of resampling schemes for particle filtering.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from gram_pyro.inference.weights import normalise

Scheme = Callable[[Tensor], Tensor]

BELOW_ONE = 1 - 2**-53


def inverse_cdf(points: Tensor, weights: Tensor) -> Tensor:
    """The index of the cumulative weights [K, B] (float64) into which `points` [K, B] in [0, 1) fall."""
    cumulative = weights.cumsum(0)
    cumulative = cumulative / cumulative[-1]
    index = torch.searchsorted(cumulative.T.contiguous(), points.clamp(max=BELOW_ONE).T.contiguous(), right=True)
    return index.T


def multinomial(log_weights: Tensor) -> Tensor:
    """K independent draws."""
    weights = normalise(log_weights.double())
    return inverse_cdf(torch.rand_like(weights), weights)


def stratified(log_weights: Tensor) -> Tensor:
    """One draw in each of K equal strata of [0, 1)."""
    weights = normalise(log_weights.double())
    return inverse_cdf((strata(weights) + torch.rand_like(weights)) / len(weights), weights)


def systematic(log_weights: Tensor) -> Tensor:
    """The same offset in each of K equal strata."""
    weights = normalise(log_weights.double())
    return inverse_cdf((strata(weights) + torch.rand_like(weights[:1])) / len(weights), weights)


def residual(log_weights: Tensor) -> Tensor:
    """floor(K w_k) copies of particle k, and the rest by independent draws from what is left of the weights."""
    weights = len(log_weights) * normalise(log_weights.double())
    copies = (weights + 1e-9).floor()  # K w_k = 1 may be held as a little less
    left = (weights - copies).clamp(min=0)
    left = torch.where(left.sum(0) > 0, left, torch.ones_like(left))
    missing = len(weights) - copies.sum(0)
    drawn = inverse_cdf(torch.rand_like(weights), left)
    copies.scatter_add_(0, drawn, (strata(weights) < missing).to(copies.dtype))
    ends = copies.cumsum(0).T.contiguous()
    return torch.searchsorted(ends, strata(weights).expand_as(weights).T.contiguous(), right=True).T


def strata(weights: Tensor) -> Tensor:
    """0 .. K-1 as a column, [K, 1]."""
    return torch.arange(len(weights), dtype=weights.dtype, device=weights.device)[:, None]
