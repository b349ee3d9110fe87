"""Rules of Sudoku on an n x n board with boxes of box_rows x box_cols cells, and an exact solver.

    y solves x  <=>  every row, column and box of y holds 1..n once, and y_i = x_i wherever x_i != 0

Cells are numbered row by row, 0 .. L-1 with L = n^2; 0 is the blank. Source: ours.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice

import torch
from torch import Tensor

from gram_pyro.tasks.base import Constraints

DEFAULT_BOXES = {
    4: (2, 2), 6: (2, 3), 8: (2, 4), 9: (3, 3), 10: (2, 5), 12: (3, 4), 15: (3, 5), 16: (4, 4), 25: (5, 5)
}  # fmt: skip

Planes = list[int]  # one int per digit; bit c is set if cell c may hold that digit


class Geometry:
    """Units, relations and solver of one board shape.

    The solver uses plain integers, and tensors are made on first use, because torch in a forked worker can hang.
    Shapes: units [3n, n] int64, the cells of every row, column and box; relations [3, L, L] bool, which other cells
    share a row, a column or a box.
    Raises: ValueError if n has no default box and none is given, or box_rows * box_cols != n.
    """

    def __init__(self, n: int, box: tuple[int, int] | None = None) -> None:
        if box is None and n not in DEFAULT_BOXES:
            raise ValueError(f"got n={n}, which has no default box; write box=(rows, columns), rows * columns = {n}")
        self.n = n
        self.num_cells = n * n
        self.box = DEFAULT_BOXES[n] if box is None else (box[0], box[1])
        rows, cols = self.box
        if rows < 1 or rows * cols != n:
            raise ValueError(f"got box={self.box} with n={n}; write box=(rows, columns) with rows * columns = {n}")
        lines = [[i * n + j for j in range(n)] for i in range(n)]
        corners = [(top, left) for top in range(0, n, rows) for left in range(0, n, cols)]
        boxes = [[(i + k // cols) * n + j + k % cols for k in range(n)] for i, j in corners]
        self._cells = lines + [list(column) for column in zip(*lines, strict=True)] + boxes
        self._full = (1 << self.num_cells) - 1
        self._units = [sum(1 << c for c in unit) for unit in self._cells]
        self._keep = {1 << c: self._full for c in range(self.num_cells)}
        for unit in self._units:
            for bit in self._keep:
                if bit & unit:
                    self._keep[bit] &= ~unit | bit

    @cached_property
    def units(self) -> Tensor:
        return torch.tensor(self._cells)

    @cached_property
    def relations(self) -> Tensor:
        member = torch.zeros(3 * self.n, self.num_cells).scatter(1, self.units, 1.0).view(3, self.n, -1)
        return (member.mT @ member).bool() & ~torch.eye(self.num_cells, dtype=torch.bool)

    @cached_property
    def constraints(self) -> Constraints:
        """Every digit occurs once in every row, column and box: three families of n groups."""
        groups = torch.zeros(3 * self.n, self.num_cells, dtype=torch.bool).scatter(1, self.units, True)
        return Constraints(self.n, groups.split(self.n))

    def violations(self, x: Tensor, y: Tensor) -> Tensor:
        """The number of wrong units of y [..., L] plus that of changed clues of x [..., L] (leading dims broadcast);
        [...] int64, 0 iff y solves x.

        A unit is right iff sum_i 2^{y_i} = 2^{n+1} - 2: a number with n one-bits is a sum of n powers of two only if
        they are distinct.
        """
        n = self.n
        powers = 1 << y.long().clamp(0, n + 1)  # both ends of the clamp are outside 1..n, hence wrong
        wrong = powers[..., self.units.to(y.device)].sum(-1) != 2 ** (n + 1) - 2
        return wrong.sum(-1) + ((x != 0) & (x != y)).sum(-1)

    def is_solved(self, x: Tensor, y: Tensor) -> Tensor:
        """Whether y [..., L] obeys the rules and the clues of x [..., L] (leading dims broadcast); [...] bool."""
        return self.violations(x, y) == 0

    def check_clues(self, clues: Sequence[int]) -> None:
        """Raises: ValueError on a wrong length, a symbol outside 0..n, or two equal clues in one unit."""
        if len(clues) != self.num_cells:
            raise ValueError(f"got a puzzle of {len(clues)} cells; expected {self.num_cells}, for n={self.n}")
        for cell, digit in enumerate(clues):
            if not 0 <= digit <= self.n:
                raise ValueError(f"got {digit} at {self.name(cell)}; write 1..{self.n}, or 0 for a blank")
        for index, unit in enumerate(self._cells):
            seen: dict[int, int] = {}
            for cell in unit:
                first = seen.setdefault(clues[cell], cell)
                if clues[cell] and first != cell:
                    kind = ("row", "column", "box")[index // self.n]
                    raise ValueError(
                        f"clues contradict: {clues[cell]} stands at {self.name(first)} and at {self.name(cell)}, "
                        f"in one {kind}; change one of them"
                    )

    def name(self, cell: int) -> str:
        """The row and column of a cell, counted from 1."""
        return f"row {cell // self.n + 1}, column {cell % self.n + 1}"

    def solve(self, clues: Sequence[int], limit: int) -> list[list[int]]:
        """Up to `limit` solutions of `clues`; all of them if fewer are returned. Raises: see `check_clues`."""
        self.check_clues(clues)
        return [self.read(planes) for planes in islice(self.search(self.planes(clues)), limit)]

    def planes(self, clues: Sequence[int]) -> Planes:
        """The state of the clues alone: a blank may hold every digit."""
        return [sum(1 << c for c, clue in enumerate(clues) if clue in (0, d)) for d in range(1, self.n + 1)]

    def read(self, planes: Planes) -> list[int]:
        """The board of a solved state."""
        board = [0] * self.num_cells
        for digit, plane in enumerate(planes, 1):
            while plane:
                low = plane & -plane
                board[low.bit_length() - 1] = digit
                plane ^= low
        return board

    def search(self, planes: Planes, arrange: Callable[[list[int]], None] | None = None) -> Iterator[Planes]:
        """Every solved state below `planes`, depth first; `arrange` reorders in place the digits tried in a cell."""
        stack = [(planes, self._full)]
        while stack:
            planes, unplaced = stack.pop()
            planes = planes.copy()
            unplaced = self._propagate(planes, unplaced)
            if unplaced == 0:
                yield planes
            elif unplaced > 0:
                cell = self._narrowest(planes, unplaced)
                digits = [d for d, plane in enumerate(planes) if plane & cell]
                if arrange:
                    arrange(digits)
                for digit in digits:
                    child = [plane & ~cell for plane in planes]
                    child[digit] |= cell
                    stack.append((child, unplaced))

    def nearest(self, clues: Sequence[int], ranking: Iterable[tuple[int, int]], limit: int = 1000) -> list[int] | None:
        """A valid board near to the most probable digits, by a search with backtracking.

        It takes the first pair (cell, digit) of `ranking`, the most probable first, that the rules and earlier pairs
        allow, places forced digits, and goes on; on a contradiction it takes back a pair. A valid board whose digits
        rank first in their cells is returned itself. `ranking` has all pairs.

        Returns: the board; None if there is none, or none within `limit` choices.
        """
        ranking, choices = list(ranking), 0
        stack = [(self.planes(clues), self._full, 0)]
        while stack:
            planes, unplaced, rank = stack.pop()
            planes = planes.copy()
            unplaced = self._propagate(planes, unplaced)
            if unplaced == 0:
                return self.read(planes)
            if unplaced < 0:
                continue
            if choices == limit:
                return None
            choices += 1
            cell, digit = ranking[rank]
            while not (unplaced >> cell & 1 and planes[digit - 1] >> cell & 1):
                rank += 1
                cell, digit = ranking[rank]
            bit = 1 << cell
            without, placed = planes.copy(), [plane & ~bit for plane in planes]
            without[digit - 1] &= ~bit
            placed[digit - 1] |= bit
            stack += [(without, unplaced, rank), (placed, unplaced, rank)]
        return None

    def _propagate(self, planes: Planes, unplaced: int) -> int:
        """Place naked and hidden singles to a fixed point.  Returns: the open cells, or -1 on a contradiction."""
        keep, full = self._keep, self._full
        while True:
            one = two = 0
            for plane in planes:
                two |= one & plane
                one |= plane
            if one != full:
                return -1
            singles = unplaced & ~two
            if singles:
                unplaced ^= singles
                for digit, plane in enumerate(planes):
                    hits = plane & singles
                    while hits:
                        low = hits & -hits
                        hits ^= low
                        plane &= keep[low]
                    planes[digit] = plane
            elif unplaced == 0 or not (hidden := self._hidden(planes, unplaced)):
                return unplaced
            elif hidden < 0:
                return -1

    def _hidden(self, planes: Planes, unplaced: int) -> int:
        """Fix digits with one place left in a unit.  Returns: the cells fixed, or -1 if a digit has no place."""
        fixed = 0
        for digit, plane in enumerate(planes):
            for unit in self._units:
                places = plane & unit
                if not places & (places - 1):
                    if not places:
                        return -1
                    if places & unplaced & ~fixed:
                        fixed |= places
                        for other in range(self.n):
                            if other != digit:
                                planes[other] &= ~places
        return fixed

    def _narrowest(self, planes: Planes, unplaced: int) -> int:
        """The bit of an open cell with the fewest candidates."""
        at_least = [self._full] + [0] * (self.n + 1)  # bit c of at_least[k]: cell c has k candidates or more
        for plane in planes:
            for k in range(self.n, 0, -1):
                at_least[k] |= at_least[k - 1] & plane
        fewest = next(cells for more in at_least[3:] if (cells := unplaced & ~more))
        return fewest & -fewest
