"""Planning as a task: a shortest way from start to goal around the walls of a grid world. A map has several.

    S(x) = {y : the path cells of y are one shortest way from start to goal, moving up, down, left or right}

In x the free cells are blank; in y each of them is on or off the path. Rules, symbols, symmetries and random maps are
in `gram_pyro.tasks.planning.grids`. Source: ours.
"""

from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from torch import Tensor

from gram_pyro.tasks.base import Batch, Puzzles
from gram_pyro.tasks.cache import AUTO, cached
from gram_pyro.tasks.drawn import DrawnTask
from gram_pyro.tasks.planning.grids import BLANK, GOAL, START, WALL, Grid, draw_split

FORMAT = 1  # of the cache; raise it when other maps are drawn
NAMES = ".#SG*-"
OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#000000")  # of plans; without red and yellow
BLUE, RED, GREY = "#0072B2", "#D55E00", "#999999"
FLOOR, STONE, RULE = (1.0, 1.0, 1.0), (0.35, 0.35, 0.35), "#DDDDDD"
APART = 0.09  # of a cell, between lines of different plans


class Planning(DrawnTask):
    """Maps of n x `columns` cells (None: n x n), where every cell is a wall with `wall_probability`.

    Maps are drawn whose goal is `min_distance` steps from the start or more, with at most `max_solutions` shortest
    plans; a solution set lists all plans. Maps that are equal up to the symmetries of the grid and the direction of the
    walk form a class. Train (`num_train` maps) and the test set "maps" (`num_test`, one per class) share no class.
    Small grids have few classes; test is then shorter, and a warning is logged. The result is stored in `cache` (None:
    no cache; auto: the user's cache folder). Maps are drawn on the first use of `train` or `test`.

    Raises: ValueError on arguments out of range, and if there is nothing to train on.
    """

    test_name = "maps"

    def __init__(
        self,
        n: int = 6,
        columns: int | None = None,
        wall_probability: float = 0.15,
        min_distance: int = 6,
        num_train: int = 10_000,
        num_test: int = 500,
        max_solutions: int = 50,
        seed: int = 0,
        cache: str | Path | None = AUTO,
    ) -> None:
        columns = n if columns is None else columns
        if min(n, columns) < 2 or not 0 <= wall_probability < 1 or not 1 <= min_distance < n * columns:
            raise ValueError(
                f"got n={n}, columns={columns}, wall_probability={wall_probability}, min_distance={min_distance}; "
                "expected n >= 2, columns >= 2, 0 <= wall_probability < 1, 1 <= min_distance < n * columns"
            )
        if max_solutions < 1 or min(num_train, num_test, seed) < 0:
            raise ValueError(
                f"got max_solutions={max_solutions}, num_train={num_train}, num_test={num_test}, seed={seed}; "
                "expected max_solutions >= 1, num_train >= 0, num_test >= 0, seed >= 0"
            )
        self.num_train, self.num_test = num_train, num_test
        self.classes = f"a grid of {n} x {columns} cells has no more symmetry classes"
        self.grid = Grid(n, columns)
        self.num_cells, self.num_symbols = self.grid.num_cells, len(NAMES)
        self.relations = self.grid.relations
        self._drawn = {
            "wall_probability": wall_probability,
            "min_distance": min_distance,
            "num_train": num_train,
            "num_test": num_test,
            "max_solutions": max_solutions,
            "seed": seed,
        }
        self._cache = cache

    def draw_split(self) -> dict[str, Puzzles]:
        def draw() -> dict[str, Puzzles]:
            return dict(zip(("train", self.test_name), draw_split(self.grid, **self._drawn), strict=True))

        size = {"rows": self.grid.rows, "columns": self.grid.columns}
        kind = f"planning-{self.grid.rows}x{self.grid.columns}"
        return cached(self._cache, kind, self._drawn | size | {"format": FORMAT}, draw)

    def is_solved(self, x: Tensor, y: Tensor) -> Tensor:
        """Whether the path of y is one shortest way from start to goal, by breadth-first search on x."""
        return self.violations(x, y) == 0

    def violations(self, x: Tensor, y: Tensor) -> Tensor:
        """The number of missing and superfluous steps of the path, of changed cells, and of undecided cells; see
        `grids.Grid.faults`."""
        return self.grid.faults(x, y).sum(-1)

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        """A symmetry of the grid for every map; half of the maps exchange start and goal too."""
        symmetries, reversals = self.grid.symmetries, self.grid.reversals
        pick = torch.randint(2 * len(symmetries), (len(batch.x), 1), generator=generator)
        cells, symbols = symmetries[pick // 2], reversals[pick % 2]  # [B, 1, L], [B, 1, V]
        boards = torch.cat([batch.x[:, None], batch.y[:, None], batch.solutions], 1)
        moved = boards.gather(2, cells.expand_as(boards))
        moved = symbols.expand(-1, boards.shape[1], -1).gather(2, moved)
        return Batch(moved[:, 0], moved[:, 1], moved[:, 2:], batch.valid)

    def render(self, x: Tensor, y: Tensor | None = None) -> str:
        """Map x [L] and, to its right, answer y [L], as text: '.' blank, '#' wall, 'S' start, 'G' goal, '*' on the
        path, '-' off it."""
        maps = [self._text(x)] if y is None else [self._text(x), self._text(y)]
        return "\n".join("     ".join(lines) for lines in zip(*maps, strict=True))

    def _text(self, board: Tensor) -> list[str]:
        rule = "+" + "-" * (2 * self.grid.columns + 1) + "+"
        rows = board.view(self.grid.rows, self.grid.columns).tolist()
        return [rule, *("| " + " ".join(NAMES[v] for v in row) + " |" for row in rows), rule]

    def draw(self, axes: Axes, x: Tensor, y: Tensor | None = None) -> None:
        """Map x [L], with dark walls, start S and goal G; the path of answer y [L] in blue. Mistakes are red: path
        cells with missing or superfluous steps (start and goal: framed), changed cells (crossed), and undecided cells
        ('?')."""
        self._draw_map(axes, x)
        if y is None:
            return
        faulty, on = self.grid.faults(x, y) > 0, self.grid.on_path(x, y)
        free, changed = x == BLANK, (x != BLANK) & (x != y)
        axes.add_collection(LineCollection(self._steps(x, y), colors=BLUE, linewidths=2, alpha=0.6))
        axes.scatter(*self._places(free & on & ~faulty), s=40, color=BLUE, zorder=3)
        axes.scatter(*self._places(free & on & faulty), s=40, color=RED, zorder=3)
        axes.scatter(*self._places(~free & on & faulty), s=180, marker="s", facecolors="none", edgecolors=RED, zorder=3)
        axes.scatter(*self._places(changed), s=60, marker="x", color=RED, zorder=4)
        for column, row in zip(*self._places(free & ~on & faulty), strict=True):
            axes.text(column, row, "?", ha="center", va="center", weight="bold", color=RED)

    def draw_plans(self, axes: Axes, x: Tensor, answers: Tensor) -> None:
        """Answers [K, L] to map x [L] as parallel lines: a colour for each of the most frequent plans, grey for other
        right answers, dashed red for wrong ones. The legend counts answers."""
        self._draw_map(axes, x)
        right = self.is_solved(x, answers)
        plans, counts = answers[right].unique(dim=0, return_counts=True)
        order = counts.argsort(descending=True, stable=True)
        named, others = order[: len(OKABE_ITO)], order[len(OKABE_ITO) :]
        coloured = zip(named.tolist(), OKABE_ITO, strict=False)
        groups = [(f"{counts[plan]}", plans[plan : plan + 1], colour) for plan, colour in coloured]
        if len(others):
            groups.append((f"{counts[others].sum()} in {len(others)} others", plans[others], GREY))
        if not right.all():
            groups.append((f"{(~right).sum()} wrong", answers[~right], RED))
        for rank, (label, group, colour) in enumerate(groups):
            shift = APART * (rank - (len(groups) - 1) / 2)
            steps = [step for y in group for step in self._steps(x, y, shift)]
            style = "--" if colour == RED else "-"
            axes.add_collection(LineCollection(steps, colors=colour, linewidths=1.8, linestyles=style, label=label))
        axes.legend(fontsize=8, title="answers", title_fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))

    def _draw_map(self, axes: Axes, x: Tensor) -> None:
        rows, columns = self.grid.rows, self.grid.columns
        axes.imshow(torch.tensor([FLOOR, STONE])[(x == WALL).long()].view(rows, columns, 3).numpy())
        axes.set(xticks=[], yticks=[])
        axes.vlines([c + 0.5 for c in range(columns - 1)], -0.5, rows - 0.5, color=RULE, lw=0.6, zorder=0.5)
        axes.hlines([r + 0.5 for r in range(rows - 1)], -0.5, columns - 0.5, color=RULE, lw=0.6, zorder=0.5)
        for cell in (START, GOAL):
            (column,), (row,) = self._places(x == cell)
            box = {"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": "none"}
            axes.text(column, row, NAMES[cell], ha="center", va="center", weight="bold", bbox=box, zorder=5)

    def _places(self, chosen: Tensor) -> tuple[list[int], list[int]]:
        """Columns and rows of the cells where `chosen` [L] bool is True."""
        cells = chosen.nonzero().flatten()
        return (cells % self.grid.columns).tolist(), (cells // self.grid.columns).tolist()

    def _steps(self, x: Tensor, y: Tensor, shift: float = 0.0) -> list[list[tuple[float, float]]]:
        """Lines between neighbours on the path, moved by `shift` cells down and right."""
        on = self.grid.on_path(x, y)
        pairs = (self.relations[0] & on & on[:, None]).triu().nonzero() + 0.0
        ends = torch.stack([pairs % self.grid.columns, pairs // self.grid.columns], -1) + shift
        return ends.tolist()
