"""Generation of boards: training on rules alone, scores of perfect and of bad boards, and the experiment."""

import itertools
import math

import pytest
import torch
from boards_of_4x4 import FOUR, boards_task, every_board
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from scripts import CONF, work
from tiny import B, L, batch, close, program

from gram_pyro.evaluation.board_scores import claim, generate, quality, total_variation
from gram_pyro.evaluation.metrics import report, tally
from gram_pyro.evaluation.tables import rows_markdown
from gram_pyro.evaluation.verdict import diversity, is_collapsed
from gram_pyro.harness.build import build_task
from gram_pyro.harness.load import RELEASED
from gram_pyro.harness.study import open_study
from gram_pyro.networks.heads import Heads
from gram_pyro.plots.generation import depth_figure
from gram_pyro.plots.style import plt
from gram_pyro.tasks.base import ImplicitTask
from gram_pyro.tasks.sudoku.boards import SudokuBoards, draw_boards
from gram_pyro.tasks.sudoku.classes import BoardClasses
from gram_pyro.tasks.sudoku.task import Sudoku
from gram_pyro.training import trainer as trainer_module
from gram_pyro.training.objectives import Balanced_ELBO
from gram_pyro.training.rollout_losses import set_loss
from gram_pyro.training.trainer import Trainer, TrainSettings


@pytest.fixture(scope="module")
def boards4():
    return every_board()


@pytest.fixture(scope="module")
def task():
    return boards_task()


# ---- training


class Anything(ImplicitTask):
    """Solutions are the answers whose first cell is 1; the nearest one differs in that cell alone. Puzzles that begin
    with 4 have none."""

    train = test = property()

    def augment(self, batch, generator):
        return batch

    def is_solved(self, x, y):
        return (y[..., 0] == 1) & (x[..., 0] != 4)

    def near(self, x, log_prob):
        y = log_prob.argmax(-1)
        y[:, 0] = 1
        return y[:, None], x[:, :1] != 4


def test_set_loss_by_search_is_that_of_the_solution_found():
    model, _ = program()
    x, _ = batch()
    x[:, 0] = torch.tensor([0, 4, 2])
    torch.manual_seed(3)
    loss, state = set_loss(model, x, None, None, None, Anything().near)
    log_prob = model.readout(state).base_dist.logits.log_softmax(-1)
    best = log_prob[:, 1:].amax(-1).sum(-1) + log_prob[:, 0, 1]
    close(loss, -(best[0] + best[2]) / B)


def test_heads_of_an_implicit_task_learn_from_its_rules(monkeypatch):
    seen = []

    def heads_loss(heads, states, right, at_end):
        seen.append(right)
        return heads(states[0]).halt.sum() * 0

    monkeypatch.setattr(trainer_module, "heads_loss", heads_loss)
    model, guide = program()
    settings = TrainSettings(updates=2, num_segments=2, batch_size=8, rollout_share=0.5, precision="fp32")
    trainer = Trainer(model, guide, Heads(8), Balanced_ELBO(max_plate_nesting=1), settings, implicit=Anything())
    x, y = batch(8)
    x[:, 0], x[0, 0] = 0, 4
    answers = torch.ones(2, 4, L, dtype=torch.long)
    answers[1, 2, 0] = 2
    each = itertools.cycle(answers)  # asked after every segment, and again for the heads
    monkeypatch.setattr(model.readout, "answer", lambda state, x: next(each))
    boards = SudokuBoards(n=4, num_train=3, num_test=1, max_clues=4, test_clues=(0,), cache=None)
    task_batch = next(boards.batches(8, torch.Generator()))
    trainer.train_on(task_batch._replace(x=x, y=y, solutions=y[:, None]))
    assert seen[0].tolist() == [[False, True, True, True], [False, True, False, True]]


# ---- scores


def test_quality_of_perfect_and_of_bad_boards(task, boards4):
    classes, perfect = BoardClasses(FOUR), draw_boards(FOUR, 2000, seed=1)
    row = quality(task, perfect, classes)
    assert row["valid"] == 1 and row["violations"] == 0 and row["classes"] == 2
    assert row["distinct"] == len({tuple(b) for b in perfect.tolist()}) / 2000
    close(row["distinct_uniform"], 288 * (1 - (287 / 288) ** 2000) / 2000)
    assert abs(row["tv"] - row["tv_uniform"]) < 4 * row["tv_uniform_sd"]
    p = classes.law[0].item()  # of two classes: tv = |f - p|, half-normal for many draws
    close(row["tv_uniform"], math.sqrt(2 / math.pi * p * (1 - p) / 2000), 0.25)
    one = torch.tensor(boards4[:1]).expand(10, -1).clone()
    one[:4, 0] = 0
    row = quality(task, one, classes)
    assert row["valid"] == 0.6 and row["distinct"] == 1 / 6
    close(row["violations"], 0.4 * 3)  # its row, column and box
    close(row["tv"], 1 - classes.law[classes(one[9:])].item(), 1e-6)
    nothing = quality(task, torch.zeros(5, 16, dtype=torch.long), classes)
    assert nothing["valid"] == 0 and math.isnan(nothing["distinct"]) and "tv" not in nothing


def test_total_variation_against_a_sum_by_hand():
    close(total_variation(torch.tensor([3.0, 1.0, 0.0]), torch.tensor([0.5, 0.25, 0.25])), 0.25)


def test_the_claim_is_tried_on_groups_of_boards(task):
    boards = draw_boards(FOUR, 200, seed=2)
    found = diversity(claim(task, boards), 20)
    groups = boards.view(20, 10, 16).transpose(0, 1)
    close(found["distinct"].mean, sum(len(g.unique(dim=0)) for g in groups) / 10 - 1)
    assert not is_collapsed(found)
    assert is_collapsed(diversity(claim(task, boards[:1].expand(200, -1)), 20))  # one board again and again


def test_coverage_of_solutions_that_are_not_listed_is_no_number(task):
    puzzles = task.test["5 clues"]
    table = report(tally(task, puzzles, puzzles.solutions.expand(4, -1, -1)), [4])
    assert table["accuracy"][4] == table["distinct"][4] == 1
    assert all(math.isnan(table[name][4]) for name in ("coverage", "ceiling", "coverage_share", "coverage_pooled"))


def test_generate_starts_from_the_blank_board(task):
    class Draws:
        answers = torch.arange(3 * 16).view(1, 3, 16)
        depth = torch.tensor([[2, 7, 3]])

    def draw(x, num_particles, num_segments):
        assert x.shape == (3, 16) and not x.any() and num_particles == 1 and num_segments == 7
        return Draws

    boards, cost = generate(draw, task, 3, 7, 0, torch.device("cpu"))
    assert boards.equal(Draws.answers[0]) and cost["segments"] == 7 and cost["run"] == 4


def test_a_table_of_rows_has_every_column():
    text = rows_markdown([{"a": 1, "b": 0.5}, {"a": 2, "c": "x"}])
    assert text.splitlines() == ["| a | b | c |", "| --- | --- | --- |", "| 1 | 0.5000 |  |", "| 2 |  | x |"]


def test_a_table_shows_errors_beside_what_they_are_of():
    rows = [{"a": 0.5, "a_se": 0.01, "b_se": 1.0}, {"a": 0.25, "a_se": None}, {"a": None, "a_se": None}]
    assert rows_markdown(rows).splitlines()[2:] == ["| 0.5000 ± 0.0100 | 1.0000 |", "| 0.2500 |  |", "|  |  |"]
    assert rows_markdown(rows, ["a"]).splitlines() == ["| a |", "| --- |", "| 0.5000 ± 0.0100 |", "| 0.2500 |", "|  |"]


def test_the_figure_shows_validity_and_where_it_is_known_the_distance_from_uniform():
    rows = [{"segments": n, "valid": v, "valid_se": 0.01, "distinct": 0.9} for n, v in ((1, 0.0), (2, 0.5), (4, 1.0))]
    tv = [{}, {"tv": 0.3, "tv_uniform": 0.1, "tv_uniform_sd": 0.02}, {"tv": 0.2, "tv_uniform": 0.1, "tv_uniform_sd": 0}]
    for known in (False, True):
        figure = depth_figure([row | more for row, more in zip(rows, tv, strict=True)] if known else rows)
        assert len(figure.axes) == 1 + known
        assert figure.axes[0].containers[0].lines[0].get_xydata().tolist() == [[1, 0], [2, 50], [4, 100]]
        if known:  # not of the first depth, which has no valid board
            ours, uniform = figure.axes[1].lines[0], figure.axes[1].containers[0].lines[0]
            assert ours.get_xydata().tolist() == [[2, 0.3], [4, 0.2]]
            assert uniform.get_xydata().tolist() == [[2, 0.1], [4, 0.1]]
        plt.close(figure)


# ---- the experiment


def test_a_checkpoint_of_boards_is_evaluated_on_another_task_of_the_same_symbols():
    trained = OmegaConf.create({"task": {"_target_": "gram_pyro.tasks.sudoku.boards.SudokuBoards", "max_clues": 9}})
    changed = OmegaConf.create({"_target_": "gram_pyro.tasks.sudoku.task.Sudoku", "n": 4, "num_test": 5, "test": None})
    assert type(build_task(trained, changed)) is Sudoku
    assert type(build_task(trained, OmegaConf.create({"_target_": None, "seed": 3}))) is SudokuBoards


SMALL = """
    task.n=4 task.num_train=60 task.num_test=8 task.max_clues=6 task.test_clues=[0,3] +task.cache=null
    dim=16 core.hidden=16 core.num_layers=1 core.mixer.num_heads=2 compile=false device=cpu
    train.updates=4 train.num_segments=2 train.batch_size=8 watch.every=2 watch.num_puzzles=4 task_name=t method_name=m
    evaluate.num_boards=40 evaluate.depths=[1,2] evaluate.num_puzzles=4 evaluate.num_segments=2
"""


def test_the_experiment_end_to_end(tmp_path, capsys):
    with initialize_config_dir(str(CONF), version_base=None):
        config = compose("svi_generation", overrides=[*SMALL.split(), f"run_dir={tmp_path}"])
    work("svi_generation")(config)
    out = capsys.readouterr().out
    assert (
        "over one answer" in out
        and "| segments | run | seconds | num_boards | valid |" in out
        and "| 3 clues | 4 | 20 |" in out
    )
    written = {path.name for path in tmp_path.iterdir() if path.stat().st_size}
    tables, figures = {"generation.csv", "clues.csv", "results.json"}, {"depth.png", "boards.png", "training.png"}
    assert written >= tables | figures | {"GRAM.safetensors", "GRAM.csv", "config.yaml"}


def test_boards_of_a_checkpoint(tmp_path, capsys):
    with initialize_config_dir(str(CONF), version_base=None):
        config = compose("svi_generation", overrides=[*SMALL.split(), f"run_dir={tmp_path}"])
        work("svi_generation")(config)
        overrides = f"checkpoint={tmp_path}/GRAM.safetensors num_boards=30 depths=[1,3] halt_at=0.5 device=cpu chunk=8"
        config = compose("generate", overrides=[*overrides.split(), f"run_dir={tmp_path}/drawn", "sampler_name=a"])
    work("generate")(open_study(config))
    lines = (tmp_path / "drawn" / "boards.txt").read_text().splitlines()
    assert len(lines) == 30 and all(len(line) == 16 and set(line) <= set("1234.") for line in lines)
    written = {path.name for path in (tmp_path / "drawn").iterdir() if path.stat().st_size}
    assert written >= {"generation.csv", "generation.json", "depth.png", "boards.png"}
    with initialize_config_dir(str(CONF), version_base=None):
        elsewhere = [f"checkpoint={RELEASED / 'sudoku_4x4.safetensors'}", f"run_dir={tmp_path / 'refused'}"]
        config = compose("generate", overrides=[*elsewhere, "sampler_name=a"])
    with pytest.raises(ValueError, match="task Sudoku has no boards without clues; expected a run of svi_gen"):
        work("generate")(open_study(config))
