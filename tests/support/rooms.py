"""The map of a package: which module imports which, and the rooms (top folders and files) that they stand in.

    python tests/support/rooms.py [FOLDER OF A CHECKOUT]     counts of rooms, arrows, circles, modules and lines
"""

import ast
import sys
from pathlib import Path

import networkx as nx


def imports(package: Path) -> nx.DiGraph:
    """A graph with an arrow from each module of the package to each module that it imports, named from the package."""
    paths = {file: file.relative_to(package).with_suffix("").parts for file in package.rglob("*.py")}
    names = {file: ".".join(parts).removesuffix(".__init__") for file, parts in paths.items() if parts != ("__init__",)}
    known, graph = set(names.values()), nx.DiGraph()
    for file, name in names.items():
        graph.add_node(name, lines=len(file.read_text(encoding="utf-8").splitlines()))
        nodes = [n for n in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(n, ast.ImportFrom)]
        ours = [n for n in nodes if n.module and n.module.split(".")[0] == package.name]
        for imported in {f"{n.module}.{a.name}".removeprefix(f"{package.name}.") for n in ours for a in n.names}:
            target = imported if imported in known else imported.rpartition(".")[0]
            if target in known:
                graph.add_edge(name, target)
    return graph


def room(module: str) -> str:
    """The top folder, or file, that a module stands in."""
    return module.split(".")[0]


def rooms(graph: nx.DiGraph) -> nx.DiGraph:
    """The arrows between rooms."""
    return nx.DiGraph((room(a), room(b)) for a, b in graph.edges if room(a) != room(b))


def circles(graph: nx.DiGraph) -> int:
    """The number of groups of nodes that reach each other."""
    return sum(len(group) > 1 for group in nx.strongly_connected_components(graph))


def counts(package: Path) -> dict[str, int]:
    graph = imports(package)
    between = rooms(graph)
    return {
        "rooms": len({room(module) for module in graph}),
        "arrows between rooms": between.number_of_edges(),
        "circles of rooms": circles(between),
        "circles of modules": circles(graph),
        "modules": len(graph),
        "lines": sum(graph.nodes[module]["lines"] for module in graph),
    }


if __name__ == "__main__":
    checkout = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2]
    for what, number in counts(checkout / "gram_pyro").items():
        print(f"{number:6d} {what}")
