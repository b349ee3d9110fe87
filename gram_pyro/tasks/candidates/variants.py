"""Kinds of puzzles that no weights are trained on: Sudoku variants, queens with excluded diagonals, graphs.

Source: ours; the graphs: DIMACS colouring instances (Mycielski, 1955; queens on n x n).
"""

from dataclasses import dataclass
from functools import cache
from itertools import combinations, product
from random import Random

import networkx as nx

from gram_pyro.tasks.candidates import importers, shorthands
from gram_pyro.tasks.candidates.families import Family
from gram_pyro.tasks.candidates.puzzle import OUT, CandidatePuzzle, Contradiction, different, make_puzzle
from gram_pyro.tasks.sudoku.rules import Geometry

SWAPS = 60  # of cells between neighbouring regions


@dataclass(frozen=True)
class Variant(Family):
    """Sudoku with more rules, or other ones: kind is x (long diagonals), windoku (four more boxes, 9x9), anti_knight
    (no symbol a knight's move from itself) or jigsaw (regions at random in place of boxes).

    Raises: ValueError on another kind, or a windoku that is not 9x9.
    """

    kind: str
    n: int = 9

    def __post_init__(self) -> None:
        if self.kind not in EXTRA or (self.kind == "windoku" and self.n != 9):
            raise ValueError(f"got kind={self.kind}, n={self.n}; expected one of {', '.join(EXTRA)}, windoku with n=9")

    def __call__(self, rng: Random) -> CandidatePuzzle:
        grid = (self.n, self.n)
        sets = shorthands.rows(grid) + shorthands.columns(grid)
        sets += regions(self.n, rng) if self.kind == "jigsaw" else shorthands.boxes(grid, Geometry(self.n).box)
        return _grid(self.n, sets + EXTRA[self.kind](grid))


BANDS = (range(1, 4), range(5, 8))


def _windows(grid: tuple[int, int]) -> list[list[int]]:
    return [[row * grid[1] + column for row in rows for column in columns] for rows in BANDS for columns in BANDS]


EXTRA = {
    "x": shorthands.diagonals,
    "windoku": _windows,
    "anti_knight": lambda grid: shorthands.apart(grid, shorthands.KNIGHT),
    "jigsaw": lambda grid: [],
}


def _grid(n: int, sets: list[list[int]]) -> CandidatePuzzle:
    groups = [group for cells in sets for group in different(cells, n)]
    return make_puzzle(shorthands.cell_names((n, n)), [str(d + 1) for d in range(n)], groups, grid=(n, n))


def regions(n: int, rng: Random) -> list[list[int]]:
    """n connected regions of n cells: boxes that have swapped cells with their neighbours."""
    board = nx.grid_2d_graph(n, n)
    owner = {(c // n, c % n): i for i, box in enumerate(shorthands.boxes((n, n), Geometry(n).box)) for c in box}

    def hangs(region: int) -> bool:
        return nx.is_connected(board.subgraph(place for place, i in owner.items() if i == region))

    swapped = 0
    while swapped < SWAPS:
        a = rng.choice(list(owner))
        others = sorted({owner[near] for near in board[a]} - {owner[a]})
        if not others:
            continue
        mine, other = owner[a], rng.choice(others)
        b = rng.choice([place for place, i in owner.items() if i == other and place != a])
        owner[a], owner[b] = other, mine
        if hangs(mine) and hangs(other):
            swapped += 1
        else:
            owner[a], owner[b] = mine, other
    return [[row * n + column for (row, column), i in owner.items() if i == region] for region in range(n)]


@dataclass(frozen=True)
class ExcludedDiagonals(Family):
    """n queens, none of them on k diagonals, k uniform from 0 to `most`. A board may have no solution.

    Source: CSPLib prob079.
    """

    n: int
    most: int

    def __call__(self, rng: Random) -> CandidatePuzzle:
        squares = list(product(range(self.n), repeat=2))
        lines = [(slope, row - slope * column) for slope in (1, -1) for row, column in squares]
        lines = sorted(set(lines))
        while True:
            barred = set(rng.sample(lines, rng.randint(0, self.most)))
            roles = [OUT * any((s, row - s * column) in barred for s in (1, -1)) for row, column in squares]
            try:
                return shorthands.queens(self.n, roles)
            except Contradiction:  # a row or a column has no square left
                continue


@dataclass(frozen=True)
class PlantedGraphs(Family):
    """Graphs on n vertices of an average degree that have a hidden colouring, its colours in equal parts."""

    n: int
    num_colours: int
    degree: float

    def __call__(self, rng: Random) -> CandidatePuzzle:
        colour = [vertex % self.num_colours for vertex in rng.sample(range(self.n), self.n)]
        pairs = [pair for pair in combinations(range(self.n), 2) if colour[pair[0]] != colour[pair[1]]]
        graph = nx.empty_graph(self.n)
        graph.add_edges_from(rng.sample(pairs, round(self.n * self.degree / 2)))
        return importers.colouring(graph, self.num_colours)


@dataclass(frozen=True)
class Famous(Family):
    """One graph of DIMACS by its name, myciel3 or queen5_5 say, to be coloured with so many colours."""

    name: str
    num_colours: int

    def __call__(self, rng: Random) -> CandidatePuzzle:
        return _famous(self.name, self.num_colours)


@cache
def _famous(name: str, num_colours: int) -> CandidatePuzzle:
    if name.startswith("myciel"):
        return importers.colouring(nx.mycielski_graph(int(name.removeprefix("myciel")) + 1), num_colours)
    n = int(name.removeprefix("queen").split("_")[0])
    graph = nx.empty_graph(n * n)
    lines = shorthands.rows((n, n)) + shorthands.columns((n, n))
    for slope in (1, -1):
        places = {}
        for row in range(n):
            for column in range(n):
                places.setdefault(row - slope * column, []).append(row * n + column)
        lines += places.values()
    graph.add_edges_from(pair for line in lines for pair in combinations(line, 2))
    return importers.colouring(graph, num_colours)
