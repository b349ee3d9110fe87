"""An outcome as JSON, for the page: a board is a string, a character per cell, 0 for a blank.

    sudoku, queens, graph   the symbols as their task numbers them, A for 10 and so on
    rules                   the number of the symbol of every cell, counted from 1

Source: ours.
"""

from typing import Any

from torch import Tensor

from gram_pyro.app.puzzle import Puzzle, as_text
from gram_pyro.app.solver import Outcome, cell_entropy
from gram_pyro.app.watch import Thoughts
from gram_pyro.tasks.base import Task
from gram_pyro.tasks.candidates.written import WrittenPuzzle
from gram_pyro.tasks.sudoku.files import SYMBOLS

DIGITS = "".join(SYMBOLS)[:-1]  # 0, the blank, to 9, A to Z
MOST_CANDIDATES = 4096  # of a puzzle on the page


def describe(puzzle: Puzzle, task: Task, outcome: Outcome, thoughts: Thoughts) -> dict[str, Any]:
    """What the page needs to show what was found."""
    rules = WrittenPuzzle(puzzle.rules) if puzzle.rules else None

    def board(cells: Tensor) -> str:
        return "".join(DIGITS[symbol] for symbol in (rules.numbers(cells) if rules else cells).tolist())

    solutions = [
        {"board": board(s.answer), "text": as_text(puzzle, s.answer), "votes": s.votes}
        | {"weight": round(s.weight, 4), "confidence": round(s.confidence, 4)}
        for s in outcome.solutions
    ]
    entropy = cell_entropy(rules.numbers(outcome.answers), outcome.weight) if rules else outcome.entropy
    return {
        "kind": puzzle.kind,
        "n": puzzle.n,
        "spec": spec(puzzle),
        "clues": board(puzzle.x),
        "answers": [[board(answer) for answer in frame] for frame in task.canonical(thoughts.answers)],
        "right": task.is_solved(puzzle.x, thoughts.answers).tolist(),
        "halt": rounded(thoughts.halt),
        "solutions": solutions,
        "entropy": rounded(entropy),
    }


def spec(puzzle: Puzzle) -> dict[str, Any]:
    """What the page has to know of a puzzle that states its rules, its clues among it; of others nothing.

    Raises: ValueError if it is too large for the page.
    """
    if puzzle.rules is None:
        return {}
    rules = puzzle.rules
    if len(rules.symbols) >= len(DIGITS) or len(rules.roles) > MOST_CANDIDATES:
        raise ValueError(
            f"got {len(rules.symbols)} symbols and {len(rules.roles)} candidates; the page shows up to "
            f"{len(DIGITS) - 1} and {MOST_CANDIDATES}; write gram-pyro solve FILE"
        )
    clues = "".join(DIGITS[number] for number in WrittenPuzzle(rules).numbers(puzzle.x).tolist())
    return {"cells": rules.cells, "symbols": rules.symbols, "grid": rules.grid, "clues": clues}


def rounded(values: Tensor) -> list:
    return values.double().round(decimals=4).tolist()
