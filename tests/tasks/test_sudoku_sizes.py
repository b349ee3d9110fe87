"""Sudokus of many sizes: geometry, boards and text of each, and a task that mixes them."""

import json
from functools import partial

import pyro
import pytest
import torch
from every_size import SMALL, configured
from hydra.utils import instantiate
from omegaconf import OmegaConf
from plain_rules import sudoku_is_right
from scripts import script

import gram_pyro
from gram_pyro.app.puzzle import as_text, read_sudoku
from gram_pyro.harness.build import build_learner, build_model
from gram_pyro.harness.fit import fit
from gram_pyro.tasks.base import by_size, concatenate
from gram_pyro.tasks.sudoku.boards import SudokuBoards, draw_boards
from gram_pyro.tasks.sudoku.files import parse, read_puzzles
from gram_pyro.tasks.sudoku.rules import DEFAULT_BOXES, Geometry
from gram_pyro.tasks.sudoku.sizes import SudokuSizes
from gram_pyro.tasks.sudoku.task import NAMES, Sudoku, random_symmetries
from gram_pyro.training.compiler import compile_parts

SIDES = [n for n in DEFAULT_BOXES if n < 25]  # one board of 25x25 takes a while
CPU = torch.device("cpu")
KEEP = {"num_train": 6, "num_test": 2, "cache": None}


def boards(n, **options):
    defaults = {"max_clues": n * n // 2, "test_clues": (n * n // 2,)}
    return SudokuBoards(n, **KEEP | defaults | options)


def sizes(**shares):
    shares = shares or {"four": 1, "eight": 2, "twelve": 1}
    sides = {"four": 4, "six": 6, "eight": 8, "nine": 9, "twelve": 12, "sixteen": 16}
    return SudokuSizes({name: boards(sides[name]) for name in shares}, shares)


@pytest.fixture
def single():
    """Single precision, as scripts have it."""
    torch.set_default_dtype(torch.float32)
    yield
    torch.set_default_dtype(torch.float64)


# ---- every size


@pytest.mark.parametrize("n", DEFAULT_BOXES)
def test_every_cell_is_in_one_row_one_column_and_one_box(n):
    geometry = Geometry(n)
    rows, columns, boxes = geometry.constraints.families
    for family in (rows, columns, boxes):
        assert (family.sum(0) == 1).all() and (family.sum(1) == n).all() and len(family) == n
    height, width = geometry.box
    for box in boxes.view(n, n, n):  # a rectangle at a multiple of its sides
        across, down = box.any(0).nonzero().flatten(), box.any(1).nonzero().flatten()
        assert (len(down), len(across)) == (height, width) and box.sum() == n
        assert down[0] % height == 0 and across[0] % width == 0


@pytest.mark.parametrize("n", SIDES)
def test_boards_obey_the_rules_also_when_moved(n):
    geometry = Geometry(n)
    found = draw_boards(geometry, 3, seed=0)
    text = "".join(NAMES[symbol] for symbol in found[0].tolist())
    assert parse(text) == found[0].tolist() and len(found.unique(dim=0)) > 1
    if n < 10:
        assert sudoku_is_right("." * n * n, text, *geometry.box)
    for unit in geometry.units.tolist():
        assert sorted(found[0, unit].tolist()) == list(range(1, n + 1))
    cells, digits = random_symmetries(geometry, 3, torch.Generator().manual_seed(0))
    moved = digits.gather(1, found.gather(1, cells))
    assert geometry.is_solved(torch.zeros_like(moved), moved).all() and not moved.equal(found)
    moved[:, 0] = moved[:, 1]
    assert (geometry.violations(torch.zeros_like(moved), moved) >= 2).all()


@pytest.mark.parametrize("n", SIDES)
def test_a_puzzle_of_every_size_is_read_and_printed(n, tmp_path):
    board = draw_boards(Geometry(n), 1, seed=1)[0]
    x = torch.where(torch.arange(n * n) % 3 > 0, board, 0)
    text = "".join(NAMES[symbol] for symbol in x.tolist())
    puzzle = read_sudoku(text)
    assert (puzzle.n, puzzle.x.tolist()) == (n, x.tolist()) and as_text(puzzle, x) == text
    task = Sudoku(n, test={})
    lines = task.render(x, board).splitlines()
    assert len(lines) == n + n // task.geometry.box[0] + 1 and len(set(map(len, lines))) == 1
    (tmp_path / "a.csv").write_text(f"question,answer\n{text},{''.join(NAMES[v] for v in board.tolist())}\n")
    assert read_puzzles(tmp_path / "a.csv").solutions[0].equal(board)


def test_letters_are_digits_from_10_on():
    assert read_sudoku("G" + "." * 255).x[0] == 16
    with pytest.raises(ValueError, match="row 1, column 2 of the Sudoku is 'H'; write 1 to 9, and A to G for 10 to 16"):
        read_sudoku(".H" + "." * 254)


def test_minimal_puzzles_of_large_boards_are_not_looked_for():
    with pytest.raises(ValueError, match="got n=16 and no files; expected n up to 12.*test=FILE.*task=boards_16"):
        _ = Sudoku(16).test


@pytest.mark.parametrize("n", [8, 12, 16])
def test_boards_of_a_task_config_have_half_of_their_clues(n):
    config = OmegaConf.create(configured(f"task=boards_{n}", "task.num_train=3", "task.num_test=2"))
    task = instantiate(config.task, cache=None)
    ((name, puzzles),) = task.test.items()
    assert name == f"{n * n // 2} clues" and task.is_solved(puzzles.x, puzzles.solutions).all()
    solutions, valid = task.near(puzzles.x, torch.zeros(2, n * n, n + 1))
    assert valid.all() and task.is_solved(puzzles.x, solutions[:, 0]).all()


def test_near_finds_nothing_when_its_choices_are_used_up():
    task, x = boards(9, search_limit=2), torch.zeros(2, 81, dtype=torch.long)
    solutions, valid = task.near(x, torch.randn(2, 81, 10).log_softmax(-1))
    assert not valid.any() and solutions.shape == (2, 1, 81)


# ---- several sizes in one task


def test_every_batch_is_of_one_size_by_its_share():
    task, generator = sizes(), torch.Generator().manual_seed(0)
    batches = task.batches(3, generator)
    drawn = []
    for _ in range(200):
        x, y, solutions, valid = next(batches)
        assert task.is_solved(x, y).all() and len(x) == 3 and valid.all() and solutions.equal(y[:, None])
        drawn.append(x.shape[-1])
    counts = torch.tensor([drawn.count(cells) for cells in (16, 64, 144)])
    assert ((counts - torch.tensor([50, 100, 50])).abs() < 30).all() and counts.sum() == 200


def test_batches_go_on_from_the_state_of_the_generator():
    generator = torch.Generator().manual_seed(0)
    batches = sizes().batches(3, generator)
    for _ in range(5):
        next(batches)
    state, again = generator.get_state(), torch.Generator()
    ahead = [next(batches).x for _ in range(6)]
    again.set_state(state)
    for x, fresh in zip(ahead, sizes().batches(3, again), strict=False):
        assert x.equal(fresh.x)


def test_a_board_is_judged_by_the_part_of_its_size():
    task = sizes(four=1, nine=1)
    assert list(task.test) == ["four, 8 clues", "nine, 40 clues"] and task.num_symbols == {16: 5, 81: 10}
    assert len(task.constraints) == 2 and task.num_cells == 81
    for name, puzzles in task.test.items():
        part = task.parts[name.split(",")[0]]
        x, y = puzzles.x, puzzles.solutions
        assert task.is_solved(x, y).all() and (task.violations(x, y) == 0).all()
        assert task.render(x[0]) == part.render(x[0]) and task.difficulty(x)[1].equal(part.difficulty(x)[1])
        log_prob = torch.randn(*x.shape, part.num_symbols).log_softmax(-1)
        assert all(a.equal(b) for a, b in zip(task.near(x, log_prob), part.near(x, log_prob), strict=True))


def test_a_plain_task_may_be_a_part():
    plain = Sudoku(4, num_train=8, num_test=2, several_share=1.0, max_solutions=8, cache=None)
    task = SudokuSizes({"plain": plain}, {"plain": 1.0})
    x = next(task.batches(3, torch.Generator().manual_seed(0))).x
    solutions, valid = task.near(x, torch.randn(3, 16, 5).log_softmax(-1))
    assert valid.all() and task.is_solved(x, solutions[:, 0]).all()


def test_sets_are_joined_size_by_size():
    task = sizes(eight=1, four=1)
    sets = [*task.test.values(), *task.test.values()]
    small, large = by_size(sets)
    assert (small.x.shape, large.x.shape) == ((4, 16), (4, 64))
    with pytest.raises(ValueError, match=r"got puzzles of \[16, 64\] cells, which cannot be one set; write a task of"):
        concatenate(sets)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: SudokuSizes({}, {}), r"got parts=\[\], shares=\{\}; expected a share above 0 for each part"),
        (lambda: SudokuSizes({"a": boards(4)}, {"b": 1}), r"got parts=\['a'\], shares=\{'b': 1\}"),
        (lambda: SudokuSizes({"a": boards(4)}, {"a": 0}), "expected a share above 0"),
        (
            lambda: SudokuSizes({"a": boards(4), "b": boards(4)}, {"a": 1, "b": 1}),
            r"got parts of sizes \{'a': '4x4', 'b': '4x4'\}; expected one part of each size",
        ),
        (lambda: sizes(four=1).is_solved(*torch.zeros(2, 36)), r"got a board of 36 cells; expected one of \[16\]"),
        (lambda: sizes(four=1).train, "puzzles of several sizes are not one set"),
    ],
)
def test_misuse_gets_a_sentence(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        wrong()


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (("embed=tokens", "core=relational", "readout=categorical"), "expected one number V, for embed=tokens has"),
        (("+baseline=d3pm",), "expected one V, because a baseline answers boards of one size"),
    ],
)
def test_what_serves_one_size_says_so(overrides, sentence):
    config = OmegaConf.create(configured(*(o.removeprefix("+") for o in overrides)))
    with pytest.raises(ValueError, match=sentence):
        build_learner(config, sizes(four=1, six=1), CPU)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # torch's tracer
def test_a_part_is_compiled_for_more_shapes_than_torch_allows_at_first(monkeypatch, single):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    monkeypatch.setattr(torch._dynamo.config, "fail_on_recompile_limit_hit", True)
    torch._dynamo.reset()
    validation = pyro.settings.get("validate_distributions_torch")  # torch's tracer turns it off, once
    task = sizes(four=1, six=1, eight=1)
    model = build_model(OmegaConf.create(configured()), task)
    compile_parts(model, CPU)
    try:
        for cells in task.by_size:
            for rows in (1, 2, 3, 4):
                model.reason(torch.zeros(rows, cells, dtype=torch.long))
    finally:
        pyro.settings.set(validate_distributions_torch=validation)
        torch._dynamo.reset()


def test_training_on_several_sizes_goes_on_bit_for_bit(tmp_path, single):
    settings = ("train.updates=16", "train.num_segments=2", "train.batch_size=4", "train.precision=fp32")
    config = OmegaConf.create(configured(*settings))

    def train(path, stop_at=None):
        torch.manual_seed(0)
        task = sizes(four=1, six=1, eight=1)
        learner = build_learner(config, task, CPU)
        run = learner.train_on
        if stop_at:
            learner.train_on = lambda batch: run(batch) if learner.updates < stop_at else 1 / 0
        try:
            fit(learner, task, by_size(task.test.values()), path, {}, CPU, 0, 4)
        except ZeroDivisionError:
            assert learner.updates == stop_at
        return learner.program.state_dict()

    whole = train(tmp_path / "a.safetensors")
    train(tmp_path / "b.safetensors", stop_at=10)  # saved at 8
    again = train(tmp_path / "b.safetensors")
    assert all(value.equal(again[name]) for name, value in whole.items())
    header, *rows = (tmp_path / "a.csv").read_text().splitlines()
    assert header.endswith("prior_accuracy,prior_accuracy_16,prior_accuracy_36,prior_accuracy_64") and len(rows) == 4


def test_a_run_on_several_sizes_ends_with_its_tables(tmp_path):
    parts = [
        key.format(part)
        for part in ("six", "eight", "nine", "twelve", "sixteen")
        for key in ("task.parts.{}.num_train=3", "task.parts.{}.num_test=1", "+task.parts.{}.cache=null")
    ]
    quick = (
        "task=sudoku_sizes train.updates=6 train.num_segments=1 train.batch_size=3 watch.every=3 watch.num_puzzles=5 "
        "evaluate.num_segments=1 evaluate.widths=[1,2] baselines.deterministic=null task.parts.nine.one_solution=null"
    ).split()
    script("svi_sudoku", *SMALL, *quick, *parts, f"run_dir={tmp_path}")
    results = json.loads((tmp_path / "results.json").read_text())
    assert {"six, 0 clues", "sixteen, 128 clues"} <= set(results["programs"]["GRAM"]["tests"])
    weights = tmp_path / "GRAM.safetensors"
    shipping = ("+task=sudoku", "task.n=9", "name=sudoku", f"folder={tmp_path / 'released'}")
    script("release", f"checkpoint={weights}", *shipping)
    card = (tmp_path / "released" / "sudoku.md").read_text()
    assert 'Sudoku", "n": 9' in card and "Trained on: " in card and "sixteen, 128 clues" in card
    task, _ = gram_pyro.load(tmp_path / "released" / "sudoku.safetensors", n=6)
    assert type(task) is Sudoku and task.n == 6
