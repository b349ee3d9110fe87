"""Generation of Sudoku boards: p(x) of all boards, and p(y | x) given few clues.

    k = 0 with probability blank_share, else k ~ uniform{0..max_clues};   x = k cells of a board, drawn uniformly

The input of p(x) is the blank board (paper D.5). Boards with few clues have too many solutions to list (6x6: up to
28,200,960), so a rollout row is trained on a solution near to where it ended, see `Sudoku.near`. Source: ours.
"""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from random import Random

import torch
from torch import Tensor
from tqdm import tqdm

from gram_pyro.tasks.base import Batch, ImplicitTask, Puzzles
from gram_pyro.tasks.cache import AUTO, cached
from gram_pyro.tasks.sudoku.classes import LARGEST, BoardClasses
from gram_pyro.tasks.sudoku.generator import random_board, thin
from gram_pyro.tasks.sudoku.rules import Geometry
from gram_pyro.tasks.sudoku.task import Sudoku

FORMAT = 1  # of the cache; raise it when other boards are drawn


class SudokuBoards(Sudoku, ImplicitTask):
    """Boards of n x n cells. `num_train` boards are drawn, uniformly for n up to 6; for larger n by a depth-first
    search, which is not exactly uniform. In training they are moved by uniform symmetries. The test sets "k clues" of
    `num_test` puzzles, one for every k in `test_clues`, come from boards drawn in the same way and list one solution
    each. With `one_solution` (a, b) there is another test set, of puzzles with one solution: clues are removed while
    the solution stays unique, down to k ~ uniform{a..b}.
    The search for a near board gives up after `search_limit` choices; the row then adds nothing to the loss.

    Raises: ValueError on arguments out of range.
    """

    tests_are_unseen = False  # the blank board is one puzzle

    def __init__(
        self,
        n: int = 6,
        num_train: int = 20000,
        num_test: int = 500,
        blank_share: float = 0.5,
        max_clues: int = 18,
        test_clues: tuple[int, ...] = (0, 4, 8, 12),
        one_solution: tuple[int, int] | None = None,
        seed: int = 0,
        cache: str | Path | None = AUTO,
        search_limit: int = 1000,
    ) -> None:
        super().__init__(n, test={})
        if num_train < 1 or num_test < 1 or not 0 <= blank_share <= 1:
            raise ValueError(
                f"got num_train={num_train}, num_test={num_test}, blank_share={blank_share}; "
                "expected num_train >= 1, num_test >= 1, 0 <= blank_share <= 1"
            )
        bounds = tuple(one_solution or ())
        if not all(0 <= clues <= self.num_cells for clues in (max_clues, *test_clues, *bounds)):
            raise ValueError(
                f"got max_clues={max_clues}, test_clues={list(test_clues)}, one_solution={list(bounds)}; expected 0 to "
                f"{self.num_cells} clues, for a board has {self.num_cells} cells"
            )
        if bounds and (len(bounds) != 2 or bounds[0] > bounds[1]):
            raise ValueError(f"got one_solution={list(bounds)}; write [fewest, most] clues, or null for no such test")
        self.one_solution = bounds
        self.blank_share, self.max_clues, self.test_clues = blank_share, max_clues, tuple(test_clues)
        self.num_train, self.num_test, self.seed, self.cache = num_train, num_test, seed, cache
        self.search_limit = search_limit

    @cached_property
    def _boards(self) -> Tensor:
        arguments = {"n": self.n, "count": self.num_train + self.num_test, "seed": self.seed, "format": FORMAT}

        def draw() -> dict[str, Puzzles]:
            boards = draw_boards(self.geometry, arguments["count"], self.seed)
            return {"boards": Puzzles(boards, boards, torch.arange(len(boards) + 1))}

        return cached(self.cache, f"boards-{self.n}", arguments, draw)["boards"].x

    @cached_property
    def train(self) -> Puzzles:
        """Full boards, each its own solution; `batches` removes cells."""
        boards = self._boards[: self.num_train]
        return Puzzles(boards, boards, torch.arange(self.num_train + 1))

    @cached_property
    def test(self) -> dict[str, Puzzles]:
        boards, generator = self._boards[self.num_train :], torch.Generator().manual_seed(self.seed)
        sets = {}
        for clues in self.test_clues:
            x = keep_clues(boards, torch.full((len(boards),), clues), generator)
            sets[f"{clues} clues"] = Puzzles(x, boards, torch.arange(len(boards) + 1))
        if self.one_solution:
            fewest, most = self.one_solution
            rng = Random(f"one solution/{self.seed}")
            drawn = [thin(self.geometry, board, 1, rng, rng.randint(fewest, most)) for board in boards.tolist()]
            sets[f"{fewest} to {most} clues, one solution"] = Puzzles.from_lists(*zip(*drawn, strict=True))
        return sets

    def batches(self, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        for batch in super().batches(batch_size, generator):
            some = torch.rand(batch_size, generator=generator) >= self.blank_share
            clues = torch.randint(self.max_clues + 1, (batch_size,), generator=generator) * some
            yield batch._replace(x=keep_clues(batch.y, clues, generator))


def draw_boards(geometry: Geometry, count: int, seed: int) -> Tensor:
    """Full boards [count, L], independent, uniform if all boards can be enumerated."""
    if geometry.n > LARGEST:
        rng = Random(f"boards/{seed}")
        bar = {"desc": f"boards of {geometry.n}x{geometry.n}", "unit": "board", "leave": False, "delay": 3}
        return torch.tensor([random_board(geometry, rng) for _ in tqdm(range(count), **bar)])
    boards, generator = BoardClasses(geometry).boards, torch.Generator().manual_seed(seed)
    chosen = boards[torch.randint(len(boards), (count,), generator=generator)]
    names = torch.rand(count, geometry.n, generator=generator).argsort(1) + 1
    return names.gather(1, chosen - 1)


def keep_clues(boards: Tensor, counts: Tensor, generator: torch.Generator) -> Tensor:
    """Blank all but counts[b] cells of board b, drawn uniformly.  Shapes: [B, L], [B] -> [B, L]."""
    rank = torch.rand(boards.shape, generator=generator).argsort(1).argsort(1)
    return boards * (rank < counts[:, None])
