"""The verdict on worlds whose truth is known: how often each word is said; and on hand-made and recorded results."""

import json
import math
from collections import Counter
from pathlib import Path

import pytest
import torch

from gram_pyro import verdict as v
from gram_pyro.metrics import Tally, join
from gram_pyro.statistics import Estimate

K, M, TRIALS, PUZZLES = 20, 8, 200, 300
RESULTS = Path(__file__).parents[1] / "experiments" / "results"


def answers(num_puzzles, right, found=M, alike=1):
    """TRIALS x 3 seeds of a method that is right with probability `right`, and then draws uniformly from the first `found`
    of M solutions.  Returns: accuracy and coverage, [TRIALS, 3, B]; `alike` puzzles in a row have the same answers."""
    shape = (TRIALS, 3, num_puzzles // alike)
    hit = torch.rand(*shape, K) < right
    label = torch.randint(found, (*shape, K)).masked_fill(~hit, M)
    seen = torch.zeros(*shape, M + 1).scatter_(-1, label, 1.0)[..., :M]
    return tuple(part.repeat_interleave(alike, -1) for part in (hit.double().mean(-1), seen.double().mean(-1)))


def rates(gram, baseline, groups=None):
    """How often each word is said of three seeds, and how often one seed supports the claim."""
    words, seeds = Counter(), 0
    for trial in range(TRIALS):
        found = []
        for seed in range(3):
            pair = [
                v.Scores(K, accuracy[trial, seed], coverage[trial, seed], accuracy[trial, seed], torch.full_like(accuracy[0, 0], M), groups)
                for accuracy, coverage in (gram, baseline)
            ]
            found.append(v.Seed(seed, "noise", v.gains(*pair)))
        words[v.verdict(found)] += 1
        seeds += sum(seed.supports for seed in found)
    return {word: count / TRIALS for word, count in words.items()} | {"seed": seeds / TRIALS / 3}


WORLDS = {  # (GRAM, baseline), each (right, solutions that it finds)
    "luck": ((0.5, M), (0.5, M)),
    "equal laws": ((0.97, M), (0.97, M)),
    "both perfect": ((1.0, M), (1.0, M)),
    "covers 2 of 8 at high validity": ((0.999, 2), (0.9, M)),
    "truly better in accuracy": ((0.99, M), (0.9, M)),
    "truly better in accuracy, no noise": ((1.0, M), (0.9, M)),
    "truly better in coverage": ((0.99, M), (0.99, 5)),
    "a little worse": ((0.97, 7), (0.99, M)),
}
if __name__ == "__main__":
    import time
    for n in (10, 30, 100, 300, 500):
        for name, (g, b) in WORLDS.items():
            t=time.time()
            print(n, name, rates(answers(n, *g), answers(n, *b)), round(time.time()-t,1))
