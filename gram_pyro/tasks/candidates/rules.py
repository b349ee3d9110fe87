"""The rules that a puzzle file may name, and the groups of candidates that each stands for.

Source: ours.
"""

from collections.abc import Callable, Sequence

from yaml.nodes import Node, ScalarNode

from gram_pyro.tasks.candidates import shorthands
from gram_pyro.tasks.candidates.marked import at, entries, items, scalar
from gram_pyro.tasks.candidates.names import Names, size
from gram_pyro.tasks.candidates.puzzle import Group, different

Rule = Callable[[Names, Node], list[Group]]


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
    box = size(node, "boxes")
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


def read_rule(names: Names, node: Node) -> list[Group]:
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
