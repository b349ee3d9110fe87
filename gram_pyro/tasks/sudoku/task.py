"""Sudoku as a task: generated or real puzzles, the rules, and the symmetries of the board.

A symmetry renames the digits, permutes bands and the rows of each band, stacks and the columns of each stack, and, if
boxes are square, may transpose. Source: the paper's Sudoku tasks; generator and split: ours.
"""

import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from gram_pyro.tasks.base import Batch, Puzzles, Task, concatenate
from gram_pyro.tasks.cache import AUTO, cached
from gram_pyro.tasks.files import locate
from gram_pyro.tasks.sudoku.files import complete, read_puzzles
from gram_pyro.tasks.sudoku.generator import LARGEST_THIN, generate_split, symmetry_hash
from gram_pyro.tasks.sudoku.neighbours import guesses
from gram_pyro.tasks.sudoku.rules import Geometry
from gram_pyro.tasks.tidy import SYMBOLS

FORMAT = 1  # of the cache; raise it when the generator draws other puzzles
BLACK, BLUE, RED = "#000000", "#0072B2", "#D55E00"
NAMES = "." + "".join(SYMBOLS)[1:36]

log = logging.getLogger(__name__)

File = str | Path
Split = tuple[Puzzles | None, dict[str, Puzzles]]


class Sudoku(Task):
    """Sudoku on an n x n board.

    Without files, `num_train` puzzles are generated: a share `several_share` of them with 2..max_solutions solutions,
    the others minimal with one. The test sets "minimal" and "several" have `num_test` puzzles each, one per symmetry
    class and none of a class in train. Then n is at most 12, because minimal puzzles of larger boards take too long to
    find. Small boards have few classes (n = 4: 36 of minimal puzzles, of which 9 are for tests); the sets are then
    shorter, and a warning is logged. The result is stored in `cache` (None: no cache; auto: the user's cache folder).
    With files, `test` is a file or {name: file}, and `train` a file, several files or None (nothing to train on), see
    `read_puzzles`. Test puzzles whose symmetry class may occur in train are left out, with a warning.
    Attributes: search_limit, the number of choices after which `near` gives up.
    Puzzles are generated or read on the first use of `train` or `test`.

    Raises: ValueError on arguments out of range, on `train` without `test`, if there is nothing to train on, and if
    puzzles of too large a board would have to be generated.
    """

    search_limit: int = 1000

    def __init__(
        self,
        n: int = 6,
        box: tuple[int, int] | None = None,
        num_train: int = 4000,
        num_test: int = 1000,
        several_share: float = 0.5,
        max_solutions: int = 50,
        train: File | Sequence[File] | None = None,
        test: File | Mapping[str, File] | None = None,
        seed: int = 0,
        cache: str | Path | None = AUTO,
    ) -> None:
        if train is not None and test is None:
            raise ValueError(f"got train={train} without test; write test=FILE as well, or test={{}} for no test")
        if num_train < 1 or num_test < 0 or not 0 <= several_share <= 1 or max_solutions < 2:
            raise ValueError(
                f"got num_train={num_train}, num_test={num_test}, several_share={several_share}, "
                f"max_solutions={max_solutions}; expected num_train >= 1, num_test >= 0, 0 <= several_share <= 1, "
                "max_solutions >= 2"
            )
        self.geometry = Geometry(n, box)
        self.n = n
        self.num_cells = n * n
        self.num_symbols = n + 1
        self.relations, self.constraints = self.geometry.relations, (self.geometry.constraints,)
        num_several = round(several_share * num_train)
        self._generated = {1: num_train - num_several, max_solutions: num_several}, num_test, seed, cache
        self._files = None if test is None else (train, by_name(test))

    @cached_property
    def _split(self) -> Split:
        if self._files is None:
            if self.n > LARGEST_THIN:
                raise ValueError(
                    f"got n={self.n} and no files; expected n up to {LARGEST_THIN}: larger minimal puzzles take "
                    "half a minute to find; write test=FILE, or boards with random clues, such as task=boards_16"
                )
            return cached_split(self.geometry, *self._generated)
        return read_split(self.geometry, *self._files)

    @property
    def train(self) -> Puzzles:
        if self._split[0] is None:
            raise ValueError(
                f"got test={self._files[1]} only; expected puzzles to train on; write train=FILE too"
            )
        return self._split[0]

    @property
    def test(self) -> dict[str, Puzzles]:
        return self._split[1]

    def is_solved(self, x: Tensor, y: Tensor) -> Tensor:
        return self.geometry.is_solved(x, y)

    def violations(self, x: Tensor, y: Tensor) -> Tensor:
        """The number of wrong rows, columns and boxes, plus that of changed clues."""
        return self.geometry.violations(x, y)

    def difficulty(self, x: Tensor) -> tuple[str, Tensor]:
        """The number of guesses of the solver, at most 1000."""
        return "guesses", torch.tensor([guesses(self.geometry, clues, 1000) for clues in x.tolist()])

    def completed(self, puzzles: Puzzles) -> Puzzles:
        return puzzles if self._files is None else complete(puzzles, self.geometry)

    def near(self, x: Tensor, log_prob: Tensor) -> tuple[Tensor, Tensor]:
        """The board that `Geometry.nearest` finds within `search_limit` choices, M = 1.

        Shapes: as `ImplicitTask.near`.
        """
        order = log_prob[..., 1:].float().flatten(1).argsort(1, descending=True).tolist()
        found = [
            self.geometry.nearest(
                clues, ((place // self.n, place % self.n + 1) for place in ranking), self.search_limit
            )
            for clues, ranking in zip(x.tolist(), order, strict=True)
        ]
        boards = torch.tensor([board or [0] * self.num_cells for board in found], device=x.device)
        return boards[:, None], torch.tensor([[board is not None] for board in found], device=x.device)

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        cells, digits = random_symmetries(self.geometry, len(batch.x), generator)
        num_rows = batch.solutions.shape[1]
        boards = torch.cat([batch.x[:, None], batch.y[:, None], batch.solutions], 1)
        moved = boards.gather(2, cells[:, None].expand_as(boards))
        moved = digits.gather(1, moved.flatten(1)).view_as(moved)
        x, y, solutions = moved.split([1, 1, num_rows], 1)
        return Batch(x[:, 0], y[:, 0], solutions, batch.valid)

    def render(self, x: Tensor, y: Tensor | None = None) -> str:
        """Puzzle x [L] and, to its right, answer y [L], as text."""
        boards = [self._grid(x)] if y is None else [self._grid(x), self._grid(y)]
        return "\n".join("     ".join(lines) for lines in zip(*boards, strict=True))

    def draw(self, axes: Axes, x: Tensor, y: Tensor | None = None) -> None:
        """The board, with clues in black and the digits of answer y in blue. Digits that occur twice in a row, column
        or box, and changed clues, are red."""
        n, (rows, cols) = self.n, self.geometry.box
        board = x if y is None else y
        clash = ((board[:, None] == board) & self.relations.any(0) & (board != 0)).any(1) | ((x != 0) & (x != board))
        for cell, digit in enumerate(board.tolist()):
            color = RED if clash[cell] else BLACK if x[cell] else BLUE
            place = (cell % n, n - 1 - cell // n)
            axes.text(*place, NAMES[digit] if digit else "", color=color, ha="center", va="center", fontsize=60 / n)
        for line in range(n + 1):
            axes.axhline(n - 0.5 - line, color=BLACK, lw=1.8 if line % rows == 0 else 0.5)
            axes.axvline(line - 0.5, color=BLACK, lw=1.8 if line % cols == 0 else 0.5)
        axes.set(xlim=(-0.6, n - 0.4), ylim=(-0.6, n - 0.4), aspect="equal")
        axes.axis("off")

    def _grid(self, board: Tensor) -> list[str]:
        rows, cols = self.geometry.box
        names = [NAMES[v] for v in board.tolist()]
        rule = "+" + ("-" * (2 * cols + 1) + "+") * rows
        lines = [rule]
        for start in range(0, self.num_cells, self.n):
            stacks = [" ".join(names[c : c + cols]) for c in range(start, start + self.n, cols)]
            lines.append("| " + " | ".join(stacks) + " |")
            if (start // self.n + 1) % rows == 0:
                lines.append(rule)
        return lines


def random_symmetries(geometry: Geometry, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """`count` independent uniform symmetries: cell i of the new board is cell `cells[b, i]` of the old one, and digit
    d becomes `digits[b, d]`; the blank does not change.

    Shapes: cells [B, L] int64, digits [B, n + 1] int64.
    """
    n, (rows, cols) = geometry.n, geometry.box
    row = _nested_permutations(count, n // rows, rows, generator)[:, :, None]
    col = _nested_permutations(count, n // cols, cols, generator)[:, None]
    cells = row * n + col
    if rows == cols:
        transposed = torch.rand(count, 1, 1, generator=generator) < 0.5
        cells = torch.where(transposed, col * n + row, cells)
    digits = torch.rand(count, n, generator=generator).argsort(1) + 1
    return cells.flatten(1), torch.cat([digits.new_zeros(count, 1), digits], 1)


def _nested_permutations(count: int, groups: int, size: int, generator: torch.Generator) -> Tensor:
    """Permute `groups` groups and the `size` lines of each; ranks of uniform draws are uniform.  Shape [B, n]."""
    outer = torch.rand(count, groups, 1, generator=generator).argsort(1)
    inner = torch.rand(count, groups, size, generator=generator).argsort(2)
    return (outer * size + inner).flatten(1)


def by_name(test: File | Mapping[str, File]) -> dict[str, File]:
    """Test files by name; a single file has its own name."""
    return {Path(test).name: test} if isinstance(test, File) else dict(test)


def read_split(geometry: Geometry, train: File | Sequence[File] | None, test: Mapping[str, File]) -> Split:
    """Read train (None: nothing) and test files. Test puzzles with the hash of a train puzzle are left out, with a
    warning."""
    tests = {name: read_puzzles(file, geometry) for name, file in test.items()}
    if train is None:
        return None, tests
    files = [train] if isinstance(train, File) else list(train)
    train_puzzles = concatenate([read_puzzles(file, geometry) for file in files])
    seen = symmetry_hash(train_puzzles.x, geometry.relations)
    for name, puzzles in tests.items():
        fresh = ~np.isin(symmetry_hash(puzzles.x, geometry.relations), seen)
        if not fresh.all():
            shared, file = (~fresh).sum(), locate(test[name])
            log.warning(
                "%d of %d puzzles of %s share a symmetry class with %s and are left out.",
                shared,
                len(fresh),
                file,
                " or ".join(str(locate(file)) for file in files),
            )
            tests[name] = puzzles.select(torch.from_numpy(np.flatnonzero(fresh)))
    return train_puzzles, tests


def cached_split(
    geometry: Geometry, counts: Mapping[int, int], num_test: int, seed: int, cache: str | Path | None
) -> Split:
    """Generate `counts[m]` train puzzles of each max_solutions m (1: minimal) and tests, or load cached ones."""
    arguments = {"n": geometry.n, "box": geometry.box, "train": sorted(counts.items()), "test": num_test, "seed": seed}

    def generate() -> dict[str, Puzzles]:
        parts = {}
        for most, count in counts.items():
            name = "minimal" if most == 1 else "several"
            parts[f"train.{name}"], parts[f"test.{name}"] = generate_split(geometry, count, num_test, most, seed)
        return parts

    parts = cached(cache, f"sudoku-{geometry.n}", arguments | {"format": FORMAT}, generate)
    train = concatenate([part for name, part in parts.items() if name.startswith("train.")])
    test = {name.removeprefix("test."): part for name, part in parts.items() if name.startswith("test.") and num_test}
    for name, part in test.items():
        if part.num_puzzles < num_test:
            log.warning(
                "test set %s has %d puzzles, not %d: an n=%d board has no more symmetry classes for tests.",
                name,
                part.num_puzzles,
                num_test,
                geometry.n,
            )
    return train, test
