"""Every method of the paper's table is one word on the command line, from there to its cell of the table."""

from functools import cache

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from scripts import CONF, experiment, work

from gram_pyro.baselines.autoregressive import Autoregressive
from gram_pyro.baselines.d3pm import D3PM
from gram_pyro.baselines.masked_diffusion import MaskedDiffusion
from gram_pyro.baselines.vae import VAE
from gram_pyro.harness import claim, trial
from gram_pyro.harness.build import build_learner
from gram_pyro.harness.programs import programs
from gram_pyro.networks.core import Flat, Hierarchical
from gram_pyro.networks.layers import Block
from gram_pyro.priors.noiseless import Noiseless
from gram_pyro.tasks.candidates.listed import ListedQueens
from gram_pyro.tasks.nqueens.task import NQueens
from gram_pyro.tasks.sudoku.task import Sudoku

METHODS = sorted(f.stem for f in (CONF / "method").glob("*.yaml") if f.stem not in ("colours", "glimpse_patches"))
COVERING, CANDIDATES, EXACT_COVER = "covering_16", "candidates", "exact_cover"
OURS = (COVERING, CANDIDATES, EXACT_COVER)  # colours are of ARC, patches of images
IN_PAPER = [m for m in METHODS if m not in OURS and not m.startswith("ablation_")]
BASELINES = {"autoregressive": Autoregressive, "masked_diffusion": MaskedDiffusion, "vae": VAE, "d3pm": D3PM}
SCRIPTS = ("svi_sudoku", "svi_nqueens", "svi_colouring")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def table():
    return experiment("table")


@cache
def board():
    return Sudoku(n=4, num_train=8, num_test=0, max_solutions=12, cache=None)


@cache
def queens():
    return ListedQueens(NQueens(n=5, removed=(2, 3)))


def composed(script, method, *overrides, **values):
    values = {"task_name": "t", "method_name": method, "run_dir": "x"} | values
    with initialize_config_dir(str(CONF), version_base=None):
        return compose(script, [f"method={method}", *overrides, *(f"{k}={v}" for k, v in values.items() if v)])


def test_every_number_of_the_paper_belongs_to_a_task_and_a_method():
    paper = OmegaConf.load(CONF / "table.yaml").paper
    for task, methods in paper.items():
        assert (CONF / "task" / f"{task}.yaml").exists() and set(methods) <= set(METHODS)
    assert set(IN_PAPER) - {"vae", "d3pm"} == set(paper.nqueens_8_input)  # ours, and of its other tables


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_composes_and_takes_a_step(script, method, local_params, single_precision):
    size = 32 if method == COVERING else 10
    small = ("dim=16", "core.hidden=16", f"train.batch_size={size}", "train.updates=20", "compile=false")
    config = composed(script, method, *small)
    assert config.get("baseline") or method not in BASELINES
    task = queens() if method == EXACT_COVER else board()
    learner = build_learner(config, task, CPU)
    record = learner.train_on(next(task.batches(size, torch.Generator().manual_seed(0))))
    assert next(iter(record)) == "loss" and all(torch.isfinite(value).all() for value in record.values())
    assert learner.updates == (1 if method in BASELINES else config.train.num_segments)
    if method in BASELINES:
        assert isinstance(learner.baseline, BASELINES[method]) and set(learner.program) == {"baseline"}
        return
    core = learner.model.core
    if method in BASELINES:
        assert isinstance(core, Flat if method in ("direct", "looped") else Hierarchical)
        assert isinstance(learner.model.prior, Noiseless) == (method != "gram")
        num_blocks = sum(isinstance(m, Block) for m in core.modules())
        assert num_blocks == {"gram": 4, "hrm": 4, "trm": 2, "direct": 12, "looped": 2}[method]
    if method in ("direct", "looped"):  # no deep supervision, the gradient through everything
        assert config.train.num_segments == config.evaluate.num_segments == 1
        assert config.model.num_transitions == config.model.num_grad_steps
    for name, p in core.named_parameters():
        assert p in learner.optimiser.state, name


def test_every_method_differs_from_every_other():
    """On N-Queens, where the script itself chooses objective, updates and depth: a method has the last word."""
    configs = [OmegaConf.to_yaml(composed("svi_nqueens", m, method_name="any")) for m in METHODS]
    assert len(set(configs)) == len(METHODS)
    config = composed("svi_nqueens", "gram", "experiment=smoke")
    assert config.train.updates == 8 and config.evaluate.num_segments == 2
    assert composed("svi_nqueens", "ablation_last_kl").objective._target_.endswith("Surrogate")
    assert composed("svi_nqueens", "gram").objective._target_.endswith("MeanField_ELBO")


@pytest.mark.parametrize("method", ["gram", "hrm", *BASELINES])
def test_the_baseline_of_every_method_is_the_deterministic_recursion(method, local_params, single_precision):
    config = composed("svi_sudoku", method, "dim=16", "core.hidden=16", "compile=false")
    baseline = programs(config)["deterministic"]
    learner = build_learner(baseline, board(), CPU)
    assert set(learner.program) == {"model", "guide", "heads"} and isinstance(learner.model.prior, Noiseless)


def test_only_a_recursion_without_noise_is_a_baseline(local_params, single_precision):
    """Eight of its trajectories end in eight states, where those of the recursion as it is, and their laws, are one."""
    task, small = board(), ("dim=16", "core.hidden=16", "compile=false", "evaluate.num_segments=1")
    x = task.train.x[:2]
    config = composed("svi_sudoku", "gram", *small)
    assert config.evaluate.baseline_deviations == [0.1, 0.2, 0.3, 0.5, 1.0]
    config.evaluate.baseline_deviations = [0.3, 0.5]
    baselines = {"gram": config, "deterministic": programs(config)["deterministic"]}
    baselines["autoregressive"] = composed("svi_sudoku", "autoregressive", *small)
    learners = {name: build_learner(baseline, board(), CPU) for name, baseline in baselines.items()}
    found = {n: claim.samplers(n, learner, config, task, CPU) for n, learner in learners.items()}
    assert all(list(draws) == [name] for name, draws in found.items() if name != "deterministic")
    (plain, _), (noisy, about), (drawn, _) = found["deterministic"].values()
    chosen = about["baseline"]
    assert list(found["deterministic"])[1:] == [f"deterministic, {chosen['kind']}", "deterministic, cell marginals"]
    best = max(chosen["tuning"], key=lambda row: row["score"])
    assert {row["deviation"] for row in chosen["tuning"]} >= {0.3, 0.5} and (best["kind"], best["deviation"]) == (
        chosen["kind"],
        chosen["deviation"],
    )
    plain, noisy, drawn = (draw(x, 8, 1) for draw in (plain, noisy, drawn))
    assert (plain.log_likelihood == plain.log_likelihood[:1]).all()
    assert all(len(column.unique()) == 8 for column in noisy.change.T)
    assert (drawn.change == plain.change).all() and len(drawn.answers[:, 0].unique(dim=0)) == 8
    config.evaluate.baseline_deviations = None
    assert list(claim.samplers("deterministic", learners["deterministic"], config, task, CPU)) == ["deterministic"]


def test_the_folder_of_a_cell_names_task_method_and_seed():
    config = composed("svi_nqueens", "trm", "experiment=table", run_dir=None, task_name="nqueens_8", seed=2)
    assert config.run_dir == "runs/table/nqueens_8/trm/seed2" and config.baselines.deterministic is None


@pytest.mark.parametrize("method", ["trm", "masked_diffusion"])
def test_a_cell_of_the_table_from_training_to_the_figure(
    method, table, tmp_path, monkeypatch, capsys, local_params, single_precision
):
    light = ("baseline.num_steps=3", "baseline.num_layers=1", "baseline.hidden=16") if method in BASELINES else ()
    config = composed(
        "svi_sudoku", method, "experiment=smoke", *light, "baselines.deterministic=null", "evaluate.widths=[1,20]",
        "train.precision=fp32", run_dir=tmp_path / "run", task_name="sudoku", seed=1,
    )  # fmt: skip
    trial.run(config, claim.Claim)
    assert "VERDICT" in capsys.readouterr().out
    files = {f: f.read_bytes() for f in (tmp_path / "run").iterdir()}
    monkeypatch.setattr(trial, "instantiate", pytest.fail)  # nothing is built a second time
    monkeypatch.setattr(claim, "evaluate", pytest.fail)
    trial.run(config, claim.Claim)
    assert capsys.readouterr().out == "" and {f: f.read_bytes() for f in (tmp_path / "run").iterdir()} == files

    (row, *_) = rows = table.read_run(tmp_path / "run" / "results.json", 20)
    assert {r["puzzles"] for r in rows} == {"minimal", "several"}
    assert (row["task"], row["method"], row["seed"], row["updates"]) == ("sudoku", method, 1, 8)
    assert row["device"] == "cpu" and row["parameters"] > 1000 and 0 <= row["accuracy"] <= row["any"] <= 100
    work("table")(OmegaConf.create({"runs": str(tmp_path), "output": str(tmp_path / "out"), "width": 20, "paper": {}}))
    assert (tmp_path / "out" / "frontier.png").stat().st_size > 5000


def test_a_baseline_keeps_the_settings_that_it_does_not_name():
    config = composed("svi_sudoku", "candidates")
    baseline = programs(config)["deterministic"]
    assert config.train.rollouts_per_puzzle == 4 and config.rollout_loss._target_.endswith("Cover")
    assert baseline.train == {**config.train, "rollouts_per_puzzle": 1}
    assert baseline.rollout_loss._target_.endswith("Set")
    assert baseline.prior == config.baselines.deterministic.prior and baseline.core == config.core
