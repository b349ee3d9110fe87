"""Boards of queens in plain Python, on lists of cells: what the tests of the task compare with."""

import itertools


def board_of(columns, n=None, queen=2, other=1):
    """Cells of a board with these queens."""
    n = n or len(columns)
    return [queen if columns[r] == c else other for r in range(n) for c in range(n)]


def attack(a, b):
    (r, c), (s, d) = a, b
    return r == s or c == d or abs(r - s) == abs(c - d)


def brute(n):
    """All solutions, from all permutations."""
    return [
        p
        for p in itertools.permutations(range(n))
        if not any(attack(a, b) for a, b in itertools.combinations(enumerate(p), 2))
    ]


def sets(puzzles):
    """Puzzles with their solution sets: {x: set of y}."""
    return {tuple(x): set(map(tuple, puzzles.solutions_of(i).tolist())) for i, x in enumerate(puzzles.x.tolist())}


def everything(task):
    """Train and test puzzles with their solution sets."""
    return sets(task.train) | sets(task.test["completions"])
