"""All boards of 4x4 by brute force, and a task of generating them."""

import itertools
from functools import cache

from gram_pyro.tasks.sudoku.boards import SudokuBoards
from gram_pyro.tasks.sudoku.rules import Geometry

FOUR = Geometry(4)


@cache
def every_board():
    """All boards of 4x4 by brute force over rows."""
    rows = list(itertools.permutations(range(1, 5)))
    boards = []
    for four in itertools.product(rows, repeat=4):
        columns = all(len({row[c] for row in four}) == 4 for c in range(4))
        boxes = all(len({four[r + i][c + j] for i in (0, 1) for j in (0, 1)}) == 4 for r in (0, 2) for c in (0, 2))
        if columns and boxes:
            boards.append([digit for row in four for digit in row])
    assert len(boards) == 288
    return boards


def boards_task():
    return SudokuBoards(n=4, num_train=40, num_test=12, max_clues=7, test_clues=(0, 5), blank_share=0.4, cache=None)
