"""Programs of candidates are built, trained, compiled, continued and divided like all others."""

import shutil
from functools import partial

import pyro
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from scripts import CONF
from tiny import close

from gram_pyro.harness import checkpoint
from gram_pyro.harness.build import build_learner, build_model
from gram_pyro.harness.load import load_program
from gram_pyro.tasks.nqueens.task import NQueens
from gram_pyro.tasks.planning.task import Planning
from gram_pyro.tasks.sudoku.boards import SudokuBoards
from gram_pyro.tasks.sudoku.task import Sudoku

CPU = torch.device("cpu")
SMALL = ["dim=16", "core.hidden=16", "core.num_layers=1", "train.num_segments=2", "train.batch_size=8", "compile=false"]
NAMES = ["run_dir=x", "task_name=sudoku", "method_name=gram"]
CANDIDATES = ["embed=candidates", "core=constraints", "readout=candidates"]


@pytest.fixture(autouse=True)
def as_in_training(local_params):
    """Parameters belong to their modules."""


def configured(*overrides, base=CANDIDATES):
    with initialize_config_dir(str(CONF), version_base=None):
        return compose("svi_sudoku", overrides=[*base, *SMALL, *NAMES, *overrides])


def task_of(n=4):
    return Sudoku(n, num_train=12, num_test=0, max_solutions=6, cache=None)


def learner_of(*overrides, task=None, seed=0):
    pyro.set_rng_seed(seed)
    return build_learner(configured("train.precision=fp32", *overrides), task or task_of(), CPU)


def batches_of(task, size=8):
    return task.batches(size, torch.Generator().manual_seed(0))


def weights(learner):
    average = {f"average.{name}": w for name, w in learner.ema.module.state_dict().items()}
    return {name: w.clone() for name, w in (learner.program.state_dict() | average).items()}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("rollout_loss", ["set", "multi_sample", "cover"])
def test_a_trajectory_trains_every_parameter(single_precision, precision, rollout_loss):
    losses = [f"rollout_loss={rollout_loss}", "train.rollouts_per_puzzle=2"]
    learner = learner_of(f"train.precision={precision}", *losses)
    before = {name: p.detach().clone() for name, p in learner.program.named_parameters()}
    assert all(p.dtype == torch.float32 for p in before.values())
    batches = batches_of(task_of())
    records = [learner.train_on(next(batches)) for _ in range(2)]
    assert [n for n, p in learner.program.named_parameters() if torch.equal(p, before[n])] == []
    for record in records:
        assert all(torch.isfinite(v).all() and v.dtype == torch.float32 for v in record.values())
        assert ("multi_sample_loss" in record, "cover_loss" in record) == (
            rollout_loss == "multi_sample",
            rollout_loss == "cover",
        )


def test_solutions_that_are_searched_for():
    task = SudokuBoards(n=4, num_train=8, num_test=1, max_clues=6, test_clues=(0,), cache=None)
    learner = learner_of("rollout_loss=multi_sample", "train.rollouts_per_puzzle=2", task=task)
    record = learner.train_on(next(batches_of(task)))
    assert learner.implicit is task and torch.isfinite(record["multi_sample_loss"])
    with pytest.raises(ValueError, match="got rollout_loss=Cover with the task SudokuBoards, which does not list its"):
        learner_of("rollout_loss=cover", "train.rollouts_per_puzzle=2", task=task)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # torch's tracer
def test_compiled_it_computes_the_same(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/g++")
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager", fullgraph=True))
    torch._dynamo.reset()
    validation = pyro.settings.get("validate_distributions_torch")  # torch's tracer turns it off, once
    records = []
    for compiled in ("false", "true"):
        learner, task = learner_of(f"compile={compiled}"), task_of()
        records.append(learner.train_on(next(batches_of(task))))
        block = learner.model.core.low[0]
        assert hasattr(vars(block).get("forward"), "__wrapped__") == (compiled == "true")
    pyro.settings.set(validate_distributions_torch=validation)
    torch._dynamo.reset()
    for name in records[0]:
        close(*(record[name] for record in records))


def test_a_restored_run_continues_bit_for_bit_and_its_program_loads(tmp_path):
    task, path, config = task_of(), tmp_path / "run.safetensors", configured("train.precision=fp32")

    def go(learner, batches, trajectories):
        for _ in range(trajectories):
            learner.train_on(next(batches))
        return weights(learner)

    learner, data = learner_of(), torch.Generator().manual_seed(0)
    go(learner, task.batches(8, data), 2)
    description = {"seconds": 0.0, "config": OmegaConf.to_container(config, resolve=True)}
    checkpoint.save(path, learner, data, description)
    expected = go(learner, task.batches(8, data), 2)
    again, restored = learner_of(seed=1), torch.Generator()
    checkpoint.restore(path, again, restored)
    found = go(again, task.batches(8, restored), 2)
    assert found.keys() == expected.keys() and [n for n in expected if not torch.equal(found[n], expected[n])] == []
    for n in (4, 6):  # the weights are those of every size
        program = load_program(path, task_of(n))
        assert program.model.reason(task_of(n).train.x[:2]).h.shape == (2, n**3, 16)


@pytest.mark.parametrize("rollout_loss", ["set", "multi_sample"])
def test_a_batch_in_parts_gives_the_same_numbers(rollout_loss):
    runs, task = [], task_of()
    for accumulate in (1, 3):
        options = [f"rollout_loss={rollout_loss}", "train.rollouts_per_puzzle=2", "train.batch_size=24"]
        learner = learner_of(*options, f"train.accumulate={accumulate}", task=task)
        batches = batches_of(task, 24)
        runs.append([learner.train_on(next(batches)) for _ in range(2)])
    for one, two in zip(*runs, strict=True):
        for name in one:
            close(one[name], two[name], 1e-5)


# ---- what cannot be


@pytest.mark.parametrize("task", [NQueens(n=6, removed=(3, 4)), Planning(n=4, min_distance=3, num_train=4, cache=None)])
def test_a_task_whose_symbols_are_not_names(task):
    message = f"got the task {type(task).__name__}, which has no constraints; expected them"
    with pytest.raises(ValueError, match=message):
        build_model(configured(), task)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (["core=constraints"], "got core=constraints without constraints.*; write embed=candidates readout"),
        (["embed=candidates", "core=relational"], "got embed=candidates with a core that mixes cells; expected"),
        (["embed=candidates", "core=attention"], "got embed=candidates with a core that mixes cells"),
        (["embed=candidates", "core=mixing"], "got embed=candidates with a core that mixes cells"),
    ],
)
def test_parts_that_do_not_fit(choices, message):
    with pytest.raises(ValueError, match=message):
        build_model(configured(base=choices), task_of())


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (["embed=candidates", "core=constraints"], "got logits for 64 cells and a puzzle of 16; .* readout=candidates"),
        (["readout=candidates"], "got a state of 16 tokens for 16 cells; expected 4 candidates of each"),
    ],
)
def test_a_readout_that_does_not_fit(choices, message):
    model = build_model(configured(base=choices), task_of())
    with pytest.raises(ValueError, match=message):
        model(task_of().train.x[:2])
