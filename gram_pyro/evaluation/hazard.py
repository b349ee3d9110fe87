"""Laws of a search without memory: all trajectories of a puzzle are right with the same probability p.

    P(tries > K | p) = (1 - p)^K

    one rate     p is the same for all puzzles
    beta         p ~ Beta(a, b)                      P(tries > K) = B(a, b + K) / B(a, b)
    two rates    p = fast with probability share,    P(tries > K) = share (1 - fast)^K + (1 - share) (1 - slow)^K
                 else slow

A law is fitted by maximum likelihood to the numbers of puzzles that were solved between two limits K, and tested by
Pearson's chi-square. So a curve of the share solved suffices, and the tries of unsolved puzzles are censored.
Source: the geometric and the beta-geometric law; their use for a search of trajectories is ours.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from scipy import optimize, stats
from torch import Tensor

LEAST = 5  # expected puzzles in a bin of the test
LIMIT = 12.0  # of |log| and |logit| of a parameter


class Curve(NamedTuple):
    """counts [J + 1] of puzzles solved after more than limits[j] and at most limits[j + 1] trajectories, then of those
    that are not; limits [J + 1] start at 0."""

    limits: Tensor
    counts: Tensor


class Law(NamedTuple):
    """name, a key of LAWS; its parameters; log_likelihood, nats; p_value of the test (None: too few puzzles)."""

    name: str
    parameters: Mapping[str, float]
    log_likelihood: float
    p_value: float | None

    def unsolved(self, limit: Tensor) -> Tensor:
        """P(tries > K) for K >= 0."""
        return LAWS[self.name].unsolved(limit.double(), **self.parameters)


class Kind(NamedTuple):
    """unsolved(K, parameters); the scales map unbounded numbers to parameters; the points where fits start."""

    unsolved: Callable[..., Tensor]
    scales: Mapping[str, Callable[[Tensor], Tensor]]
    starts: Sequence[Sequence[float]]


def one_rate(limit: Tensor, p: float) -> Tensor:
    return (1 - torch.as_tensor(p, dtype=torch.float64)) ** limit


def beta(limit: Tensor, a: float, b: float) -> Tensor:
    a, b = (torch.as_tensor(value, dtype=torch.float64) for value in (a, b))
    return (torch.lgamma(a + b) - torch.lgamma(b) + torch.lgamma(b + limit) - torch.lgamma(a + b + limit)).exp()


def two_rates(limit: Tensor, share: float, fast: float, slow: float) -> Tensor:
    return share * one_rate(limit, fast) + (1 - share) * one_rate(limit, slow)


LAWS = {
    "one rate": Kind(one_rate, {"p": torch.sigmoid}, [[-2.0]]),
    "beta": Kind(beta, {"a": torch.exp, "b": torch.exp}, [[0.0, 0.0]]),
    "two rates": Kind(
        two_rates, dict.fromkeys(("share", "fast", "slow"), torch.sigmoid), [[0.0, 0.0, -4.0], [-1.0, -1.0, -3.0]]
    ),
}


def of_tries(tries: Tensor, solved: Tensor) -> Curve:
    """Shapes: tries [B] int64, up to the first right trajectory, or all that were drawn if `solved` [B] is False."""
    most = int(tries.max())
    return Curve(torch.arange(most + 1), torch.where(solved, tries, most + 1).bincount(minlength=most + 2)[1:])


def of_rows(rows: Sequence[Mapping[str, float]], num_puzzles: int) -> Curve:
    """From the rows of a search.json, with the keys limit and solved, a share."""
    solved = torch.tensor([0] + [round(num_puzzles * row["solved"]) for row in rows] + [num_puzzles])
    return Curve(torch.tensor([0] + [row["limit"] for row in rows]), solved.diff())


def fit(name: str, curve: Curve) -> Law:
    """The law of that name of largest likelihood.

    Raises: ValueError if no puzzle is solved, or all at the first try: any law near 0 or 1 would fit.
    """
    if curve.counts[-1] == (total := curve.counts.sum()) or (curve.limits[1] == 1 and curve.counts[0] == total):
        which = "none" if curve.counts[-1] == total else "all at the first try"
        raise ValueError(f"got {int(total)} puzzles of which {which} were solved; expected some of both")
    kind = LAWS[name]

    def parameters(free: Sequence[float]) -> dict[str, float]:
        values = torch.as_tensor(free, dtype=torch.float64)
        return {key: scale(value).item() for (key, scale), value in zip(kind.scales.items(), values, strict=True)}

    def loss(free: Sequence[float]) -> float:
        expected = shares(kind.unsolved(curve.limits.double(), **parameters(free)))
        return -torch.xlogy(curve.counts, expected.clamp(min=1e-300)).sum().item()

    bounds, options = [(-LIMIT, LIMIT)] * len(kind.scales), {"maxiter": 5000, "maxfev": 5000}
    found = [optimize.minimize(loss, s, method="Nelder-Mead", bounds=bounds, options=options) for s in kind.starts]
    best = min(found, key=lambda trial: trial.fun)
    law = Law(name, parameters(best.x), -best.fun, None)
    return law._replace(p_value=goodness(law, curve))


def shares(unsolved: Tensor) -> Tensor:
    """The shares of puzzles solved between two limits, and beyond the last limit."""
    return torch.cat([-unsolved.diff(), unsolved[-1:]])


def goodness(law: Law, curve: Curve) -> float | None:
    """p-value of Pearson's chi-square for a fitted law; None if there are too few bins.

    Bins are joined, from the left, until LEAST puzzles are expected in each.
    """
    expected = curve.counts.sum() * shares(law.unsolved(curve.limits))
    bins, filled = [[0.0, 0.0]], False
    for count, mean in zip(curve.counts.tolist(), expected.tolist(), strict=True):
        if filled:
            bins.append([0.0, 0.0])
        bins[-1] = [bins[-1][0] + count, bins[-1][1] + mean]
        filled = bins[-1][1] >= LEAST
    if not filled and len(bins) > 1:
        last = bins.pop()
        bins[-1] = [bins[-1][0] + last[0], bins[-1][1] + last[1]]
    spare = len(bins) - 1 - len(law.parameters)
    if spare < 1:
        return None
    return float(stats.chi2.sf(sum((count - mean) ** 2 / mean for count, mean in bins), spare))
