"""Sudoku in plain Python, on lists of cells: the slow methods that its tests compare with."""

BOXES = {4: (2, 2), 6: (2, 3), 9: (3, 3)}


def units_of(n):
    rows, cols = BOXES[n]
    for k in range(n):
        yield [k * n + j for j in range(n)]
        yield [i * n + k for i in range(n)]
        top, left = k // rows * rows, k % rows * cols
        yield [(top + i) * n + left + j for i in range(rows) for j in range(cols)]


def judge(n, x, y):
    """The rules, in plain Python."""
    right = all(sorted(y[c] for c in unit) == list(range(1, n + 1)) for unit in units_of(n))
    return right and all(a in (0, b) for a, b in zip(x, y, strict=True))


def backtrack(n, clues):
    """All solutions, cell by cell, without propagation."""
    peers = [{c for unit in units_of(n) if cell in unit for c in unit} - {cell} for cell in range(n * n)]

    def fill(board):
        if 0 not in board:
            yield board
            return
        cell = board.index(0)
        for digit in set(range(1, n + 1)) - {board[c] for c in peers[cell]}:
            yield from fill(board[:cell] + [digit] + board[cell + 1 :])

    return sorted(fill(list(clues)))
