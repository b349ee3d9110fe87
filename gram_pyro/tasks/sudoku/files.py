"""Sudoku puzzles with their solutions, from files.

    .csv        columns question,answer (one solution); for a row without an answer all solutions are searched for,
                and before an evaluation (`complete`) also those beside the answer
    .jsonl      {"question": ..., "solutions": [...]}, one puzzle per line, with the complete list
    any other   text: one puzzle per line, or one grid per paragraph (see `gram_pyro.tasks.tidy`), without solutions

All may be compressed (.xz, .gz); '-' is text from the standard input. Columns and keys may also be called puzzle,
quizzes or quiz, and answers, solution or solutions. A board is written row by row; '.' or '0' is a blank, digits from
10 on are A, B, ... Given answers are checked against the rules.

Not noticed: an incomplete list of two answers or more; a clue that was dropped or, without an answer, changed, if the
puzzle still has a solution; a line of text that became a comment.
Source: ours.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from string import ascii_uppercase
from typing import TextIO

import torch

from gram_pyro.tasks.base import Puzzles
from gram_pyro.tasks.files import PuzzleFileError, kind_of, locate, open_text
from gram_pyro.tasks.sudoku.rules import Geometry
from gram_pyro.tasks.tables import read_table
from gram_pyro.tasks.tidy import SYMBOLS, boards, tidy

QUESTION = ("question", "puzzle", "quizzes", "quiz")
ANSWER = ("answer", "answers", "solution", "solutions")

Record = tuple[str, str, list[str] | None]  # its place; question; its solutions, or None if the file has none


def parse(text: str, n: int | None = None) -> list[int]:
    """A board from its symbols, after `tidy`; n is the root of the length unless given.

    Raises: ValueError on a length that is not n^2, a symbol outside 0..n, or a 0 whose meaning is not clear.
    """
    cells = tidy(text)
    side = math.isqrt(len(cells)) if n is None else n
    if not cells or side * side != len(cells):
        wanted = f"n * n = {side * side} for n={n}" if n else "a square number, as 16, 36 or 81"
        raise ValueError(f"got a board of {len(cells)} symbols; expected {wanted}")
    for place, symbol in enumerate(cells):
        if SYMBOLS.get(symbol, side + 1) > side:
            where = f"row {place // side + 1}, column {place % side + 1}"
            raise ValueError(f"{where} of the Sudoku is {symbol!r}; write {digits(side)}, or '.' for a blank")
    if side > 9 and "0" in cells and "." in cells:
        raise ValueError("got '0' and '.'; expected one kind of blank; write '.' for blanks, 1 to 9, A, B, ... else")
    return [SYMBOLS[symbol] for symbol in cells]


def digits(n: int) -> str:
    """1 to 9, and A to C for 10 to 12."""
    letter = ascii_uppercase[min(n, 35) - 10]
    return f"1 to {n}" if n < 10 else f"1 to 9, and A to {letter} for 10 to {n}"


def read_puzzles(path: str | Path, geometry: Geometry | None = None, max_solutions: int = 10_000) -> Puzzles:
    """The puzzles of a file, in order; without `geometry`, the default one for the length of the first puzzle.

    `max_solutions` bounds the search for solutions of puzzles without any.
    Raises: FileNotFoundError; PuzzleFileError on anything malformed, on contradicting clues, on a puzzle with no
    solution or, where they are searched for, more than `max_solutions`, and on an answer that is not a solution.
    """
    path = locate(path)
    clues: list[list[int]] = []
    solutions: list[list[list[int]]] = []
    places: list[str] = []
    for place, question, answers in read_records(path):
        try:
            geometry = geometry or Geometry(math.isqrt(len(parse(question))))
            clues.append(parse(question, geometry.n))
            if answers is None:
                solutions.append(_search(geometry, clues[-1], max_solutions))
            else:
                solutions.append([parse(answer, geometry.n) for answer in answers])
                if not answers:
                    raise ValueError("got a puzzle without a solution; expected one or more")
                if len(set(map(tuple, solutions[-1]))) < len(answers):
                    raise ValueError("a solution is listed twice; list each once")
        except ValueError as problem:
            raise PuzzleFileError(f"{path}, {place}: {problem}") from None
        places.append(place)
    if geometry is None or not clues:
        raise PuzzleFileError(f"{path} has no puzzle; expected one or more")
    puzzles = Puzzles.from_lists(clues, solutions)
    _check(path, geometry, puzzles, places)
    return puzzles


def complete(puzzles: Puzzles, geometry: Geometry, max_solutions: int = 10_000) -> Puzzles:
    """The puzzles with all solutions where one is listed and there are others, as a column `answer` has it.

    Raises: ValueError if a puzzle has more than `max_solutions`.
    """
    lists = [part.tolist() for part in puzzles.solutions.split(puzzles.num_solutions.tolist())]
    for row, clues in enumerate(puzzles.x.tolist()):
        if len(lists[row]) == 1 and len(geometry.solve(clues, 2)) > 1:
            lists[row] = _search(geometry, clues, max_solutions)
    return Puzzles.from_lists(puzzles.x.tolist(), lists)


def _search(geometry: Geometry, clues: list[int], max_solutions: int) -> list[list[int]]:
    found = geometry.solve(clues, max_solutions + 1)
    if not found:
        raise ValueError("the puzzle has no solution; expected one or more")
    if len(found) > max_solutions:
        raise ValueError(f"the puzzle has more than {max_solutions} solutions; write more clues or raise max_solutions")
    return sorted(found)


def _check(path: Path, geometry: Geometry, puzzles: Puzzles, places: list[str]) -> None:
    """Check all answers, and name the first wrong one."""
    owner = torch.repeat_interleave(torch.arange(puzzles.num_puzzles), puzzles.num_solutions)
    wrong = (~geometry.is_solved(puzzles.x[owner], puzzles.solutions)).nonzero().flatten()
    if len(wrong):
        row = int(owner[wrong[0]])
        number = int(wrong[0] - puzzles.offsets[row]) + 1
        try:
            geometry.check_clues(puzzles.x[row].tolist())
        except ValueError as problem:
            raise PuzzleFileError(f"{path}, {places[row]}: {problem}") from None
        raise PuzzleFileError(
            f"{path}, {places[row]}: answer {number} does not solve it; expected 1..n once in every row, column and "
            "box, and every clue kept."
        )


def read_records(path: Path, grids: bool = True) -> Iterator[Record]:
    """The puzzles of a file as text. If `grids`, a board of a text file may be a grid over several lines.

    Raises: FileNotFoundError; PuzzleFileError if the file is damaged or not of its format.
    """
    text = _text_records if grids else _line_records
    reader = {".csv": _csv_records, ".jsonl": _jsonl_records}.get(kind_of(path), text)
    with open_text(path) as file:
        yield from reader(path, file)


def _csv_records(path: Path, file: TextIO) -> Iterator[Record]:
    for row, (question, answer) in enumerate(read_table(path, file, QUESTION, ANSWER, optional=True), 1):
        yield f"row {row}", question, [answer] if answer and answer.strip() else None


def _jsonl_records(path: Path, file: TextIO) -> Iterator[Record]:
    for row, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line, object_pairs_hook=_by_name)
            (question,) = (record[key] for key in QUESTION if key in record)
            (solutions,) = (record[key] for key in ANSWER if key in record)
            solutions = [solutions] if isinstance(solutions, str) else solutions
            well_formed = isinstance(solutions, list) and all(isinstance(text, str) for text in [question, *solutions])
        except (ValueError, TypeError, RecursionError):
            well_formed = False
        if not well_formed:
            raise PuzzleFileError(
                f'{path}, row {row}: got {line.strip()[:40]!r}; expected {{"question": "...", "solutions": ["...", '
                "...]}."
            )
        yield f"row {row}", question, solutions


def _by_name(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of JSON by its names, however they are written.  Raises: ValueError if one is there twice."""
    record = {name.strip().casefold(): value for name, value in pairs}
    if len(record) < len(pairs):
        raise ValueError("a name is there twice")
    return record


def _text_records(path: Path, file: TextIO) -> Iterator[Record]:
    for number, board in boards(file):
        yield f"line {number}", board, None


def _line_records(path: Path, file: TextIO) -> Iterator[Record]:
    for number, line in enumerate(file, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield f"line {number}", line, None
