"""What the names of rules, such as `rows` or `boxes: 3x3`, mean on a grid: sets of cells that differ.

Cells are numbered row by row and named as in a spreadsheet: column a, b, .., z, aa, ..; row 1, 2, .. from the top.
Source: ours.
"""

from collections.abc import Iterator
from string import ascii_lowercase

from gram_pyro.tasks.candidates.puzzle import CandidatePuzzle, Group, different, make_puzzle

Grid = tuple[int, int]  # rows, columns
KNIGHT = ((1, 2), (2, 1), (2, -1), (1, -2))
KING = ((0, 1), (1, 0), (1, 1), (1, -1))


def column_name(column: int) -> str:
    """a for 0, z for 25, aa for 26."""
    name = ""
    column += 1
    while column:
        column, letter = divmod(column - 1, 26)
        name = ascii_lowercase[letter] + name
    return name


def cell_names(grid: Grid) -> tuple[str, ...]:
    return tuple(f"{column_name(column)}{row + 1}" for row in range(grid[0]) for column in range(grid[1]))


def rows(grid: Grid) -> list[list[int]]:
    height, width = grid
    return [[row * width + column for column in range(width)] for row in range(height)]


def columns(grid: Grid) -> list[list[int]]:
    return [list(column) for column in zip(*rows(grid), strict=True)]


def diagonals(grid: Grid) -> list[list[int]]:
    """The two long ones.  Raises: ValueError unless the grid is a square."""
    if grid[0] != grid[1]:
        raise ValueError(f"got diagonals on a grid of {grid[0]}x{grid[1]}; expected a square; leave them out")
    lines = rows(grid)
    return [[line[i] for i, line in enumerate(lines)], [line[-1 - i] for i, line in enumerate(lines)]]


def boxes(grid: Grid, box: Grid) -> list[list[int]]:
    """Raises: ValueError unless boxes tile the grid."""
    if grid[0] % box[0] or grid[1] % box[1]:
        raise ValueError(f"got boxes {box[0]}x{box[1]} on a grid of {grid[0]}x{grid[1]}; expected some that tile it")
    lines = rows(grid)
    tops, lefts = range(0, grid[0], box[0]), range(0, grid[1], box[1])
    corners = [(top, left) for top in tops for left in lefts]
    return [[c for line in lines[top : top + box[0]] for c in line[left : left + box[1]]] for top, left in corners]


def regions(letters: str) -> list[list[int]]:
    """Cells of one letter; '.' is in no region."""
    found: dict[str, list[int]] = {}
    for cell, letter in enumerate(letters):
        found.setdefault(letter, []).append(cell)
    return [cells for letter, cells in found.items() if letter != "."]


def apart(grid: Grid, moves: tuple[Grid, ...]) -> list[list[int]]:
    """Pairs of cells that one of `moves` joins."""
    return list(_pairs(grid, moves))


def _pairs(grid: Grid, moves: tuple[Grid, ...]) -> Iterator[list[int]]:
    height, width = grid
    for row in range(height):
        for column in range(width):
            for down, right in moves:
                if row + down < height and 0 <= column + right < width:
                    yield [row * width + column, (row + down) * width + column + right]


def queens(n: int, roles: list[int] | None = None) -> CandidatePuzzle:
    """n queens on an n x n board: cells are the rows, symbols the columns; a column holds exactly one, a diagonal at
    most one. `roles` [n^2] are squares as in `gram_pyro.tasks.nqueens`: 0 blank, 1 empty, 2 queen.

    Raises: ValueError if n is below 1, or as `make_puzzle`.
    """
    if n < 1:
        raise ValueError(f"got queens: {n}; expected 1 or more")
    groups = different(range(n), n) if n > 1 else []
    for slope in (1, -1):
        lines: dict[int, list[int]] = {}
        for row in range(n):
            for column in range(n):
                lines.setdefault(row - slope * column, []).append(row * n + column)
        groups += [Group(False, tuple(line)) for line in lines.values()]
    roles = roles or [0] * (n * n)
    standing = [square for square, role in enumerate(roles) if role == 2]
    given = {square // n: square % n for square in standing}
    if len(given) < len(standing):
        raise ValueError(f"got {len(standing)} queens in {len(given)} rows; expected one in a row; take one off")
    excluded = [square for square, role in enumerate(roles) if role == 1]
    names = [column_name(column) for column in range(n)]
    return make_puzzle([f"row{row + 1}" for row in range(n)], names, groups, given, excluded)
