"""Grid worlds: distances, what an answer breaks, all shortest plans, symmetries, and random maps split by class.

    d(c) = 0 at the start, else 1 + the least d of the free neighbours of c                            breadth first
    y solves x  <=>  every path cell but the start has one neighbouring path cell that is a step nearer to the start,
                     every one but the goal has one that is a step farther, every other free cell is off the path, and
                     y_i = x_i wherever x_i != 0

So the path is one shortest way from start to goal: from the start, d increases along it and it can end only at the
goal; back from any of its cells, d decreases to the start.

Cells are numbered row by row, 0 .. L-1; 0 is the blank, 1 a wall, 2 the start, 3 the goal, 4 on the path, 5 off it.
A puzzle x has one start, one goal, walls and blanks. Source: ours.
"""

from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gram_pyro.tasks.base import Puzzles
from gram_pyro.tasks.sudoku.generator import is_test_class, mix

NUM_SYMBOLS = 6
BLANK, WALL, START, GOAL, PATH, OFF = range(NUM_SYMBOLS)
CHUNK = 1000  # maps drawn at a time; part of what a seed means
NOWHERE = -2  # distance of cells outside the grid: a step from no cell


class Reach(NamedTuple):
    """The steps from one cell to every cell, and the number of shortest ways.

    Shapes: [..., L] int64 (L if there is no way), [..., L] float64.
    """

    distance: Tensor
    ways: Tensor


class Grid:
    """Neighbours, relations, symmetries and shortest plans on a grid of cells.

    Shapes: around [L, 4] int64, the cells above, below, left and right, L where there is none; relations [2, L, L]
    bool, neighbours, and other cells of the same row or column; symmetries [S, L] int64, S = 8 on a square and 4 on
    other rectangles: cell i of the image is cell `symmetries[s, i]` of the map; reversals [2, V] int64, the identity of
    symbols, and the exchange of start and goal: a reversed plan is a plan. All 2 S keep the rules and the relations.
    """

    def __init__(self, rows: int, columns: int) -> None:
        self.rows, self.columns, self.num_cells = rows, columns, rows * columns
        cells = torch.arange(self.num_cells).view(rows, columns)
        framed = F.pad(cells, (1, 1, 1, 1), value=self.num_cells)
        sides = (framed[:-2, 1:-1], framed[2:, 1:-1], framed[1:-1, :-2], framed[1:-1, 2:])
        self.around = torch.stack([side.flatten() for side in sides], 1)
        images = [grid.rot90(k) for grid in (cells, cells.T) for k in range(4)]
        self.symmetries = torch.stack([image.flatten() for image in images if image.shape == cells.shape])
        self.reversals = torch.tensor([[BLANK, WALL, START, GOAL, PATH, OFF], [BLANK, WALL, GOAL, START, PATH, OFF]])

    @cached_property
    def relations(self) -> Tensor:
        cells = torch.arange(self.num_cells)
        row, column = cells // self.columns, cells % self.columns
        down, right = row[:, None] - row, column[:, None] - column
        return torch.stack([down.abs() + right.abs() == 1, (down == 0) ^ (right == 0)])

    def look_around(self, board: Tensor, outside: int = 0) -> Tensor:
        """The values of the four neighbours of every cell.  Shapes: [..., L] -> [..., L, 4]."""
        return F.pad(board, (0, 1), value=outside)[..., self.around.to(board.device)]

    def reach(self, x: Tensor, source: int) -> Reach:
        """Steps and ways from the cell of x [..., L] with symbol `source` to every cell, around the walls."""
        ways = (x == source).double()
        distance = torch.where(ways > 0, 0, self.num_cells)
        front = ways
        for step in range(1, self.num_cells):
            new = (x != WALL) & (distance == self.num_cells)
            front = self.look_around(front).sum(-1) * new
            if not front.any():
                break
            distance, ways = torch.where(front > 0, step, distance), ways + front
        return Reach(distance, ways)

    def on_path(self, x: Tensor, y: Tensor) -> Tensor:
        """The cells of the path of y on x: start, goal, and free cells; [..., L] bool."""
        return (x == START) | (x == GOAL) | ((x == BLANK) & (y == PATH))

    def faults(self, x: Tensor, y: Tensor) -> Tensor:
        """The number of mistakes in every cell of y [..., L] as an answer to x [..., L] (leading dims broadcast).

        For a path cell: the missing or superfluous neighbouring path cells that are a step nearer to the start, or a
        step farther. A gap counts 2, a detour 4, a stray cell 2 or more. For a free cell neither on nor off the path,
        and for a changed given cell: 1.
        Returns: [..., L] int64, zeros iff y solves x.
        """
        distance, on = self.reach(x, START).distance, self.on_path(x, y)
        climb, beside = self.look_around(distance, NOWHERE) - distance[..., None], self.look_around(on)
        before, after = (((climb == step) & beside).sum(-1) for step in (-1, 1))
        broken = (before - (x != START).long()).abs() + (after - (x != GOAL).long()).abs()
        neither, changed = (x == BLANK) & (y != PATH) & (y != OFF), (x != BLANK) & (x != y)
        return broken * on + (neither | changed)

    def plans(self, x: Tensor) -> Puzzles:
        """The puzzles x [N, L] with all their solutions; none if there is no way to the goal.

        Plans are built step by step, all together: from a cell to every neighbour that is a step nearer to the goal.
        """
        to_goal = F.pad(self.reach(x, GOAL).distance, (0, 1), value=NOWHERE)
        owner, at = (x == START).nonzero(as_tuple=True)
        y = torch.where(x == BLANK, OFF, x)
        owners, plans = [owner[:0]], [y[:0]]
        while len(owner):
            arrived = to_goal[owner, at] == 0
            owners.append(owner[arrived])
            plans.append(y[arrived])
            nearer = to_goal[owner[:, None], self.around[at]] == to_goal[owner, at][:, None] - 1
            parent, side = nearer.nonzero(as_tuple=True)
            owner, at, y = owner[parent], self.around[at[parent], side], y[parent]
            walked = y[torch.arange(len(y)), at]
            y[torch.arange(len(y)), at] = torch.where(walked == OFF, PATH, walked)  # the goal stays the goal
        owner = torch.cat(owners)
        order = owner.argsort(stable=True)
        counts = owner.bincount(minlength=len(x))
        return Puzzles(x, torch.cat(plans)[order], F.pad(counts.cumsum(0), (1, 0)))

    def class_hash(self, x: Tensor) -> np.ndarray:
        """A hash of the symmetry class of each map: the least hash of its 2 S images. The hash of a map is the sum of
        one random number per (cell, symbol).

        Maps of one class ALWAYS have equal hashes. Others may collide, which only removes too many maps from a test
        set.  Shapes: x [N, L] -> [N] uint64.  Source: Zobrist (1970).
        """
        keys = mix(np.arange(self.num_cells * NUM_SYMBOLS, dtype=np.uint64)).reshape(-1, NUM_SYMBOLS)
        images = self.reversals[:, x][..., self.symmetries].numpy()  # [2, N, S, L]
        return mix(keys[np.arange(self.num_cells), images].sum(-1)).min((0, 2))


def random_maps(grid: Grid, wall_probability: float, rng: np.random.Generator) -> Tensor:
    """CHUNK maps, [N, L]: uniform start and goal in two cells; every other cell is a wall with `wall_probability`."""
    x = np.where(rng.random((CHUNK, grid.num_cells)) < wall_probability, WALL, BLANK)
    ends = rng.random((CHUNK, grid.num_cells)).argsort(1)[:, :2]
    np.put_along_axis(x, ends, np.array([[START, GOAL]]), 1)
    return torch.from_numpy(x)


def draw_split(
    grid: Grid,
    wall_probability: float,
    min_distance: int,
    num_train: int,
    num_test: int,
    max_solutions: int,
    seed: int,
) -> tuple[Puzzles, Puzzles]:
    """Random maps whose goal is `min_distance` steps away or more, with at most `max_solutions` plans, train and test,
    without a common symmetry class.

    A map is in test iff `is_test_class` of its class. So the split depends on the class alone: every train set is
    disjoint from every test set, for all seeds. Test has one map per class; train may repeat a class. Drawing stops
    when train is full and CHUNK maps give no new test class; test is then short.

    Raises: ValueError if CHUNK maps give none to train on.
    """
    rng = np.random.default_rng(seed)
    train = test = torch.empty(0, grid.num_cells, dtype=torch.int64)
    while True:
        before = len(train), len(test)
        x = random_maps(grid, wall_probability, rng)
        goal, reach = x == GOAL, grid.reach(x, START)
        x = x[(reach.distance[goal] >= min_distance) & (reach.ways[goal] >= 1) & (reach.ways[goal] <= max_solutions)]
        held_out = torch.from_numpy(is_test_class(grid.class_hash(x)))
        train = torch.cat([train, x[~held_out]])[:num_train]
        test = torch.cat([test, x[held_out]])
        first = np.sort(np.unique(grid.class_hash(test), return_index=True)[1])  # the first map of every class
        test = test[first][:num_test]
        if len(train) == num_train and (len(test) == num_test or len(test) == before[1]):
            return grid.plans(train), grid.plans(test)
        if len(train) == before[0] < num_train:
            raise ValueError(
                f"got no map to train on among {CHUNK} of {grid.rows} x {grid.columns} cells with "
                f"wall_probability={wall_probability}; expected one with min_distance={min_distance} and at most "
                f"max_solutions={max_solutions} plans; write a smaller min_distance, more solutions or a larger grid"
            )
