"""Puzzles as text: YAML that names cells, symbols, clues and rules, read and written.

    grid: 9x9                      or cells: [monday, tuesday], or queens: 8
    symbols: 1..9                  or a list of names
    given: {a1: 5}                 or a drawing of the grid, '.' for a blank
    excluded: {b1: [2, 3]}
    rules: [rows, columns, boxes: 3x3]

Every key and rule is described in docs/puzzles.md. JSON is a subset. A mistake is named with its line. What the format
cannot tell: a name or a number that became another one; what became a comment.
Source: ours.
"""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import Node, ScalarNode

from gram_pyro.tasks.candidates import shorthands
from gram_pyro.tasks.candidates.marked import Misplaced, at, entries, items, kind, parse, scalar
from gram_pyro.tasks.candidates.puzzle import (
    IN,
    OUT,
    CandidatePuzzle,
    Contradiction,
    Group,
    check_size,
    different,
    make_puzzle,
)
from gram_pyro.tasks.files import PuzzleFileError, kind_of, open_text

KEYS = ("name", "grid", "cells", "queens", "symbols", "given", "excluded", "rules")
LONGEST = 10_000  # a range of symbols
MOST_QUEENS = 200
MOST_MEMBERS = 1_000_000  # of the groups of all rules: a line of text may stand for more than fits into memory

Rule = Callable[["Names", Node], list[Group]]


class Names:
    """Cells, symbols and grid of the puzzle that is being read, and where its clues are written."""

    def __init__(self, cells: Iterable[str], symbols: Iterable[str], grid: tuple[int, int] | None = None) -> None:
        self.cells = {name: number for number, name in enumerate(cells)}
        self.symbols = {name: number for number, name in enumerate(symbols)}
        self.grid = grid
        self.lines: dict[int, int] = {}  # by candidate
        self.members = 0

    def cell(self, node: Node, what: str) -> int:
        return _number(self.cells, "cell", node, what)

    def symbol(self, node: Node, what: str) -> int:
        return _number(self.symbols, "symbol", node, what)

    def candidate(self, node: Node, what: str) -> int:
        cell, equals, symbol = scalar(node, what).rpartition("=")
        if not equals:
            raise at(node, f"got {kind(node)} in {what}; expected CELL=SYMBOL, as in a1=3")
        if cell.strip() not in self.cells or symbol.strip() not in self.symbols:
            raise at(node, f"got {kind(node)} in {what}, and there is no such cell or no such symbol; correct it")
        return self.cells[cell.strip()] * len(self.symbols) + self.symbols[symbol.strip()]

    def need_grid(self, node: Node, what: str) -> tuple[int, int]:
        if self.grid is None:
            raise at(node, f"got {what} without a grid; expected grid: ROWSxCOLUMNS; write different: [[...]]")
        return self.grid

    def drawn(self, node: Node, what: str) -> list[str]:
        """A drawing of the grid, a word per cell: words where there are spaces, else letters."""
        height, width = self.need_grid(node, what)
        text = scalar(node, what).replace("|", " ")
        words = text.split()
        words = words if len(words) == height * width else [letter for word in words for letter in word]
        if len(words) != height * width:
            raise at(node, f"got a drawing of {len(words)} cells for {what}; expected {height} rows of {width}")
        return words


    def add(self, node: Node, members: int) -> None:
        """Raises: Misplaced if the groups of the rules so far have too many members."""
        self.members += members
        if self.members > MOST_MEMBERS:
            problem = f"got groups of {self.members} members or more; expected {MOST_MEMBERS} in all; write fewer rules"
            raise at(node, problem)


def _number(known: dict[str, int], sort: str, node: Node, what: str) -> int:
    name = scalar(node, what)
    if name not in known:
        first, *_, last = known if len(known) > 1 else [*known, *known]
        raise at(node, f"got {sort} {name!r} in {what}; expected one of the {sort}s {first} .. {last}")
    return known[name]


def _size(node: Node, what: str) -> tuple[int, int]:
    sides = scalar(node, what).casefold().split("x")
    if len(sides) != 2 or not all(s.isascii() and s.isdigit() and 0 < len(s) < 5 and int(s) for s in sides):
        raise at(node, f"got {kind(node)} for {what}; expected ROWSxCOLUMNS, as in 3x3")
    return int(sides[0]), int(sides[1])


def _names(node: Node, what: str) -> list[str]:
    """A list of names, or a range 1..9."""
    if isinstance(node, ScalarNode):
        first, dots, last = scalar(node, what).partition("..")
        if not (dots and all(s.isascii() and s.isdigit() for s in (first, last))) or len(last) > 8:
            raise at(node, f"got {kind(node)} for {what}; expected a list of names, or a range, as in 1..9")
        if not 0 <= int(last) - int(first) < LONGEST:
            raise at(node, f"got the range {kind(node)} for {what}; expected 1 to {LONGEST} numbers, the least first")
        return [str(number) for number in range(int(first), int(last) + 1)]
    found: dict[str, Node] = {}
    for member in items(node, what):
        name = scalar(member, what)
        if name in found or "=" in name:
            problem = "twice" if name in found else "with a '=' in it"
            raise at(member, f"got the name {name!r} {problem} in {what}; write another")
        found[name] = member
    return list(found)


# ---- rules


def _differ(names: Names, node: Node, sets: Sequence[list[int]]) -> list[Group]:
    names.add(node, sum(map(len, sets)) * len(names.symbols))
    try:
        return [group for cells in sets for group in different(cells, len(names.symbols))]
    except ValueError as problem:
        raise at(node, str(problem)) from None


def _of_grid(make: Callable[[tuple[int, int]], list[list[int]]]) -> Rule:
    def rule(names: Names, node: Node) -> list[Group]:
        grid = names.need_grid(node, "this rule")
        try:
            sets = make(grid)
        except ValueError as problem:
            raise at(node, str(problem)) from None
        return _differ(names, node, sets)

    return rule


def _boxes(names: Names, node: Node) -> list[Group]:
    box = _size(node, "boxes")
    return _of_grid(lambda grid: shorthands.boxes(grid, box))(names, node)


def _regions(names: Names, node: Node) -> list[Group]:
    return _differ(names, node, shorthands.regions(names.drawn(node, "regions")))


def _different(names: Names, node: Node) -> list[Group]:
    groups = []
    for member in items(node, "different"):
        cells = [names.cell(cell, "different") for cell in items(member, "a group of different")]
        groups += _differ(names, member, [cells])
    return groups


def _edges(names: Names, node: Node) -> list[Group]:
    for member in items(node, "edges"):
        if len(items(member, "an edge")) != 2:
            raise at(member, f"got an edge of {len(member.value)} cells; expected 2, as in [a, b]")
    return _different(names, node)


def _listed(exact: bool, what: str) -> Rule:
    def rule(names: Names, node: Node) -> list[Group]:
        groups = []
        for member in items(node, what):
            chosen = [names.candidate(entry, what) for entry in items(member, f"a group of {what!r}")]
            if len(set(chosen)) < len(chosen):
                raise at(member, f"got a candidate twice in one group of {what!r}; write it once")
            groups.append(Group(exact, tuple(chosen)))
        return groups

    return rule


PLAIN: dict[str, Rule] = {  # without a value
    "rows": _of_grid(shorthands.rows),
    "columns": _of_grid(shorthands.columns),
    "diagonals": _of_grid(shorthands.diagonals),
    "knights": _of_grid(lambda grid: shorthands.apart(grid, shorthands.KNIGHT)),
    "kings": _of_grid(lambda grid: shorthands.apart(grid, shorthands.KING)),
}
VALUED: dict[str, Rule] = {
    "boxes": _boxes,
    "regions": _regions,
    "different": _different,
    "edges": _edges,
    "exactly one": _listed(True, "exactly one"),
    "at most one": _listed(False, "at most one"),
}


def _rule(names: Names, node: Node) -> list[Group]:
    if isinstance(node, ScalarNode):
        name = scalar(node, "a rule")
        if name in PLAIN:
            return PLAIN[name](names, node)
        if name in VALUED:
            raise at(node, f"got the rule {name!r} alone; expected {name}: and what it is of")
    else:
        pairs = list(entries(node, "a rule").items())
        name, (key, value) = pairs[0] if pairs else ("nothing", (node, node))
        if len(pairs) == 1 and name in VALUED:
            return VALUED[name](names, value)
        if len(pairs) > 1:
            raise at(node, f"got the rules {', '.join(name for name, _ in pairs)} as one; begin each with '-'")
        node = key
    raise at(node, f"got the rule {name!r}; expected one of {', '.join([*PLAIN, *VALUED])}")


# ---- clues


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


# ---- puzzles


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
        groups += _rule(names, node)
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
    grid = _size(node, "grid") if "grid" in values else None
    if "symbols" not in values:
        raise Misplaced(1, "got no symbols; expected symbols: 1..9, or symbols: [red, green]")
    symbols = _names(values["symbols"], "symbols")
    try:
        if grid:
            check_size(math.prod(grid), len(symbols))
        return make_puzzle(shorthands.cell_names(grid) if grid else _names(node, "cells"), symbols, (), grid=grid)
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
