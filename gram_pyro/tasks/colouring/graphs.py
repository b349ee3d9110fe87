"""Random graphs to colour, their isomorphism classes, and all their colourings.

A graph on n vertices is its row of edges [P] bool, P = n (n - 1) / 2: the strict upper triangle, row by row.
Source: ours.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations, islice

import numpy as np
import torch

from gram_pyro.tasks.base import Puzzles
from gram_pyro.tasks.sudoku.generator import KEYS, is_test_class
from gram_pyro.tasks.sudoku.generator import mix as mix

CHUNK = 1000  # graphs drawn at a time; part of what a seed means
MAX_STEPS = 1_000_000  # of a search for colourings: some seconds
ROUNDS = 4  # of refinement

Colours = list[int]  # 0, 1, ... for every vertex, numbered by first appearance
Coloured = tuple[list[bool], list[Colours]]  # the edges of a graph, and all its colourings


def find_colourings(edges: Sequence[bool], n: int, num_colours: int, max_solutions: int) -> list[Colours]:
    """All proper colourings with at most `num_colours` colours, sorted; empty if there are none, see `colourings`.

    Raises: ValueError if there are more than `max_solutions`, or if the search does not end within MAX_STEPS.
    """
    found = list(islice(colourings(edges, n, num_colours), max_solutions + 1))
    if len(found) > max_solutions:
        raise ValueError(
            f"a graph on {n} vertices has more than max_solutions={max_solutions} colourings with {num_colours} "
            "colours; write a larger max_solutions, fewer colours or more edges"
        )
    return sorted(found)


def colourings(edges: Sequence[bool], n: int, num_colours: int) -> Iterator[Colours]:
    """All proper colourings with at most `num_colours` colours, each once up to renaming.

    By backtracking. The vertex with the fewest colours left is next (of several, the first). It gets every used colour
    that no neighbour has, or one new colour: two new colours differ in name only.
    Raises: ValueError if the search does not end within MAX_STEPS.
    """
    neighbours = [0] * n
    for (a, b), joined in zip(combinations(range(n), 2), edges, strict=True):
        if joined:
            neighbours[a] |= 1 << b
            neighbours[b] |= 1 << a
    steps = 0
    stack = [((), (), (1 << n) - 1)]  # vertices of every colour; their neighbours; vertices to be coloured
    while stack:
        classes, blocked, uncoloured = stack.pop()
        steps += 1
        if steps > MAX_STEPS:
            raise ValueError(
                f"the search for all colourings of a graph on {n} vertices with {num_colours} colours was given up "
                f"after {MAX_STEPS} steps; write a smaller graph"
            )
        if not uncoloured:
            yield _read(classes, n)
            continue
        vertex = _hardest(blocked, uncoloured)
        near, rest = neighbours[vertex.bit_length() - 1], uncoloured ^ vertex
        for c, taken in enumerate(blocked):
            if not taken & vertex:
                with_vertex = (*classes[:c], classes[c] | vertex, *classes[c + 1 :])
                stack.append((with_vertex, (*blocked[:c], taken | near, *blocked[c + 1 :]), rest))
        if len(classes) < num_colours:
            stack.append(((*classes, vertex), (*blocked, near), rest))


def _hardest(blocked: Sequence[int], uncoloured: int) -> int:
    """The bit of the uncoloured vertex with the fewest colours left."""
    at_least = [uncoloured] + [0] * len(blocked)  # bit v of at_least[k]: k colours or more are taken for v
    for taken in blocked:
        for k in range(len(blocked), 0, -1):
            at_least[k] |= at_least[k - 1] & taken
    most = next(vertices for vertices in reversed(at_least) if vertices)
    return most & -most


def _read(classes: Sequence[int], n: int) -> Colours:
    ordered = sorted(classes, key=lambda vertices: vertices & -vertices)  # by least vertex
    return [next(c for c, vertices in enumerate(ordered) if vertices >> v & 1) for v in range(n)]


def to_puzzles(graphs: Sequence[Coloured], n: int) -> Puzzles:
    """Graphs as puzzles, in the symbols of `gram_pyro.tasks.colouring.task.Colouring`."""
    pairs = torch.tensor([edges for edges, _ in graphs], dtype=torch.int64).view(-1, n * (n - 1) // 2) + 1
    counts = torch.tensor([len(colourings) for _, colourings in graphs], dtype=torch.int64)
    vertices = torch.tensor([y for _, colourings in graphs for y in colourings], dtype=torch.int64).view(-1, n) + 3
    return Puzzles(
        torch.cat([pairs, pairs.new_zeros(len(pairs), n)], 1),
        torch.cat([pairs.repeat_interleave(counts, 0), vertices], 1),
        torch.cat([counts.new_zeros(1), counts.cumsum(0)]),
    )


def class_hash(edges: np.ndarray, n: int) -> np.ndarray:
    """An invariant of the isomorphism class of each graph, by Weisfeiler-Lehman refinement of ordered pairs (2-WL).

        c_ij <- mix(k_0 c_ij + sum_l mix(k_1 c_il + k_2 c_lj)),   h = mix(sum_ij mix(c_ij)),   modulo 2^64

    c_ij starts as edge, no edge, or i = j. Isomorphic graphs ALWAYS have equal hashes. Others may collide, which only
    removes too many graphs from a test set; the 3-colourable graphs on 8 vertices do not collide.

    Shapes: edges [N, P] bool -> [N] uint64.  Source: Weisfeiler and Leman (1968); sums of mixed values: ours, as in
    `sudoku_generator.symmetry_hash`.
    """
    parts = np.array_split(edges, len(edges) * n**3 // 2**22 + 1)  # bounds the memory
    return np.concatenate([_hash(part, n) for part in parts])


def _hash(edges: np.ndarray, n: int) -> np.ndarray:
    rows, columns = np.triu_indices(n, 1)
    colour = np.zeros((len(edges), n, n), dtype=np.uint64)
    colour[:, rows, columns] = colour[:, columns, rows] = edges
    colour[:, range(n), range(n)] = 2
    colour = mix(colour)
    for _ in range(ROUNDS):
        left, right = KEYS[1] * colour, KEYS[2] * colour.transpose(0, 2, 1)
        colour = mix(KEYS[0] * colour + mix(left[:, :, None] + right[:, None]).sum(-1))
    return mix(mix(colour).sum((1, 2)))


def draw_split(
    n: int, edge_probability: float, num_colours: int, num_train: int, num_test: int, max_solutions: int, seed: int
) -> tuple[Puzzles, Puzzles]:
    """Colourable Erdos-Renyi graphs, train and test, without a common isomorphism class.

    A graph is in test iff `is_test_class` of its hash. So the split depends on the class alone: every train set is
    disjoint from every test set, for all seeds. Test has one graph per class; train may repeat a class. Drawing stops
    when train is full and CHUNK graphs give no new test class; test is then short.

    Raises: ValueError if CHUNK graphs give none to train on, or a graph has more than `max_solutions` colourings.
    """
    rng = np.random.default_rng(seed)
    train: list[Coloured] = []
    test: list[Coloured] = []
    seen: set[int] = set()
    while True:
        before = len(train), len(test)
        drawn = rng.random((CHUNK, n * (n - 1) // 2)) < edge_probability
        hashes = class_hash(drawn, n)
        for edges, name, held_out in zip(drawn.tolist(), hashes.tolist(), is_test_class(hashes).tolist(), strict=True):
            wanted = len(test) < num_test and name not in seen if held_out else len(train) < num_train
            if wanted and (colourings := find_colourings(edges, n, num_colours, max_solutions)):
                (test if held_out else train).append((edges, colourings))
            if held_out:
                seen.add(name)
        if len(train) == num_train and (len(test) == num_test or len(test) == before[1]):
            return to_puzzles(train, n), to_puzzles(test, n)
        if len(train) == before[0] < num_train:
            raise ValueError(
                f"got no graph to train on among {CHUNK} with n={n}, edge_probability={edge_probability}; expected one "
                f"that has a colouring with {num_colours} colours; write fewer edges, more colours or, if n is small, "
                "more vertices"
            )
