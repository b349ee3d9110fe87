"""Read other formats as puzzles of candidates.

    .yaml .yml .json                  one puzzle, see `gram_pyro.tasks.candidates.text`
    .g6 .s6 .col .edges               graphs to colour: graph6, sparse6, DIMACS, an edge list
    .tar .tar.gz .tgz                 queens with excluded diagonals, CSPLib prob079
    .sudoku .txt .sdk                 Sudokus as text

All but the archives may be compressed, as .gz or .xz. `shorthands.queens` makes boards with given queens.
Source: ours.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import networkx as nx

from gram_pyro.tasks.candidates.puzzle import CandidatePuzzle, different, make_puzzle
from gram_pyro.tasks.candidates.shorthands import boxes, cell_names, columns, queens, rows
from gram_pyro.tasks.candidates.text import read_file
from gram_pyro.tasks.colouring.files import graphs_in
from gram_pyro.tasks.files import PuzzleFileError, kind_of
from gram_pyro.tasks.nqueens.rules import Board
from gram_pyro.tasks.nqueens.task import read_excluded
from gram_pyro.tasks.sudoku.files import parse, read_records
from gram_pyro.tasks.sudoku.rules import Geometry

TEXTS, SUDOKUS = (".yaml", ".yml", ".json"), (".sudoku", ".sdk", ".txt")
GRAPHS, ARCHIVES = (".g6", ".s6", ".col", ".edges"), (".tar", ".tgz")


def sudoku(clues: Sequence[int], box: tuple[int, int] | None = None) -> CandidatePuzzle:
    """A Sudoku from its cells row by row, 0 for a blank; `box` is rows and columns of a box (None: the usual one).

    Raises: ValueError if that is no board, or two clues contradict each other.
    """
    n = math.isqrt(len(clues))
    geometry = Geometry(n, box)
    geometry.check_clues(clues)
    grid = (n, n)
    sets = rows(grid) + columns(grid) + boxes(grid, geometry.box)
    groups = [group for cells in sets for group in different(cells, n)]
    given = {cell: clue - 1 for cell, clue in enumerate(clues) if clue}
    return make_puzzle(cell_names(grid), [str(digit) for digit in range(1, n + 1)], groups, given, grid=grid)


def colouring(graph: nx.Graph, num_colours: int) -> CandidatePuzzle:
    """A graph whose neighbours get different colours; vertices that are numbers are named from 1 on.

    Raises: ValueError if it has no vertex, a loop, or there is no colour.
    """
    if num_colours < 1 or not graph:
        raise ValueError(f"got {len(graph)} vertices and {num_colours} colours; expected at least one of each")
    if num_colours == 1 and graph.number_of_edges():
        raise ValueError("got 1 colour for a graph with edges; expected 2 or more")
    place = {vertex: number for number, vertex in enumerate(graph)}
    groups = [g for a, b in graph.edges for g in different([place[a], place[b]], num_colours)]
    names = [str(vertex + 1) if isinstance(vertex, int) else str(vertex) for vertex in graph]
    return make_puzzle(names, [f"colour{k + 1}" for k in range(num_colours)], groups)


def excluded_diagonals(path: str | Path, n: int) -> list[CandidatePuzzle]:
    """The instances of CSPLib prob079 with a solution.  Raises: as `read_excluded`."""
    return [queens(n, squares) for squares in read_excluded(path, Board(n)).x.tolist()]


def read_folder(path: str | Path, num_colours: int | None = None, n: int | None = None) -> list[CandidatePuzzle]:
    """The puzzles of all files of a folder, or of one file.

    Raises: ValueError if the folder holds no file of a known kind; as `read_puzzles`.
    """
    folder = Path(path)
    if not folder.is_dir():
        return read_puzzles(path, num_colours, n)
    kinds = (*TEXTS, *GRAPHS, *ARCHIVES, *SUDOKUS)
    files = sorted(file for file in folder.iterdir() if kind_of(file) in kinds)
    if not files:
        raise ValueError(f"the folder {path} holds no file of puzzles; expected one of {' '.join(kinds)}")
    return [puzzle for file in files for puzzle in read_puzzles(file, num_colours, n)]


def read_puzzles(path: str | Path, num_colours: int | None = None, n: int | None = None) -> list[CandidatePuzzle]:
    """The puzzles of a file, by its suffix. Graphs need `num_colours`; an archive of boards needs n, their side.

    Raises: FileNotFoundError; ValueError where that is missing; PuzzleFileError, with the line, on anything malformed.
    """
    kind = kind_of(Path(path))
    if kind in TEXTS:
        return [read_file(path)]
    if kind in GRAPHS:
        if num_colours is None:
            raise ValueError(f"got {path}, graphs, and no number of colours; write num_colours=3, say")
        return [colouring(graph, num_colours) for graph in graphs_in(path)]
    if kind in ARCHIVES:
        if n is None:
            raise ValueError(f"got {path}, boards of queens, and not their side; write n=8, say")
        return excluded_diagonals(path, n)
    if kind in SUDOKUS:
        return _sudokus(Path(path))
    known = " ".join((*TEXTS, *GRAPHS, *ARCHIVES, *SUDOKUS))
    raise PuzzleFileError(f"{path} is of no kind that is read; expected one of {known}, also as .gz or .xz; rename it")


def _sudokus(path: Path) -> list[CandidatePuzzle]:
    found = []
    for place, text, _ in read_records(path):
        try:
            found.append(sudoku(parse(text)))
        except ValueError as problem:
            raise PuzzleFileError(f"{path}, {place}: {problem}") from None
    if not found:
        raise PuzzleFileError(f"{path} holds no puzzle; expected one or more.")
    return found
