"""ARC: every claim is checked against numpy, brute force, plain Python or answers that are known by construction."""

import itertools
import json
import logging
import lzma
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf
from scripts import experiment
from tiny import close

from gram_pyro.arc_vote import Answers, Guesses, answer_copies, draw_copies, score, score_all, vote
from gram_pyro.build import build_guide, build_learner, build_model
from gram_pyro.core import State
from gram_pyro.inference.trajectories import Trajectories
from gram_pyro.plots.arc import COLOURS as PALETTE
from gram_pyro.plots.arc import guesses_figure, plt
from gram_pyro.plots.trial import GREEN, RED
from gram_pyro.puzzle_tokens import ContentReadout, PlacedTokens, PuzzleTokens
from gram_pyro.tasks.arc import NAME_CELLS, Arc
from gram_pyro.tasks.arc_canvas import SAME, Canvas, draw_recolourings, inverse
from gram_pyro.tasks.arc_files import ArcFileError, read_tasks
from gram_pyro.tasks.base import draw_batch

CONF = Path(__file__).parents[1] / "experiments" / "conf"
DATA = Path(os.environ.get("GRAM_DATA", Path(__file__).parents[2] / "shared" / "data"))
needs_data = pytest.mark.skipif(not (DATA / "arc").is_dir(), reason="needs the data folder (GRAM_DATA)")


def random_grid(rng, rows, columns):
    return rng.integers(0, 10, (rows, columns))


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


def pair(grid, answer):
    return {"input": grid.tolist(), "output": answer.tolist()}


def make_file(folder, name, rules, rng=None, size=(3, 2), tests=1):
    """A file of tasks, name -> a function from an input to its output: three demonstrations each."""
    rng = rng or np.random.default_rng(0)
    tasks = {}
    for key, rule in rules.items():
        grids = [random_grid(rng, *size) for _ in range(3 + tests)]
        pairs = [pair(grid, rule(grid)) for grid in grids]
        tasks[key] = {"train": pairs[:3], "test": pairs[3:]}
    path = folder / f"{name}.json"
    path.write_text(json.dumps(tasks))
    return path


@pytest.fixture
def small(tmp_path):
    """Two tasks shown in full, two asked, one of them with two test inputs and one with grids of two sizes."""
    known = make_file(tmp_path, "known", {"copy_a": np.copy, "turn_a": np.flipud}, np.random.default_rng(1))
    rng = np.random.default_rng(2)
    asked = make_file(tmp_path, "asked", {"copy": np.copy, "column": lambda g: g[:, :1]}, rng, tests=2)
    return Arc([known], [asked], side=4, num_names=4)


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
        ({"num_names": 3}, "num_names=3 came for 4 tasks"),
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
    ],
)
def test_a_bad_file_is_named(tmp_path, content, sentence):
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(ArcFileError, match=sentence) as raised:
        read_tasks(path)
    assert "bad.json" in str(raised.value)


# ---- leaks


def test_a_task_in_two_files_is_refused(tmp_path):
    rules = {"a": np.copy, "b": np.flipud}
    first = make_file(tmp_path, "first", rules)
    second = make_file(tmp_path, "second", rules | {"c": np.copy})
    for files in (([first], [second]), ([], [first, second])):
        with pytest.raises(ValueError, match="2 tasks of first are in second too .a is one.*ARC-2 training holds"):
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
        with pytest.raises(ValueError, match=f"{count} tasks of {shown} are in {asked} too"):
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


# ---- prefix tokens


def tokens(content=PlacedTokens, num_prefix=12):
    return PuzzleTokens(12, 8, num_names=4, num_prefix=num_prefix, content=partial(content, side=4))


def test_tokens_are_the_names_and_the_cells(small):
    embed = tokens()
    batch = small.augment(draw_batch(small.train, torch.arange(6), torch.Generator()), torch.Generator())
    e = embed(batch.x)
    assert e.shape == (6, embed.num_tokens(16), 8) == (6, 28, 8)
    state = dict(embed.named_parameters())
    for row, x in zip(e, batch.x.tolist(), strict=True):
        close(row[:2], 8**0.5 * state["task.weight"][x[0]].view(2, 8))
        close(row[2], 8**0.5 * state["symmetry.weight"][x[1]])
        for k in range(9):
            both = state["drawn_with.weight"][x[2 + k]] + state["colour.weight"][k]
            close(row[3 + k], 8**0.5 * both / 2**0.5)
        for cell in range(16):
            place = state["content.row.weight"][cell // 4] + state["content.column.weight"][cell % 4]
            close(row[12 + cell], (8 / 3) ** 0.5 * (state["content.symbol.weight"][x[11 + cell]] + place))
    target = embed.for_target()
    assert not target(batch.y)[:, :12].any() and target(batch.y)[:, 12:].equal(target.content(batch.y))
    assert not {id(p) for p in target.parameters()} & {id(p) for p in embed.parameters()}


def test_relations_of_the_prefix():
    relations = tokens().relations(Canvas(4).relations)
    assert relations.shape == (8, 28, 28) and relations.dtype == torch.bool
    assert relations[2:, 12:, 12:].equal(Canvas(4).relations) and not relations[2:, :12].any()
    assert not relations[2:, :, :12].any()
    assert relations[0].nonzero()[:, 1].unique().tolist() == [0, 1]
    assert relations[1].nonzero()[:, 1].unique().tolist() == list(range(2, 12))
    assert relations[:2].any(0)[:, :12].all()
    assert tokens().relations(None) is None
    with pytest.raises(ValueError, match="num_prefix=10 came.*give 11 or more"):
        tokens(num_prefix=10)


def test_the_readout_reads_the_cells_alone():
    readout = ContentReadout(12, 8, num_prefix=12)
    state = State(torch.randn(2, 3, 28, 8), torch.randn(2, 3, 28, 8))
    y = torch.randint(12, (3, 16))
    logits = state.h[:, :, 12:] @ readout.cells.logits.weight.T
    expected = logits.log_softmax(-1).gather(-1, y.expand(2, -1, -1)[..., None]).sum((-1, -2))
    close(readout(state).log_prob(y), expected, 1e-5)
    close(readout.log_prob_each(state, y[:, None])[..., 0], expected, 1e-5)
    assert readout.answer(state).equal(logits.argmax(-1))


# ---- the vote


def answers_of(boards, log_likelihood=None):
    """Boards [A, K, B] as letters, every letter a canvas of one colour."""
    letters = torch.tensor([[["abcdefg".index(c) for c in row] for row in copy] for copy in boards])
    log_likelihood = torch.zeros(letters.shape) if log_likelihood is None else torch.tensor(log_likelihood)
    return Answers((letters + 3)[..., None].expand(*letters.shape, 4), log_likelihood)


def test_the_two_most_voted():
    # votes for input 0: a b a c b b; for input 1: b b c b a b
    answer = answers_of([["ab", "bb"], ["ac", "cb"], ["ba", "bb"]])
    guesses = vote(answer)
    assert guesses.boards[0, :, 0].tolist() == [4, 3] and guesses.boards[1, 0, 0] == 4
    assert guesses.votes.tolist() == [[3, 2], [4, 1]]
    first = vote(answer.few(1, 1))
    assert first.votes.tolist() == [[1, 0], [1, 0]] and first.boards[:, 0, 0].tolist() == [3, 4]
    two = vote(answer.few(2, 1))
    assert two.votes.tolist() == [[2, 0], [1, 1]]


def test_ties_go_to_the_more_probable():
    log_likelihood = [[[-1.0]], [[-5.0]], [[-2.0]], [[-2.5]], [[-0.5]]]
    guesses = vote(answers_of([["a"], ["a"], ["b"], ["b"], ["c"]], log_likelihood))  # means: a -3, b -2.25
    assert guesses.boards[0, :, 0].tolist() == [4, 3] and guesses.votes.tolist() == [[2, 2]]


def draw_by(rule):
    """A program that answers by a function of x [B, 11 + L], the same in every trajectory."""

    def draw(x, num_particles, num_segments):
        answers = rule(x).expand(num_particles, -1, -1)
        zeros = torch.zeros(answers.shape[:2])
        return Trajectories(answers, zeros, zeros[0], zeros, zeros.long(), zeros)

    return draw


def test_a_program_that_knows_the_rule_scores_one(small):
    """Copying commutes with every symmetry and recolouring; keeping the first column does not."""
    puzzles, device = small.test["asked"], torch.device("cpu")
    answers = answer_copies(draw_by(lambda x: x[:, NAME_CELLS:]), small, puzzles, 16, 2, 1, 0, device)
    assert answers.boards.shape == (16, 2, 4, 16)
    guesses = vote(answers)
    result = score(small, puzzles, guesses)
    assert result.hit.tolist() == [True, True, False, False] and result.tasks == {"copy": True, "column": False}
    assert guesses.votes[:, 0].tolist() == [32] * 4
    summary = result.summary()
    assert (summary["tasks_solved"], summary["inputs_hit"], summary["num_tasks"]) == (0.5, 0.5, 2)
    assert result.cells.tolist() == [1.0] * 4  # where it should be there, the column is


def test_misuse_of_the_vote_and_the_experiment_is_one_sentence(small):
    with pytest.raises(ValueError, match="0 augmented copies were asked for; give 1"):
        answer_copies(None, small, small.test["asked"], 0, 1, 1, 0, torch.device("cpu"))
    with pytest.raises(ValueError, match="peer=.*MaskedDiffusion reads puzzles .* leave peer=null"):
        experiment("svi_arc").run(configuration("method=masked_diffusion"))


def test_inputs_in_groups_are_inputs_together(small, monkeypatch):
    ask = partial(answer_copies, draw_by(lambda x: x[:, NAME_CELLS:].flip(1)), small, small.test["asked"])
    together = ask(5, 2, 1, 0, torch.device("cpu"))
    monkeypatch.setattr("gram_pyro.arc_vote.COPIES_AT_ONCE", 7)
    for one, other in zip(together, ask(5, 2, 1, 0, torch.device("cpu")), strict=True):
        assert one.equal(other)


def test_a_vote_over_copies_corrects_what_one_copy_gets_wrong(small):
    """Wrong where the grid is as it was; right in every other symmetry."""
    puzzles = small.test["asked"]

    def mostly(x):
        blank = small.canvas.place(((1,),))
        return torch.where(x[:, 1:2] == 0, blank, x[:, NAME_CELLS:])

    answers = answer_copies(draw_by(mostly), small, puzzles, 8, 1, 1, 0, torch.device("cpu"))
    rows = score_all(small, puzzles, answers, [1, 8], [1])
    assert [(r["A"], r["K"], r["inputs_hit"], r["first_guess"]) for r in rows] == [(1, 1, 0, 0), (8, 1, 0.5, 0.5)]
    assert vote(answers).votes[:2, 0].eq(7).all()


def test_a_task_needs_all_of_its_inputs(small):
    puzzles = small.test["asked"]
    boards = torch.stack([small.canvas.place(((0,),)).expand(4, -1), puzzles.solutions], 1)
    boards[0, 1] = boards[0, 0]  # of the first task, one input is missed
    result = score(small, puzzles, Guesses(boards, torch.tensor([[2, 1]] * 4)))
    assert result.hit.tolist() == [False, True, True, True] and result.tasks == {"copy": False, "column": True}
    assert not result.first.any()
    nothing = score(small, puzzles, Guesses(boards, torch.tensor([[2, 0]] * 4)))
    assert not nothing.hit.any()  # a guess that nobody voted for is none


def test_copies_begin_with_the_input_and_share_out_the_symmetries():
    symmetry, recolouring = draw_copies(24, seed=0)
    assert symmetry[0] == 0 and recolouring[0].equal(SAME)
    assert all((symmetry[8 * i + 1 : 8 * i + 8].unique(return_counts=True)[1] == 1).all() for i in range(3))
    assert len(recolouring.unique(dim=0)) == 24


# ---- figures, configurations, the experiment


def test_the_figure_shows_the_grids_and_frames_what_is_right(small, tmp_path, monkeypatch):
    puzzles, made = small.test["asked"], []
    boards = torch.stack([puzzles.solutions, small.canvas.place(((5, 5),)).expand(4, -1)], 1)
    monkeypatch.setattr(plt, "close", made.append)
    guesses_figure(
        small, puzzles, Guesses(boards, torch.tensor([[3, 2], [3, 2], [4, 1], [5, 0]])), [0, 3], 5, tmp_path / "f.png"
    )
    (figure,) = made
    axes = np.array(figure.axes).reshape(2, 8)
    for row, b in zip(axes, (0, 3), strict=True):
        one = next(p for p in small.tasks[2 if b == 0 else 3].tests
                   if small.canvas.place(p.input).equal(puzzles.x[b, 11:]))  # fmt: skip
        for axis, grid in zip(row[4:7], (one.input, one.output, one.output), strict=True):
            close(torch.tensor(axis.images[0].get_array()), PALETTE[torch.tensor(grid)])
        assert plt.matplotlib.colors.to_hex(row[6].spines["top"].get_edgecolor()).upper() == GREEN
    assert plt.matplotlib.colors.to_hex(axes[0, 7].spines["top"].get_edgecolor()).upper() == RED
    assert "3 of 5" in axes[0, 6].get_title() and "wrong" in axes[0, 7].get_title()
    assert axes[1, 7].get_title() == "no second guess" and not axes[1, 7].images
    assert (tmp_path / "f.png").stat().st_size > 0


@pytest.fixture
def single_precision():
    torch.set_default_dtype(torch.float32)
    yield
    torch.set_default_dtype(torch.float64)


def configuration(*overrides):
    with initialize_config_dir(str(CONF), version_base=None):
        return compose("svi_arc", overrides=["run_dir=x", "task_name=arc", "method_name=gram", *overrides])


@needs_data
@pytest.mark.parametrize(("name", "beta", "asked", "count"), [("paper", 0.04, 400, 3987), ("paper_2", 0.1, 120, 5573)])
def test_the_paper_size_composes_and_takes_a_step(
    name, beta, asked, count, monkeypatch, local_params, single_precision
):
    monkeypatch.setenv("GRAM_DATA", str(DATA))
    full = configuration(f"experiment=arc/{name}")
    assert full.dim == 512 and full.train.beta == beta and full.evaluate.augmentations == [1, 1000]
    task = instantiate(full.task)
    assert len(task.tasks) == full.task.num_names and task.num_cells == 900
    assert sum(t.source in task._asked for t in task.tasks) == asked and task.train.num_puzzles == count
    model = build_model(full, task)
    table = model.embed.task.weight.numel()
    size = sum(p.numel() for part in (model, build_guide(full, model)) for p in part.parameters()) - table
    assert 10.4e6 < size < 10.6e6 and table == full.task.num_names * 6 * 512
    reduced = ["dim=32", "core.num_updates=1", "core.hidden=32", "core.num_layers=1", "train.batch_size=2",
               "train.num_segments=1", "train.precision=fp32", "compile=false"]  # fmt: skip
    trainer = build_learner(configuration(f"experiment=arc/{name}", *reduced), task, torch.device("cpu"))
    record = trainer.trajectory(next(task.batches(2, torch.Generator().manual_seed(0))))
    assert trainer.updates == 1 and all(torch.isfinite(value).all() for value in record.values())


def test_the_experiment_runs_end_to_end(tmp_path, capsys, local_params, single_precision):
    file = make_file(tmp_path, "asked", {"copy": np.copy, "turn": np.flipud}, tests=2)
    files = ["task.shown=[]", f"task.asked=[{file}]", "task.side=4", "task.num_names=2", "embed.num_prefix=11"]
    config = configuration("experiment=arc/smoke", *files)
    OmegaConf.update(config, "run_dir", str(tmp_path / "run"))
    experiment("svi_arc").run(config)
    folder = tmp_path / "run"
    for name in ("config.yaml", "results.csv", "training.png", "arc_GRAM.png", "arc_deterministic.png"):
        assert (folder / name).stat().st_size > 0
    rows = json.loads((folder / "results.json").read_text())["rows"]
    found = {(r["program"], r["puzzles"], r["A"], r["K"]) for r in rows}
    programs = ("GRAM", "deterministic")
    assert found == set(itertools.product(programs, ["asked"], (1, 3), (1, 2))) | set(
        itertools.product(programs, ["shown"], (1,), (1, 2))
    )
    assert all(0 <= r["tasks_solved"] <= 1 and r["num_inputs"] == (4 if r["puzzles"] == "asked" else 6) for r in rows)
    assert "tasks_solved" in capsys.readouterr().out
