"""Pasted boards as one line of symbols.

    1 _ | 3 _
    _ 4 | _ _
    ------+------        ->   1.3..4..2......1
    2 _ | _ _
    _ _ | _ 1

Spaces, bars, rules, brackets, quotes and line breaks are removed. '.', '_', '*', 'x' and '-' are blanks and become '.'.
'0' stays: it is a blank of a Sudoku, and a column of a board of queens. Small letters become capitals. Between commas
or tabs, as in [[5, 3, 0], ..] or copied from a spreadsheet, nothing is a blank and 10 is A.
Source: ours.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from string import ascii_lowercase, ascii_uppercase

SYMBOLS = {symbol: value for value, symbol in enumerate("0123456789" + ascii_uppercase)} | {".": 0}
TABLE = str.maketrans(ascii_lowercase + "x_*-", ascii_uppercase + "....")
BETWEEN = re.compile(r"""[\s|()"'\[\]\u2500-\u257f]+""")  # spaces, bars, brackets, quotes, box-drawing characters
END_OF_LIST = re.compile(r"\]\s*,\s*$")  # of a list that goes on in the next line
FIELDS = re.compile(r"[,\t]")
RULE = re.compile(r"[-\s|:]*[+=\u2500-\u257f][-+=\s|:\u2500-\u257f]*")
PERHAPS_A_RULE = re.compile(r"[-\s|:.'*]*--[-\s|:.'*]*")  # or a row of blanks
VALUES = {str(value): symbol for symbol, value in SYMBOLS.items() if value > 9}  # numbers as symbols
SHORTEST = 16  # a text of fewer symbols is a row of a board, not a board


def tidy(text: str) -> str:
    """A board as one line of symbols. Other characters are kept, so that the reader refuses them."""
    return "".join(_rows(text.splitlines()))


def boards(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """The boards of a text, with the number of their first line: one board per line, or one per paragraph.

    Lines that begin with '#' are comments. A paragraph is one board if its lines are too short to be boards, or if m
    lines have m symbols each and one symbol is too large for a board of one line. Otherwise every line is a board.
    """
    paragraph: list[tuple[int, str]] = []
    for number, line in enumerate(chain(lines, [""]), 1):
        if line.lstrip().startswith("#"):
            continue
        if line.strip():
            paragraph.append((number, line))
        elif paragraph:
            yield from _split(paragraph)
            paragraph = []


def _split(paragraph: Sequence[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    rows = _rows([line for _, line in paragraph])
    if all(len(row) < SHORTEST for row in rows) or (_is_square(rows) and _largest(rows) > math.isqrt(len(rows))):
        yield paragraph[0][0], "".join(rows)
    else:
        yield from ((number, tidy(line)) for number, line in paragraph)


def _rows(lines: Sequence[str]) -> list[str]:
    """The symbols of every line that is not a rule.  '------' is a row of blanks, unless there are too many rows."""
    lines = [line for line in lines if line.strip() and not RULE.fullmatch(line)]
    rows = [BETWEEN.sub("", _fields(line)).translate(TABLE) for line in lines]
    fewer = [row for row, line in zip(rows, lines, strict=True) if not PERHAPS_A_RULE.fullmatch(line)]
    return fewer if fewer and _is_square(fewer) and not _is_square(rows) else rows


def _fields(line: str) -> str:
    """A line of fields, each of one symbol or number, as symbols; any other line as it is."""
    fields = [BETWEEN.sub("", field) for field in FIELDS.split(END_OF_LIST.sub("]", line))]
    if len(fields) == 1 or max(map(len, fields)) > 2:
        return line
    return "".join(VALUES.get(field, field or ".") for field in fields)


def _is_square(rows: Sequence[str]) -> bool:
    return all(len(row) == len(rows) for row in rows)


def _largest(rows: Sequence[str]) -> int:
    return max(SYMBOLS.get(symbol, 0) for row in rows for symbol in row)
