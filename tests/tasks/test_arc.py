"""ARC as a task - canvas, puzzles, leaks - against numpy, brute force, plain Python or rules known by construction."""

import itertools
import json
import logging
import lzma

import numpy as np
import pytest
import torch
from arc_files import make_file, pair, random_grid, small_task
from data_folder import DATA, needs

from gram_pyro.tasks.arc.canvas import SAME, Canvas, draw_recolourings, inverse
from gram_pyro.tasks.arc.files import read_tasks
from gram_pyro.tasks.arc.task import NAME_CELLS, Arc
from gram_pyro.tasks.base import draw_batch
from gram_pyro.tasks.files import PuzzleFileError

needs_data = needs("arc")


def turned(grid, symmetry):
    """By numpy: transpose, then upside down, then mirrored."""
    grid = grid.T if symmetry & 4 else grid
    grid = np.flipud(grid) if symmetry & 2 else grid
    return np.fliplr(grid) if symmetry & 1 else grid


def drawn(grid, side):
    """A canvas by loops over cells, as the definition has it."""
    rows, columns = grid.shape
    token = np.zeros((side, side), dtype=int)
    for i, j in itertools.product(range(side), repeat=2):
        if i < rows and j < columns:
            token[i, j] = grid[i, j] + 2
        elif (i == rows and j < columns) or (j == columns and i < rows):
            token[i, j] = 1
    return torch.tensor(token.flatten())


@pytest.fixture
def small(tmp_path):
    return small_task(tmp_path)


# ---- the canvas


@pytest.mark.parametrize("size", [(1, 1), (2, 4), (4, 3), (5, 5)])
def test_a_grid_is_turned_and_recoloured_as_numpy_does_it(size):
    rng, canvas = np.random.default_rng(0), Canvas(5)
    grid = random_grid(rng, *size)
    board = canvas.place(tuple(map(tuple, grid.tolist())))
    assert board.equal(drawn(grid, 5))
    assert canvas.read(board) == tuple(map(tuple, grid.tolist()))
    colours = draw_recolourings(8, torch.Generator().manual_seed(0))
    images = canvas.redraw(board, torch.arange(8), colours)
    for symmetry in range(8):
        expected = turned((colours[symmetry].numpy() - 2)[grid + 2], symmetry)
        assert images[symmetry].equal(drawn(expected, 5))
    back = canvas.redraw(images, inverse(torch.arange(8)), colours.argsort(-1))
    assert back.equal(board.expand(8, -1))


def test_recolourings_are_permutations_of_colours_1_to_9_alone():
    colours = draw_recolourings(200, torch.Generator().manual_seed(0))
    assert colours.sort(-1).values.equal(SAME.expand(200, -1)) and colours[:, :3].equal(SAME[:3].expand(200, -1))
    assert all(len(colours[:, k].unique()) == 9 for k in range(3, 12))


def test_the_extent_is_the_largest_rectangle_of_colours():
    canvas = Canvas(4)
    boards = torch.randint(0, 12, (300, 16)) * (torch.rand(300, 16) < torch.rand(300, 1))
    rows, columns = canvas.extent(boards)
    for board, height, width in zip(boards.view(-1, 4, 4), rows.tolist(), columns.tolist(), strict=True):
        areas = {(i, j): i * j for i in range(1, 5) for j in range(1, 5) if (board[:i, :j] >= 2).all()}
        best = max(areas.values(), default=0)
        assert height * width == best
        assert (height, width) == (min(s for s, a in areas.items() if a == best) if areas else (0, 0))
    assert canvas.read(torch.tensor([1] + 15 * [5])) == ()


def test_relations_say_where_a_neighbour_lies():
    relations = Canvas(3).relations
    for a, b in itertools.product(range(9), repeat=2):
        down, right = a // 3 - b // 3, a % 3 - b % 3
        expected = [(down, right) == step for step in ((1, 0), (-1, 0), (0, 1), (0, -1))]
        expected += [down == 0 and right != 0, right == 0 and down != 0]
        assert relations[:, a, b].tolist() == expected


# ---- the task


def test_what_is_trained_on_and_what_is_asked(small):
    assert [t.name for t in small.tasks] == ["copy_a", "turn_a", "copy", "column"]
    assert small.train.x[:, 0].tolist() == [0] * 4 + [1] * 4 + [2] * 3 + [3] * 3
    assert list(small.test) == ["asked"] and small.test["asked"].x[:, 0].tolist() == [2, 2, 3, 3]
    for puzzles in (small.train, *small.test.values()):
        assert puzzles.x.shape[1] == NAME_CELLS + 16 and puzzles.solutions.shape[1] == small.num_cells == 16
        assert (puzzles.x[:, 1] == 0).all() and (puzzles.x[:, 2:11] == torch.arange(3, 12)).all()
        for i, owner in enumerate(small.task_of(puzzles.x)):
            one = next(p for p in owner.demonstrations + owner.tests
                       if small.canvas.place(p.input).equal(puzzles.x[i, 11:]))  # fmt: skip
            assert puzzles.solutions_of(i)[0].equal(small.canvas.place(one.output))
    held_out = {tuple(x.tolist()) for x in small.test["asked"].x}
    assert not held_out & {tuple(x.tolist()) for x in small.train.x}


def test_augmentation_keeps_the_rule_and_tells_it_in_the_name(small):
    generator = torch.Generator().manual_seed(0)
    index = torch.arange(small.train.num_puzzles).repeat(20)
    plain = draw_batch(small.train, index, generator)
    batch = small.augment(plain, generator)
    for x, y, before, answer in zip(batch.x, batch.y, plain.x, plain.y, strict=True):
        name, symmetry = x[:11], x[1].item()
        assert name[0] == before[0]
        colours = np.concatenate([[0], name[2:].numpy() - 2])
        for after, old in ((x[11:], before[11:]), (y, answer)):
            grid = np.array(small.canvas.read(old))
            assert after.equal(drawn(turned(colours[grid], symmetry), 4))
    assert set(batch.x[:, 1].tolist()) == set(range(8))
    assert batch.solutions[:, 0].equal(batch.y) and batch.valid.equal(plain.valid)
    assert small.is_solved(batch.x, batch.y).all()
    assert small.restore(batch.x, batch.y).equal(plain.y)
    assert small.outputs(batch.x).equal(plain.y)


def test_an_answer_is_judged_by_its_grid(small):
    x, y = small.test["asked"].x, small.test["asked"].solutions
    untidy = y.clone()
    untidy[:, -1] = 7  # a stray colour beside a grid of 3 x 2 or 3 x 1
    assert small.is_solved(x, untidy).all() and small.canonical(untidy).equal(y)
    for cell in range(2):  # of both the truth has 3 rows: the first column's cells count
        wrong = y.clone()
        wrong[:, 4 * cell] = (wrong[:, 4 * cell] - 1) % 10 + 2
        assert not small.is_solved(x, wrong).any() and small.violations(x, wrong).eq(1).all()
    larger = small.canvas.place(((1, 1), (1, 1), (1, 1), (1, 1)))
    assert not small.is_solved(x, larger).any()
    assert small.is_solved(x, torch.stack([untidy, larger.expand_as(y)])).tolist() == [[True] * 4, [False] * 4]


def test_a_strange_puzzle_is_refused(small):
    x = small.test["asked"].x.clone()
    x[0, 0] = 1  # the input of another task
    with pytest.raises(ValueError, match="no pair of these tasks"):
        small.is_solved(x, small.test["asked"].solutions)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"side": 1}, "no task of the files has all its grids in side=1"),
        ({"num_names": 3}, "got num_names=3 for 4 tasks"),
        ({"asked": ["nowhere.json"]}, "nowhere.json is not there"),
    ],
)
def test_misuse_is_one_sentence(tmp_path, changes, sentence):
    file = make_file(tmp_path, "four", dict.fromkeys("abcd", np.copy))
    with pytest.raises((ValueError, FileNotFoundError), match=sentence):
        Arc(**{"shown": [], "asked": [file], "side": 4, "num_names": 4} | changes)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("nonsense", "is no file of ARC tasks"),
        ('{"a": {"train": [{"input": [[1]], "output": [[1]]}]}}', "task a has no pairs 'test'"),
        ('{"a": {"train": [{"input": [[1, 2], [3]], "output": [[1]]}], "test": [1]}}', "input of task a is no grid"),
        ('{"a": {"train": [{"input": [[11]], "output": [[1]]}], "test": [1]}}', "input of task a holds 11"),
        ('{"a": {"train": [{"input": [[1]]}], "test": [1]}}', "output of task a is no grid"),
        ("[1]", "is no file of ARC tasks"),
        ('{"a": {"train": [{"input": [[true]], "output": [[1]]}], "test": [1]}}', "input of task a holds True"),
        ('{"a": {"train": [{"input": ["12"], "output": [[1]]}], "test": [1]}}', "input of task a is no grid"),
        ('{"a": {"train": [], "test": []}, "a": {"train": [], "test": []}}', "'a' is there twice"),
        ("[" * 100_000, "is no file of ARC tasks"),
    ],
)
def test_a_bad_file_is_named(tmp_path, content, sentence):
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(PuzzleFileError, match=sentence) as raised:
        read_tasks(path)
    assert "bad.json" in str(raised.value)


# ---- leaks


def test_a_task_in_two_files_is_refused(tmp_path):
    rules = {"a": np.copy, "b": np.flipud}
    first = make_file(tmp_path, "first", rules)
    second = make_file(tmp_path, "second", rules | {"c": np.copy})
    for files in (([first], [second]), ([], [first, second])):
        with pytest.raises(ValueError, match="got 2 tasks of first in second too .a is one.*ARC-2 training has"):
            Arc(*files, side=4, num_names=9)


def test_an_answer_under_another_name_is_not_trained_on(tmp_path, caplog):
    known = make_file(tmp_path, "known", {"twin": np.copy, "other": np.flipud})
    asked = json.loads(known.read_text())
    (tmp_path / "asked.json").write_text(json.dumps({"again": asked["twin"]}))
    with caplog.at_level(logging.WARNING):
        task = Arc([known], [tmp_path / "asked.json"], side=4, num_names=3)
    assert "twin (known) is a test pair of again (asked); it is not trained on" in caplog.text
    (held_out,) = task.test["asked"].x[:, 11:]
    assert not (task.train.x[:, 11:] == held_out).all(-1).any() and task.train.num_puzzles == 3 + 4 + 3


@needs_data
def test_the_real_mixtures(caplog):
    path = {n: str(DATA / "arc" / f"{n}.json.xz") for n in
            ("arc1_training", "arc1_evaluation", "arc2_training", "arc2_evaluation", "concept_arc")}  # fmt: skip
    refused = [("arc2_training", "arc1_evaluation", 376), ("arc1_evaluation", "arc2_evaluation", 6)]
    for shown, asked, count in refused:
        with pytest.raises(ValueError, match=f"{count} tasks of {shown} in {asked} too"):
            Arc([path[shown]], [path[asked]], side=30, num_names=2000)
    with caplog.at_level(logging.WARNING):
        official = Arc([path["arc1_training"]], [path["arc1_evaluation"]], side=6, num_names=59)
    assert "40853293" in caplog.text and "070dd51e" in caplog.text and caplog.text.count("not trained on") == 1
    with lzma.open(path["arc1_evaluation"], "rt") as file:
        tasks = json.load(file)
    fits = [n for n, t in tasks.items()
            if all(np.array(p[k]).shape <= (6, 6) and np.array(p[k]).shape[1] <= 6 for p in t["train"] + t["test"]
                   for k in ("input", "output"))]  # fmt: skip
    assert len(fits) == 13 and {t.name for t in official.tasks if t.source == "arc1_evaluation"} == set(fits)
    assert official.test["arc1_evaluation"].num_puzzles == sum(len(tasks[n]["test"]) for n in fits) == 16


def test_a_folder_of_public_files_is_read_as_one_file_of_them(tmp_path, monkeypatch):
    entry = {"train": [pair(np.array([[1]]), np.array([[2]]))], "test": [pair(np.array([[3]]), np.array([[4]]))]}
    folder = tmp_path / "data" / "training"
    (folder / "more").mkdir(parents=True)
    (folder / "b.json").write_text(json.dumps(entry | {"name": "B"}))
    (folder / "more" / "a.json").write_text(json.dumps(entry))
    (tmp_path / "training.json").write_text(json.dumps({"a": entry, "b": entry}))
    assert read_tasks(folder) == read_tasks(tmp_path / "training.json")
    monkeypatch.setenv("GRAM_DATA", str(tmp_path))
    assert [task.name for task in read_tasks("data/training")] == ["a", "b"]
    (folder / "a.json").write_text(json.dumps(entry))
    with pytest.raises(PuzzleFileError, match="'a' is there twice"):
        read_tasks(folder)
    (folder / "a.json").write_text("{")
    with pytest.raises(PuzzleFileError, match=r"training is no file of ARC tasks \(a.json: Expecting property name"):
        read_tasks(folder)
