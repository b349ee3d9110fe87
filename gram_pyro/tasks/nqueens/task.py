"""N-Queens completion as a task: add queens to given ones so that no two of the n attack each other.

The puzzles are all solutions with every set of k queens removed, each once, with all its solutions. In x the given
queens are 2 and other cells 0; in y every cell is 1 (empty) or 2 (queen).
Source: the paper's N-Queens task; split by symmetry class and excluded diagonals: ours.
"""

import logging
import math
import re
import tarfile
from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property
from io import BytesIO
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D
from torch import Tensor

from gram_pyro.tasks.base import Batch, Puzzles, Task
from gram_pyro.tasks.files import PuzzleFileError, locate, read_bytes
from gram_pyro.tasks.nqueens.rules import BLANK, EMPTY, QUEEN, Board

NAMES = ".-Q"
SQUARES = ((1.0, 1.0, 1.0), (0.91, 0.91, 0.91), (0.62, 0.62, 0.62))  # light, dark, given as empty
BLACK, BLUE, RED = "#000000", "#0072B2", "#D55E00"
NUMBER = r"(\d{1,9})"  # more digits are no board, and Python limits the digits of an int
PAIR = rf"\[\s*{NUMBER}\s*,\s*{NUMBER}\s*\]"
INSTANCE = re.compile(rf"\s*n\s*=\s*{NUMBER}\s+numdiags\s*=\s*{NUMBER}\s+diags\s*=\s*\[((?:{PAIR}[\s,]*)*)\]\s*")

log = logging.getLogger(__name__)


class NQueens(Task):
    """All completion puzzles on an n x n board with k queens removed, k in `removed`.

    A share `test_share` of the puzzles is the test set "completions". split="class" divides symmetry classes: no test
    puzzle is an image of a train puzzle under the 8 symmetries of the square, and training draws one of these uniformly
    for every puzzle. split="input" is the paper's and divides puzzles: an image of every test puzzle is then in train
    (n = 8 and 10), and training uses no symmetries, which would give test puzzles.
    `excluded`, a file of CSPLib prob079 (see `read_excluded`), adds the test set "excluded_diagonals": no queen is
    given, and the cells of some diagonals are given as empty, 1 in x. In training x has no 1. Puzzles without a
    solution are left out, with a warning.
    Puzzles are made on the first use of `train` or `test`, with 8 n^2 bytes for every pair of a puzzle and a solution
    (n = 10, three removed: 126700 pairs, 0.1 GB).

    Raises: ValueError on arguments out of range, and if there are too few puzzles or classes to divide.
    """

    def __init__(
        self,
        n: int = 8,
        removed: Sequence[int] = (5, 6, 7),
        split: str = "class",
        test_share: float = 0.15,
        seed: int = 0,
        excluded: str | Path | None = None,
    ) -> None:
        self.board = Board(n)
        self.removed = tuple(removed)
        numbers = set(self.removed)
        if not numbers or len(numbers) < len(self.removed) or not numbers <= set(range(1, n + 1)):
            raise ValueError(f"got removed={self.removed} with n={n}; write different numbers of queens from 1 to {n}")
        if split not in ("class", "input"):
            raise ValueError(
                f"got split={split!r}; write 'class' (train and test share no symmetry class) or 'input' (no puzzle)"
            )
        if not 0 < test_share < 1:
            raise ValueError(f"got test_share={test_share}; write a share of the puzzles above 0 and below 1")
        self.n, self.num_cells, self.num_symbols = n, n * n, 3
        self.relations = self.board.relations
        self.split, self.test_share, self.seed, self.excluded = split, test_share, seed, excluded

    @cached_property
    def _parts(self) -> tuple[Puzzles, dict[str, Puzzles]]:
        puzzles = self.board.completions(self.removed)
        group = torch.arange(puzzles.num_puzzles) if self.split == "input" else self.board.symmetry_class(puzzles.x)
        count = int(group.max()) + 1
        num_test = math.ceil(count * Fraction(str(self.test_share)))  # exact: 0.15 of 100 is 15
        if num_test == count:
            kind = {"input": "puzzles", "class": "symmetry classes"}[self.split]
            raise ValueError(
                f"got test_share={self.test_share} of {count} {kind} with n={self.n}, removed={self.removed}, which "
                "leaves none to train on; write a smaller share or other numbers of queens"
            )
        held_out = torch.zeros(count, dtype=torch.bool)
        held_out[torch.randperm(count, generator=torch.Generator().manual_seed(self.seed))[:num_test]] = True
        train, test = (puzzles.select(part[group].nonzero().flatten()) for part in (~held_out, held_out))
        tests = {"completions": test}
        if self.excluded is not None:
            tests["excluded_diagonals"] = read_excluded(self.excluded, self.board)
        return train, tests

    @property
    def train(self) -> Puzzles:
        return self._parts[0]

    @property
    def test(self) -> dict[str, Puzzles]:
        """Test sets without symmetry classes of `train` (split="class"), or without its puzzles (split="input")."""
        return self._parts[1]

    def is_solved(self, x: Tensor, y: Tensor) -> Tensor:
        return self.violations(x, y) == 0

    def violations(self, x: Tensor, y: Tensor) -> Tensor:
        """The number of wrong rows, columns and diagonals, of changed cells, and of cells neither empty nor queen."""
        return self.board.violations(x, y)

    def groups(self, x: Tensor) -> Tensor:
        """The symmetry classes, for both splits: a test set contains images of a puzzle. Every board with cells given
        as empty is its own group."""
        classes = self.board.symmetry_class(x.cpu())
        return torch.where((x == EMPTY).any(-1).cpu(), len(x) + torch.arange(len(x)), classes)

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        """One of the 8 symmetries of the square for every puzzle; none with split="input"."""
        if self.split == "input":
            return batch
        cells = self.board.symmetries[torch.randint(8, (len(batch.x),), generator=generator)]
        solutions = batch.solutions.gather(2, cells[:, None].expand_as(batch.solutions))
        return Batch(batch.x.gather(1, cells), batch.y.gather(1, cells), solutions, batch.valid)

    def render(self, x: Tensor, y: Tensor | None = None) -> str:
        """Puzzle x [L] and, to its right, answer y [L], as text: '.' blank, '-' empty, 'Q' queen."""
        boards = [self._grid(x)] if y is None else [self._grid(x), self._grid(y)]
        return "\n".join("     ".join(lines) for lines in zip(*boards, strict=True))

    def _grid(self, board: Tensor) -> list[str]:
        rule = "+" + "-" * (2 * self.n + 1) + "+"
        rows = board.view(self.n, self.n).tolist()
        return [rule, *("| " + " ".join(NAMES[v] for v in row) + " |" for row in rows), rule]

    def draw(self, axes: Axes, x: Tensor, y: Tensor | None = None) -> None:
        """The board, with cells given as empty in grey, given queens in black and those of answer y in blue. Red are
        queens of y that attack another one or are on a grey cell, blank cells of y ('?'), and missing given queens
        (hollow)."""
        n = self.n
        row, col = torch.arange(self.num_cells) // n, torch.arange(self.num_cells) % n
        square = torch.tensor(SQUARES)[torch.where(x == EMPTY, 2, (row + col) % 2)]
        axes.imshow(square.view(n, n, 3).numpy())
        axes.set(xticks=[], yticks=[])
        answer = torch.where(x == QUEEN, QUEEN, EMPTY) if y is None else y
        queens = answer == QUEEN
        attacked = queens & (self.relations.any(0) & queens).any(1)
        for cell in range(self.num_cells):
            given = x[cell] == QUEEN
            if queens[cell] and given:
                _write(axes, "♛", cell, n, facecolor=BLACK)
            elif queens[cell]:
                _write(axes, "♛", cell, n, facecolor=RED if attacked[cell] or x[cell] == EMPTY else BLUE)
            elif given:
                _write(axes, "♛", cell, n, facecolor="none", edgecolor=RED)
            elif answer[cell] == BLANK:
                _write(axes, "?", cell, n, facecolor=RED)


def _write(axes: Axes, symbol: str, cell: int, n: int, facecolor: str, edgecolor: str = "none") -> None:
    """A symbol as large as its cell, for every size of figure."""
    path = TextPath((0, 0), symbol, size=1.1, prop={"family": "DejaVu Sans"})
    (left, bottom), (right, top) = path.get_extents().get_points()
    move = Affine2D().translate(-(left + right) / 2, -(bottom + top) / 2).scale(1, -1).translate(cell % n, cell // n)
    axes.add_patch(PathPatch(move.transform_path(path), facecolor=facecolor, edgecolor=edgecolor))


def read_excluded(path: str | Path, board: Board) -> Puzzles:
    """Excluded Diagonals: n queens on an empty board, some diagonals of which must stay empty, with all solutions.

    The file is a .tar.gz of text files "n = 8  numdiags = 2  diags = [[5, 0], [4, 1]]"; [d, 0] is the diagonal
    r - c + n - 1 = d, [d, 1] the antidiagonal r + c = d. By the definition of the format, the first 1, 2, ... diagonals
    of a list are an instance each. (Lists were generated until no diagonal could be added: of 1000 for n = 8, 25 have a
    solution.) Each puzzle is listed once; those without a solution are left out, with a warning.

    Without .gz the format cannot tell a number that became another one.
    Raises: FileNotFoundError; PuzzleFileError on anything malformed and on boards of another size.
    Source: Gent, Jefferson and Nightingale, Complexity of n-Queens Completion (2017); CSPLib prob079.
    """
    path = locate(path)
    x = torch.cat([_prefixes(f"{path}, {name}", text, board) for name, text in _members(path)]).unique(dim=0)
    puzzles = board.complete(x)
    solvable = (puzzles.num_solutions > 0).nonzero().flatten()
    if len(solvable) < len(x):
        log.warning("%d of %d puzzles of %s have no solution and are left out.", len(x) - len(solvable), len(x), path)
    return puzzles.select(solvable)


def _members(path: Path) -> list[tuple[str, str]]:
    """Name and text of every file of an archive."""
    try:
        data = read_bytes(path)  # which checks the sum, as tarfile may not
        with tarfile.open(fileobj=BytesIO(data)) as archive:
            files = [(part.name, archive.extractfile(part).read().decode()) for part in archive if part.isfile()]
            ends = [part.offset_data + part.size for part in archive.getmembers()]
        rest = data[max(ends, default=0) :]
        if len(rest) < 2 * tarfile.BLOCKSIZE or any(rest):  # a damaged header, or a cut, ends it without a word
            raise EOFError("it does not end with two blocks of zeros")
    except (tarfile.TarError, EOFError, OSError, UnicodeDecodeError) as problem:
        raise PuzzleFileError(f"{path} is damaged or no .tar.gz of text files ({problem}); fetch it again.") from None
    if not files:
        raise PuzzleFileError(f"{path} holds no file; expected at least one instance.")
    return files


def _prefixes(name: str, text: str, board: Board) -> Tensor:
    """The puzzles of one list of diagonals: the first, the first two, and so on; [numdiags, L]."""
    match = INSTANCE.fullmatch(text)
    if match is None:
        raise PuzzleFileError(
            f"{name}: got {text[:40]!r}; expected the form n = 8 numdiags = 2 diags = [[5, 0], [4, 1]]"
        )
    n, count = int(match[1]), int(match[2])
    if n != board.n:
        raise PuzzleFileError(f"{name}: got a board of n={n}; expected the n={board.n} of this task")
    diagonals = [(int(number), int(kind)) for number, kind in re.findall(PAIR, match[3])]
    lines = {(d, kind): 2 * n + kind * (2 * n - 1) + d for kind in (0, 1) for d in range(2 * n - 1)}
    if len(diagonals) != count or not set(diagonals) <= set(lines):
        raise PuzzleFileError(
            f"{name}: got numdiags={count}, diags=[{match[3]}]; expected so many pairs [0 .. {2 * n - 2}, 0 or 1]"
        )
    blocked = board.lines[[lines[d] for d in diagonals]].long().cumsum(0) > 0
    return torch.where(blocked, EMPTY, BLANK)
