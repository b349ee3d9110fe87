"""Log-weights [K, B] of K particles for each of B puzzles, in nats. Everything after inference is a function of them.

    evidence  Z = 1/K sum_k w_k        ESS = (sum_k w_k)^2 / sum_k w_k^2        k-hat: tail index of the largest w_k

Nothing is repaired: a log-weight of NaN or +inf raises, and so do K weights that are all zero and must be normalised.
"""

import math

import torch
from pyro.ops.stats import fit_generalized_pareto
from torch import Tensor


def check(log_weights: Tensor) -> Tensor:
    """The same weights.  Raises: ValueError if one of them is NaN or +inf."""
    if (bad := torch.isnan(log_weights) | (log_weights == torch.inf)).any():
        particle, puzzle = bad.nonzero()[0].tolist()
        raise ValueError(
            f"got the log-weight {log_weights[particle, puzzle].item()} of particle {particle} of puzzle {puzzle}; "
            "expected a number or -inf; look for the potential, prior or guide that returned it"
        )
    return log_weights


def log_mean_exp(log_weights: Tensor) -> Tensor:
    """log 1/K sum_k w_k; -inf where all are zero.  Shapes: [K, B] -> [B], nats."""
    return log_weights.logsumexp(0) - math.log(len(log_weights))


def normalise(log_weights: Tensor, first: int = 0) -> Tensor:
    """w_k / sum_j w_j.  Shapes: [K, B] -> [K, B].  Args: first, the number of the first puzzle, for messages.

    Raises: ValueError if a weight is not a number, or all weights of a puzzle are zero.
    """
    if (empty := (check(log_weights) == -torch.inf).all(0)).any():
        puzzle = first + empty.nonzero()[0].item()
        raise ValueError(
            f"got weight zero for all {len(log_weights)} particles of puzzle {puzzle}; expected one above zero; use a "
            "potential that is finite, or more particles"
        )
    return log_weights.softmax(0)


def ess(log_weights: Tensor, first: int = 0) -> Tensor:
    """Effective sample size, between 1 and K.  Shapes: [K, B] -> [B].  Raises: as `normalise`."""
    return 1 / normalise(log_weights, first).square().sum(0)


def pareto_k(log_weights: Tensor) -> Tensor:
    """Pareto shape of the upper tail of the weights, [B].

    Below 0.5 the evidence estimate has finite variance. Above `pareto_threshold(K)` do not trust the estimate, whatever
    its standard error. It is NaN where the tail does not exceed the other weights (equal weights, or too few above
    zero), and inf where all other weights underflow beside the largest in float64.

    Raises: ValueError if K < 25, for a tail of min(K / 5, 3 sqrt(K)) weights is fitted; as `normalise`.
    Source: Vehtari et al., Pareto smoothed importance sampling; the fit is Pyro's.
    """
    num = len(log_weights)
    if num < 25:
        raise ValueError(f"got {num} particles; expected at least 25, to fit the tail of their weights")
    tail = math.ceil(min(0.2 * num, 3 * num**0.5))
    normalise(log_weights)  # raises
    largest = (log_weights - log_weights.amax(0)).double().sort(0).values[-tail - 1 :].cpu()
    return log_weights.new_tensor([_tail_shape(*column.split([1, tail])) for column in largest.T])


def pareto_threshold(num: int) -> float:
    """The largest Pareto shape at which `num` weights can be trusted: min(1 - 1 / log10(num), 0.7); 0.57 for 200.

    Source: Vehtari et al., Pareto smoothed importance sampling (2024).
    """
    return min(1 - 1 / math.log10(num), 0.7)


def _tail_shape(cutoff: Tensor, tail: Tensor) -> float:
    """Pareto shape of the log-weights above the cutoff, which are sorted and end with 0."""
    if -torch.inf < cutoff < -600:
        return math.inf
    excess = tail.exp() - cutoff.exp()
    return fit_generalized_pareto(excess)[0] if excess[0] > 0 else math.nan
