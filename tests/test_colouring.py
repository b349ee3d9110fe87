"""Graph colouring: every claim is checked against brute force, networkx or a theorem."""

import csv
import itertools
import logging
import math
import os
from collections import Counter
from pathlib import Path
from random import Random

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from gram_pyro.tasks import graphs
from gram_pyro.tasks.base import Batch, draw_batch
from gram_pyro.tasks.canonical_colouring import CanonicalColouring
from gram_pyro.tasks.colouring import OKABE_ITO, RED, Colouring
from gram_pyro.tasks.graphs import class_hash, draw_split, find_colourings, read_graphs
from gram_pyro.tasks.sudoku_files import PuzzleFileError

DATA = Path(os.environ.get("GRAM_DATA", Path(__file__).parents[2] / "shared" / "data"))
ALL8 = DATA / "graphs" / "n8_3colourable.csv"
needs_data = pytest.mark.skipif(not ALL8.is_file(), reason="needs the data folder (GRAM_DATA)")


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


def count_named(graph, k):
    """P(G, k), the chromatic polynomial, from canonical colourings: m colours have k (k - 1) .. (k - m + 1) names."""
    return sum(math.perm(k, max(c) + 1) for c in find_colourings(edges_of(graph), len(graph), k, 10**6))


def random_graphs(n, count, seed=0):
    rng = Random(seed)
    return [nx.gnp_random_graph(n, rng.uniform(0.1, 0.8), seed=rng.randrange(10**6)) for _ in range(count)]


@pytest.fixture(scope="module")
def task8():
    return Colouring(num_train=300, num_test=60, cache=None)


def test_cells_and_relations():
    task = Colouring(n=5, colours=4)
    names = [set(pair) for pair in pairs_of(5)] + list(range(5))
    assert (task.num_cells, task.num_symbols, task.relations.shape) == (15, 7, (2, 15, 15))
    ordered = CanonicalColouring(n=5, colours=4).relations
    for i, j in itertools.product(range(15), repeat=2):
        a, b = names[i], names[j]
        pairs, vertices = isinstance(a, set) + isinstance(b, set), isinstance(a, int) and isinstance(b, int)
        holds = pairs == 1 and (a in b if isinstance(b, set) else b in a)
        shares = pairs == 2 and len(a & b) == 1
        assert task.relations[:, i, j].tolist() == [holds, shares]
        assert ordered[:, i, j].tolist() == [holds, shares, vertices and a > b, vertices and a < b]


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


def judge(n, k, x, y):
    """The rules, in plain Python: how many are broken."""
    pairs = n * (n - 1) // 2
    colours = y[pairs:]
    conflicts = sum(
        x[p] == 2 and colours[a] == colours[b] and 3 <= colours[a] < 3 + k for p, (a, b) in enumerate(pairs_of(n))
    )
    changed = sum(a != b for a, b in zip(x[:pairs], y[:pairs], strict=True))
    return conflicts + sum(not 3 <= c < 3 + k for c in colours) + changed


def test_violations_by_hand():
    """A path 1-2-3 and its answers."""
    task = Colouring(n=3, colours=2)
    x = torch.tensor([2, 1, 2, 0, 0, 0])
    answers = {
        (2, 1, 2, 3, 4, 3): 0,
        (2, 1, 2, 4, 3, 4): 0,  # proper, though not canonical
        (2, 1, 2, 3, 3, 3): 2,
        (2, 1, 2, 3, 3, 4): 1,
        (2, 1, 2, 0, 0, 0): 3,  # blanks do not clash
        (2, 1, 2, 3, 5, 3): 1,  # one colour too many
        (2, 1, 2, 3, 2, -1): 2,
        (1, 1, 2, 3, 4, 3): 1,
        (2, 2, 2, 3, 4, 3): 1,
        (1, 1, 1, 3, 3, 3): 4,  # taking the edges away does not help
    }
    y = torch.tensor(list(answers))
    assert task.violations(x, y).tolist() == list(answers.values())
    assert task.violations(x, y).dtype == torch.int64
    assert task.is_solved(x, y).tolist() == [v == 0 for v in answers.values()]


def test_violations_against_the_judge(task8):
    rng, rows = Random(0), []
    for i in range(60):
        x = task8.train.x[i].tolist()
        for y in task8.train.solutions_of(i).tolist()[:3]:
            cells = rng.sample(range(36), rng.choice([0, 0, 1, 2]))
            rows += [(x, [rng.choice([-1, 0, 1, 2, 3, 4, 5, 6]) if c in cells else v for c, v in enumerate(y)])]
            rows += [(x, y[:28] + rng.sample(y[28:], 8))]
    x, y = (torch.tensor(t) for t in zip(*rows, strict=True))
    expected = torch.tensor([judge(8, 3, a, b) for a, b in rows])
    assert 0.1 < (expected == 0).double().mean() < 0.9
    assert torch.equal(task8.violations(x, y), expected)
    assert torch.equal(task8.violations(x[:, None, None], y[:, None, None])[:, 0, 0], expected)
    assert torch.equal(task8.is_solved(x[3], y), torch.tensor([judge(8, 3, rows[3][0], b) == 0 for _, b in rows]))


def test_canonical(task8):
    rng = torch.Generator().manual_seed(0)
    y = torch.randint(0, 7, (200, 5, 36), generator=rng)
    y[:, 0, 28:] = torch.randint(3, 6, (200, 8), generator=rng)  # no blank
    renamed = task8.canonical(y)
    for old, new in zip(y.flatten(0, 1).tolist(), renamed.flatten(0, 1).tolist(), strict=True):
        names = iter(relabelled([v for v in old[28:] if v in (3, 4, 5)]))
        assert new == old[:28] + [next(names) + 3 if v in (3, 4, 5) else v for v in old[28:]]
    assert torch.equal(task8.canonical(renamed), renamed)
    for order in itertools.permutations((3, 4, 5)):
        other = torch.cat([y[..., :28], torch.tensor([0, 1, 2, *order, 6])[y[..., 28:]]], -1)
        assert torch.equal(task8.canonical(other), renamed)
    assert torch.equal(task8.canonical(task8.train.solutions), task8.train.solutions)


def test_solution_sets_are_complete(task8):
    for puzzles in (task8.train, task8.test["graphs"]):
        for i in range(12):
            x = puzzles.x[i].tolist()
            expected = [x[:28] + [c + 3 for c in colours] for colours in brute_force(graph_of(8, x), 3)]
            assert puzzles.solutions_of(i).tolist() == expected and x[28:] == [0] * 8


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_every_naming_of_a_colouring_is_a_solution_once(k):
    """Against all k^n assignments, graphs whose colourings leave colours unused among them."""
    drawn = [nx.empty_graph(4), nx.path_graph(4), nx.cycle_graph(4), nx.complete_graph(4)]
    known = [(edges_of(g), colourings) for g in drawn if (colourings := find_colourings(edges_of(g), 4, k, 10_000))]
    puzzles = graphs.to_puzzles(known, 4)
    generator = torch.Generator().manual_seed(0)
    batch = Colouring(n=4, colours=k).augment(draw_batch(puzzles, torch.arange(len(known)), generator), generator)
    for i, (edges, _) in enumerate(known):
        graph = graph_of(4, [edge + 1 for edge in edges])
        named = [c for c in itertools.product(range(k), repeat=4) if all(c[a] != c[b] for a, b in graph.edges)]
        rows = batch.solutions[i][batch.valid[i]]
        assert sorted((rows[:, 6:] - 3).tolist()) == sorted(map(list, named))
        assert (rows[:, :6] == batch.x[i, :6]).all() and (rows == batch.y[i]).all(-1).any()


def test_names_are_drawn_uniformly():
    x = torch.tensor([2, 1, 1, 0, 0, 0]).expand(6000, -1)  # vertices 1 and 2 joined, 3 alone: canonical 1 2 3 here
    y = torch.tensor([2, 1, 1, 3, 4, 5]).expand(6000, -1)
    batch = Batch(x, y, y[:, None], torch.ones(6000, 1, dtype=torch.bool))
    moved = Colouring(n=3).augment(batch, torch.Generator().manual_seed(0))
    assert torch.equal(moved.x, x) and torch.equal(Colouring(n=3).canonical(moved.y), y)
    counts = Counter(map(tuple, moved.y[:, 3:].tolist()))
    assert len(counts) == 6 and max(abs(c - 1000) for c in counts.values()) < 4 * (1000 * 5 / 6) ** 0.5


def test_too_many_names_to_train_on():
    task, batch = Colouring(n=3, colours=5), Batch(*(torch.zeros(1, dtype=torch.int64),) * 4)
    with pytest.raises(ValueError, match="colours=5 came, and a colouring has 120 namings.*CanonicalColouring"):
        task.augment(batch, torch.Generator())


def test_canonical_augmentation(task8):
    generator = torch.Generator().manual_seed(0)
    batch = draw_batch(task8.train, torch.arange(40), generator)
    moved = CanonicalColouring().augment(batch, generator)
    assert (moved.x != batch.x).any(-1).sum() > 30 and torch.equal(moved.valid, batch.valid)
    assert task8.is_solved(moved.x, moved.y).all()
    for i in range(40):
        graph = graph_of(8, moved.x[i].tolist())
        assert nx.is_isomorphic(graph, graph_of(8, batch.x[i].tolist())) and not moved.x[i, 28:].any()
        rows = moved.solutions[i][moved.valid[i]]
        colourings = find_colourings(edges_of(graph), 8, 3, 10_000)
        assert sorted((rows[:, 28:] - 3).tolist()) == colourings
        assert (rows[:, :28] == moved.x[i, :28]).all() and (rows == moved.y[i]).all(-1).any()


def test_canonical_augmentation_moves_answers_with_the_graph():
    """One permutation for x, y and solutions: on graphs with one colouring its classes follow, whatever their names."""
    task = CanonicalColouring(n=5, colours=3)
    puzzle = nx.Graph([(0, 1), (0, 2), (1, 2), (1, 3), (2, 3), (3, 4), (2, 4)])
    x = torch.tensor([edge + 1 for edge in edges_of(puzzle)] + [0] * 5).expand(4000, -1)
    y = torch.cat([x[:, :10], torch.tensor([3, 4, 5, 3, 4]).expand(4000, -1)], 1)
    moved = task.augment(Batch(x, y, y[:, None], torch.ones(4000, 1, dtype=bool)), torch.Generator().manual_seed(0))
    assert task.is_solved(moved.x, moved.y).all() and torch.equal(task.canonical(moved.y), moved.y)
    assert torch.equal(moved.solutions[:, 0], moved.y)
    counts = Counter(map(tuple, moved.x.tolist()))
    automorphisms = sum(1 for _ in nx.isomorphism.GraphMatcher(puzzle, puzzle).isomorphisms_iter())
    images = 120 // automorphisms
    assert len(counts) == images
    statistic = sum((c - 4000 / images) ** 2 / (4000 / images) for c in counts.values())
    assert statistic < images - 1 + 5 * (2 * (images - 1)) ** 0.5  # uniform: within 5 standard deviations


def test_hash_is_invariant_and_separates():
    rng = np.random.default_rng(0)
    graphs = random_graphs(7, 60) + [nx.cycle_graph(7), nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(4))]
    hashes = class_hash(np.array([edges_of(g) for g in graphs]), 7)
    for _ in range(3):
        shuffled = [nx.relabel_nodes(g, dict(enumerate(rng.permutation(7).tolist()))) for g in graphs]
        assert (class_hash(np.array([edges_of(g) for g in shuffled]), 7) == hashes).all()
    for (a, g), (b, h) in itertools.combinations(zip(hashes.tolist(), graphs, strict=True), 2):
        assert (a == b) == nx.is_isomorphic(g, h)


def test_split_shares_no_class(task8):
    train = [graph_of(8, x) for x in task8.train.x.tolist()]
    test = [graph_of(8, x) for x in task8.test["graphs"].x.tolist()]
    assert (len(train), len(test)) == (300, 60)
    by_degrees = {}
    for graph in train:
        by_degrees.setdefault(tuple(sorted(d for _, d in graph.degree)), []).append(graph)
    for i, graph in enumerate(test):
        alike = by_degrees.get(tuple(sorted(d for _, d in graph.degree)), []) + test[:i]
        assert not any(nx.is_isomorphic(graph, other) for other in alike)


def test_split_is_a_property_of_the_class(task8):
    """Whatever seed, size and edge probability; and train does not depend on the size of test."""
    hashes = set(hashes_of(8, task8.train))
    other = Colouring(num_train=0, num_test=100, edge_probability=0.5, seed=7, cache=None)
    assert other.test["graphs"].num_puzzles == 100 and hashes.isdisjoint(hashes_of(8, other.test["graphs"]))
    more, none = draw_split(8, 0.4, 3, 310, 0, 10_000, 0)
    assert torch.equal(more.x[:300], task8.train.x) and none.num_puzzles == 0
    assert not torch.equal(draw_split(8, 0.4, 3, 300, 0, 10_000, 1)[0].x, task8.train.x)


def test_edges_have_the_probability():
    """Mean number of edges in train = that of all 2^10 graphs on 5 vertices of a train class, weighted by p; with 5
    colours none is left out otherwise."""
    graphs = np.array(list(itertools.product([False, True], repeat=10)))
    size, held_out = graphs.sum(1), class_hash(graphs, 5) % np.uint64(3) == 0
    weight = 0.3**size * 0.7 ** (10 - size) * ~held_out
    drawn = (draw_split(5, 0.3, 5, 2000, 0, 10_000, 0)[0].x == 2).sum(1).double()
    assert abs(drawn.mean() - (weight * size).sum() / weight.sum()) < 4 * drawn.std() / 2000**0.5


def test_few_classes(caplog):
    """n = 4: 10 classes are 3-colourable, and test has each of its own once."""
    with caplog.at_level(logging.WARNING):
        task = Colouring(n=4, edge_probability=0.5, num_train=200, num_test=50, cache=None)
        train, test = hashes_of(4, task.train), hashes_of(4, task.test["graphs"])
    assert len(set(test)) == len(test) > 0 and set(train).isdisjoint(test) and len(set(train) | set(test)) == 10
    assert f"test set graphs has {len(test)} graphs, not 50: n=4 has no more" in caplog.text


def test_generated_task(tmp_path, monkeypatch):
    arguments = {"n": 6, "num_train": 40, "num_test": 10, "cache": tmp_path}
    first = Colouring(**arguments)
    assert list(tmp_path.iterdir()) == []  # lazy
    batch = next(first.batches(8, torch.Generator().manual_seed(0)))
    assert first.is_solved(batch.x, batch.y).all() and first.is_solved(batch.x[:, None], batch.solutions).all()
    (file,) = tmp_path.iterdir()  # and no partial file
    monkeypatch.setattr("gram_pyro.tasks.colouring.draw_split", None)  # drawing again would fail
    second = Colouring(**arguments)
    for a, b in ((first.train, second.train), (first.test["graphs"], second.test["graphs"])):
        assert all(torch.equal(s, t) and s.dtype == t.dtype for s, t in zip(a, b, strict=True))
    assert torch.equal(Colouring(**arguments, test={}).train.x, first.train.x)  # files for tests, the same train
    for change in ({"seed": 1}, {"edge_probability": 0.5}, {"colours": 4}, {"num_train": 41}):
        with pytest.raises(TypeError):  # other arguments, other file
            _ = Colouring(**arguments | change).train
    file.write_bytes(b"half a file")
    with pytest.raises(ValueError, match="cannot be read .*; delete it"):
        _ = Colouring(**arguments).train


SQUARE, PATH3, K4 = "Cl", "Bg", "C~"  # graph6


def write(folder, name, text):
    file = folder / name
    file.write_text(text)
    return file


def test_files(tmp_path, monkeypatch, caplog):
    g6 = write(tmp_path, "a.g6", f">>graph6<<{SQUARE}\nC?\n")
    table = write(tmp_path, "b.csv", f"edges,graph6\n4,{SQUARE}\n0,C?\n")
    col = write(tmp_path, "c.col", "c a square\n\np edge 4 8\ne 1 2\ne 2 1\ne 2 3\ne 3 4\ne 1 4\n")
    task = Colouring(n=4, num_train=0, test={"lines": g6, "table": table, "square": col})
    assert list(task.test) == ["lines", "table", "square"]
    for puzzles in task.test.values():
        assert nx.is_isomorphic(graph_of(4, puzzles.x[0].tolist()), nx.cycle_graph(4))
    assert task.test["square"].x.tolist() == [[2, 1, 2, 2, 1, 2, 0, 0, 0, 0]]
    assert task.test["square"].num_solutions.tolist() == [3]  # one diagonal alike, or the other, or both
    assert task.test["lines"].num_solutions.tolist() == task.test["table"].num_solutions.tolist() == [3, 14]
    monkeypatch.setenv("GRAM_DATA", str(tmp_path))
    assert Colouring(n=4, num_train=0, test="a.g6").test["a.g6"].num_puzzles == 2
    with pytest.raises(ValueError, match="nothing to train on: num_train=0"):
        _ = task.train


@needs_data
def test_files_that_share_classes_with_train(caplog):
    with caplog.at_level(logging.WARNING):
        task = Colouring(num_train=200, test=ALL8, cache=None)
        (puzzles,) = task.test.values()
    seen = set(hashes_of(8, task.train))
    assert puzzles.num_puzzles == 6024 - len(seen) and seen.isdisjoint(hashes_of(8, puzzles))
    assert f"{len(seen)} of 6024 graphs of" in caplog.text and "share an isomorphism class with train" in caplog.text


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("a.txt", "", "a.txt is neither .g6, .csv nor .col"),
        ("a.g6", "", "a.g6 holds no graph"),
        ("a.g6", f"{SQUARE}\n{PATH3}", "a.g6, row 2: a graph on 3 vertices came; expected n=4; give n=3"),
        ("a.g6", f"{SQUARE}\nC", "a.g6, row 2: 'C' is not graph6"),
        ("a.g6", f"{SQUARE}\n\n", "a.g6, row 2: '' is not graph6"),
        ("a.g6", "C\u00e9", "row 1: .* is not graph6"),
        ("a.g6", f"{SQUARE}\n{K4}", "a.g6, row 2: the graph has no colouring with 3 colours; give more colours"),
        ("a.csv", f"graph\n{SQUARE}", r"a.csv has columns \['graph'\]; expected graph6"),
        ("a.csv", f"edges,graph6\n4,{SQUARE}\n4", "a.csv, row 2: '' is not graph6"),
        ("a.col", "c nothing", "a.col holds no graph"),
        ("a.col", "e 1 2", "a.col, row 1: 'e 1 2' came; expected 'p edge VERTICES EDGES' once"),
        ("a.col", "p edge 4 1\np edge 4 1", "a.col, row 2: 'p edge"),
        ("a.col", "p edge 4 1\ne 1 5", "a.col, row 2: 'e 1 5' came"),
        ("a.col", "p edge 4 1\ne 0 1", "row 2: 'e 0 1' came"),
        ("a.col", "p edge 4 1\ne 2 2", "row 2: 'e 2 2' came"),
        ("a.col", "p edge 4 1\ne 2 x", "row 2: 'e 2 x' came"),
        ("a.col", "p edge 0 0", "row 1: 'p edge 0 0' came"),
    ],
)
def test_file_errors(tmp_path, name, text, message):
    with pytest.raises(PuzzleFileError, match=message):
        read_graphs(write(tmp_path, name, text), 4, 3, 100)


def test_misuse(tmp_path):
    wrong = {"n": 1, "edge_probability": 1.1, "colours": 0, "num_train": -1, "num_test": -1, "seed": -1}
    for name, value in wrong.items():
        with pytest.raises(ValueError, match=f"{name}={value}.* came; expected n >= 2, 0 <= edge_probability <= 1"):
            Colouring(**{name: value})
    with pytest.raises(ValueError, match="edge_probability=1.0 brought none to train on .* with 3 colours"):
        _ = Colouring(n=5, edge_probability=1.0, cache=None).train
    with pytest.raises(ValueError, match="more than max_solutions=20 colourings with 3 colours; raise max_solutions"):
        _ = Colouring(edge_probability=0.1, max_solutions=20, cache=None).train
    with pytest.raises(PuzzleFileError, match="a.g6, row 1: a graph on 4 vertices has more than max_solutions=13"):
        _ = Colouring(n=4, num_train=0, max_solutions=13, test=write(tmp_path, "a.g6", "C?")).test
    with pytest.raises(FileNotFoundError, match="nowhere.g6 is not there"):
        _ = Colouring(num_train=0, test="nowhere.g6").test
    with pytest.raises(PuzzleFileError, match="b.g6 is damaged"):
        (tmp_path / "b.g6").write_bytes(b"\xff\xfe")
        _ = Colouring(n=4, num_train=0, test=tmp_path / "b.g6").test
    assert Colouring(num_train=5, num_test=0, cache=None).test == {}


def test_render_and_draw():
    task = Colouring(n=4)
    x = torch.tensor([2, 1, 2, 2, 1, 2, 0, 0, 0, 0])
    y = torch.tensor([2, 2, 2, 2, 1, 2, 3, 3, 4, 0])
    assert task.render(x).splitlines() == [" 1: 2 4", " 2: 1 3", " 3: 2 4", " 4: 1 3"]
    assert task.render(x, y).splitlines() == [
        " 1: 2 4   colour 1, as 2",
        " 2: 1 3   colour 1, as 1",
        " 3: 2 4   colour 2",
        " 4: 1 3   no colour",
        "changed pairs: 1-3",
    ]
    figure, axes = plt.subplots()
    task.draw(axes, x, y)
    edges, vertices = axes.collections
    assert [to_hex(c).upper() for c in vertices.get_facecolor()] == [OKABE_ITO[0]] * 2 + [OKABE_ITO[1], "#FFFFFF"]
    broken = [to_hex(c).upper() == RED for c in edges.get_edgecolor()]
    assert broken == [True, False, False, False] and [t.get_text() for t in axes.texts] == ["1", "2", "3", "4"]
    plt.close(figure)
    with pytest.raises(ValueError, match="colours=8 came; draw shows up to 7"):
        Colouring(n=4, colours=8).draw(axes, x)
