"""Batches in parts, one after the other or on two processes: the numbers of the whole batch, but for rounding."""

import csv
import logging
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pyro
import pyro.distributions as dist
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from scripts import ROOT
from small_baselines import autoregressive, copies, diffusion
from small_baselines import trainer_of as baseline_trainer
from tiny import L, close, shake
from tiny_trainer import ragged, trainer_of

from gram_pyro.harness import trial
from gram_pyro.priors.base import Prior
from gram_pyro.priors.categorical import Categorical
from gram_pyro.priors.flow import Flow
from gram_pyro.priors.gaussian import Gaussian
from gram_pyro.priors.low_rank import LowRank
from gram_pyro.priors.mixture import Mixture
from gram_pyro.priors.student_t import StudentT
from gram_pyro.training.batch_parts import Part, RowNoise, own_noise, random_state_kept
from gram_pyro.training.importance import IWAE
from gram_pyro.training.objectives import Balanced_ELBO
from gram_pyro.training.parallel import joined, parts
from gram_pyro.training.rollout_losses import Cover, MultiSample

D = 8


class Box(Prior):
    """Uniform around u: drawn by torch.rand, which is told a shape and no tensor."""

    def forward(self, u, t):
        return dist.Uniform(u - 1, u + 1).to_event(2)


PRIORS = {
    "box": Box,
    "gaussian": lambda: Gaussian(D, 6),
    "student_t": lambda: StudentT(D, 4, 6),
    "low_rank": lambda: LowRank(D, 2, 6),
    "mixture": lambda: Mixture(D, 3, 6),
    "flow": lambda: Flow(D, 2, 6),
    "categorical": lambda: Categorical(D, 4, 6),
}


@pytest.mark.parametrize("num_rows", [3, 7, 8])
def test_parts_divide_the_rows(num_rows):
    rows = [list(range(num_rows)[Part(i, 3).of(num_rows)]) for i in range(3)]
    assert sum(rows, []) == list(range(num_rows)) and {len(r) for r in rows} <= {num_rows // 3, num_rows // 3 + 1}


def test_fewer_rows_than_parts():
    with pytest.raises(ValueError, match="got 2 rows of one kind .* for 3 parts; .*; write a larger"):
        Part(0, 3).of(2)


@pytest.mark.parametrize("lead", [(), (2,)])
@pytest.mark.parametrize("name", PRIORS)
def test_every_row_has_the_noise_of_the_whole_batch(name, lead):
    prior = shake(PRIORS[name](), 0.3)
    u = torch.randn(*lead, 5, L, D)

    def drawn(rows, handler):
        torch.manual_seed(3)
        with handler, pyro.plate("puzzles", u[..., rows, :, :].shape[-3], dim=-1):
            return [pyro.sample(f"z_{t}", prior(u[..., rows, :, :], t)) for t in range(2)], torch.rand(())

    whole, after = drawn(slice(None), nullcontext())
    assert (whole[0] - whole[1]).abs().max() > 1e-3
    for i in range(3):
        mine = Part(i, 3).of(5)
        part, then = drawn(mine, RowNoise(mine, 5))
        assert then == after  # the random state is that of the whole batch
        for z, z_whole in zip(part, whole, strict=True):
            close(z, z_whole[..., mine, :, :])


@pytest.mark.parametrize(
    ("rollout_share", "objective", "updates", "rollout_loss"),
    [
        (0.4, Balanced_ELBO(), 24, None),
        (0.4, Balanced_ELBO(), 8, Cover()),
        (0.4, Balanced_ELBO(), 4, MultiSample()),
        (0.0, Balanced_ELBO(), 4, None),
        (0.4, IWAE(num_particles=2), 4, None),
    ],
)
def test_accumulation_changes_nothing(local_params, rollout_share, objective, updates, rollout_loss):
    """The batch at once against three parts, uneven where rows do not divide."""
    runs = []
    for accumulate in (1, 3):
        torch.manual_seed(1)
        options = {"accumulate": accumulate, "rollouts_per_puzzle": 1 if rollout_loss is None else 2}
        trainer = trainer_of(rollout_share, objective=objective, size=24, rollout_loss=rollout_loss, **options)
        runs.append([trainer.train_on(ragged(24)) for _ in range(updates // 2)])
        assert trainer.updates == updates
    for one, two in zip(*runs, strict=True):
        assert one.keys() == two.keys()
        for name in one:
            close(one[name], two[name], 1e-5)
    assert (runs[0][0]["loss"] - runs[0][-1]["loss"]).abs() > 0.01


def test_accumulation_of_a_baseline(local_params):
    """No noise: the same numbers. With noise: that of each part is its own, and the loss is the weighted mean."""
    runs = []
    for accumulate in (1, 3):
        torch.manual_seed(1)
        trainer = baseline_trainer(autoregressive(4, 3), accumulate=accumulate)
        generator = torch.Generator().manual_seed(1)
        runs.append([trainer.train_on(copies(generator))["loss"] for _ in range(3)])
    close(torch.stack(runs[0]), torch.stack(runs[1]), 1e-4)  # its logits are float32
    trainer, batch = baseline_trainer(diffusion(4, 3), accumulate=3), copies()
    torch.manual_seed(2)
    expected = 0
    for part in parts(3):
        rows = part.of(16)
        with own_noise(part, torch.device("cpu")):
            expected += len(batch.x[rows]) / 16 * trainer.baseline.loss(batch.x[rows], batch.y[rows]).detach()
    torch.manual_seed(2)
    close(trainer.train_on(batch)["loss"], expected)


def test_parts_have_noise_of_their_own():
    torch.manual_seed(0)
    drawn = []
    for i in range(2):
        with random_state_kept(torch.device("cpu")), own_noise(Part(i, 2), torch.device("cpu")):
            drawn.append(torch.rand(4))
    assert not torch.equal(*drawn)


def test_accumulate_must_be_a_number_of_parts():
    with pytest.raises(ValueError, match="got accumulate=0; expected 1 or more"):
        trainer_of(accumulate=0)


@pytest.mark.parametrize("rank", [0, 1])
def test_ranks_but_the_first_work_silently_in_a_copy_and_are_stopped_by_it(rank, tmp_path, monkeypatch, capsys):
    """One process that is told which rank it is, in place of two."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "GRAM.csv").write_text("so far")
    told = []
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    for name, answer in (("is_initialized", False), ("get_rank", rank)):
        monkeypatch.setattr(torch.distributed, name, lambda answer=answer: answer)
    for name in ("init_process_group", "barrier", "destroy_process_group"):
        monkeypatch.setattr(torch.distributed, name, lambda name=name: told.append(name))
    of_the_first = str(tmp_path / "run")
    monkeypatch.setattr(torch.distributed, "broadcast_object_list", lambda names: names.__setitem__(0, of_the_first))
    mine = tmp_path / "run" if rank == 0 else tmp_path / "another, as the time of day is"
    with pytest.raises(SystemExit if rank else KeyboardInterrupt), joined(str(mine)) as folder:
        assert (Path(folder) / "GRAM.csv").read_text() == "so far" and (Path(folder) == mine) == (rank == 0)
        (Path(folder) / "GRAM.csv").write_text("goes on")
        print("spoken")
        raise KeyboardInterrupt
    assert logging.root.manager.disable == logging.NOTSET
    assert told == ["init_process_group", "barrier", "destroy_process_group"] and mine.exists() == (rank == 0)
    assert (capsys.readouterr().out == "spoken\n") == (rank == 0)
    assert (tmp_path / "run" / "GRAM.csv").read_text() == ("so far" if rank else "goes on")


def smoke(folder, *overrides):
    fixed = ["experiment=smoke", "train.precision=fp32", "train.updates=50", "watch.every=10", f"run_dir={folder}"]
    return [*fixed, "baselines.deterministic=null", *overrides]


def test_two_processes_train_as_one(tmp_path, local_params):
    """torchrun with two ranks against one process, 50 updates: every loss and KL; one folder, written by rank 0."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command = [*torchrun, "experiments/svi_sudoku.py", *smoke(tmp_path / "two")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    with initialize_config_dir(str(ROOT / "experiments/conf"), version_base=None):
        config = compose("svi_sudoku", [*smoke(tmp_path / "one"), "task_name=", "method_name="])
    (tmp_path / "one").mkdir()
    torch.set_default_dtype(torch.float32)
    try:
        trial.train("GRAM", config, instantiate(config.task), tmp_path / "one", torch.device("cpu"))
    finally:
        torch.set_default_dtype(torch.float64)
    output, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    one, two = (
        list(csv.DictReader((tmp_path / name / "GRAM.csv").read_text().splitlines())) for name in ("one", "two")
    )
    assert len(one) == len(two) == 5 and float(one[0]["loss"]) != float(one[-1]["loss"])
    for a, b in zip(one, two, strict=True):
        for name in ("updates", "loss", "kl_0", "kl_1", "set_loss", "heads_loss"):
            close(float(a[name]), float(b[name]), 1e-5)
    assert output.count("VERDICT") == 1 and error.count("| 0/50 [") == 1  # one of the two speaks
    assert (tmp_path / "two" / "results.json").stat().st_size > 0
