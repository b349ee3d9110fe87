"""A puzzle as people type it: which shipped weights it needs, and its cells."""

from torch import Tensor, tensor

SUDOKU = {16: "sudoku_4x4", 36: "sudoku_6x6", 81: "sudoku_9x9"}


def read_sudoku(text: str) -> tuple[str, Tensor]:
    """The weights for a Sudoku of this size, and its cells, [1, L]; '.' and 0 are blanks.

    Raises: ValueError on a length that is no board, or a character that is no digit of it.
    """
    cells = text.strip()
    if len(cells) not in SUDOKU:
        raise ValueError(f"puzzle={text} has {len(cells)} cells; write 16, 36 or 81, row by row, '.' for a blank")
    side = round(len(cells) ** 0.5)
    for place, character in enumerate(cells):
        if character != "." and not ("0" <= character <= str(side)):
            raise ValueError(
                f"cell {place + 1} of puzzle={text} is {character!r}; write 1 to {side}, or '.' for a blank"
            )
    return SUDOKU[len(cells)], tensor([[0 if c == "." else int(c) for c in cells]])


def read_queens(text: str) -> tuple[str, Tensor]:
    """The weights for a board of this size, and its cells, [1, L]: 2 where a queen is given, 0 elsewhere.

    Raises: ValueError on a column outside the board.
    """
    rows = text.strip()
    n = len(rows)
    board = [[0] * n for _ in rows]
    for row, character in enumerate(rows):
        if character == ".":
            continue
        if not character.isdecimal() or int(character) >= n:
            raise ValueError(f"row {row + 1} of queens={text} is {character!r}; write a column, 0 to {n - 1}, or '.'")
        board[row][int(character)] = 2
    return f"nqueens_{n}", tensor([[cell for line in board for cell in line]])
