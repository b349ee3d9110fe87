"""Hard Sudokus near hard ones: swap a few clues for others of the same board, until one solution is left again.

    x' = minimal(x minus `swapped` clues plus cells of y that are needed for y to be the only solution)

A puzzle drawn at random hardly ever needs a guess; one near to a puzzle that needs many often needs some. Guesses are
counted where the solver of `Geometry` finds no cell and no digit that is forced. Source: the search by which the
hardest known puzzles were found, "(-n, +n)", of their community; ours with one and the same board.
"""

from collections.abc import Sequence
from itertools import islice
from random import Random

from gram_pyro.tasks.sudoku.generator import minimal, thin
from gram_pyro.tasks.sudoku.rules import Geometry

Made = tuple[list[int], list[int], int]  # clues, their board, guesses

MOST = 200  # solutions looked at when a clue is chosen that tells them apart
TRIES = 1000  # puzzles drawn for one that is hard enough


def hard_puzzle(
    geometry: Geometry, parents: Sequence[tuple[list[int], list[int]]], swapped: int, least: int, seed: int, index: int
) -> Made:
    """Puzzle `index` of stream `seed`, drawn until one needs `least` guesses: a neighbour, with 1 to `swapped` clues
    taken off, of one of `parents` (clues, board); where there are none, a minimal puzzle of a random board.

    Raises: ValueError if none of TRIES is.
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
        f"of {TRIES} puzzles drawn none needs guesses={least}; write a smaller number, or of=FILE with harder ones"
    )


def neighbour(
    geometry: Geometry, clues: Sequence[int], board: Sequence[int], swapped: int, rng: Random
) -> list[int] | None:
    """Another puzzle whose only solution is `board`, with no clue to spare; None if the draw led back to `clues`.

    Shapes: clues [L], of which `swapped` are taken off; board [L].
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
    """How often a search for all solutions has to guess; it is given up at `most`."""
    count = 0

    def note(digits: list[int]) -> None:
        nonlocal count
        count += 1
        if count >= most:
            digits.clear()  # no branch is entered any more

    for _ in geometry.search(geometry.planes(clues), note):
        pass
    return min(count, most)
