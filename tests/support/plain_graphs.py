"""Graphs in networkx and their colourings by brute force: what the tests of the solver and of the task compare with."""

import itertools
from random import Random

import networkx as nx

from gram_pyro.tasks.colouring.graphs import class_hash


def pairs_of(n):
    return list(itertools.combinations(range(n), 2))


def edges_of(graph):
    return [graph.has_edge(*pair) for pair in pairs_of(len(graph))]


def graph_of(n, x):
    graph = nx.empty_graph(n)
    graph.add_edges_from(pair for pair, symbol in zip(pairs_of(n), x, strict=False) if symbol == 2)
    return graph


def hashes_of(n, puzzles):
    return class_hash((puzzles.x[:, : n * (n - 1) // 2] == 2).numpy(), n).tolist()


def relabelled(colours):
    names = {}
    return [names.setdefault(c, len(names)) for c in colours]


def brute_force(graph, k):
    """All k^n assignments; the proper ones, up to renaming."""
    proper = (c for c in itertools.product(range(k), repeat=len(graph)) if all(c[a] != c[b] for a, b in graph.edges))
    return sorted({tuple(relabelled(c)) for c in proper})


def random_graphs(n, count, seed=0):
    rng = Random(seed)
    return [nx.gnp_random_graph(n, rng.uniform(0.1, 0.8), seed=rng.randrange(10**6)) for _ in range(count)]
