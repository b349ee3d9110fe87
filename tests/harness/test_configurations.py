"""Every configuration composes and takes a step, and one with a prior of one's own trains."""

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf
from scripts import CONF, script

from gram_pyro.harness.build import build_guide, build_heads, build_learner, build_model
from gram_pyro.tasks.candidates.packed import pack_all
from gram_pyro.tasks.candidates.shorthands import queens
from gram_pyro.tasks.nqueens.task import NQueens
from gram_pyro.tasks.sudoku.task import Sudoku
from gram_pyro.training.trainer import Trainer, TrainSettings

OF_IMAGES = ("glimpsed_patches", "denoising_patches", "canvas_small", "glimpse_patches")
CHOICES = {
    group: sorted(f.stem for f in (CONF / group).glob("*.yaml") if f.stem not in ("own", "colours", *OF_IMAGES))
    for group in ("core", "prior", "guide", "objective", "rollout_loss", "experiment")
}  # colours are of ARC
DENOISING = ["core=canvas", "prior=denoising", "guide=denoising", "prior.num_symbols=4"]
COMPANIONS = {  # what a choice needs beside it
    "noiseless": ["guide=bootstrap"], "categorical": ["prior=categorical", "guide=categorical"],
    "denoising": DENOISING, "canvas": DENOISING,
    **dict.fromkeys(["constraints", "group_networks"], ["embed=candidates", "readout=candidates"]),
    "exact_cover": ["embed=exact_cover", "readout=exact_cover"],
    **dict.fromkeys(["student_t", "mixture", "low_rank", "flow"], ["objective=mean_field"]),  # no KL in closed form
}  # fmt: skip


@pytest.mark.parametrize(
    ("group", "choice"), [(group, choice) for group, choices in CHOICES.items() for choice in choices]
)
def test_every_configuration_composes_and_takes_a_step(group, choice, monkeypatch):
    torch.set_default_dtype(torch.float32)
    small = ["dim=16", "train.num_segments=1", "train.batch_size=2", "train.updates=1", "train.precision=fp32"]
    overrides = [f"{group}={choice}", *small, "+core.hidden=8" if "hidden" not in choice else "core.hidden=8"]
    overrides += [other for other in COMPANIONS.get(choice, []) if not other.startswith(f"{group}=")]
    with initialize_config_dir(str(CONF), version_base=None):
        config = compose("svi_sudoku", overrides=[o.replace("+core", "core") for o in overrides] + ["run_dir=x"])
    task = Sudoku(n=4, num_train=8, num_test=0, max_solutions=12, cache=None)
    if choice == "exact_cover":
        task = NQueens(n=5, removed=[4])
    batch = next(task.batches(2, torch.Generator().manual_seed(0)))
    if choice == "exact_cover":
        batch = batch._replace(x=pack_all([queens(5, squares) for squares in batch.x.tolist()]))
    try:
        import pyro

        with pyro.settings.context(module_local_params=True):
            model = build_model(config, task)
            guide, heads = build_guide(config, model), build_heads(config)
            losses = instantiate(config.objective), TrainSettings(**config.train), instantiate(config.rollout_loss)
            trainer = Trainer(model, guide, heads, *losses)
        record = trainer.train_on(batch)
    finally:
        torch.set_default_dtype(torch.float64)
    assert all(torch.isfinite(value).all() for value in record.values()) and trainer.updates == 1


OWN = {  # for every group, a class in the place of one's own, and what it needs besides
    "task": ("gram_pyro.tasks.nqueens.task.NQueens", "+task.n=5", "+task.removed=[2]"),
    "embed": ("gram_pyro.networks.embed.TokenEmbedding",),
    "core": ("gram_pyro.networks.core.Flat",),
    "prior": ("gram_pyro.priors.student_t.StudentT", "objective=mean_field"),
    "readout": ("gram_pyro.networks.readout.CategoricalReadout",),
    "guide": ("guides.concat.Concat", "+guide.hidden=8"),
    "objective": ("gram_pyro.training.objectives.Balanced_ELBO", "+objective.balance=0.5"),
    "rollout_loss": ("gram_pyro.training.rollout_losses.Nearest",),
    "baseline": (
        "gram_pyro.baselines.autoregressive.Autoregressive", "+baseline.num_layers=1", "+baseline.num_heads=2",
    ),
}


@pytest.mark.parametrize("group", OWN)
def test_what_is_ones_own_takes_a_place_in_every_group(group, single_precision, local_params):
    target, *others = OWN[group]
    overrides = [f"{group}=own", f"{group}._target_={target}", "experiment=smoke", "run_dir=x", *others]
    with initialize_config_dir(str(CONF), version_base=None):
        config = compose("svi_sudoku", overrides=overrides)
    task = instantiate(config.task)
    learner = build_learner(config, task, torch.device("cpu"))
    record = learner.train_on(next(task.batches(config.train.batch_size, torch.Generator().manual_seed(0))))
    assert learner.updates > 0 and all(torch.isfinite(value).all() for value in record.values())
    whole = group in ("task", "baseline")
    made = {"task": task, "baseline": learner.program} if whole else vars(learner) | vars(learner.model)
    made |= getattr(learner, "model", torch.nn.Module())._modules | getattr(learner, "program", {})._modules
    assert any(type(part).__name__ == target.rpartition(".")[2] for part in made.values())


def test_every_group_has_a_place_for_ones_own():
    groups = {file.parent.name for file in CONF.glob("*/own.yaml")}
    assert groups == {*OWN, "sampler", "select", "potential"}
    others = {"experiment", "method", "rung", "hydra", "size", "logger"}  # not parts, and loggers are named
    assert groups == {f.name for f in CONF.iterdir() if f.is_dir()} - others


def test_a_place_that_is_left_empty_costs_a_sentence(tmp_path):
    done = script("svi_sudoku", "task=own", "experiment=[smoke,table]", f"run_dir={tmp_path}", check=False)
    assert done.returncode and done.stderr.splitlines()[-1] == (
        "error: got no task._target_; expected a class of your own; write task._target_=my_file.MyClass"
    )


TASKS = sorted(f.stem for f in (CONF / "task").glob("*.yaml") if f.stem != "own")
OF_FILES = {"arc_1", "arc_2", "arc_small", "mnist", "sudoku_mixture_9"}  # which tests do not have


@pytest.mark.parametrize("name", sorted(set(TASKS) - OF_FILES))
def test_smoke_makes_every_task_small(name):
    with initialize_config_dir(str(CONF), version_base=None):
        config = compose("svi_sudoku", overrides=["experiment=smoke", f"task={name}", "run_dir=x"])
    task = instantiate(config.task)
    batch = next(task.batches(2, torch.Generator().manual_seed(0)))
    assert task.is_solved(batch.x, batch.y).all()
    assert sum(len(puzzles.x) for puzzles in task.test.values()) <= 40


@pytest.mark.parametrize("name", sorted(f.stem for f in CONF.glob("svi_*.yaml")))
def test_smoke_is_an_experiment_of_every_script(name):
    with initialize_config_dir(str(CONF), version_base=None):
        config = compose(name, overrides=["experiment=smoke", "task=own", "task._target_=my_task.Mine", "run_dir=x"])
    assert config.train.updates == 8 and config.task == {"_target_": "my_task.Mine"}


METHODS = sorted(f.stem for f in (CONF / "method").glob("*.yaml") if f.stem not in ("colours", *OF_IMAGES))


@pytest.mark.parametrize("name", METHODS)
def test_smoke_makes_every_method_small_and_it_takes_a_step(name, single_precision, local_params):
    which = "svi_nqueens" if name == "exact_cover" else "svi_sudoku"
    more = ["task=nqueens_8_listed"] if name == "exact_cover" else []
    with initialize_config_dir(str(CONF), version_base=None):
        config = compose(which, overrides=[f"method={name}", "experiment=smoke", "run_dir=x", *more])
    sizes = config.dim, config.train.updates, config.train.num_segments, config.train.batch_size, config.core.num_layers
    assert sizes == (16, 8, 2, 8, 1) and config.evaluate.num_segments == 2
    task = instantiate(config.task)
    learner = build_learner(config, task, torch.device("cpu"))
    learner.train_on(next(task.batches(8, torch.Generator().manual_seed(0))))
    assert learner.updates > 0


@pytest.mark.parametrize("rung", sorted(f.stem for f in (CONF / "rung").glob("*.yaml")))
def test_smoke_makes_every_rung_small(rung):
    with initialize_config_dir(str(CONF), version_base=None):
        config = compose("svi_sudoku", overrides=["experiment=smoke", f"rung={rung}", "run_dir=x"])
    assert (config.dim, config.train.updates, config.train.batch_size, config.evaluate.num_segments) == (16, 8, 8, 2)


def test_smoke_makes_all_that_is_trained_and_drawn_of_images_and_boards_small():
    with initialize_config_dir(str(CONF), version_base=None):
        images = compose("svi_images", overrides=["experiment=smoke", "run_dir=x"])
        boards = compose("svi_generation", overrides=["experiment=smoke", "run_dir=x"])
    assert {baseline.train.updates for baseline in images.baselines.values()} == {8}
    assert images.evaluate.num_images == boards.evaluate.num_boards == 16


@pytest.mark.parametrize(("guide", "share"), [("guide.share=0.2", 0.2), ("guide=encoder", 0.12)])
def test_of_images_the_prior_looks_where_the_guide_looks(guide, share):
    with initialize_config_dir(str(CONF), version_base=None):
        config = compose("svi_images", overrides=["method=glimpse_patches", guide, "run_dir=x"])
    prior = instantiate(config.prior)
    assert (prior.share, prior.columns, prior.patch) == (share, 28, 4)


def test_what_stands_on_the_command_line_wins_over_smoke():
    with initialize_config_dir(str(CONF), version_base=None):
        config = compose("svi_sudoku", overrides=["train.updates=3", "experiment=smoke", "run_dir=x"])
    assert config.train.updates == 3


def test_smoke_has_sizes_for_tasks_and_methods_alone():
    assert {f.stem for f in (CONF / "size" / "smoke").glob("*.yaml")} <= set(TASKS)
    assert {f.stem for f in (CONF / "size" / "smoke_methods").glob("*.yaml")} <= set(METHODS)


def test_the_paper_size_is_one_configuration():
    """10.5M parameters without ARC's extras (paper.md 1.3), the embedding and the readout included."""
    with initialize_config_dir(str(CONF), version_base=None):
        config = compose("svi_sudoku", overrides=["experiment=sudoku_extreme", "run_dir=x"])
    assert OmegaConf.select(config, "core.mixer._target_").endswith("RotaryAttention")
    model = build_model(config, Sudoku(n=9, num_train=1, num_test=0, cache=None))
    guide = build_guide(config, model)
    assert 10.4e6 < sum(p.numel() for p in model.parameters()) + sum(p.numel() for p in guide.parameters()) < 10.6e6


def test_a_prior_is_one_file_and_one_override(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)  # as PYTHONPATH does
    (tmp_path / "prior_of_ones_own.py").write_text(
        "import torch, pyro.distributions as dist\n"
        "from torch.nn.functional import softplus\n"
        "from gram_pyro.priors.base import Prior\n\n"
        "class HeavyTail(Prior):\n"
        "    def __init__(self, dim, df=4.0):\n"
        "        super().__init__()\n"
        "        self.df, self.net = df, torch.nn.Linear(dim, 2 * dim)\n\n"
        "    def forward(self, u, t):\n"
        "        loc, raw = self.net(u).to(u.dtype).chunk(2, -1)\n"
        "        return dist.StudentT(self.df, loc, softplus(raw) + 1e-3).to_event(2)\n"
    )
    overrides = ("prior._target_=prior_of_ones_own.HeavyTail", "+prior.df=3", "objective=trace_elbo")
    done = script("svi_sudoku", "experiment=smoke", *overrides, f"run_dir={tmp_path / 'run'}")
    assert "VERDICT" in done.stdout
