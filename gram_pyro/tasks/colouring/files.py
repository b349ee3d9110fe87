"""Graphs to colour, from files.

    .g6     graph6 or sparse6, one graph per line (.s6 is the same)
    .csv    a column graph6; other columns are ignored
    .col    DIMACS: one graph, "p edge n m", then a line "e u v" for every edge, or for both directions of every edge
    .edges  one graph: a line "u v" for every edge, where vertices are any words; a single word is a vertex; '#' comment

All may be compressed (.xz, .gz). Checked are the bytes, length and padding of graph6, and the declared vertices and
edges of DIMACS. Not noticed: an edge of DIMACS that became another one; a line of graph6 that became the line of
another graph; in .edges, a name that became another one, two vertices that became one, or a line that became a comment.
Source: formats: McKay (graph6, sparse6), DIMACS challenge (1993).
"""

from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import TextIO

import networkx as nx

from gram_pyro.tasks.base import Puzzles
from gram_pyro.tasks.colouring.graphs import Coloured, find_colourings, to_puzzles
from gram_pyro.tasks.files import PuzzleFileError, kind_of, locate, open_text
from gram_pyro.tasks.tables import read_table

MAX_VERTICES = 10_000  # a file may claim any number, and each vertex takes memory
LOWEST, HIGHEST = 63, 126  # the bytes of graph6 and sparse6, '?' to '~'


def read_graphs(path: str | Path, n: int, num_colours: int, max_solutions: int) -> Puzzles:
    """The graphs of a file, in order, with all their colourings.

    Raises: FileNotFoundError; PuzzleFileError on anything malformed, on a graph whose number of vertices is not n, and
    on one with no colouring or more than `max_solutions`.
    """
    path = locate(path)
    graphs: list[Coloured] = []
    for row, graph in enumerate(graphs_in(path), 1):
        try:
            if len(graph) != n:
                raise ValueError(f"got a graph on {len(graph)} vertices; expected n={n}; give n={len(graph)}.")
            edges = [graph.has_edge(*pair) for pair in combinations(graph, 2)]
            colourings = find_colourings(edges, n, num_colours, max_solutions)
            if not colourings:
                raise ValueError(f"the graph has no colouring with {num_colours} colours; give more colours.")
            graphs.append((edges, colourings))
        except ValueError as problem:
            raise PuzzleFileError(f"{path}, row {row}: {problem}") from None
    if not graphs:
        raise PuzzleFileError(f"{path} holds no graph; expected one or more.")
    return to_puzzles(graphs, n)


def graphs_in(path: str | Path) -> Iterator[nx.Graph]:
    """The graphs of a file. Vertices are numbered from 0, except in an edge list, where they keep their names.

    Raises: FileNotFoundError; PuzzleFileError on anything malformed.
    """
    path = locate(path)
    readers: dict[str, Callable[[Path, TextIO], Iterator[nx.Graph]]]
    readers = {".g6": _lines, ".s6": _lines, ".csv": _csv_rows, ".col": _dimacs, ".edges": _edge_list}
    if kind_of(path) not in readers:
        raise PuzzleFileError(
            f"{path} is neither .g6, .s6, .csv, .col nor .edges, also .xz or .gz; rename or convert it."
        )
    with open_text(path) as file:
        yield from readers[kind_of(path)](path, file)


def _lines(path: Path, file: TextIO) -> Iterator[nx.Graph]:
    for row, line in enumerate(file, 1):
        if line.strip():
            yield decode(f"{path}, row {row}", line.strip())


def _csv_rows(path: Path, file: TextIO) -> Iterator[nx.Graph]:
    for row, (line,) in enumerate(read_table(path, file, ("graph6",)), 1):
        yield decode(f"{path}, row {row}", line)


def decode(place: str, line: str) -> nx.Graph:
    """A graph from graph6, or from sparse6, which begins with ':'.

    Raises: PuzzleFileError unless the line is exactly the encoding of the graph.
    """
    text = line.removeprefix(">>graph6<<").removeprefix(">>sparse6<<")
    sparse = text.startswith(":")
    name = "sparse6" if sparse else "graph6"
    data = text.removeprefix(":").encode()
    try:
        if text.startswith(("&", ";")):
            raise ValueError("that is digraph6 or incremental sparse6; write graph6 or sparse6")
        for number, byte in enumerate(data, 1):
            if not LOWEST <= byte <= HIGHEST:
                raise ValueError(f"byte {number} is {chr(byte)!r}, and its bytes are '?' to '~'")
        if (n := _num_vertices(data)) > MAX_VERTICES:
            raise ValueError(f"it claims {n} vertices, and at most {MAX_VERTICES} are read")
        if sparse:
            graph = nx.from_sparse6_bytes(text.encode())
            again = nx.to_sparse6_bytes(graph, header=False)
            if graph.is_multigraph() or nx.number_of_selfloops(graph):
                raise ValueError("it has a loop or an edge twice, and no colouring is asked for such a graph")
        else:
            graph = nx.from_graph6_bytes(data)
            again = nx.to_graph6_bytes(graph, header=False)
        if again.decode().strip() != text:
            raise ValueError("it has bits that no graph is written with")
    except (nx.NetworkXError, ValueError, IndexError) as problem:
        raise PuzzleFileError(f"{place}: {line[:40]!r} is not {name} ({problem}); fetch or write it again.") from None
    return graph


def _num_vertices(data: bytes) -> int:
    """The number of vertices at the start of graph6 or sparse6: one byte, or '~' and 3 bytes, or '~~' and 6."""
    marks = len(data) - len(data[:2].lstrip(b"~") + data[2:])
    size = {0: 1, 1: 3, 2: 6}[marks]
    if len(data) < marks + size:
        raise ValueError("it ends within the number of vertices")
    return sum(byte - LOWEST << 6 * place for place, byte in enumerate(reversed(data[marks : marks + size])))


def _dimacs(path: Path, file: TextIO) -> Iterator[nx.Graph]:
    graph, declared, edges = None, 0, []
    for row, line in enumerate(file, 1):
        match line.split():
            case [] | ["c", *_]:
                pass
            case ["p", "edge" | "col", n, m, *_] if (
                graph is None and 0 < _number(n) <= MAX_VERTICES and _number(m) >= 0
            ):
                graph, declared = nx.empty_graph(_number(n)), _number(m)
            case ["e", a, b] if graph and a != b and 0 < min(_number(a), _number(b)) <= _most(a, b) <= len(graph):
                edges.append((_number(a) - 1, _number(b) - 1))
            case ["n", a, _] if graph and 0 < _number(a) <= len(graph):
                pass
            case _:
                raise PuzzleFileError(
                    f"{path}, row {row}: got {line.strip()[:40]!r}; expected 'p edge VERTICES EDGES' once (at most "
                    f"{MAX_VERTICES} vertices), then 'e U V' with two different vertices from 1 on, 'n V VALUE', and "
                    "'c ...' for comments."
                )
    if graph is not None:
        graph.add_edges_from(edges)
        distinct = graph.number_of_edges()
        both = len(set(edges)) == len(edges) == 2 * distinct  # either direction of every edge
        if declared != distinct and not (both and declared == len(edges)):
            raise PuzzleFileError(
                f"{path} declares {declared} edges and holds {distinct} in {len(edges)} lines; fetch it again, or "
                f"correct the line 'p edge {len(graph)} {declared}'."
            )
        yield graph


def _edge_list(path: Path, file: TextIO) -> Iterator[nx.Graph]:
    graph = nx.Graph()
    for row, line in enumerate(file, 1):
        words = line.partition("#")[0].replace(",", " ").split()
        if len(words) > 2 or len(set(words)) < len(words):
            raise PuzzleFileError(
                f"{path}, row {row}: got {line.strip()[:40]!r}; expected 'U V', two different vertices, or 'U', one "
                "that may have no edge."
            )
        graph.add_nodes_from(words)
        graph.add_edges_from([words] if len(words) == 2 else [])
        if len(graph) > MAX_VERTICES:
            raise PuzzleFileError(f"{path} names more than {MAX_VERTICES} vertices; write a smaller graph.")
    if graph:
        yield graph


def _number(word: str) -> int:
    """A number in digits; -1 for anything else."""
    return int(word) if word.isascii() and word.isdigit() and len(word) < 10 else -1


def _most(*words: str) -> int:
    return max(map(_number, words))
