"""Which puzzles a command line asks for.

    PUZZLE            of a kind that its symbols tell: a board of queens has 10 at most, a Sudoku more
    PUZZLE;PUZZLE     several
    FILE, @FILE, -    all of a file, or of the standard input
Source: ours.
"""

import re
from collections.abc import Callable
from pathlib import Path

from gram_pyro.app.puzzle import COLUMNS, READERS, Puzzle
from gram_pyro.tasks.files import locate
from gram_pyro.tasks.sudoku.files import read_records
from gram_pyro.tasks.tidy import tidy

NAMED_AS_A_FILE = re.compile(r"@.*|-|[^\n;]*\.(txt|csv|jsonl)(\.xz|\.gz)?", re.IGNORECASE)


def is_file(text: str) -> bool:
    """Whether a text is the name of a file and no puzzle."""
    return bool(NAMED_AS_A_FILE.fullmatch(text)) or (len(text) < 256 and Path(text).is_file())


def read_puzzles(text: str, kind: str | None = None) -> list[Puzzle]:
    """The puzzles of a text or file; kind, a key of READERS, or None where the symbols tell.

    Raises: FileNotFoundError; ValueError, with the line, on anything that is no puzzle, and on a file that holds none.
    """
    if is_file(text):
        return read_file(kind, text.removeprefix("@"))
    return [reader(kind, part)(part) for part in text.split(";")]


def reader(kind: str | None, text: str) -> Callable[[str], Puzzle]:
    """What reads a puzzle of a kind; of the kind that its length tells if that is None."""
    return READERS[kind or ("queens" if 0 < len(tidy(text)) <= len(COLUMNS) else "sudoku")]


def read_file(kind: str | None, path: str) -> list[Puzzle]:
    """The puzzles of a text file, or of the column question of a .csv or .jsonl, see `gram_pyro.tasks.sudoku.files`.
    Boards of queens stand one a line where that kind is asked for.

    Raises: FileNotFoundError; ValueError, with the line, on anything that is no puzzle, and on a file that holds none.
    """
    try:
        file = locate(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {path}; write @FILE, a text file of one puzzle a line") from None
    puzzles = []
    for place, text, _ in read_records(file, grids=kind != "queens"):
        try:
            puzzles.append(reader(kind, text)(text))
        except ValueError as problem:
            raise ValueError(f"{path}, {place}: {problem}") from None
    if not puzzles:
        raise ValueError(f"{path} is empty; write one puzzle a line")
    return puzzles
