"""The puzzles of a command line.

    PUZZLE            its symbols tell the kind: a graph; a board of queens has at most 10 symbols, or Q
                      for a queen; a Sudoku more
    PUZZLE;PUZZLE     several
    FILE, @FILE, -    all puzzles of a file, or of the standard input
    FOLDER            all puzzles of the files in it
    YAML              a puzzle that states its own rules, as text
Source: ours.
"""

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from gram_pyro.app.graph import is_graph, is_graph_file, read_graph, read_graph_file
from gram_pyro.app.puzzle import COLOURS, COLUMNS, READERS, Puzzle, is_drawn, of_rules
from gram_pyro.tasks.candidates.importers import TEXTS
from gram_pyro.tasks.candidates.text import KEYS
from gram_pyro.tasks.candidates.text import read_file as read_rules_file
from gram_pyro.tasks.files import kind_of, locate
from gram_pyro.tasks.sudoku.files import read_records
from gram_pyro.tasks.tidy import tidy

NAMED_AS_A_FILE = re.compile(r"@.*|-|[^\n;]*\.(txt|csv|jsonl|g6|s6|col|edges|yaml|yml|json)(\.xz|\.gz)?", re.IGNORECASE)


RULES = re.compile(rf"""^[\s{{]*["']?({"|".join(KEYS)})["']?\s*:""", re.MULTILINE)


def is_file(text: str) -> bool:
    """Whether a text is the name of a file or folder, not a puzzle."""
    return bool(NAMED_AS_A_FILE.fullmatch(text)) or (len(text) < 256 and bool(text.strip(".")) and Path(text).exists())


def states_rules(text: str) -> bool:
    """Whether a text is, or is meant as, a puzzle that states its own rules."""
    return bool(RULES.search(text))


def read_puzzles(text: str, kind: str | None = None, colours: int = COLOURS) -> list[Puzzle]:
    """The puzzles of a text or file.

    Args: kind, sudoku, queens or graph, or None if the symbols tell; colours of graphs.
    Raises: FileNotFoundError; ValueError, with the line, on anything that is not a puzzle, and on an empty file.
    """
    if is_file(text) and Path(text).is_dir():
        return read_folder(kind, Path(text), colours)
    if is_file(text):
        return read_file(kind, text.removeprefix("@"), colours)
    if states_rules(text):
        return [READERS["rules"](text)]
    return [reader(kind, part, colours)(part) for part in text.split(";")]


def reader(kind: str | None, text: str, colours: int) -> Callable[[str], Puzzle]:
    """The reader of a kind of puzzle; if it is None, of the kind that the symbols of the text tell."""
    if kind is None and states_rules(text):
        return READERS["rules"]
    if kind == "graph" or (kind is None and is_graph(text)):
        return partial(read_graph, colours=colours)
    of_queens = 0 < len(tidy(text)) <= len(COLUMNS) or is_drawn(text)
    return READERS[kind or ("queens" if of_queens else "sudoku")]


def read_folder(kind: str | None, folder: Path, colours: int) -> list[Puzzle]:
    """The puzzles of all files of a folder.  Raises: as `read_file`; ValueError if there is no file of puzzles."""
    files = sorted(file for file in folder.iterdir() if NAMED_AS_A_FILE.fullmatch(file.name))
    if not files:
        raise ValueError(f"got the folder {folder} without a file of puzzles; write the name of one that has some")
    return [puzzle for file in files for puzzle in read_file(kind, str(file), colours)]


def read_file(kind: str | None, path: str, colours: int = COLOURS) -> list[Puzzle]:
    """The puzzles of a text file, or of the column question of a .csv or .jsonl, see `gram_pyro.tasks.sudoku.files`; or
    graphs, see `gram_pyro.app.graph`; or one in YAML that states its own rules. With kind queens or graph there is one
    puzzle per line.

    Raises: FileNotFoundError; ValueError, with the line, on anything that is not a puzzle, and on an empty file.
    """
    try:
        file = locate(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {path}; write the path of a file of puzzles") from None
    if kind_of(file) in TEXTS:
        return [of_rules(read_rules_file(file), file.name)]
    if is_graph_file(path) or (kind == "graph" and kind_of(file) == ".csv"):
        puzzles = read_graph_file(file, colours)
    else:
        puzzles = list(read_boards(kind, file, colours))
    if not puzzles:
        raise ValueError(f"{path} is empty; write one puzzle a line")
    return puzzles


def read_boards(kind: str | None, file: Path, colours: int) -> Iterator[Puzzle]:
    """The puzzles of a text file.  Raises: ValueError, with the line, on anything that is not a puzzle."""
    for place, text, _ in read_records(file, grids=kind not in ("queens", "graph")):
        try:
            yield reader(kind, text, colours)(text)
        except ValueError as problem:
            raise ValueError(f"{file}, {place}: {problem}") from None
