"""Graphs to colour, as text.

    G?zTb_                   graph6, or sparse6
    1-2,2-3,1-3              its edges, also one per line; vertices are counted from 1, up to the largest number
    FILE                     .g6, .s6, .col (DIMACS), .edges (one edge per line) or .csv with a column graph6
Source: ours.
"""

import re
from contextlib import suppress
from itertools import combinations
from pathlib import Path

import networkx as nx
from torch import tensor

from gram_pyro.app.puzzle import Puzzle
from gram_pyro.tasks.colouring.files import MAX_VERTICES, decode, graphs_in
from gram_pyro.tasks.colouring.task import EDGE
from gram_pyro.tasks.files import kind_of
from gram_pyro.tasks.sudoku.rules import DEFAULT_BOXES
from gram_pyro.tasks.tidy import tidy

EDGES = re.compile(r"\d+-\d+(\s*,\s*\d+-\d+)*")
SPACED_EDGES = re.compile(r"\d+-\d+(\s+\d+-\d+)+")
MOST = 100  # vertices of a typed graph: its pairs are cells, and every cell attends to every other
FILES = {".g6", ".s6", ".col", ".edges"}  # suffixes of graph files


def is_graph(text: str) -> bool:
    """Whether a text is a graph, and no other kind of puzzle."""
    if EDGES.fullmatch(text.strip()):
        return True
    if SPACED_EDGES.fullmatch(text.strip()):
        return len(tidy(text)) not in {n * n for n in DEFAULT_BOXES}  # else a Sudoku with - for a blank
    with suppress(ValueError):
        return len(decode("graph", text.strip())) > 1
    return False


def is_graph_file(path: str) -> bool:
    return kind_of(Path(path)) in FILES


def read_graph(text: str, colours: int) -> Puzzle:
    """The graph of a text.  Raises: ValueError unless it has 2 to MOST vertices, and colours are 1 to 35."""
    text = text.strip()
    if SPACED_EDGES.fullmatch(text):
        text = ",".join(text.split())
    if not EDGES.fullmatch(text):
        return as_puzzle(decode("graph", text), colours)
    edges = [tuple(map(int, edge.split("-"))) for edge in text.split(",")]
    for a, b in edges:
        if a == b or min(a, b) < 1 or max(a, b) > MAX_VERTICES:
            raise ValueError(f"got the edge {a}-{b}; expected two different vertices from 1 to {MAX_VERTICES}")
    graph = nx.Graph()
    graph.add_nodes_from(range(1, 1 + max(map(max, edges))))
    graph.add_edges_from(edges)
    return as_puzzle(graph, colours)


def read_graph_file(path: Path, colours: int) -> list[Puzzle]:
    """The graphs of a file.  Raises: ValueError as `graphs_in` and `as_puzzle`."""
    return [as_puzzle(graph, colours) for graph in graphs_in(path)]


def as_puzzle(graph: nx.Graph, colours: int) -> Puzzle:
    """A graph with blank vertices; vertices with numbers as names are sorted.

    Raises: ValueError as `read_graph`.
    """
    n, names = len(graph), list(graph)
    if not 2 <= n <= MOST:
        raise ValueError(f"got a graph on {n} vertices; expected 2 to {MOST}")
    if type(colours) is not int or not 1 <= colours <= 35:
        raise ValueError(f"got colours={colours}; write a whole number from 1 to 35")
    if all(str(name).isdecimal() for name in names):
        names.sort(key=int)
    pairs = [EDGE if graph.has_edge(*pair) else EDGE - 1 for pair in combinations(names, 2)]
    return Puzzle("graph", n, tensor(pairs + [0] * n), colours)
