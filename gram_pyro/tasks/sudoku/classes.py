"""The classes of Sudoku boards under the symmetries of the board, and the law of a uniform sampler over them.

    p(class) = boards in the class / all boards

Two boards are in one class if renaming digits and permuting bands, rows in a band, stacks, and columns in a stack (and
transposing, if boxes are square) maps one to the other. 4x4: 288 boards, 2 classes; 6x6: 28,200,960 boards, 49 classes.
Source: enumeration; Jarvis and Russell (2006) counted 6x6.
"""

from itertools import product
from math import factorial

import torch
from torch import Tensor

from gram_pyro.tasks.sudoku.rules import Geometry

LARGEST = 6


class BoardClasses:
    """Every board whose first row is 1..n, with the number of its class.

    Attributes: boards [N, L], these boards; law [C] float64, p(class); num_boards, the number of all boards.
    Raises: ValueError for n above 6, which has too many boards to enumerate.
    """

    def __init__(self, geometry: Geometry) -> None:
        n = geometry.n
        if n > LARGEST:
            raise ValueError(f"got n={n}; expected n up to {LARGEST}: there are too many larger boards to enumerate")
        self.n = n
        start = geometry.planes([*range(1, n + 1), *[0] * (n * n - n)])
        self.boards = torch.tensor([geometry.read(planes) for planes in geometry.search(start)])
        self._index = {bytes(board): i for i, board in enumerate(self.boards.byte().numpy())}
        label = torch.arange(len(self.boards))
        moves = [self._find(self.boards[:, cells]) for cells in generators(geometry)]
        while True:  # the smallest number of a class spreads along the moves until nothing changes
            least = label
            for move in moves:
                least = torch.minimum(least, least[move]).scatter_reduce(0, move, least, "amin")
            if least.equal(label):
                break
            label = least
        _, self._class, counts = label.unique(return_inverse=True, return_counts=True)
        self.law = counts.double() / counts.sum()
        self.num_boards = len(self.boards) * factorial(n)

    def __call__(self, boards: Tensor) -> Tensor:
        """The class of valid boards [N, L], [N] int64.  Raises: KeyError on a board that breaks the rules."""
        return self._class[self._find(boards)]

    def _find(self, boards: Tensor) -> Tensor:
        first = boards[:, : self.n] - 1
        name = torch.zeros_like(first).scatter(1, first, torch.arange(1, self.n + 1).expand_as(first))
        renamed = name.gather(1, boards - 1).byte().numpy()
        return torch.tensor([self._index[bytes(board)] for board in renamed])


def generators(geometry: Geometry) -> list[Tensor]:
    """Permutations of cells that generate all symmetries: swaps of neighbouring bands, of neighbouring rows in a band,
    the same for columns, and the transposition if boxes are square.  Shapes: each [L] int64."""
    n, (rows, cols) = geometry.n, geometry.box
    grid = torch.arange(n * n).view(n, n)
    moves = []
    for size, axis in ((rows, 0), (cols, 1)):
        lines = torch.arange(n).view(-1, size)
        orders = [swapped(lines, i) for i in range(len(lines) - 1)]
        for group, i in product(range(len(lines)), range(size - 1)):
            order = lines.clone()
            order[group] = swapped(order[group], i)
            orders.append(order)
        moves += [grid.index_select(axis, order.flatten()).flatten() for order in orders]
    return moves + ([grid.T.flatten()] if rows == cols else [])


def swapped(order: Tensor, i: int) -> Tensor:
    """`order` with entries i and i + 1 exchanged."""
    order = order.clone()
    order[[i, i + 1]] = order[[i + 1, i]]
    return order
