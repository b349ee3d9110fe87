"""Sudokus of several sizes for one set of weights. All boards of a batch have one size.

    part ~ share,   batch ~ part

Weights that do not depend on the size of the board (embed=candidates core=constraints readout=candidates) learn from
all parts. The number of cells identifies the part of a board, so the parts have different sizes.  Source: ours.
"""

from collections.abc import Iterator, Mapping

import torch
from matplotlib.axes import Axes
from torch import Tensor

from gram_pyro.tasks.base import Batch, ImplicitTask, Puzzles
from gram_pyro.tasks.sudoku.task import Sudoku


class SudokuSizes(ImplicitTask):
    """Args: parts, Sudoku tasks by name; shares of batches from each, by the same names.  The test sets are those of
    all parts, "NAME, TEST SET".

    Attributes: num_symbols, V by the number of cells; num_cells of the largest boards; relations, None, for every size
    has its own.
    Raises: ValueError unless every part has a positive share, and the parts have different sizes.
    """

    relations = None

    def __init__(self, parts: Mapping[str, Sudoku], shares: Mapping[str, float]) -> None:
        self.parts, shares = dict(parts), dict(shares)
        if not parts or shares.keys() != self.parts.keys() or min(shares.values()) <= 0:
            raise ValueError(f"got parts={list(self.parts)}, shares={shares}; expected a share above 0 for each part")
        self.by_size = {part.num_cells: part for part in self.parts.values()}
        if len(self.by_size) < len(self.parts):
            sizes = {name: f"{part.n}x{part.n}" for name, part in self.parts.items()}
            raise ValueError(f"got parts of sizes {sizes}; expected one part of each size; leave out the others")
        self.shares = torch.tensor([float(shares[name]) for name in self.parts])
        self.num_cells = max(self.by_size)
        self.num_symbols = {cells: part.num_symbols for cells, part in self.by_size.items()}
        self.constraints = tuple(kind for part in self.parts.values() for kind in part.constraints)

    def part(self, x: Tensor) -> Sudoku:
        """The part of the boards x [..., L].  Raises: ValueError if no part has this size."""
        if x.shape[-1] not in self.by_size:
            raise ValueError(f"got a board of {x.shape[-1]} cells; expected one of {sorted(self.by_size)}")
        return self.by_size[x.shape[-1]]

    @property
    def train(self) -> Puzzles:
        raise ValueError("puzzles of several sizes are not one set; write task.parts[NAME].train")

    @property
    def test(self) -> dict[str, Puzzles]:
        return {f"{name}, {test}": found for name, part in self.parts.items() for test, found in part.test.items()}

    def batches(self, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        streams = [part.batches(batch_size, generator) for part in self.parts.values()]
        while True:
            yield next(streams[int(torch.multinomial(self.shares, 1, generator=generator))])

    def near(self, x: Tensor, log_prob: Tensor) -> tuple[Tensor, Tensor]:
        return self.part(x).near(x, log_prob)

    def is_solved(self, x: Tensor, y: Tensor) -> Tensor:
        return self.part(x).is_solved(x, y)

    def violations(self, x: Tensor, y: Tensor) -> Tensor:
        return self.part(x).violations(x, y)

    def difficulty(self, x: Tensor) -> tuple[str, Tensor]:
        return self.part(x).difficulty(x)

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        return self.part(batch.x).augment(batch, generator)

    def render(self, x: Tensor, y: Tensor | None = None) -> str:
        return self.part(x).render(x, y)

    def draw(self, axes: Axes, x: Tensor, y: Tensor | None = None) -> None:
        self.part(x).draw(axes, x, y)
