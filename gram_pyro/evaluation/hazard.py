"""The law of a search that forgets: all trajectories of a puzzle are right with one probability, its own.

    P(tries > K | p) = (1 - p)^K,   p ~ Beta(a, b)        P(tries > K) = B(a, b + K) / B(a, b)

Small a: puzzles that hardly ever come out right, so the curve of what is solved flattens. The law is fitted to the
tries of all puzzles by maximum likelihood, those of unsolved ones being known from below, and put to a test.
Source: the beta-geometric law; that a search of trajectories should follow it is ours.
"""

import math
from typing import NamedTuple

import torch
from scipy import optimize, stats
from torch import Tensor

LEAST = 5  # expected puzzles in a bin of the test


class Law(NamedTuple):
    """The parameters of p ~ Beta(a, b), and the p-value of the test that tries follow it (None: too few puzzles)."""

    a: float
    b: float
    p_value: float | None

    def unsolved(self, limit: Tensor) -> Tensor:
        """P(tries > K) for K >= 0."""
        return log_unsolved(limit, self.a, self.b).exp()


def log_unsolved(limit: Tensor, a: float, b: float) -> Tensor:
    """log B(a, b + K) / B(a, b)."""
    limit, total = limit.double(), torch.tensor(a + b, dtype=torch.float64)
    start = torch.lgamma(total) - torch.lgamma(torch.tensor(b, dtype=torch.float64))
    return start + torch.lgamma(b + limit) - torch.lgamma(total + limit)


def fit(tries: Tensor, solved: Tensor) -> Law:
    """The law of highest likelihood.

    Shapes: tries [B] int64, up to the right trajectory, or all there were where `solved` [B] is false.
    Raises: ValueError if no puzzle is solved, or all at their first try: any law near 0 or 1 would do.
    """
    if not solved.any() or (solved.all() and tries.eq(1).all()):
        which = "none" if not solved.any() else "all at the first try"
        raise ValueError(f"got {len(tries)} puzzles of which {which} came out right; expected some of both")
    before = tries - solved.long()  # wrong trajectories

    def loss(logs: list[float]) -> float:
        a, b = math.exp(logs[0]), math.exp(logs[1])
        survived = log_unsolved(before, a, b)
        now = torch.log(a / (a + b + before.double()))  # P(right next | wrong so far) = a / (a + b + K)
        return -(survived + now.where(solved, 0.0)).sum().item()

    found = optimize.minimize(loss, [0.0, 0.0], method="Nelder-Mead", bounds=[(-12, 12)] * 2)
    a, b = (math.exp(value) for value in found.x)
    return Law(a, b, goodness(Law(a, b, None), tries, solved))


def goodness(law: Law, tries: Tensor, solved: Tensor) -> float | None:
    """p-value of Pearson's chi-square over bins of tries, two parameters being fitted; None without a bin to spare.

    Puzzles that were given up are the last bin, so all unsolved ones must have had as many tries.
    """
    most = int(tries.max())
    edges, left = [0], law.unsolved(torch.arange(most + 1))
    for limit in range(1, most + 1):
        if len(tries) * (left[edges[-1]] - left[limit]) >= LEAST:
            edges.append(limit)
    if len(edges) > 1 and len(tries) * left[edges[-1]] < LEAST:
        edges.pop()
    edges = torch.tensor(edges)
    expected = len(tries) * torch.cat([left[edges[:-1]] - left[edges[1:]], left[edges[-1:]]])
    bins = torch.bucketize(torch.where(solved, tries, most + 1), edges) - 1
    observed = torch.bincount(bins, minlength=len(expected)).double()
    spare = len(expected) - 3
    if spare < 1:
        return None
    return float(stats.chi2.sf(((observed - expected).square() / expected).sum().item(), spare))
