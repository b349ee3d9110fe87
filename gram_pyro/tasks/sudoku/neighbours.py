"""Hard Sudokus from hard ones: replace a few clues by others of the same board such that the solution is unique.

    x' = minimal(x minus `swapped` clues plus cells of y that are needed for y to be the only solution)

A random puzzle hardly ever needs a guess; a neighbour of a puzzle that needs many often needs some. A guess is counted
whenever the solver of `Geometry` finds no forced cell or digit. Source: the "(-n, +n)" search of the community that
found the hardest known puzzles; keeping the board is ours.
"""

from collections.abc import Sequence
from itertools import islice
from random import Random

from gram_pyro.tasks.base import Puzzles
from gram_pyro.tasks.sudoku.generator import minimal, thin
from gram_pyro.tasks.sudoku.rules import Geometry

Parent = tuple[list[int], list[int]]  # clues, their board
Made = tuple[list[int], list[int], int]  # the same, and guesses

MOST = 200  # solutions among which a new clue distinguishes
TRIES = 1000  # puzzles drawn to find one that is hard enough


def hard_ones(geometry: Geometry, puzzles: Puzzles, swapped: int, least: int) -> list[Parent]:
    """The puzzles that have one solution and need `least` guesses, of which `swapped` clues can be taken off.

    Raises: ValueError if there is none, or one of them has fewer clues.
    """
    unique = (puzzles.num_solutions == 1).nonzero().flatten().tolist()
    pairs = [(puzzles.x[i].tolist(), puzzles.solutions_of(i)[0].tolist()) for i in unique]
    hard = [(clues, board) for clues, board in pairs if guesses(geometry, clues) >= least]
    if not hard:
        raise ValueError(f"got no puzzle of one solution and guesses={least} or more; write a smaller number")
    if swapped > (fewest := min(sum(map(bool, clues)) for clues, _ in hard)):
        raise ValueError(f"got swapped={swapped}, and a puzzle of {fewest} clues; write a smaller number")
    return hard


def hard_puzzle(
    geometry: Geometry, parents: Sequence[Parent], swapped: int, least: int, seed: int, index: int
) -> Made:
    """Puzzle `index` of stream `seed`, drawn until one needs `least` guesses.

    It is a neighbour, with 1 to `swapped` clues replaced, of one of `parents` (clues, board); without parents, a
    minimal puzzle of a random board.
    Raises: ValueError if none of TRIES puzzles needs so many.
    """
    rng = Random(f"hard/{seed}/{index}")
    for _ in range(TRIES):
        if parents:
            clues, board = rng.choice(parents)
            clues = neighbour(geometry, clues, board, rng.randint(1, swapped), rng)
        else:
            clues, (board,) = minimal(geometry, rng)
        if clues is not None and (needed := guesses(geometry, clues)) >= least:
            return clues, board, needed
    raise ValueError(
        f"got no puzzle that needs guesses={least} among {TRIES}; write a smaller number, or of=FILE with harder ones"
    )


def neighbour(
    geometry: Geometry, clues: Sequence[int], board: Sequence[int], swapped: int, rng: Random
) -> list[int] | None:
    """Another minimal puzzle whose only solution is `board`; None if the draw gave `clues` again.

    Shapes: clues [L], of which `swapped` are removed; board [L].
    """
    gone = rng.sample([cell for cell, clue in enumerate(clues) if clue], swapped)
    new = [0 if cell in gone else clue for cell, clue in enumerate(clues)]
    while True:
        others = [y for y in solutions(geometry, new) if y != list(board)]
        if not others:
            break
        while others:
            tell = [c for c, digit in enumerate(board) if c not in gone and any(y[c] != digit for y in others)]
            if not tell:
                return None
            cell = rng.choice(tell)
            new[cell] = board[cell]
            others = [y for y in others if y[cell] == board[cell]]
    new, _ = thin(geometry, board, 1, rng, start=new)
    return None if new == list(clues) else new


def solutions(geometry: Geometry, clues: Sequence[int]) -> list[list[int]]:
    return [geometry.read(planes) for planes in islice(geometry.search(geometry.planes(clues)), MOST)]


def guesses(geometry: Geometry, clues: Sequence[int], most: int = 10**9) -> int:
    """The number of guesses in a search for all solutions, which stops at `most`."""
    count = 0

    def note(digits: list[int]) -> None:
        nonlocal count
        count += 1
        if count >= most:
            digits.clear()  # enters no more branches

    for _ in geometry.search(geometry.planes(clues), note):
        pass
    return min(count, most)
