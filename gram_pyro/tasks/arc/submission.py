"""Guesses in the format of the ARC Prize: {task: [{"attempt_1": rows, "attempt_2": rows}, ...]}, a pair per test input.

A guess that is missing, or a canvas without a grid, is [].
"""

from torch import Tensor

from gram_pyro.tasks.arc.task import Arc


def submission(task: Arc, x: Tensor, boards: Tensor, votes: Tensor) -> dict[str, list[dict[str, list[list[int]]]]]:
    """The guesses on untransformed puzzles, the test inputs of a task in its order.

    Shapes: x [B, 11 + L], boards [B, 2, L], votes [B, 2]; 0 votes: no guess.
    """
    attempts: dict[str, list[dict[str, list[list[int]]]]] = {}
    for owner, two, count in zip(task.task_of(x), boards, votes.tolist(), strict=True):
        grids = [
            [list(row) for row in task.canvas.read(board)] if n else [] for board, n in zip(two, count, strict=True)
        ]
        attempts.setdefault(owner.name, []).append({f"attempt_{i}": grid for i, grid in enumerate(grids, 1)})
    return attempts
