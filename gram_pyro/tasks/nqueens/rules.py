"""Rules of N-Queens completion on an n x n board, all solutions, and the eight symmetries of the square.

    y solves x  <=>  every row and column of y has one queen, every diagonal and antidiagonal at most one, every
                     cell is empty or a queen, and y_i = x_i wherever x_i != 0

Cells are numbered row by row, 0 .. L-1 with L = n^2; 0 is the blank, 1 an empty cell, 2 a queen. A diagonal has one
r - c, an antidiagonal one r + c. Source: the paper's N-Queens task; cells given as empty: ours.
"""

from collections.abc import Sequence
from functools import cached_property
from itertools import combinations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gram_pyro.tasks.base import Puzzles, concatenate

BLANK, EMPTY, QUEEN = 0, 1, 2
CHUNK = 4096  # puzzles completed at a time: bounds the memory


class Board:
    """Lines, relations, symmetries and all solutions of the n x n board.

    Shapes: lines [6n - 2, L] bool, the cells of n rows, n columns, 2n - 1 diagonals by r - c + n - 1, and 2n - 1
    antidiagonals by r + c; relations [4, L, L] bool, which other cells share each of these; symmetries [8, L] int64:
    cell i of the image is cell `symmetries[s, i]` of the board.
    Raises: ValueError if n < 4.
    """

    def __init__(self, n: int) -> None:
        if n < 4:
            raise ValueError(f"got n={n}; expected 4 or more: smaller boards have no solution, or a trivial one")
        self.n = n
        cells = torch.arange(n * n)
        row, col = cells // n, cells % n
        kinds = ((row, n), (col, n), (row - col + n - 1, 2 * n - 1), (row + col, 2 * n - 1))
        self.lines = torch.cat([F.one_hot(number, count).T for number, count in kinds]).bool()
        numbers = torch.stack([number for number, _ in kinds])
        self.relations = (numbers[:, :, None] == numbers[:, None]) & ~torch.eye(n * n, dtype=torch.bool)
        grid = cells.view(n, n)
        self.symmetries = torch.stack([g.rot90(k).flatten() for g in (grid, grid.T) for k in range(4)])

    def violations(self, x: Tensor, y: Tensor) -> Tensor:
        """The number of rows and columns of y [..., L] without exactly one queen, of diagonals with several, of cells
        that are neither empty nor queen, and of changed cells of x [..., L] (leading dims broadcast).

        Returns: [...] int64, 0 iff y solves x.
        """
        count = (y == QUEEN).float() @ self.lines.to(y.device).float().T
        straight, slanted = count.split([2 * self.n, 4 * self.n - 2], -1)
        changed = (x != BLANK) & (x != y)
        neither = (y != EMPTY) & (y != QUEEN)
        return (straight != 1).sum(-1) + (slanted > 1).sum(-1) + changed.sum(-1) + neither.sum(-1)

    @cached_property
    def columns(self) -> Tensor:
        """Every solution, as the column of the queen of each row, in lexicographic order, [S, n] int64.

        They are built row by row, all partial boards together.
        """
        columns = torch.empty(1, 0, dtype=torch.int64)
        for row in range(self.n):
            shift = (columns[:, :, None] - torch.arange(self.n)).abs()
            attacked = (shift == 0) | (shift == torch.arange(row, 0, -1)[:, None])
            parent, column = (~attacked.any(1)).nonzero(as_tuple=True)
            columns = torch.cat([columns[parent], column[:, None]], 1)
        return columns

    def place(self, columns: Tensor) -> Tensor:
        """Queens [..., n], one column for each row and n for a row without a queen, as cells; [..., L] bool."""
        return F.one_hot(columns, self.n + 1)[..., :-1].flatten(-2).bool()

    def complete(self, x: Tensor) -> Puzzles:
        """The puzzles x [N, L] with all their solutions; some may have none."""
        queens = self.place(self.columns)
        boards = torch.where(queens, QUEEN, EMPTY)
        parts = []
        for part in x.split(CHUNK):
            broken = (part == QUEEN).float() @ (~queens).float().T + (part == EMPTY).float() @ queens.float().T
            fits = broken == 0
            counts = F.pad(fits.sum(1), (1, 0))
            parts.append(Puzzles(part, boards[fits.nonzero()[:, 1]], counts.cumsum(0)))
        return concatenate(parts)

    def completions(self, removed: Sequence[int]) -> Puzzles:
        """All puzzles that are solutions with k queens removed, k in `removed`, with all their solutions, in a fixed
        order."""
        n = self.n
        subsets = [rows for k in removed for rows in combinations(range(n), k)]
        gone = torch.zeros(len(subsets), n, dtype=torch.bool)
        for subset, rows in zip(gone, subsets, strict=True):
            subset[list(rows)] = True
        given = torch.where(gone, n, self.columns[:, None]).to(torch.uint8).flatten(0, 1)
        first = np.unique(_keys(given), return_index=True)[1]
        return self.complete(torch.where(self.place(given[torch.from_numpy(first)].long()), QUEEN, BLANK))

    def symmetry_class(self, x: Tensor) -> Tensor:
        """The symmetry class of each puzzle of x [N, L], [N] int64 from 0: equal iff a symmetry of the square maps one
        to the other. It reads queens only, as in puzzles of `completions`.

        The smallest of the eight images represents a class.
        """
        images = (x == QUEEN)[:, self.symmetries].unflatten(-1, (self.n, self.n))
        columns = (images * torch.arange(1, self.n + 1, dtype=torch.uint8)).sum(-1, dtype=torch.uint8)  # 0: no queen
        image = np.unique(_keys(columns.flatten(0, 1)), return_inverse=True)[1].reshape(-1, 8)
        return torch.from_numpy(np.unique(image.min(1), return_inverse=True)[1])


def _keys(columns: Tensor) -> np.ndarray:
    """Each row of columns [N, n] uint8 as one sortable value, [N]."""
    return columns.numpy().view(f"V{columns.shape[1]}")[:, 0]
