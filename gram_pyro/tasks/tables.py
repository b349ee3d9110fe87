"""Tables of puzzles: CSV with a header, as programs and spreadsheets write it.

The delimiter is ',', ';' or a tab. Names of columns are compared without surrounding spaces and case, and a column may
have several names. Other columns are ignored, but a column with nearly the right name is refused, because its values
would be lost silently. Every row has as many fields as the header.
Source: ours.
"""

import csv
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import chain
from pathlib import Path
from typing import TextIO

from gram_pyro.tasks.files import PuzzleFileError

DELIMITERS = ",;\t"
NEARLY = 0.8  # similarity by difflib: one letter of six differs


def read_table(path: Path, file: TextIO, *columns: Sequence[str], optional: bool = False) -> Iterator[list[str | None]]:
    """For every row, the values of `columns`. A column is given by its possible names, the preferred one first.

    If `optional`, the last column may be absent; its values are then None.
    Raises: PuzzleFileError if a column is absent or occurs twice, if an optional column has a misspelt name, or if a
    row has another number of fields.
    """
    rows = _parse(path, file)
    header = next(rows, [])
    names = [name.strip().casefold() for name in header]
    places = [_place(path, names, column) for column in columns]
    for place, column in zip(places, columns, strict=True):
        if place is None and not (optional and column is columns[-1]):
            raise PuzzleFileError(f"{path} has columns {header}; expected {' or '.join(column)} among them")
        if place is None and (nearly := [name for name in names if any(_is_nearly(name, other) for other in column)]):
            raise PuzzleFileError(
                f"{path} has a column {nearly[0]!r}; write {column[0]!r} if it is that, or rename it"
            )
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise PuzzleFileError(
                f"{path}, row {number}: got {len(row)} fields; expected {len(header)}, as the header has."
            )
        yield [None if place is None else row[place].strip() for place in places]


def _parse(path: Path, file: TextIO) -> Iterator[list[str]]:
    """The fields of every row that is not blank."""
    first = file.readline()
    delimiter = max(DELIMITERS, key=first.count)
    try:
        yield from (row for row in csv.reader(chain([first], file), delimiter=delimiter, strict=True) if row)
    except csv.Error as problem:
        raise PuzzleFileError(f"{path} is no CSV ({problem}); fetch or write it again.") from None


def _place(path: Path, names: Sequence[str], column: Sequence[str]) -> int | None:
    """The index of a column in the header."""
    found = [place for place, name in enumerate(names) if name in column]
    if len(found) > 1:
        raise PuzzleFileError(f"{path} has columns {[names[place] for place in found]}; expected one of them")
    return found[0] if found else None


def _is_nearly(name: str, wanted: str) -> bool:
    """Whether one letter of `wanted` is wrong, added or missing."""
    return abs(len(name) - len(wanted)) < 2 and SequenceMatcher(None, name, wanted).ratio() >= NEARLY
