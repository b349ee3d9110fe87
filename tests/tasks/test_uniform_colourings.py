"""An exact sampler of another package draws the colourings that we list, as often as it should."""

import math

import networkx as nx
import pytest
import torch
from scipy import stats

from gram_pyro.evaluation.metrics import ceiling
from gram_pyro.tasks.colouring.task import FIRST, Colouring

parkol = pytest.importorskip("parkol", reason="pip install 'gram_pyro[referees]'")
COLOURS, DRAWS = 4, 1200  # of graphs in which no vertex has more than 3 neighbours: parkol needs a colour to spare


def drawn(graph, seeds):
    """Colours of the vertices, one row per draw."""
    found = [parkol.sample_coloring(graph, COLOURS, method="prs", seed=seed) for seed in seeds]
    return torch.tensor([[colours[v] - 1 for v in sorted(graph)] for colours in found])


def known():
    """A task, and a graph of it that parkol takes, by its number."""
    task = Colouring(n=6, colours=COLOURS, edge_probability=0.45, num_train=1, num_test=20, cache=None)
    puzzles = task.test["graphs"]
    graphs = [task._graph(x) for x in puzzles.x]
    fits = [max(dict(g.degree).values()) < COLOURS and 15 < puzzles.num_solutions[i] for i, g in enumerate(graphs)]
    chosen = fits.index(True)
    return task, puzzles, chosen, graphs[chosen]


def test_every_listed_colouring_is_drawn_as_often_as_it_has_namings():
    """A colouring with c of k colours has k! / (k - c)! namings, and parkol draws namings uniformly."""
    task, puzzles, chosen, graph = known()
    pairs = puzzles.x[chosen, : -task.n].expand(DRAWS, -1)
    named = task.canonical(torch.cat([pairs, FIRST + drawn(graph, range(DRAWS))], 1))
    listed = puzzles.solutions_of(chosen)
    same = (named[:, None] == listed).all(-1)
    assert same.sum(1).eq(1).all()
    used = listed[:, -task.n :].amax(1) - FIRST + 1
    namings = torch.tensor([math.perm(COLOURS, int(c)) for c in used]).double()
    expected = DRAWS * namings / namings.sum()
    assert expected.min() > 5 and stats.chisquare(same.sum(0), expected).pvalue > 1e-3


def test_a_perfect_sampler_reaches_the_ceiling_and_no_more():
    graph, width, trials = nx.path_graph(3), 20, 60
    namings = COLOURS * (COLOURS - 1) ** 2
    rows = drawn(graph, range(width * trials)).view(trials, width, 3)
    found = torch.tensor([len(row.unique(dim=0)) / namings for row in rows]).double()
    best = ceiling(torch.tensor([namings]), width).item()
    assert abs(found.mean() - best) < 4 * found.std() / trials**0.5
