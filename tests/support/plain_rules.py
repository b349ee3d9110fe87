"""The rules of the puzzles in plain Python, on text: what the tests of solve.py and of the demo page compare with."""

from functools import cache


def sudoku_is_right(clues: str, answer: str, rows: int, columns: int) -> bool:
    """Whether every row, column and box of `answer` is a permutation, and the clues ('.' or '0': none) are kept."""
    n = rows * columns
    board = [answer[i * n : (i + 1) * n] for i in range(n)]
    lines = [*board, *map("".join, zip(*board, strict=True))]
    for top in range(0, n, rows):
        for left in range(0, n, columns):
            lines.append("".join(board[i][left : left + columns] for i in range(top, top + rows)))
    kept = all(c in ".0" or c == a for c, a in zip(clues, answer, strict=True))
    return kept and all(sorted(line) == sorted("123456789"[:n]) for line in lines)


@cache
def queens_solutions(clues: str) -> frozenset[str]:
    """All ways to place the queens: one a row, written as its column."""
    found = [""]
    for row, clue in enumerate(clues):
        columns = [str(column) for column in range(len(clues)) if clue in (".", str(column))]
        found = [placed + column for placed in found for column in columns if is_free(placed, row, int(column))]
    return frozenset(found)


def is_free(placed: str, row: int, column: int) -> bool:
    """Whether no queen of the rows above stands on that column or a diagonal through that cell."""
    return all(abs(int(other) - column) not in (0, row - above) for above, other in enumerate(placed))


def queens_text(board: str) -> str:
    """The columns of the queens (2) of a board row by row, '.' for a row without, as on the page."""
    n = round(len(board) ** 0.5)
    rows = [board[i * n : (i + 1) * n] for i in range(n)]
    return "".join(str(row.index("2")) if row.count("2") == 1 else "." for row in rows)
