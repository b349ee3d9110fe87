"""Search: trajectories are drawn in rounds until the rules accept an answer; a solved puzzle leaves the batch.

    tries(x) = min {k : y^k solves x}

tries is the cost of a puzzle.  Source: ours.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from gram_pyro.inference.trajectories import Trajectories


class Round(NamedTuple):
    """Trajectories of the puzzles `index` [B'] that were unsolved before the round.

    right [K', B'] bool; earlier, the number of trajectories that each had before.
    """

    index: Tensor
    trajectories: Trajectories
    right: Tensor
    earlier: int


def search(
    draw: Callable[[Tensor, int], Trajectories],
    is_solved: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    at_once: int,
    most: int,
) -> Iterator[Round]:
    """Rounds of at most `at_once` trajectories per unsolved puzzle of x [B, L], until all are solved or had `most`.

    Args: draw(x, K) samples K trajectories per puzzle; is_solved(x, answers) judges answers [K, B, L] by the rules.
    Raises: ValueError unless at_once and most are at least 1.
    """
    if at_once < 1 or most < 1:
        raise ValueError(f"got at_once={at_once}, most={most}; expected 1 or more of both")
    index = torch.arange(len(x), device=x.device)
    for earlier in range(0, most, at_once):
        trajectories = draw(x[index], min(at_once, most - earlier))
        right = is_solved(x[index], trajectories.answers)
        yield Round(index, trajectories, right, earlier)
        index = index[~right.any(0)]
        if not len(index):
            return


class Found(NamedTuple):
    """The results of a search so far.

    answers [B, L], the first right one, or any if the puzzle is unsolved; tries [B] int64, the number of trajectories
    up to the first right one, or all that were drawn; solved [B] bool; drawn [B] int64, trajectories in whole rounds.
    """

    answers: Tensor
    tries: Tensor
    solved: Tensor
    drawn: Tensor

    @classmethod
    def nothing(cls, x: Tensor) -> "Found":
        count = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        return cls(torch.zeros_like(x), count, count.bool(), count.clone())

    def after(self, round: Round) -> "Found":
        """The results after another round."""
        index, (num_drawn, _) = round.index, round.right.shape
        solved, first = round.right.any(0), round.right.int().argmax(0)
        one = first[None, :, None].expand(1, -1, round.trajectories.answers.shape[-1])
        answers = round.trajectories.answers.gather(0, one)[0]
        whole = self.answers if round.earlier else answers  # all are open in the first round
        return Found(
            whole.index_copy(0, index, answers),
            self.tries.index_copy(0, index, round.earlier + torch.where(solved, first + 1, num_drawn)),
            self.solved.index_copy(0, index, solved),
            self.drawn.index_copy(0, index, torch.full_like(index, round.earlier + num_drawn)),
        )
