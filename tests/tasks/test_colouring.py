"""Graph colouring: every claim is checked against brute force, networkx or a theorem."""

import itertools
import logging
from collections import Counter
from random import Random

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from plain_graphs import brute_force, edges_of, graph_of, hashes_of, pairs_of, relabelled

from gram_pyro.tasks.base import Batch, draw_batch
from gram_pyro.tasks.colouring import graphs
from gram_pyro.tasks.colouring import task as colouring_task
from gram_pyro.tasks.colouring.canonical import CanonicalColouring
from gram_pyro.tasks.colouring.graphs import class_hash, draw_split, find_colourings
from gram_pyro.tasks.colouring.task import OKABE_ITO, RED, Colouring


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
    with pytest.raises(ValueError, match="got colours=5, with 120 namings.*CanonicalColouring"):
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


def test_generated_task(tmp_path, monkeypatch, caplog):
    arguments = {"n": 6, "num_train": 40, "num_test": 10, "cache": tmp_path}
    first = Colouring(**arguments)
    assert list(tmp_path.iterdir()) == []  # lazy
    batch = next(first.batches(8, torch.Generator().manual_seed(0)))
    assert first.is_solved(batch.x, batch.y).all() and first.is_solved(batch.x[:, None], batch.solutions).all()
    (file,) = tmp_path.iterdir()  # and no partial file
    monkeypatch.setattr(colouring_task, "draw_split", None)  # drawing again would fail
    second = Colouring(**arguments)
    for a, b in ((first.train, second.train), (first.test["graphs"], second.test["graphs"])):
        assert all(torch.equal(s, t) and s.dtype == t.dtype for s, t in zip(a, b, strict=True))
    assert torch.equal(Colouring(**arguments, test={}).train.x, first.train.x)  # files for tests, the same train
    for change in ({"seed": 1}, {"edge_probability": 0.5}, {"colours": 4}, {"num_train": 41}):
        with pytest.raises(TypeError):  # other arguments, other file
            _ = Colouring(**arguments | change).train
    file.write_bytes(b"half a file")
    with pytest.raises(TypeError):  # it is made again
        _ = Colouring(**arguments).train
    assert f"{file} is damaged or cannot be read" in caplog.text


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
    with pytest.raises(ValueError, match="got colours=8; expected up to 7 to draw"):
        Colouring(n=4, colours=8).draw(axes, x)
