"""Read YAML as nodes that know their line, so that every mistake is reported with it.

Every scalar is read as text: `no`, `1e3` and `09` are names like others. A key may stand once. Aliases are refused,
because a few lines of them can expand to more than fits into memory. Tags are refused, because they mean nothing here.
Source: ours, on PyYAML.
"""

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

DEEPEST = 20  # nodes within each other


class Misplaced(ValueError):
    """A mistake at a line of the text."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line


def at(node: Node, problem: str) -> Misplaced:
    return Misplaced(node.start_mark.line + 1, problem)


def parse(text: str) -> Node:
    """Raises: Misplaced if it is not YAML, is empty, has an alias, anchor or tag, or is nested too deeply."""
    depth = 0
    try:
        for event in yaml.parse(text, yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise Misplaced(event.start_mark.line + 1, "got an alias (*name); expected what it stands for")
            if getattr(event, "tag", None) or getattr(event, "anchor", None):
                raise Misplaced(event.start_mark.line + 1, "got a tag (!name) or an anchor (&name); leave it out")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise Misplaced(event.start_mark.line + 1, f"got more than {DEEPEST} lists within each other")
        node = yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        raise Misplaced(mark.line + 1 if mark else 1, f"this is not YAML: {problem.problem}") from None
    except yaml.YAMLError as problem:
        raise Misplaced(1, f"this is not YAML: {' '.join(str(problem).split())[:100]}") from None
    if node is None:
        raise Misplaced(1, "got nothing; expected a puzzle, as in grid: 4x4")
    return node


def scalar(node: Node, what: str) -> str:
    """The text of a node.  Raises: Misplaced if it is empty, a list or a mapping."""
    if not isinstance(node, ScalarNode) or not node.value.strip():
        raise at(node, f"got {kind(node)} for {what}; expected a word")
    return node.value.strip()


def items(node: Node, what: str) -> list[Node]:
    """The members of a list.  Raises: Misplaced if it is none or is empty."""
    if not isinstance(node, SequenceNode):
        raise at(node, f"got {kind(node)} for {what}; expected a list, as in [a, b]")
    if not node.value:
        raise at(node, f"got an empty list for {what}; expected at least one member; leave {what} out")
    return node.value


def entries(node: Node, what: str) -> dict[str, tuple[Node, Node]]:
    """The nodes of every key and of its value.  Raises: Misplaced if it is no mapping, or a key stands twice."""
    if not isinstance(node, MappingNode):
        raise at(node, f"got {kind(node)} for {what}; expected KEY: VALUE")
    found: dict[str, tuple[Node, Node]] = {}
    for key, value in node.value:
        name = scalar(key, "a key")
        if name in found:
            raise at(key, f"got {name!r} twice in {what}; write it once")
        found[name] = key, value
    return found


def kind(node: Node) -> str:
    """What a node is, in words."""
    if isinstance(node, ScalarNode):
        return repr(node.value.strip()[:40]) if node.value.strip() else "nothing"
    return "a list" if isinstance(node, SequenceNode) else "a mapping"
