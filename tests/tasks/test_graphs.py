"""Colourings and isomorphism classes of graphs: solver and hash against brute force, networkx or a theorem."""

import csv
import itertools
import math

import networkx as nx
import numpy as np
import pytest
import torch
from data_folder import ALL8, DATA, needs
from plain_graphs import brute_force, edges_of, hashes_of, random_graphs

from gram_pyro.tasks.colouring import graphs
from gram_pyro.tasks.colouring.files import read_graphs
from gram_pyro.tasks.colouring.graphs import class_hash, find_colourings
from gram_pyro.tasks.colouring.task import Colouring
from gram_pyro.tasks.files import PuzzleFileError

needs_data = needs("graphs")


def count_named(graph, k):
    """P(G, k), the chromatic polynomial, from canonical colourings: m colours have k (k - 1) .. (k - m + 1) names."""
    return sum(math.perm(k, max(c) + 1) for c in find_colourings(edges_of(graph), len(graph), k, 10**6))


@pytest.mark.parametrize("n, k", [(1, 1), (4, 2), (5, 3), (6, 3), (6, 4), (7, 3)])
def test_solver_against_brute_force(n, k):
    for graph in random_graphs(n, 15, seed=n):
        assert list(map(tuple, find_colourings(edges_of(graph), n, k, 10**6))) == brute_force(graph, k)


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_solver_against_chromatic_polynomials(k):
    for n in (3, 4, 5, 8):
        assert count_named(nx.complete_graph(n), k) == math.perm(k, n)
        assert count_named(nx.cycle_graph(n), k) == (k - 1) ** n + (-1) ** n * (k - 1)
        assert count_named(nx.random_labeled_tree(n, seed=n), k) == k * (k - 1) ** (n - 1)
        assert count_named(nx.empty_graph(n), k) == k**n
        wheel = k * ((k - 2) ** (n - 1) + (-1) ** (n - 1) * (k - 2))
        assert n < 4 or count_named(nx.wheel_graph(n), k) == wheel
    petersen = [0, 0, 120, 12960, 332880]  # the Petersen graph, known values of its polynomial at 1..5
    assert k == 5 or count_named(nx.petersen_graph(), k) == petersen[k - 1]


@needs_data
def test_solver_and_hash_on_all_classes_of_8_vertices():
    """6024 classes: the number of colourings of each, and no two with one hash."""
    with ALL8.open(newline="") as file:
        expected = [int(row["canonical_3colourings"]) for row in csv.DictReader(file)]
    puzzles = read_graphs(ALL8, 8, 3, 10_000)
    assert puzzles.num_solutions.tolist() == expected and len(expected) == 6024
    assert len(set(hashes_of(8, puzzles))) == 6024
    owner = torch.repeat_interleave(torch.arange(6024), puzzles.num_solutions)
    assert Colouring().is_solved(puzzles.x[owner], puzzles.solutions).all()


@needs_data
@pytest.mark.parametrize("name, count", [("myciel3", 520), ("myciel4", None), ("queen5_5", 2), ("queen7_7", 4)])
def test_chromatic_numbers_of_dimacs(name, count):
    """None with one colour less; queen n x n: the ways to part the board into n solutions of n queens."""
    file = DATA / "dimacs" / f"{name}.col"
    with (DATA / "dimacs" / "index.csv").open(newline="") as table:
        (known,) = (row for row in csv.DictReader(table) if row["name"] == name)
    n, k = int(known["vertices"]), int(known["chromatic_number"])
    with pytest.raises(PuzzleFileError, match=f"has no colouring with {k - 1} colours"):
        read_graphs(file, n, k - 1, 10)
    if count is None:
        with pytest.raises(PuzzleFileError, match=f"row 1: a graph on {n} vertices has more than max_solutions=600"):
            read_graphs(file, n, k, 600)
    else:
        task = Colouring(n=n, colours=k, num_train=0, test=file)
        (puzzles,) = task.test.values()
        assert puzzles.num_solutions.tolist() == [count] and task.is_solved(puzzles.x[0], puzzles.solutions).all()
        assert (puzzles.x == 2).sum() == int(known["undirected_edges"])


def test_solver_gives_up_with_a_sentence(monkeypatch):
    with pytest.raises(ValueError, match="on 30 vertices has more than max_solutions=50 colourings with 3 colours"):
        find_colourings([False] * 435, 30, 3, 50)
    assert len(find_colourings([False] * 3, 3, 3, 5)) == 5
    monkeypatch.setattr(graphs, "MAX_STEPS", 1000)
    hard = nx.mycielskian(nx.mycielskian(nx.mycielskian(nx.cycle_graph(5))))
    with pytest.raises(ValueError, match="on 47 vertices with 5 colours was given up after 1000 steps"):
        find_colourings(edges_of(hard), 47, 5, 10)


def test_hash_is_invariant_and_separates():
    rng = np.random.default_rng(0)
    graphs = random_graphs(7, 60) + [nx.cycle_graph(7), nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(4))]
    hashes = class_hash(np.array([edges_of(g) for g in graphs]), 7)
    for _ in range(3):
        shuffled = [nx.relabel_nodes(g, dict(enumerate(rng.permutation(7).tolist()))) for g in graphs]
        assert (class_hash(np.array([edges_of(g) for g in shuffled]), 7) == hashes).all()
    for (a, g), (b, h) in itertools.combinations(zip(hashes.tolist(), graphs, strict=True), 2):
        assert (a == b) == nx.is_isomorphic(g, h)
