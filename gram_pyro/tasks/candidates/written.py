"""One puzzle of a file as a task. It shows cells and symbols by their names.

Source: ours.
"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from torch import Tensor

from gram_pyro.tasks.base import Puzzles
from gram_pyro.tasks.candidates.packed import pack, violations
from gram_pyro.tasks.candidates.puzzle import IN, CandidatePuzzle
from gram_pyro.tasks.candidates.task import Candidates

BLACK, BLUE, RED = "#000000", "#0072B2", "#D55E00"
MOST_LINES = 40  # of a picture of cells without a grid


class WrittenPuzzle(Candidates):
    """One puzzle, without training or test sets."""

    test: dict[str, Puzzles] = {}

    def __init__(self, puzzle: CandidatePuzzle) -> None:
        self.puzzle, self.num_cells = puzzle, len(puzzle.roles)

    @property
    def x(self) -> Tensor:
        """The puzzle, packed."""
        return pack(self.puzzle)

    @property
    def train(self) -> Puzzles:
        raise ValueError("got one puzzle to train on; write a family of them, see docs/puzzles.md")

    def render(self, x: Tensor, y: Tensor | None = None) -> str:
        """The grid with its symbols; without a grid a line per cell. '.' is a blank."""
        names = self.symbols(x if y is None else y)
        if self.puzzle.grid is None:
            widest = max(map(len, self.puzzle.cells))
            return "\n".join(f"{cell:{widest}}  {name}" for cell, name in zip(self.puzzle.cells, names, strict=True))
        across, widest = self.puzzle.grid[1], max(map(len, names))
        rows = [names[start : start + across] for start in range(0, len(names), across)]
        return "\n".join(" ".join(f"{name:>{widest}}" for name in row) for row in rows)

    def numbers(self, roles: Tensor) -> Tensor:
        """The symbol of every cell, counted from 1; 0 where none is in.  Shapes: [..., N], or packed -> [..., L]."""
        chosen = roles[..., : self.num_cells].unflatten(-1, (-1, len(self.puzzle.symbols))) == IN
        return (chosen.long().argmax(-1) + 1).where(chosen.any(-1), 0)

    def symbols(self, roles: Tensor) -> list[str]:
        """The same by name, '.' for none.  Shapes: [N], or packed."""
        return [self.puzzle.symbols[number - 1] if number else "." for number in self.numbers(roles).tolist()]

    def draw(self, axes: Axes, x: Tensor, y: Tensor | None = None) -> None:
        """Clues black and the rest of answer y blue, or red if y is against the rules; regions have thick lines."""
        colour = BLUE if y is None or not violations(x, y) else RED
        names, clues = self.symbols(x if y is None else y), self.symbols(x)
        if self.puzzle.grid is None:
            lines = list(zip(self.puzzle.cells, names, clues, strict=True))
            shown = lines if len(lines) <= MOST_LINES else [*lines[: MOST_LINES - 1], ("..", "..", ".")]
            size = max(3.0, min(9.0, 110 / len(shown)))
            for place, (cell, name, clue) in enumerate(shown):
                look = {"color": colour if clue == "." else BLACK, "fontsize": size, "ha": "center", "va": "center"}
                axes.text(0.5, 1 - (place + 0.5) / (len(shown) + 1), f"{cell}: {name}", **look)
            axes.axis("off")
            return
        down, across = self.puzzle.grid
        longest = max(map(len, self.puzzle.symbols))
        for cell, name in enumerate(names):
            place, known = (cell % across, down - 1 - cell // across), clues[cell] != "."
            look = {"color": BLACK if known else colour, "fontsize": 60 / max(down, across) / (1 + longest / 3) * 4 / 3}
            axes.text(*place, "" if name == "." else name, ha="center", va="center", **look)
        for row in range(down + 1):
            axes.plot([-0.5, across - 0.5], [row - 0.5] * 2, color=BLACK, lw=0.5)
        for column in range(across + 1):
            axes.plot([column - 0.5] * 2, [-0.5, down - 0.5], color=BLACK, lw=0.5)
        for xs, ys in borders(self.puzzle):
            axes.plot(xs, ys, color=BLACK, lw=1.8)
        axes.set(xlim=(-0.6, across - 0.4), ylim=(-0.6, down - 0.4), aspect="equal")
        axes.axis("off")


def borders(puzzle: CandidatePuzzle) -> list[tuple[list[float], list[float]]]:
    """The lines around the grid and its regions, connected sets of cells that differ and are no row or column."""
    down, across = puzzle.grid
    regions = {tuple(sorted({c // len(puzzle.symbols) for c in g.candidates})) for g in puzzle.groups if g.exact}
    found = []
    for cells in [tuple(range(down * across)), *sorted(regions)]:
        places = {(cell // across, cell % across) for cell in cells}
        if min(len({place[axis] for place in places}) for axis in (0, 1)) > 1 and _hang_together(places):
            for row, column in places:
                left, low = column - 0.5, down - 1 - row - 0.5
                sides = {(-1, 0): ((0, 1), (1, 1)), (1, 0): ((0, 1), (0, 0)), (0, -1): ((0, 0), (0, 1))}
                for (dy, dx), (xs, ys) in {**sides, (0, 1): ((1, 1), (0, 1))}.items():
                    if (row + dy, column + dx) not in places:
                        found.append(([left + x for x in xs], [low + y for y in ys]))
    return found


def _hang_together(places: set[tuple[int, int]]) -> bool:
    """Whether the cells are connected by steps between neighbours."""
    reached: set[tuple[int, int]] = set()
    open_: Sequence[tuple[int, int]] = [min(places)]
    while open_:
        reached.update(open_)
        near = {(row + dy, column + dx) for row, column in open_ for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0))}
        open_ = list((near & places) - reached)
    return reached == places
