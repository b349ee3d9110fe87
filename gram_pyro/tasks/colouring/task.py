"""Graph colouring as a task: random or given graphs, the rules, and the symmetries of the vertices.

    y solves x  <=>  y_ij = x_ij for every pair,  y_i is a colour for every vertex,  y_i != y_j for every edge ij

Cells are the P = n (n - 1) / 2 pairs of vertices (strict upper triangle, row by row), then the n vertices. Symbols: 0
blank, 1 no edge, 2 edge, 3 .. 2 + k colours. In x the vertices are blank.

The names of colours do not matter: a colouring is canonical if its colours are numbered by first appearance in vertex
order. Solution sets contain canonical colourings, and answers are compared in canonical form. In training every naming
of a colouring is right. The task is then symmetric in vertices and in colours, and noise must break the symmetry: a
network without noise needs `canonical.py`. Source: the paper's graph colouring; cells, split, relations and free names:
ours.
"""

import logging
import math
from collections.abc import Mapping
from functools import cached_property
from itertools import permutations
from pathlib import Path

import networkx as nx
import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from gram_pyro.tasks.base import Batch, Puzzles
from gram_pyro.tasks.cache import AUTO, cached
from gram_pyro.tasks.colouring.files import read_graphs
from gram_pyro.tasks.colouring.graphs import class_hash, draw_split
from gram_pyro.tasks.drawn import DrawnTask

FORMAT = 1  # of the cache; raise it when other graphs are drawn
EDGE, FIRST = 2, 3  # symbols: an edge, the first colour
MOST_NAMES = 24  # namings of one colouring in training: 4 colours
OKABE_ITO = ("#56B4E9", "#E69F00", "#009E73", "#F0E442", "#CC79A7", "#999999", "#0072B2")  # without red and black
RED, GREY = "#D55E00", "#555555"  # edges

log = logging.getLogger(__name__)


class Colouring(DrawnTask):
    """Graphs on n vertices, to be coloured with at most k colours.

    `num_train` and `num_test` colourable Erdos-Renyi graphs are drawn (every pair is an edge with probability
    `edge_probability`). Train and test share no isomorphism class, and the test set "graphs" has one graph per class.
    Small n have few classes (n = 8, k = 3: 6024, of which a third are for tests); test is then shorter, and a warning
    is logged. The result is stored in `cache` (None: no cache; auto: the user's cache folder).
    If `test` is a file or {name: file}, see `read_graphs`, these are the test sets instead; graphs whose class may
    occur in train are left out, with a warning. With num_train=0 there is nothing to train on, and nothing is left out.
    Graphs are drawn or read on the first use of `train` or `test`; a graph with more than `max_solutions` canonical
    colourings is then an error (n <= 10 and k = 3: none has more than 9842).

    Raises: ValueError on arguments out of range, and if there is nothing to train on.
    """

    test_name = "graphs"

    def __init__(
        self,
        n: int = 8,
        edge_probability: float = 0.4,
        colours: int = 3,
        num_train: int = 7000,
        num_test: int = 255,
        max_solutions: int = 10_000,
        test: str | Path | Mapping[str, str | Path] | None = None,
        seed: int = 0,
        cache: str | Path | None = AUTO,
    ) -> None:
        if n < 2 or not 0 <= edge_probability <= 1 or not 1 <= colours <= 250 or min(num_train, num_test, seed) < 0:
            raise ValueError(
                f"got n={n}, edge_probability={edge_probability}, colours={colours}, num_train={num_train}, "
                f"num_test={num_test}, seed={seed}; expected n >= 2, 0 <= edge_probability <= 1, "
                "1 <= colours <= 250, num_train >= 0, num_test >= 0, seed >= 0"
            )
        self.n, self.colours, self.max_solutions = n, colours, max_solutions
        self.num_train, self.num_test = num_train, num_test
        self.classes = f"n={n} has no more isomorphism classes"
        self._pairs = n * (n - 1) // 2
        self._row, self._column = torch.triu_indices(n, n, 1)
        self.num_cells = self._pairs + n
        self.num_symbols = FIRST + colours
        self._drawn = {
            "n": n,
            "edge_probability": edge_probability,
            "num_colours": colours,
            "num_train": num_train,
            "num_test": num_test,
            "max_solutions": max_solutions,
            "seed": seed,
        }
        self._cache = cache
        self._files = {Path(test).name: test} if isinstance(test, str | Path) else test

    @cached_property
    def relations(self) -> Tensor:
        """[2, L, L] bool: a pair contains a vertex (in both directions); two pairs share a vertex."""
        pairs, vertices = slice(0, self._pairs), slice(self._pairs, None)
        ends = torch.zeros(self._pairs, self.n)
        ends.scatter_(1, torch.stack([self._row, self._column], 1), 1.0)
        relations = torch.zeros(2, self.num_cells, self.num_cells, dtype=torch.bool)
        relations[0, pairs, vertices], relations[0, vertices, pairs] = ends.bool(), ends.mT.bool()
        relations[1, pairs, pairs] = ends @ ends.mT == 1  # 2: the same pair
        return relations

    def draw_split(self) -> dict[str, Puzzles]:
        def draw() -> dict[str, Puzzles]:
            return dict(zip(("train", self.test_name), draw_split(**self._drawn), strict=True))

        return cached(self._cache, f"colouring-{self.n}", self._drawn | {"format": FORMAT}, draw)

    @cached_property
    def test(self) -> dict[str, Puzzles]:
        if self._files is None:
            return super().test
        return {name: self._read(file) for name, file in self._files.items()}

    def _read(self, file: str | Path) -> Puzzles:
        puzzles = read_graphs(file, self.n, self.colours, self.max_solutions)
        if self.num_train == 0:
            return puzzles
        fresh = ~np.isin(self._class_hash(puzzles), self._class_hash(self.train))
        if not fresh.all():
            log.warning(
                "%d of %d graphs of %s share an isomorphism class with train and are left out.",
                (~fresh).sum(),
                len(fresh),
                file,
            )
        return puzzles.select(torch.from_numpy(np.flatnonzero(fresh)))

    def _class_hash(self, puzzles: Puzzles) -> np.ndarray:
        return class_hash((puzzles.x[:, : self._pairs] == EDGE).numpy(), self.n)

    def is_solved(self, x: Tensor, y: Tensor) -> Tensor:
        """Whether y is a proper colouring, canonical or not."""
        return self.violations(x, y) == 0

    def violations(self, x: Tensor, y: Tensor) -> Tensor:
        """The number of edges whose ends have one colour, of vertices without a colour, and of changed pairs."""
        (pairs, _), (copy, vertices) = self._halves(x), self._halves(y)
        wrong = (self._conflicts(x, y), ~self._is_colour(vertices), pairs != copy)
        return sum(part.sum(-1) for part in wrong)

    def _halves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The pairs [..., P] and the vertices [..., n]."""
        return x[..., : self._pairs], x[..., self._pairs :]

    def _is_colour(self, vertices: Tensor) -> Tensor:
        return (vertices >= FIRST) & (vertices < self.num_symbols)

    def _conflicts(self, x: Tensor, y: Tensor) -> Tensor:
        """Which pairs are edges of x whose ends have one colour in y, [..., P] bool."""
        vertices = self._halves(y)[1]
        first, second = vertices[..., self._row], vertices[..., self._column]
        return (self._halves(x)[0] == EDGE) & (first == second) & self._is_colour(first)

    def canonical(self, y: Tensor) -> Tensor:
        """y [..., L] with its colours numbered by first appearance; cells without a colour do not change."""
        pairs, vertices = self._halves(y)
        old = torch.arange(FIRST, self.num_symbols, device=y.device)
        rank = torch.arange(self.n, 0, -1, device=y.device)[:, None]  # n for the first vertex
        first = ((vertices[..., None] == old) * rank).amax(-2)  # [..., k], 0 for a colour that does not occur
        new = first.argsort(-1, descending=True).argsort(-1) + FIRST
        renamed = new.gather(-1, (vertices - FIRST).clamp(0, self.colours - 1))
        return torch.cat([pairs, torch.where(self._is_colour(vertices), renamed, vertices)], -1)

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        """A uniform naming of the colours of every y; the solution sets then list every naming, each once.

        Shapes: solutions [B, M, L] -> [B, M k!, L].  Raises: ValueError if there are more than MOST_NAMES.
        """
        if math.factorial(self.colours) > MOST_NAMES:
            raise ValueError(
                f"got colours={self.colours}, with {math.factorial(self.colours)} namings of a colouring; expected 4 "
                "colours at most; write task._target_=gram_pyro.tasks.colouring.canonical.CanonicalColouring"
            )
        names = torch.tensor(list(permutations(range(self.colours)))) + FIRST
        symbols = torch.cat([torch.arange(FIRST).expand(len(names), -1), names], 1)  # [k!, V]
        drawn = symbols[torch.randint(len(names), (len(batch.x),), generator=generator)]  # [B, V]
        solutions = symbols[:, batch.solutions].movedim(0, 2).flatten(1, 2)
        # Namings that differ only in unused colours are equal; the one that keeps the order of these is listed.
        used = batch.solutions.amax(-1) - FIRST + 1  # [B, M]
        keeps_order = torch.stack([(names[:, c:].diff() > 0).all(-1) for c in range(self.colours + 1)])  # [k + 1, k!]
        valid = batch.valid[..., None] & keeps_order[used]
        return Batch(batch.x, drawn.gather(1, batch.y), solutions, valid.flatten(1, 2))

    def render(self, x: Tensor, y: Tensor | None = None) -> str:
        """Graph x [L] as text, with a line for every vertex and its neighbours, and the colours of answer y [L] with
        their mistakes. Vertices and colours are counted from 1."""
        edges = nx.to_dict_of_lists(self._graph(x))
        width = max(len(" ".join(str(v + 1) for v in near)) for near in edges.values())
        lines = [f"{v + 1:>2}: {' '.join(str(u + 1) for u in sorted(near)):<{width}}" for v, near in edges.items()]
        if y is None:
            return "\n".join(line.rstrip() for line in lines)
        clashes = nx.Graph(self._edges(self._conflicts(x, y)))
        for v, symbol in enumerate(self._halves(y)[1].tolist()):
            lines[v] += f"   colour {symbol - FIRST + 1}" if FIRST <= symbol < self.num_symbols else "   no colour"
            if v in clashes:
                lines[v] += f", as {' '.join(str(u + 1) for u in sorted(clashes[v]))}"
        changed = self._edges(self._halves(x)[0] != self._halves(y)[0])
        if changed:
            lines.append("changed pairs: " + " ".join(f"{a + 1}-{b + 1}" for a, b in changed))
        return "\n".join(lines)

    def draw(self, axes: Axes, x: Tensor, y: Tensor | None = None) -> None:
        """Graph x [L] on a circle; with answer y [L], vertices in its colours (white: none) and wrong edges in red.

        Raises: ValueError if there are too many colours to distinguish.
        """
        if self.colours > len(OKABE_ITO):
            raise ValueError(f"got colours={self.colours}; expected up to {len(OKABE_ITO)} to draw; use render")
        graph = self._graph(x)
        y = torch.zeros_like(x) if y is None else y
        palette = dict(enumerate(OKABE_ITO, FIRST))
        fill = [palette.get(symbol, "white") for symbol in self._halves(y)[1].tolist()]
        broken = set(self._edges(self._conflicts(x, y)))
        where = nx.circular_layout(graph)
        style = [(RED, 3.0) if edge in broken else (GREY, 1.0) for edge in graph.edges]
        stroke, width = ([s[i] for s in style] for i in (0, 1))
        nx.draw_networkx_edges(graph, where, ax=axes, edge_color=stroke, width=width)
        nx.draw_networkx_nodes(graph, where, ax=axes, node_color=fill, edgecolors="black")
        nx.draw_networkx_labels(graph, where, {v: str(v + 1) for v in graph}, ax=axes, font_size=9)
        axes.set_aspect("equal")
        axes.set_axis_off()

    def _edges(self, chosen: Tensor) -> list[tuple[int, int]]:
        """The pairs (a, b), a < b, where `chosen` [P] bool is True."""
        return list(zip(self._row[chosen].tolist(), self._column[chosen].tolist(), strict=True))

    def _graph(self, x: Tensor) -> nx.Graph:
        graph = nx.empty_graph(self.n)
        graph.add_edges_from(self._edges(self._halves(x)[0] == EDGE))
        return graph
