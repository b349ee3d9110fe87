"""Votes over augmented copies of ARC against answers known by construction; figure, paper size and experiment."""

import itertools
import json
from functools import partial

import numpy as np
import pytest
import torch
from arc_files import make_file, small_task
from data_folder import DATA, needs
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf
from scripts import CONF, work
from tiny import close

from gram_pyro.evaluation import arc_vote
from gram_pyro.evaluation.arc_vote import Answers, Guesses, answer_copies, draw_copies, score, score_all, variety, vote
from gram_pyro.harness.build import build_guide, build_learner, build_model
from gram_pyro.inference.trajectories import Trajectories
from gram_pyro.plots.arc import COLOURS as PALETTE
from gram_pyro.plots.arc import guesses_figure, plt, width_figure
from gram_pyro.plots.style import GREEN, RED
from gram_pyro.tasks.arc.canvas import SAME
from gram_pyro.tasks.arc.task import NAME_CELLS

needs_data = needs("arc")


@pytest.fixture
def small(tmp_path):
    return small_task(tmp_path)


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
    with pytest.raises(ValueError, match="got 0 augmented copies; expected 1"):
        answer_copies(None, small, small.test["asked"], 0, 1, 1, 0, torch.device("cpu"))
    with pytest.raises(ValueError, match="got baseline=.*MaskedDiffusion; expected a recursion: .*baseline=null"):
        work("svi_arc")(configuration("method=masked_diffusion"))


def test_inputs_in_groups_are_inputs_together(small, monkeypatch):
    ask = partial(answer_copies, draw_by(lambda x: x[:, NAME_CELLS:].flip(1)), small, small.test["asked"])
    together = ask(5, 2, 1, 0, torch.device("cpu"))
    monkeypatch.setattr(arc_vote, "COPIES_AT_ONCE", 7)
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


def test_what_there_was_to_pick_is_at_least_what_was_picked(small):
    """Of three answers to each of four inputs: none, one or all are right, and 3, 2, 1 and 3 of them differ."""
    puzzles = small.test["asked"]
    right, others = puzzles.solutions, [small.canvas.place(((c,) * 3,)).expand(4, -1) for c in (3, 4, 5)]
    first, second, third = (other.clone() for other in others)
    third[1] = right[1]  # of input 1 the last answer is right, and the others are alike
    second[1] = first[1]
    first[2] = second[2] = third[2] = right[2]
    boards = torch.stack([first, second, third])[None].byte()  # [A, K, B, L]
    answers = Answers(boards, torch.zeros(boards.shape[:-1]))
    assert variety(small, puzzles, answers) == {"any": 0.5, "distinct": (3 + 2 + 1 + 3) / 4}
    few, all_of_them = score_all(small, puzzles, answers, [1], [1, 3])
    assert (few["any"], few["inputs_hit"], few["distinct"]) == (0.25, 0.25, 1)
    assert (all_of_them["any"], all_of_them["inputs_hit"]) == (0.5, 0.5)


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


def test_the_figure_of_width_shows_all_answers_and_both_pairs_of_guesses(tmp_path, monkeypatch):
    """Four programs, each with its own curves; where there are copies, only the largest number of them."""
    rows = [
        {"program": f"p{p}", "puzzles": "asked", "A": a, "K": k, "any": 0.1 * p + 0.01 * a * k, "inputs_hit": 0.1 * p,
         "inputs_hit_by_evidence": 0.1 * p + 0.05}
        for p in range(4) for a in (1, 8) for k in (5, 1)
    ]  # fmt: skip
    made = []
    monkeypatch.setattr(plt, "close", made.append)
    width_figure(rows, tmp_path / "w.png")
    lines = made[0].axes[0].lines
    assert len(lines) == 12 and len({line.get_color() for line in lines}) == 4
    for p in range(4):
        any_right, judged, hit = lines[3 * p : 3 * p + 3]
        assert list(any_right.get_xdata()) == list(judged.get_xdata()) == list(hit.get_xdata()) == [8, 40]
        assert list(any_right.get_ydata()) == pytest.approx([0.1 * p + 0.08, 0.1 * p + 0.4])
        assert list(hit.get_ydata()) == pytest.approx([0.1 * p] * 2)
        assert list(judged.get_ydata()) == pytest.approx([0.1 * p + 0.05] * 2)
    assert (tmp_path / "w.png").stat().st_size > 0


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
    record = trainer.train_on(next(task.batches(2, torch.Generator().manual_seed(0))))
    assert trainer.updates == 1 and all(torch.isfinite(value).all() for value in record.values())


@pytest.mark.parametrize(("method", "prefix"), [("gram", 11), ("colours", 2)])
def test_the_experiment_runs_end_to_end(method, prefix, tmp_path, capsys, local_params, single_precision):
    file = make_file(tmp_path, "asked", {"copy": np.copy, "turn": np.flipud}, tests=2)
    files = ["task.shown=[]", f"task.asked=[{file}]", "task.side=4", "task.num_names=2", f"embed.num_prefix={prefix}"]
    config = configuration(f"method={method}", "experiment=arc/smoke", *files)
    OmegaConf.update(config, "run_dir", str(tmp_path / "run"))
    work("svi_arc")(config)
    folder = tmp_path / "run"
    figures = [f"{name}.png" for name in ("training", "width", "arc_GRAM", "arc_deterministic")]
    for name in ("config.yaml", "results.csv", "submission_GRAM.json", *figures):
        assert (folder / name).stat().st_size > 0
    rows = json.loads((folder / "results.json").read_text())["rows"]
    found = {(r["program"], r["puzzles"], r["A"], r["K"]) for r in rows}
    programs = ("GRAM", "deterministic")
    assert found == set(itertools.product(programs, ["asked"], (1, 3), (1, 2))) | set(
        itertools.product(programs, ["shown"], (1,), (1, 2))
    )
    assert all(0 <= r["tasks_solved"] <= 1 and r["num_inputs"] == (4 if r["puzzles"] == "asked" else 6) for r in rows)
    assert "tasks_solved" in capsys.readouterr().out
