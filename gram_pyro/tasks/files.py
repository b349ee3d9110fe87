"""Files of puzzles: their place, compression and text encoding.

    locate      a path, or that path under $GRAM_DATA; '-' is the standard input
    read_bytes  the whole file, unpacked (.gz, .xz)
    open_text   the same as text: UTF-8, with or without a BOM, or UTF-16 with one; any kind of line end

A damaged .gz or .xz is always noticed: both formats have a checksum.
Source: ours.
"""

import codecs
import gzip
import io
import lzma
import os
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, TextIO

STDIN = Path("-")
OPENERS = {".xz": partial(lzma.open, format=lzma.FORMAT_XZ), ".gz": gzip.open}
DAMAGE = (lzma.LZMAError, gzip.BadGzipFile, zlib.error, EOFError, UnicodeError)
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class PuzzleFileError(ValueError):
    """A file does not have the expected contents. The message names the file and, if possible, the row or line."""


def locate(path: str | Path) -> Path:
    """`path`; if it is relative and does not exist, `path` under $GRAM_DATA.

    Raises: FileNotFoundError if neither exists.
    """
    path = Path(path)
    root = os.environ.get("GRAM_DATA")
    if path == STDIN or path.is_file():
        return path
    if root and (Path(root) / path).is_file():
        return Path(root) / path
    also = f" nor under GRAM_DATA={root}" if root else ""
    raise FileNotFoundError(
        f"{path} is not there{also}; write another path, or set the environment variable GRAM_DATA to the folder that "
        "it is relative to"
    )


def kind_of(path: Path) -> str:
    """The suffix of the format in lower case: '.csv' for a.csv, A.CSV and a.csv.gz; '' if there is none."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in OPENERS:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def read_bytes(path: str | Path) -> bytes:
    """The contents of a file, unpacked.  Raises: FileNotFoundError; PuzzleFileError if it is damaged."""
    path = locate(path)
    with _refuse_damage(path), _unpacked(path) as file:
        return file.read()


@contextmanager
def open_text(path: str | Path) -> Iterator[TextIO]:
    """A file as text, unpacked and decoded while it is read.

    Raises: FileNotFoundError; PuzzleFileError, also while it is read, if it is damaged or no text.
    """
    path = locate(path)
    with _refuse_damage(path), _unpacked(path) as file:
        start = file.peek(2)[:2]
        with io.TextIOWrapper(file, encoding="utf-16" if start in UTF16 else "utf-8-sig") as text:
            yield text


@contextmanager
def _unpacked(path: Path) -> Iterator[BinaryIO]:
    if path == STDIN:
        yield io.BufferedReader(io.BytesIO(sys.stdin.buffer.read()))  # a copy, for it is closed at the end
        return
    with OPENERS.get(path.suffix.lower(), open)(path, "rb") as file:
        yield file


@contextmanager
def _refuse_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except DAMAGE as problem:
        raise PuzzleFileError(f"{path} is damaged ({problem}); fetch or write it again.") from None
