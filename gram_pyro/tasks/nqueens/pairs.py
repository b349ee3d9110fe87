"""N-Queens, trained on uniform pairs of a puzzle and one of its solutions.

Coverage pooled over such pairs depends on puzzles that a uniform draw of puzzles hardly ever gives: for 10x10, 8 % of
the training puzzles have one or two queens left, and 31 % of the pairs. Source: ours; the paper does not state how it
draws.
"""

import torch
from torch import Tensor

from gram_pyro.tasks.nqueens.task import NQueens


class NQueensPairs(NQueens):
    """NQueens with training puzzles drawn in proportion to the number of their solutions."""

    def draw_puzzles(self, count: int, generator: torch.Generator) -> Tensor:
        pairs = torch.randint(len(self.train.solutions), (count,), generator=generator)
        return torch.searchsorted(self.train.offsets, pairs, right=True) - 1
