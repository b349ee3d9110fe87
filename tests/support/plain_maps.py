"""Maps in networkx and plain Python - shortest plans, a judge, images - that the tests of planning compare with."""

import itertools

import networkx as nx
import numpy as np
import torch

from gram_pyro.tasks.planning.grids import Grid, random_maps

BLANK, WALL, START, GOAL, PATH, OFF = range(6)


def board(text):
    """A map or an answer row by row, as render writes it."""
    return torch.tensor([".#SG*-".index(c) for c in text if not c.isspace()])


def graph_of(x, rows, columns):
    """The cells that are no walls, as vertices of a networkx grid."""
    graph = nx.grid_2d_graph(rows, columns)
    graph = nx.relabel_nodes(graph, {(r, c): r * columns + c for r, c in graph})
    graph.remove_nodes_from([cell for cell, symbol in enumerate(x) if symbol == WALL])
    return graph


def shortest_plans(x, rows, columns):
    """All answers, by networkx."""
    graph, start, goal = graph_of(x, rows, columns), x.index(START), x.index(GOAL)
    if not nx.has_path(graph, start, goal):
        return []
    answers = []
    for path in nx.all_shortest_paths(graph, start, goal):
        answers.append([symbol or (PATH if cell in path else OFF) for cell, symbol in enumerate(x)])
    return sorted(answers)


def smallest_bridges(x, rows, columns):
    """All answers that make start, goal and path one connected piece, and among these the smallest: brute force over
    every way to mark the free cells, without a word on distances."""
    graph, free = graph_of(x, rows, columns), [cell for cell, symbol in enumerate(x) if symbol == BLANK]
    for size in range(len(free) + 1):
        found = []
        for path in itertools.combinations(free, size):
            if nx.is_connected(graph.subgraph([x.index(START), x.index(GOAL), *path])):
                found.append([symbol or (PATH if cell in path else OFF) for cell, symbol in enumerate(x)])
        if found:
            return sorted(found)
    return []


def judge(x, y, rows, columns):
    """What is broken, in plain Python."""
    graph, start, goal = graph_of(x, rows, columns), x.index(START), x.index(GOAL)
    distance = nx.single_source_shortest_path_length(graph, start)
    path = {start, goal} | {cell for cell in graph if x[cell] == BLANK and y[cell] == PATH}
    broken = 0
    for cell in path:
        steps = [distance[other] - distance[cell] for other in graph[cell] if other in path and cell in distance]
        broken += abs(steps.count(-1) - (cell != start)) + abs(steps.count(1) - (cell != goal))
    changed = sum(a != BLANK and a != b for a, b in zip(x, y, strict=True))
    undecided = sum(a == BLANK and b not in (PATH, OFF) for a, b in zip(x, y, strict=True))
    return broken + changed + undecided


def images(x, rows, columns):
    """A map turned, reflected and walked backwards, in plain Python, as many as keep its shape."""
    found = []
    for way in (x, [{START: GOAL, GOAL: START}.get(symbol, symbol) for symbol in x]):
        lines = [tuple(way[r * columns : (r + 1) * columns]) for r in range(rows)]
        for _ in range(4):
            lines = list(zip(*lines[::-1], strict=True))
            found += [lines, [line[::-1] for line in lines]]
    return [sum(lines, ()) for lines in found if len(lines) == rows]


def name_of(x, rows, columns):
    return min(images(x, rows, columns))


def some_maps(rows, columns, count=40, wall_probability=0.3, seed=0):
    return random_maps(Grid(rows, columns), wall_probability, np.random.default_rng(seed))[:count]
