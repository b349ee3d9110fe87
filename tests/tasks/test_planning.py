"""Planning: every claim is checked against networkx, brute force, a closed form or plain Python."""

import itertools
import logging
import math
from collections import Counter
from random import Random

import networkx as nx
import pytest
import torch
from plain_maps import (
    BLANK,
    GOAL,
    OFF,
    PATH,
    START,
    WALL,
    board,
    graph_of,
    images,
    judge,
    name_of,
    shortest_plans,
    smallest_bridges,
    some_maps,
)

from gram_pyro.tasks.base import Batch, draw_batch
from gram_pyro.tasks.planning import task as planning_task
from gram_pyro.tasks.planning.grids import Grid, draw_split
from gram_pyro.tasks.planning.task import Planning

SHAPES = [(2, 2), (3, 3), (3, 4), (5, 2), (6, 6)]


@pytest.fixture(scope="module")
def task6():
    return Planning(num_train=300, num_test=60, cache=None)


@pytest.mark.parametrize("rows, columns", SHAPES)
def test_relations_and_symmetries(rows, columns):
    task = Planning(n=rows, columns=columns, min_distance=1)
    place = [divmod(cell, columns) for cell in range(rows * columns)]
    assert (task.num_cells, task.num_symbols) == (rows * columns, 6)
    for i, j in itertools.product(range(rows * columns), repeat=2):
        (a, b), (c, d) = place[i], place[j]
        assert task.relations[:, i, j].tolist() == [abs(a - c) + abs(b - d) == 1, i != j and (a == c or b == d)]
    x = some_maps(rows, columns, 1)[0]
    moved = [task.grid.reversals[r][x][s] for r in (0, 1) for s in task.grid.symmetries]
    assert len(moved) == (16 if rows == columns else 8)
    assert Counter(tuple(m.tolist()) for m in moved) == Counter(images(x.tolist(), rows, columns))
    for s in task.grid.symmetries:
        assert torch.equal(task.relations[:, s][:, :, s], task.relations)


@pytest.mark.parametrize("rows, columns", SHAPES)
def test_distances_ways_and_plans_against_networkx(rows, columns):
    x = some_maps(rows, columns, 60)
    grid = Grid(rows, columns)
    reach, puzzles = grid.reach(x, START), grid.plans(x)
    assert torch.equal(puzzles.x, x) and puzzles.num_puzzles == 60
    for i, row in enumerate(x.tolist()):
        known = nx.single_source_shortest_path_length(graph_of(row, rows, columns), row.index(START))
        assert reach.distance[i].tolist() == [known.get(cell, rows * columns) for cell in range(len(row))]
        plans = shortest_plans(row, rows, columns)
        assert sorted(puzzles.solutions_of(i).tolist()) == plans and reach.ways[i, row.index(GOAL)] == len(plans)
    counts = puzzles.num_solutions
    assert (rows, columns) == (2, 2) or (counts == 0).any() and (counts > 1).any()
    assert torch.equal(grid.reach(x[:, None, None], START).distance[:, 0, 0], reach.distance)


@pytest.mark.parametrize("rows, columns", [(2, 3), (3, 3), (4, 3)])
def test_solutions_and_judge_against_brute_force(rows, columns):
    """The solution set, and every way to mark the free cells: the judge calls right the smallest that connect."""
    task = Planning(n=rows, columns=columns, min_distance=1)
    x = some_maps(rows, columns, 12, wall_probability=0.2, seed=1)
    puzzles = task.grid.plans(x)
    for i, row in enumerate(x.tolist()):
        known = smallest_bridges(row, rows, columns)
        assert sorted(puzzles.solutions_of(i).tolist()) == known
        y = torch.cartesian_prod(*(torch.tensor([symbol] if symbol else [PATH, OFF]) for symbol in row))
        assert sorted(y[task.is_solved(x[i], y)].tolist()) == known


@pytest.mark.parametrize("rows, columns", [(2, 2), (4, 4), (6, 6), (3, 7)])
def test_open_grids_have_binomially_many_plans(rows, columns):
    x = torch.zeros(1, rows * columns, dtype=torch.int64)
    x[0, 0], x[0, -1] = START, GOAL
    plans = Grid(rows, columns).plans(x)
    assert plans.num_solutions.item() == len(plans.solutions.unique(dim=0)) == math.comb(rows + columns - 2, rows - 1)


def test_violations_by_hand():
    task = Planning(n=3, min_distance=1)
    x = board("S.. #.. ..G")
    answers = {
        "S** #-* --G": 0,
        "S*- #** --G": 0,
        "S*- #*- -*G": 0,
        "S*- #-* --G": 2,  # a gap: no step onward from one cell, none back from the other
        "S-- #-- --G": 2,
        "S** #** --G": 2,  # a fork and a junction
        "S** #** -*G": 4,  # two forks and two junctions, one at the goal
        "S** #-* *-G": 2,  # a stray cell
        "S** *-* --G": 1,  # a wall painted over, off the way
        "*** #-* --G": 1,  # the start painted over
        "S** #-* ---": 1,
        "S.* #-* --G": 3,  # undecided, and a gap
        "S** #-* .-G": 1,
        "S** #S* --G": 1,  # a second start
    }
    y = torch.stack([board(text) for text in answers])
    assert task.violations(x, y).tolist() == list(answers.values())
    assert task.violations(x, y).dtype == torch.int64
    assert task.is_solved(x, y).tolist() == [v == 0 for v in answers.values()]


def test_ways_without_gap_or_fork_that_are_not_shortest():
    """What breaks is where they turn back: the first at its farthest cell, and at the goal, reached from beyond; the
    second where it turns back and where it turns forth again, though every cell of it is on some shortest way."""
    task = Planning(n=5, columns=3, min_distance=1)
    beyond = board("S.G ... ... ... ...")
    assert task.violations(beyond, board("S-G *-* *** --- ---")) == 4
    x, crooked = board("S.. ... ... ... .G."), board("S*- -*- **- *-- *G-")
    assert task.violations(x, crooked) == 4 and task.violations(x, board("S*- -*- -*- -*- -G-")) == 0
    assert (task.grid.plans(x[None]).solutions == PATH).any(0)[crooked == PATH].all()


def test_a_puzzle_without_a_way_has_no_right_answer():
    task = Planning(n=3, min_distance=1)
    x = board("S#. ##. ..G")
    y = torch.cartesian_prod(*(torch.tensor([symbol] if symbol else [PATH, OFF]) for symbol in x.tolist()))
    assert not task.is_solved(x, y).any() and task.grid.plans(x[None]).num_solutions.tolist() == [0]


def test_violations_against_the_judge(task6):
    rng, rows = Random(0), []
    for i in range(30):
        x = task6.train.x[i].tolist()
        for y in task6.train.solutions_of(i).tolist()[:3]:
            cells = rng.sample(range(36), rng.choice([0, 0, 1, 3]))
            rows += [(x, [rng.choice([-1, 0, 1, 2, 3, 4, 5, 6]) if c in cells else v for c, v in enumerate(y)])]
            rows += [(x, [rng.choice([v, v, PATH, OFF]) for v in y])]
    x, y = (torch.tensor(t) for t in zip(*rows, strict=True))
    expected = torch.tensor([judge(a, b, 6, 6) for a, b in rows])
    assert 0.1 < (expected == 0).double().mean() < 0.9
    assert torch.equal(task6.violations(x, y), expected)
    assert torch.equal(task6.violations(x[:, None, None], y[:, None, None])[:, 0, 0], expected)
    assert torch.equal(task6.violations(x[3], y), torch.tensor([judge(rows[3][0], b, 6, 6) for _, b in rows]))
    assert torch.equal(task6.violations(x, y[3]), torch.tensor([judge(a, rows[3][1], 6, 6) for a, _ in rows]))
    assert task6.is_solved(x, y).tolist() == [b in shortest_plans(a, 6, 6) for a, b in rows]


def test_augmentation(task6):
    """The moved solution sets are those of the moved maps, complete."""
    generator = torch.Generator().manual_seed(0)
    batch = draw_batch(task6.train, torch.arange(40), generator)
    moved = task6.augment(batch, generator)
    assert (moved.x != batch.x).any(-1).sum() > 30 and torch.equal(moved.valid, batch.valid)
    for i in range(40):
        assert tuple(moved.x[i].tolist()) in images(batch.x[i].tolist(), 6, 6)
        rows = moved.solutions[i][moved.valid[i]]
        assert sorted(rows.tolist()) == shortest_plans(moved.x[i].tolist(), 6, 6)
        assert (rows == moved.y[i]).all(-1).any()


@pytest.mark.parametrize("rows, columns, count", [(3, 3, 16), (2, 4, 8)])
def test_symmetries_are_drawn_uniformly(rows, columns, count):
    x = board("S#. ... .G." if rows == 3 else "S#.. ..G.").expand(8000, -1)  # all images differ
    y = Grid(rows, columns).plans(x[:1]).solutions[0].expand(8000, -1)
    task = Planning(n=rows, columns=columns, min_distance=1)
    batch = Batch(x, y, y[:, None], torch.ones(8000, 1, dtype=torch.bool))
    moved = task.augment(batch, torch.Generator().manual_seed(0))
    assert task.is_solved(moved.x, moved.y).all() and torch.equal(moved.solutions[:, 0], moved.y)
    counts = Counter(map(tuple, moved.x.tolist()))
    assert set(counts) == set(images(x[0].tolist(), rows, columns)) and len(counts) == count
    assert max(abs(c - 8000 / count) for c in counts.values()) < 4 * (8000 / count * (1 - 1 / count)) ** 0.5


@pytest.mark.parametrize("rows, columns", [(3, 3), (2, 4)])
def test_hash_names_the_class(rows, columns):
    """Equal for two maps iff an image of one is the other."""
    x = some_maps(rows, columns, 1000)
    hashes, names = Grid(rows, columns).class_hash(x).tolist(), [name_of(row, rows, columns) for row in x.tolist()]
    assert len(set(names)) == len(set(hashes)) == len(set(zip(names, hashes, strict=True))) < 900


def test_maps_are_drawn_as_said():
    x = torch.cat([some_maps(3, 4, 1000, 0.3, seed) for seed in range(6)])
    assert ((x == START).sum(1) == 1).all() and ((x == GOAL).sum(1) == 1).all() and x.max() == GOAL
    walls = (x == WALL).sum().item()
    assert abs(walls - 0.3 * 60_000) < 4 * (60_000 * 0.3 * 0.7) ** 0.5
    for symbol in (START, GOAL):
        counts = (x == symbol).sum(0)
        assert (counts - 500).abs().max() < 4 * (500 * 11 / 12) ** 0.5


def test_split_shares_no_class(task6):
    train, test = ([name_of(x, 6, 6) for x in p.x.tolist()] for p in (task6.train, task6.test["maps"]))
    assert (len(train), len(test), len(set(test))) == (300, 60, 60) and set(train).isdisjoint(test)


def test_puzzles_are_as_asked_and_sets_complete(task6):
    narrow = Planning(num_train=40, num_test=10, min_distance=8, max_solutions=6, cache=None)
    for task, distance, most in ((task6, 6, 50), (narrow, 8, 6)):
        for puzzles in (task.train, task.test["maps"]):
            assert 1 <= puzzles.num_solutions.min() and puzzles.num_solutions.max() <= most
            for i in range(10):
                plans = puzzles.solutions_of(i)
                assert sorted(plans.tolist()) == shortest_plans(puzzles.x[i].tolist(), 6, 6)
            assert (puzzles.solutions == PATH).sum(1).min() + 1 >= distance
    assert task6.train.num_solutions.max() > 6 and (task6.train.solutions == PATH).sum(1).min() + 1 == 6


def test_split_is_a_property_of_the_class():
    """Whatever seed, size and wall probability; and train does not depend on the size of test."""
    grid = Grid(3, 3)
    train, test = draw_split(grid, 0.2, 2, 400, 60, 50, 0)
    names = {name_of(x, 3, 3) for x in train.x.tolist()}
    other = draw_split(grid, 0.4, 2, 0, 60, 50, 7)[1]
    assert other.num_puzzles > 20 and names.isdisjoint(name_of(x, 3, 3) for x in other.x.tolist())
    more, none = draw_split(grid, 0.2, 2, 410, 0, 50, 0)
    assert torch.equal(more.x[:400], train.x) and none.num_puzzles == 0
    again = draw_split(grid, 0.2, 2, 400, 60, 50, 0)
    assert torch.equal(again[0].x, train.x) and torch.equal(again[1].x, test.x)
    assert not torch.equal(draw_split(grid, 0.2, 2, 400, 0, 50, 1)[0].x, train.x)


def test_few_classes(caplog):
    """2 x 2: train and test together have every class in which there is a way, and test has each of its own once."""
    with caplog.at_level(logging.WARNING):
        task = Planning(n=2, wall_probability=0.4, min_distance=1, num_train=300, num_test=50, cache=None)
        train, test = ([name_of(x, 2, 2) for x in p.x.tolist()] for p in (task.train, task.test["maps"]))
    every = [list(x) for x in itertools.product((BLANK, WALL, START, GOAL), repeat=4)]
    every = [x for x in every if x.count(START) == x.count(GOAL) == 1 and shortest_plans(x, 2, 2)]
    assert len(set(test)) == len(test) > 0 and set(train).isdisjoint(test)
    assert set(train) | set(test) == {name_of(x, 2, 2) for x in every}
    assert f"test set maps has {len(test)} maps, not 50: a grid of 2 x 2 cells has no more" in caplog.text


def test_generated_task(tmp_path, monkeypatch, caplog):
    arguments = {"n": 5, "columns": 4, "min_distance": 4, "num_train": 40, "num_test": 10, "cache": tmp_path}
    first = Planning(**arguments)
    assert list(tmp_path.iterdir()) == []  # lazy
    batch = next(first.batches(8, torch.Generator().manual_seed(0)))
    assert first.is_solved(batch.x, batch.y).all() and first.is_solved(batch.x[:, None], batch.solutions).all()
    (file,) = tmp_path.iterdir()  # and no partial file
    monkeypatch.setattr(planning_task, "draw_split", None)  # drawing again would fail
    second = Planning(**arguments)
    for a, b in ((first.train, second.train), (first.test["maps"], second.test["maps"])):
        assert all(torch.equal(s, t) and s.dtype == t.dtype for s, t in zip(a, b, strict=True))
    changes = {"n": 4, "columns": 5, "wall_probability": 0.2, "min_distance": 3, "num_train": 41, "num_test": 11}
    for name, value in (changes | {"max_solutions": 9, "seed": 1}).items():
        with pytest.raises(TypeError):  # other arguments, other file
            _ = Planning(**arguments | {name: value}).train
    file.write_bytes(b"half a file")
    with pytest.raises(TypeError):  # it is made again
        _ = Planning(**arguments).train
    assert f"{file} is damaged or cannot be read" in caplog.text


def test_misuse():
    wrong = ({"n": 1, "columns": 9}, {"n": 9, "columns": 1}, {"wall_probability": 1.0}, {"min_distance": 36})
    for values in (*wrong, {"wall_probability": -0.1}, {"min_distance": 0}):
        came = ".*".join(f"{name}={value}" for name, value in values.items())
        with pytest.raises(
            ValueError, match=f"got .*{came}.*; expected n >= 2, columns >= 2, 0 <= wall_probability < 1"
        ):
            Planning(**values)
    for name, value in {"max_solutions": 0, "num_train": -1, "num_test": -1, "seed": -1}.items():
        with pytest.raises(ValueError, match=f"got .*{name}={value}.*; expected max_solutions >= 1, num_train >= 0"):
            Planning(**{name: value})
    with pytest.raises(ValueError, match="got num_train=0; expected puzzles to train on"):
        _ = Planning(num_train=0, cache=None).train
    with pytest.raises(ValueError, match="got no map to train on .*6 x 6 cells .* min_distance=35"):
        _ = Planning(min_distance=35, cache=None).train
    with pytest.raises(ValueError, match="with wall_probability=0; .*max_solutions=1 plans; write a smaller"):
        _ = Planning(n=3, wall_probability=0, min_distance=4, max_solutions=1, cache=None).train
    assert Planning(num_train=5, num_test=0, cache=None).test == {}
