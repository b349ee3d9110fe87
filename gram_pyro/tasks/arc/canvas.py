"""Grids on a square canvas, and their symmetries.

    token(i, j) = 2 + colour     inside the grid, which starts at the top left
                  1 (eos)        in the row below it and in the column to its right
                  0 (pad)        elsewhere

A grid is read back as the largest rectangle of colours from the top left, so the eos tokens give its size.
Canvases are stored row by row, [..., n^2] int64.  Source: TRM's and HRM's data, without their random translation.
"""

import torch
from torch import Tensor

from gram_pyro.tasks.arc.files import NUM_COLOURS, Grid

PAD, EOS, FIRST = 0, 1, 2  # FIRST is colour 0
NUM_TOKENS = FIRST + NUM_COLOURS
NUM_SYMMETRIES = 8
SAME = torch.arange(NUM_TOKENS)  # the recolouring that changes nothing


class Canvas:
    """A square canvas of `side` n cells.

    A symmetry s = 4 t + 2 a + b of a grid transposes it if t, then flips it vertically if a, horizontally if b. A
    recolouring is a table [V] of tokens.
    """

    def __init__(self, side: int) -> None:
        self.side, self.num_cells = side, side * side

    def place(self, grid: Grid) -> Tensor:
        """A grid on the canvas, [n^2]."""
        board = torch.full((self.side + 1, self.side + 1), PAD)
        rows, columns = len(grid), len(grid[0])
        board[rows, :columns] = EOS
        board[:rows, columns] = EOS
        board[:rows, :columns] = torch.tensor(grid) + FIRST
        return board[: self.side, : self.side].flatten()

    def extent(self, board: Tensor) -> tuple[Tensor, Tensor]:
        """Rows and columns of the grid on each canvas: the largest rectangle of colours from the top left, of equal
        ones that with fewest rows; 0, 0 if there is none.  Shapes: [..., n^2] -> [...], [...]."""
        colours = (board >= FIRST).unflatten(-1, (self.side, self.side)).long()
        leading = colours.cumprod(-1).sum(-1)  # colours in a row before the first other token
        columns = leading.cummin(-1).values
        area = columns * torch.arange(1, self.side + 1, device=board.device)
        best = area.argmax(-1, keepdim=True)
        columns = columns.gather(-1, best)[..., 0]
        return torch.where(columns > 0, best[..., 0] + 1, 0), columns

    def read(self, board: Tensor) -> Grid:
        """The grid on one canvas [n^2]; () if there is none."""
        rows, columns = (int(size) for size in self.extent(board))
        square = board.view(self.side, self.side)[:rows, :columns] - FIRST
        return tuple(tuple(row) for row in square.tolist())

    def redraw(self, board: Tensor, symmetry: Tensor, recolouring: Tensor) -> Tensor:
        """The grid on each canvas, transformed and recoloured, on a canvas that is otherwise in normal form.

        Shapes: board [..., n^2], symmetry [...], recolouring [..., V], leading dims broadcast -> [..., n^2].
        """
        board, symmetry = torch.broadcast_tensors(board, symmetry[..., None])
        n, cells = self.side, torch.arange(self.num_cells, device=board.device)
        i, j = cells // n, cells % n
        transposed, upside_down, mirrored = (symmetry & bit > 0 for bit in (4, 2, 1))
        height, width = (size[..., None] for size in self.extent(board))
        rows, columns = torch.where(transposed, width, height), torch.where(transposed, height, width)
        row, column = torch.where(upside_down, rows - 1 - i, i), torch.where(mirrored, columns - 1 - j, j)
        origin = torch.where(transposed, n * column + row, n * row + column).clamp(0, self.num_cells - 1)
        moved = recolouring.expand(*board.shape[:-1], NUM_TOKENS).gather(-1, board.gather(-1, origin))
        edge = ((i == rows) & (j < columns)) | ((j == columns) & (i < rows))
        return torch.where((i < rows) & (j < columns), moved, torch.where(edge, EOS, PAD))

    @property
    def relations(self) -> Tensor:
        """[6, n^2, n^2] bool: the cell above, below, left, right, other cells of the row, and of the column."""
        cells = torch.arange(self.num_cells)
        down = cells[:, None] // self.side - cells // self.side
        right = cells[:, None] % self.side - cells % self.side
        beside = [(down == a) & (right == b) for a, b in ((1, 0), (-1, 0), (0, 1), (0, -1))]
        return torch.stack([*beside, (down == 0) & (right != 0), (right == 0) & (down != 0)])


def inverse(symmetry: Tensor) -> Tensor:
    """The inverse of a symmetry: after a transposition the two flips change places."""
    swapped = 4 | (symmetry & 1) << 1 | (symmetry & 2) >> 1
    return torch.where(symmetry >= 4, swapped, symmetry)


def draw_recolourings(num: int, generator: torch.Generator) -> Tensor:
    """Uniform permutations of colours 1 .. 9; colour 0 (background), eos and pad are fixed.  Returns: [num, V]."""
    order = torch.rand(num, NUM_COLOURS - 1, generator=generator).argsort(-1) + FIRST + 1
    return torch.cat([SAME[: FIRST + 1].expand(num, -1), order], -1)
