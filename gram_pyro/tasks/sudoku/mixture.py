"""A mixture of hard Sudokus and boards with few clues, for a reasoner that must commit and search.

    a share `hard_share` of the rows      a puzzle of a file; a share `thinned_share` of these with 1 to `most_removed`
                                          clues removed, so that there are several solutions
    the others                            boards with 0 to `max_clues` clues, see `SudokuBoards`

Puzzles with one solution teach deduction, but a reasoner trained on them alone learns to spread its probability when it
is uncertain. If any completion is right, it learns to commit and to repair.  Source: ours.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import torch
from torch import Tensor

from gram_pyro.tasks.base import Batch, Puzzles, draw_batch
from gram_pyro.tasks.sudoku.boards import SudokuBoards
from gram_pyro.tasks.sudoku.task import File, Split, by_name, read_split

REMEMBERED = 20_000  # puzzles of recent batches, whose only solution is stored


class SudokuMixture(SudokuBoards):
    """Args: files of puzzles with one solution, as `train` and `test` of `Sudoku`; shares as above; the others as for
    `SudokuBoards`, which makes the boards.  The test sets are those of the files.

    Raises: ValueError on arguments out of range, and on a training puzzle with several solutions.
    """

    def __init__(
        self,
        train: File | Sequence[File],
        test: File | Mapping[str, File],
        n: int = 9,
        hard_share: float = 0.6,
        thinned_share: float = 0.5,
        most_removed: int = 8,
        num_train: int = 20000,
        blank_share: float = 0.05,
        max_clues: int = 40,
        seed: int = 0,
        **boards: object,
    ) -> None:
        super().__init__(n, num_train, 1, blank_share, max_clues, (), None, seed, **boards)
        if not (0 <= hard_share <= 1 and 0 <= thinned_share <= 1 and most_removed >= 1):
            raise ValueError(
                f"got hard_share={hard_share}, thinned_share={thinned_share}, most_removed={most_removed}; expected "
                "two shares between 0 and 1, and a whole number of 1 or more"
            )
        self.files, self.hard_share = (train, by_name(test)), hard_share
        self.thinned_share, self.most_removed = thinned_share, most_removed
        self._handed_out: dict[bytes, Tensor] = {}

    @cached_property
    def _hard(self) -> Split:
        hard, tests = read_split(self.geometry, *self.files)
        if (hard.num_solutions > 1).any():
            row = int((hard.num_solutions > 1).nonzero()[0])
            raise ValueError(f"training puzzle {row + 1} of {self.files[0]} has several solutions; expected one")
        return hard, tests

    @property
    def test(self) -> dict[str, Puzzles]:
        return self._hard[1]

    def batches(self, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        hard, count = self._hard[0], round(self.hard_share * batch_size)
        if count == 0:
            yield from super().batches(batch_size, generator)
        for batch in super().batches(batch_size, generator):
            index = torch.randint(hard.num_puzzles, (count,), generator=generator)
            whole = self.augment(draw_batch(hard, index, generator), generator)
            removed = torch.randint(1, self.most_removed + 1, (count,), generator=generator)
            removed *= torch.rand(count, generator=generator) < self.thinned_share
            x = remove_clues(whole.x, removed, generator)
            self.remember(x[removed == 0], whole.y[removed == 0])
            rows = torch.randperm(batch_size, generator=generator)[:count]
            x, y = batch.x.index_copy(0, rows, x), batch.y.index_copy(0, rows, whole.y)
            yield batch._replace(x=x, y=y, solutions=y[:, None])

    def remember(self, x: Tensor, y: Tensor) -> None:
        """Store the only solutions y of puzzles x, and drop the oldest ones."""
        for puzzle, board in zip(x, y, strict=True):
            self._handed_out[key(puzzle)] = board
        while len(self._handed_out) > REMEMBERED:
            del self._handed_out[next(iter(self._handed_out))]

    def near(self, x: Tensor, log_prob: Tensor) -> tuple[Tensor, Tensor]:
        """The stored only solution, or else the board that `Geometry.nearest` finds, M = 1."""
        known = [self._handed_out.get(key(puzzle)) for puzzle in x.cpu()]
        open_rows = [row for row, board in enumerate(known) if board is None]
        boards = torch.stack([x.new_zeros(self.num_cells) if b is None else b.to(x.device) for b in known])
        found = torch.ones(len(x), dtype=torch.bool, device=x.device)
        if open_rows:
            near, valid = super().near(x[open_rows], log_prob[open_rows])
            boards[open_rows], found[open_rows] = near[:, 0], valid[:, 0]
        return boards[:, None], found[:, None]


def key(puzzle: Tensor) -> bytes:
    return puzzle.to(torch.uint8).numpy().tobytes()


def remove_clues(x: Tensor, counts: Tensor, generator: torch.Generator) -> Tensor:
    """Remove counts[b] clues, drawn uniformly, from puzzle b.  Shapes: [B, L], [B] -> [B, L]."""
    score = torch.rand(x.shape, generator=generator).masked_fill(x == 0, 2.0)
    return x.masked_fill(score.argsort(1).argsort(1) < counts[:, None], 0)
