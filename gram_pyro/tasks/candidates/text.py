"""Puzzles as text: YAML that names cells, symbols, clues and rules, read and written.

    grid: 9x9                      or cells: [monday, tuesday], or queens: 8
    symbols: 1..9                  or a list of names
    given: {a1: 5}                 or a drawing of the grid, '.' for a blank
    excluded: {b1: [2, 3]}
    rules: [rows, columns, boxes: 3x3]

docs/puzzles.md describes every key and rule. JSON files are read as well. A mistake is reported with its line. The
format has no checksum: damage that turns a name or number into another valid one, or text into a comment, goes
unnoticed.
Source: ours.
"""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import Node, ScalarNode

from gram_pyro.tasks.candidates import shorthands
from gram_pyro.tasks.candidates.marked import Misplaced, at, entries, items, kind, parse, scalar
from gram_pyro.tasks.candidates.names import Names, name_list, size
from gram_pyro.tasks.candidates.puzzle import (
    IN,
    OUT,
    CandidatePuzzle,
    Contradiction,
    check_size,
    different,
    make_puzzle,
)
from gram_pyro.tasks.candidates.rules import read_rule
from gram_pyro.tasks.files import PuzzleFileError, kind_of, open_text

KEYS = ("name", "grid", "cells", "queens", "symbols", "given", "excluded", "rules")
MOST_QUEENS = 200


def _given(names: Names, node: Node) -> dict[int, int]:
    given: dict[int, int] = {}
    width = len(names.symbols)
    if isinstance(node, ScalarNode):
        for cell, word in enumerate(names.drawn(node, "given")):
            if word in names.symbols:
                given[cell] = names.symbols[word]
                # A block begins on the line after its '|'; its rows stand below each other.
                names.lines[cell * width + given[cell]] = node.start_mark.line + 1
            elif word != ".":
                raise at(node, f"got {word!r} in given; expected a symbol, or '.' for a blank")
        return given
    for key, value in entries(node, "given").values():
        cell, symbol = names.cell(key, "given"), names.symbol(value, "given")
        given[cell] = symbol
        names.lines[cell * width + symbol] = key.start_mark.line + 1
    return given


def _excluded(names: Names, node: Node) -> list[int]:
    found = []
    for key, value in entries(node, "excluded").values():
        cell = names.cell(key, "excluded")
        members = [value] if isinstance(value, ScalarNode) else items(value, "excluded")
        for member in members:
            found.append(cell * len(names.symbols) + names.symbol(member, "excluded"))
            names.lines[found[-1]] = member.start_mark.line + 1
    return found


def read_text(text: str) -> CandidatePuzzle:
    """A puzzle.  Raises: Misplaced, a ValueError that knows its line, on any mistake."""
    root = parse(text)
    found = entries(root, "the puzzle")
    for name, (key, _) in found.items():
        if name not in KEYS:
            raise at(key, f"got the key {name!r}; expected one of {', '.join(KEYS)}")
    values = {name: value for name, (_, value) in found.items()}
    kinds = [name for name in ("grid", "cells", "queens") if name in values]
    if len(kinds) != 1:
        raise at(root, f"got {' and '.join(kinds) or 'neither'}; expected one of grid, cells and queens")
    base = _base(values)
    names = Names(base.cells, base.symbols, base.grid)
    groups = list(base.groups)
    for node in items(values["rules"], "rules") if "rules" in values else ():
        groups += read_rule(names, node)
    given = _given(names, values["given"]) if "given" in values else {}
    excluded = _excluded(names, values["excluded"]) if "excluded" in values else []
    try:
        return make_puzzle(names.cells, names.symbols, groups, given, excluded, names.grid)
    except Contradiction as problem:
        lines = names.lines
        last = max(lines.get(c, 1) for c in _cellmates(problem.candidates, len(names.symbols)))
        raise Misplaced(last, str(problem)) from None


def _cellmates(candidates: Iterable[int], width: int) -> list[int]:
    """The candidates of the same cells: a clue rules out all others of its cell."""
    return [c for cell in {c // width for c in candidates} for c in range(cell * width, (cell + 1) * width)]


def _base(values: dict[str, Node]) -> CandidatePuzzle:
    """The board before its rules and clues."""
    if "queens" in values:
        node = values["queens"]
        word = scalar(node, "queens")
        if "symbols" in values:
            raise at(values["symbols"], "got symbols beside queens, whose symbols are the columns; leave symbols out")
        if not (word.isascii() and word.isdigit() and len(word) < 4 and 0 < int(word) <= MOST_QUEENS):
            raise at(node, f"got {kind(node)} for queens; expected a whole number, 1 to {MOST_QUEENS}")
        return shorthands.queens(int(word))
    node = values.get("grid") or values["cells"]
    grid = size(node, "grid") if "grid" in values else None
    if "symbols" not in values:
        raise Misplaced(1, "got no symbols; expected symbols: 1..9, or symbols: [red, green]")
    symbols = name_list(values["symbols"], "symbols")
    try:
        if grid:
            check_size(math.prod(grid), len(symbols))
        return make_puzzle(shorthands.cell_names(grid) if grid else name_list(node, "cells"), symbols, (), grid=grid)
    except ValueError as problem:
        raise at(node, str(problem)) from None


def read_file(path: str | Path) -> CandidatePuzzle:
    """The puzzle of a file.  Raises: FileNotFoundError; PuzzleFileError with the line of the mistake."""
    with open_text(path) as file:
        text = file.read()
    try:
        if kind_of(Path(path)) == ".json":
            json.loads(text)  # which sees what YAML would take for a name
        return read_text(text)
    except (json.JSONDecodeError, RecursionError) as problem:
        raise PuzzleFileError(f"{path}, line {getattr(problem, 'lineno', 1)}: this is not JSON: {problem}") from None
    except Misplaced as problem:
        raise PuzzleFileError(f"{path}, line {problem.line}: {problem}") from None


def write_text(puzzle: CandidatePuzzle) -> str:
    """The text that `read_text` reads the same puzzle from; groups of different cells are written as such."""
    width = len(puzzle.symbols)
    board: dict[str, Any] = {"grid": "x".join(map(str, puzzle.grid))} if puzzle.grid else {"cells": [*puzzle.cells]}
    board["symbols"] = [*puzzle.symbols]
    given = {puzzle.cells[c // width]: puzzle.symbols[c % width] for c, role in enumerate(puzzle.roles) if role == IN}
    excluded: dict[str, list[str]] = {}
    for c, role in enumerate(puzzle.roles):
        if role == OUT and puzzle.cells[c // width] not in given:
            excluded.setdefault(puzzle.cells[c // width], []).append(puzzle.symbols[c % width])
    rest = dict.fromkeys(puzzle.groups)
    sets = []
    for group in puzzle.groups:
        cells = [c // width for c in group.candidates]
        if 2 <= len(set(cells)) == len(cells) <= width:
            whole = different(cells, width)
            if all(part in rest for part in whole):
                sets.append([puzzle.cells[cell] for cell in cells])
                for part in whole:
                    del rest[part]
    rules: list[dict[str, Any]] = [{"different": sets}] if sets else []
    for exact, name in ((True, "exactly one"), (False, "at most one")):
        if listed := [[puzzle.name(c) for c in g.candidates] for g in rest if g.exact == exact]:
            rules.append({name: listed})
    parts = {"given": given, "excluded": excluded, "rules": rules}
    board |= {key: value for key, value in parts.items() if value}
    return yaml.safe_dump(board, default_flow_style=None, sort_keys=False, width=120, allow_unicode=True)
