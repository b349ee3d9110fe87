"""Puzzles as text, in both directions.

    sudoku   5..3.6..3...    row by row, '.' or 0 for a blank, A, B, ... from 10 on; the length gives the size
    queens   3.......        for every row the column of its queen, from 0, or '.'; or the board, drawn with Q
    graph    see `gram_pyro.app.graph`
    rules    YAML, which states its own rules, see `gram_pyro.tasks.candidates.text`

Spaces, bars, rules, brackets and line breaks between the symbols do not matter, '_', '*', 'x' and '-' are blanks too,
and a list of numbers as in [[5, 3, 0], ..] is read, see `gram_pyro.tasks.tidy`.  Source: ours.
"""

from collections.abc import Callable, Iterable
from itertools import combinations
from math import isqrt
from typing import NamedTuple

import networkx as nx
from torch import Tensor, tensor

from gram_pyro.harness.load import released
from gram_pyro.tasks.base import Task
from gram_pyro.tasks.candidates import importers, shorthands
from gram_pyro.tasks.candidates.marked import Misplaced
from gram_pyro.tasks.candidates.packed import pack
from gram_pyro.tasks.candidates.puzzle import CandidatePuzzle
from gram_pyro.tasks.candidates.task import Candidates
from gram_pyro.tasks.candidates.text import read_text
from gram_pyro.tasks.candidates.written import WrittenPuzzle
from gram_pyro.tasks.colouring.task import EDGE, FIRST, Colouring
from gram_pyro.tasks.nqueens.rules import BLANK, QUEEN
from gram_pyro.tasks.nqueens.task import NQueens
from gram_pyro.tasks.sudoku.files import parse
from gram_pyro.tasks.sudoku.rules import DEFAULT_BOXES
from gram_pyro.tasks.sudoku.task import NAMES, Sudoku
from gram_pyro.tasks.tidy import tidy

TASKS = {"sudoku": Sudoku, "queens": NQueens, "graph": Colouring, "rules": Candidates}
WEIGHTS = {"sudoku": "sudoku_{n}x{n}", "queens": "nqueens_{n}", "graph": "colouring_{n}"}  # for one size of board
WEIGHTS_OF_EVERY_SIZE = {"sudoku": "sudoku", "graph": "colouring_8"}
WEIGHTS_OF_EVERY_KIND = "constraints"
COLOURS = 3  # of the shipped weights for graphs
COLUMNS = "0123456789"  # a column is one character: boards up to 10x10
SUDOKU_RECIPES = {
    4: "experiment=sudoku_4x4", 9: "experiment=sudoku_extreme_small", 16: "task=boards_16"
}  # fmt: skip


class Board(NamedTuple):
    """A kind of board: kind, a key of TASKS; side n, or n vertices and a number of colours."""

    kind: str
    n: int
    colours: int = 0

    def __str__(self) -> str:
        if self.kind == "rules":
            return "puzzle that states its rules"
        if self.kind == "graph":
            return f"graph of {self.n} vertices in {self.colours} colours"
        return f"{self.n}x{self.n} Sudoku" if self.kind == "sudoku" else f"{self.n}x{self.n} board of queens"


BOARDS = [Board("sudoku", n) for n in DEFAULT_BOXES] + [Board("queens", n) for n in range(4, len(COLUMNS) + 1)]
BOARDS += [Board("graph", 8, COLOURS)]
ANY_RULES = Board("rules", 0)
OWN_WEIGHTS_ARE_BETTER = {Board("sudoku", 4), Board("sudoku", 6)}  # than those of every size


class Puzzle(NamedTuple):
    """kind and side n of the board (of a graph, vertices and colours); cells x [L] int64, as in its task; the rules and
    the name of a puzzle that states its own."""

    kind: str
    n: int
    x: Tensor
    colours: int = 0
    rules: CandidatePuzzle | None = None
    name: str = ""

    @property
    def board(self) -> Board:
        return Board(self.kind, self.n, self.colours)

    def __str__(self) -> str:
        return str(self.board)


def one_of(choices: Iterable) -> str:
    """The choices as text: 1, 2 or 3."""
    *most, last = map(str, choices)
    return f"{', '.join(most)} or {last}" if most else last


def read_sudoku(text: str) -> Puzzle:
    """A Sudoku.  Raises: ValueError on a wrong length, or a character that is not a digit of the board."""
    sides = {n * n: n for n in DEFAULT_BOXES}
    cells = tidy(text)
    if len(cells) not in sides:
        raise ValueError(f"got a Sudoku of {len(cells)} cells; write {one_of(sides)}, row by row, '.' for a blank")
    return Puzzle("sudoku", sides[len(cells)], tensor(parse(cells)))


def read_queens(text: str) -> Puzzle:
    """A board: 2 where a queen is given, 0 elsewhere.

    Raises: ValueError on a wrong number of rows, a column outside the board, or queens that attack each other.
    """
    rows = tidy(text)
    if "Q" in rows:
        rows = columns_of(rows)
    n = len(rows)
    if not 4 <= n <= len(COLUMNS):
        raise ValueError(
            f"got {text[:40]!r}, a board of {n} rows; write 4 to {len(COLUMNS)} characters, for every row the column "
            "of its queen, from 0, or '.'"
        )
    for row, character in enumerate(rows):
        if character not in "." + COLUMNS[:n]:
            raise ValueError(f"row {row + 1} of the board is {character!r}; write a column, 0 to {n - 1}, or '.'")
    queens = [(row, int(c)) for row, c in enumerate(rows) if c != "."]
    for (row, column), (below, other) in combinations(queens, 2):
        if abs(column - other) in (0, below - row):
            line = "column" if column == other else "diagonal"
            raise ValueError(f"the queens of rows {row + 1} and {below + 1} stand on one {line}; move one of them")
    cells = [BLANK] * (n * n)
    for row, column in queens:
        cells[row * n + column] = QUEEN
    return Puzzle("queens", n, tensor(cells))


def is_drawn(text: str) -> bool:
    """Whether a text is a board drawn with Q for a queen."""
    return set(tidy(text)) in ({"Q"}, {"Q", "."})


def columns_of(squares: str) -> str:
    """The column of the queen of every row of a drawn board.  Raises: ValueError unless each row has at most one."""
    n = isqrt(len(squares))
    if n * n != len(squares) or not set(squares) <= {"Q", "."}:
        raise ValueError(f"got a board of {len(squares)} squares; write n rows of n, Q for a queen and '.' for none")
    rows = [squares[start : start + n] for start in range(0, n * n, n)]
    for number, row in enumerate(rows, 1):
        if row.count("Q") > 1:
            raise ValueError(f"row {number} of the board has {row.count('Q')} queens; leave one")
    return "".join(str(row.index("Q")) if "Q" in row else "." for row in rows)


def read_rules(text: str) -> Puzzle:
    """A puzzle that states its rules.  Raises: ValueError, with the line, on any mistake."""
    try:
        return of_rules(read_text(text))
    except Misplaced as problem:
        raise ValueError(f"line {problem.line}: {problem}") from None


def of_rules(rules: CandidatePuzzle, name: str = "puzzle") -> Puzzle:
    return Puzzle("rules", 0, pack(rules), rules=rules, name=name)


def with_rules(puzzle: Puzzle) -> Puzzle:
    """The puzzle with its rules as an input."""
    if puzzle.kind == "rules":
        return puzzle
    name = as_text(puzzle, puzzle.x)
    if puzzle.kind == "sudoku":
        return of_rules(importers.sudoku(puzzle.x.tolist()), name)
    if puzzle.kind == "queens":
        return of_rules(shorthands.queens(puzzle.n, puzzle.x.tolist()), name)
    return of_rules(importers.colouring(as_graph(puzzle), puzzle.colours), name)


READERS: dict[str, Callable[[str], Puzzle]] = {"sudoku": read_sudoku, "queens": read_queens, "rules": read_rules}


def as_text(puzzle: Puzzle, cells: Tensor) -> str:
    """Clues, or a right answer, [L], as text: a graph as graph6, its answer as the colour of every vertex; a puzzle
    that states its own rules as its name, its answer in words."""
    if puzzle.kind == "rules":
        return puzzle.name if len(cells) == len(puzzle.x) else answer_in_words(puzzle.rules, cells)
    if puzzle.kind == "graph":
        colours = cells[-puzzle.n :] - (FIRST - 1)
        return as_graph6(puzzle) if (colours < 1).all() else "".join(NAMES[c] for c in colours.tolist())
    if puzzle.kind == "sudoku":
        return "".join(NAMES[c] for c in cells.tolist())
    rows = (cells == QUEEN).view(puzzle.n, puzzle.n)
    return "".join(str(row.index(True)) if True in row else "." for row in rows.tolist())


def answer_in_words(rules: CandidatePuzzle, answer: Tensor) -> str:
    """The symbols row by row if there is a grid and each is one character, else CELL=SYMBOL for every cell."""
    symbols = WrittenPuzzle(rules).symbols(answer)
    if rules.grid and max(map(len, rules.symbols)) == 1:
        return "".join(symbols)
    return " ".join(f"{cell}={symbol}" for cell, symbol in zip(rules.cells, symbols, strict=True))


def as_graph(puzzle: Puzzle) -> nx.Graph:
    graph = nx.empty_graph(puzzle.n)
    graph.add_edges_from(
        pair
        for pair, symbol in zip(combinations(range(puzzle.n), 2), puzzle.x.tolist(), strict=False)
        if symbol == EDGE
    )
    return graph


def as_graph6(puzzle: Puzzle) -> str:
    """The graph of a puzzle on one line."""
    return nx.to_graph6_bytes(as_graph(puzzle), header=False).decode().strip()


def check_puzzle(puzzle: Puzzle, task: Task) -> None:
    """Raises: ValueError if the task is of another kind or size, or two clues contradict each other."""
    if board_of(task) != puzzle.board:
        raise ValueError(f"got a {puzzle}; expected a puzzle of these weights, which are for {describe(task)}")
    if puzzle.kind == "sudoku":
        task.geometry.check_clues(puzzle.x.tolist())


def describe(task: Task) -> str:
    """A task in words."""
    return str(board_of(task) or type(task).__name__)


def board_of(task: Task) -> Board | None:
    """The board of a task; None if its puzzles have no text form."""
    kinds = [kind for kind, family in TASKS.items() if isinstance(task, family)]
    return Board(kinds[0], task.n, getattr(task, "colours", 0)) if kinds else None


def best_weights(board: Board) -> str | None:
    """The name of the best shipped weights for this board; None if there are none."""
    if board.kind == "rules":
        return WEIGHTS_OF_EVERY_KIND if WEIGHTS_OF_EVERY_KIND in released() else None
    if board.colours not in (0, COLOURS):
        return None
    own, every = WEIGHTS[board.kind].format(n=board.n), WEIGHTS_OF_EVERY_SIZE.get(board.kind)
    order = (own, every) if board in OWN_WEIGHTS_ARE_BETTER else (every, own)
    return next((name for name in order if name in released()), None)


def shipped_weights(puzzle: Puzzle) -> str:
    """As `best_weights`, for a puzzle; if it has none, the weights for all kinds.

    Raises: ValueError, with the boards that have weights and how to train some, if there are none.
    """
    name = best_weights(puzzle.board) or best_weights(ANY_RULES)
    if name is None:
        raise ValueError(no_weights(puzzle.board, [other for other in BOARDS if best_weights(other)]))
    return name


def no_weights(board: Board, there: Iterable[Board]) -> str:
    """The sentence for a board without weights; `there` are the boards that have some."""
    n = board.n
    if board.kind == "rules":
        recipe = "train constraints"
    elif board.kind == "sudoku":
        recipe = f"train sudoku {SUDOKU_RECIPES.get(n, f'task.n={n}')}"
    elif board.kind == "graph":
        recipe = f"train colouring task.n={n} task.colours={board.colours}"
    else:
        recipe = f"train nqueens task.n={n} task.removed=[{n - 3},{n - 2},{n - 1}]"
    return (
        f"there are no weights for a {board}, but for: {', '.join(map(str, there))}; to train some, run "
        f"gram-pyro {recipe} and give weights=runs/.../GRAM.safetensors"
    )
