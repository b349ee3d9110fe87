"""The names that a puzzle file uses: its cells and symbols, sizes such as 3x3, and ranges such as 1..9.

Source: ours.
"""

from collections.abc import Iterable

from yaml.nodes import Node, ScalarNode

from gram_pyro.tasks.candidates.marked import at, items, kind, scalar

LONGEST = 10_000  # names in a range
MOST_MEMBERS = 1_000_000  # of the groups of all rules: a line of text may stand for more than fits into memory


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


def size(node: Node, what: str) -> tuple[int, int]:
    sides = scalar(node, what).casefold().split("x")
    if len(sides) != 2 or not all(s.isascii() and s.isdigit() and 0 < len(s) < 5 and int(s) for s in sides):
        raise at(node, f"got {kind(node)} for {what}; expected ROWSxCOLUMNS, as in 3x3")
    return int(sides[0]), int(sides[1])


def name_list(node: Node, what: str) -> list[str]:
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
