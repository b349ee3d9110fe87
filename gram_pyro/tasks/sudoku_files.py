"""Sudoku puzzles with their solutions, from files.

    .csv     columns question,answer (one solution); or question alone: all solutions are then searched for
    .jsonl   {"question": ..., "solutions": [...]}, one puzzle a line, the list being complete

each also as .xz or .gz; other columns are ignored. A board is written row by row; '.' or '0' is a blank, digits from
10 on are A, B, ... Given answers are checked against the rules; that they are all the answers is taken on trust.
Source: ours.
"""

import csv
import gzip
import json
import lzma
import math
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from string import ascii_uppercase
from typing import TextIO

import torch

from gram_pyro.tasks.base import Puzzles
from gram_pyro.tasks.sudoku_rules import Geometry

SYMBOLS = {symbol: value for value, symbol in enumerate("0123456789" + ascii_uppercase)} | {".": 0}
OPENERS = {".xz": lzma.open, ".gz": gzip.open}

Record = tuple[str, list[str] | None]  # question; its solutions, or None if the file does not say


class PuzzleFileError(ValueError):
    """A file that does not hold what it should; the message names the file and the row (from 1, after any header)."""


def parse(text: str, n: int | None = None) -> list[int]:
    """A board from its symbols; n is the root of the length unless given.

    Raises: ValueError on a length that is not n^2 or a symbol outside 0..n.
    """
    side = math.isqrt(len(text)) if n is None else n
    if not text or side * side != len(text):
        wanted = f"n * n = {side * side} for n={n}" if n else "a square number, as 16, 36 or 81"
        raise ValueError(f"a board of {len(text)} symbols came; expected {wanted}.")
    try:
        board = [SYMBOLS[symbol] for symbol in text]
    except KeyError as unknown:
        raise ValueError(f"symbol {unknown} came; write '.' or '0' for a blank, 1..9 and then A, B, ...") from None
    if max(board) > side:
        cell = board.index(max(board))
        raise ValueError(f"symbol {text[cell]!r} came at place {cell + 1}; an n={side} board has digits up to {side}.")
    return board


def locate(path: str | Path) -> Path:
    """`path`, or if that is relative and not there, `path` under $GRAM_DATA.

    Raises: FileNotFoundError if neither exists.
    """
    path = Path(path)
    root = os.environ.get("GRAM_DATA")
    if path.is_file():
        return path
    if root and (Path(root) / path).is_file():
        return Path(root) / path
    also = f" nor under GRAM_DATA={root}" if root else ""
    raise FileNotFoundError(
        f"{path} is not there{also}; set the path in the configuration, or set the environment variable GRAM_DATA to "
        "the folder it is relative to."
    )


def read_puzzles(path: str | Path, geometry: Geometry | None = None, max_solutions: int = 10_000) -> Puzzles:
    """The puzzles of a file, in order; without `geometry`, the default one for the length of the first puzzle.

    `max_solutions` bounds the search for puzzles that come without solutions.
    Raises: FileNotFoundError; PuzzleFileError on anything malformed, on contradicting clues, on a puzzle with no
    solution or, where they are searched for, more than `max_solutions`, and on an answer that is not a solution.
    """
    path = locate(path)
    clues: list[list[int]] = []
    solutions: list[list[list[int]]] = []
    for row, (question, answers) in enumerate(_records(path), 1):
        try:
            geometry = geometry or Geometry(math.isqrt(len(parse(question))))
            clues.append(parse(question, geometry.n))
            if answers is None:
                solutions.append(_search(geometry, clues[-1], max_solutions))
            else:
                solutions.append([parse(answer, geometry.n) for answer in answers])
                if not answers:
                    raise ValueError("the puzzle comes with no solution; expected one or more.")
                if len(set(answers)) < len(answers):
                    raise ValueError("a solution is listed twice; list each once.")
        except ValueError as problem:
            raise PuzzleFileError(f"{path}, row {row}: {problem}") from None
    if geometry is None or not clues:
        raise PuzzleFileError(f"{path} holds no puzzle; expected a header and at least one row.")
    puzzles = Puzzles.from_lists(clues, solutions)
    _check(path, geometry, puzzles)
    return puzzles


def _search(geometry: Geometry, clues: list[int], max_solutions: int) -> list[list[int]]:
    found = geometry.solve(clues, max_solutions + 1)
    if not found:
        raise ValueError("the puzzle has no solution; expected one or more.")
    if len(found) > max_solutions:
        raise ValueError(f"the puzzle has more than {max_solutions} solutions; give more clues or raise max_solutions.")
    return sorted(found)


def _check(path: Path, geometry: Geometry, puzzles: Puzzles) -> None:
    """All answers at once; the first wrong one is then named."""
    owner = torch.repeat_interleave(torch.arange(puzzles.num_puzzles), puzzles.num_solutions)
    wrong = (~geometry.is_solved(puzzles.x[owner], puzzles.solutions)).nonzero().flatten()
    if len(wrong):
        row = int(owner[wrong[0]])
        number = int(wrong[0] - puzzles.offsets[row]) + 1
        try:
            geometry.check_clues(puzzles.x[row].tolist())
        except ValueError as problem:
            raise PuzzleFileError(f"{path}, row {row + 1}: {problem}") from None
        raise PuzzleFileError(
            f"{path}, row {row + 1}: answer {number} does not solve it; expected 1..n once in every row, column and "
            "box, and every clue kept."
        )


def _records(path: Path) -> Iterator[Record]:
    suffixes = path.suffixes[-2:]
    kind = suffixes[0] if suffixes and suffixes[-1] in OPENERS else path.suffix
    readers = {".csv": _csv_records, ".jsonl": _jsonl_records}
    if kind not in readers:
        raise PuzzleFileError(f"{path} is neither .csv nor .jsonl (.xz or .gz may follow); rename or convert it.")
    try:
        with OPENERS.get(path.suffix, open)(path, "rt", encoding="utf-8", newline="") as file:
            yield from readers[kind](path, file)
    except (lzma.LZMAError, gzip.BadGzipFile, zlib.error, EOFError, UnicodeDecodeError) as problem:
        raise PuzzleFileError(f"{path} is damaged ({problem}); fetch or write it again.") from None


def _csv_records(path: Path, file: TextIO) -> Iterator[Record]:
    rows = csv.DictReader(file)
    if "question" not in (rows.fieldnames or ()):
        raise PuzzleFileError(f"{path} has columns {rows.fieldnames}; expected question and, if known, answer.")
    answered = "answer" in rows.fieldnames
    for row in rows:
        yield row["question"] or "", [row["answer"] or ""] if answered else None  # None: the row is cut short


def _jsonl_records(path: Path, file: TextIO) -> Iterator[Record]:
    for row, line in enumerate(file, 1):
        try:
            record = json.loads(line)
            question, solutions = record["question"], record["solutions"]
            well_formed = isinstance(solutions, list) and all(isinstance(text, str) for text in [question, *solutions])
        except (json.JSONDecodeError, KeyError, TypeError):
            well_formed = False
        if not well_formed:
            came = line.strip()[:40]
            raise PuzzleFileError(
                f'{path}, row {row}: {came!r} came; expected {{"question": "...", "solutions": ["...", ...]}}.'
            )
        yield question, solutions
