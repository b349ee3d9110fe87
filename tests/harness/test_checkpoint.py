"""Checkpoints: what is restored continues bit for bit, and what is not a checkpoint is refused in a sentence."""

import os
import pickle
import random
import subprocess
import sys
from collections import Counter

import numpy as np
import pyro
import pytest
import torch
from safetensors.torch import save_file
from tiny import D, L, V, program

from gram_pyro.harness import checkpoint
from gram_pyro.networks.heads import Heads
from gram_pyro.networks.readout import CategoricalReadout
from gram_pyro.storage.tensors import FORMAT
from gram_pyro.tasks.base import Batch
from gram_pyro.training.objectives import Balanced_ELBO
from gram_pyro.training.trainer import Trainer, TrainSettings


@pytest.fixture(autouse=True)
def parameters_of_their_own(local_params):
    """As in training."""


def new_trainer(seed):
    pyro.set_rng_seed(seed)
    model, guide = program(num_transitions=2, readout=CategoricalReadout, shaken=False)
    settings = TrainSettings(
        updates=20, num_segments=2, batch_size=8, rollout_share=0.25, precision="fp32", warmup=2, ema=0.9
    )
    return Trainer(model, guide, Heads(D, 6), Balanced_ELBO(), settings), torch.Generator().manual_seed(seed)


def train(trainer, generator, trajectories):
    for _ in range(trajectories):
        y = torch.randint(V, (8, L), generator=generator)
        x = y * (torch.rand(8, L, generator=generator) < 0.3)
        trainer.train_on(Batch(x, y, y[:, None], torch.ones(8, 1, dtype=torch.bool)))


def everything(trainer, generator):
    """Every number a run depends on, by name."""
    tensors = {f"program.{n}": v for n, v in trainer.program.state_dict().items()}
    tensors |= {f"average.{n}": v for n, v in trainer.ema.module.state_dict().items()}
    for index, moments in trainer.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{n}": v for n, v in moments.items()}
    tensors |= {"rng": torch.get_rng_state(), "data": generator.get_state(), "updates": torch.tensor(trainer.updates)}
    tensors |= {"numpy": torch.from_numpy(np.random.get_state()[1].astype(np.int64))}
    return {n: v.clone() for n, v in tensors.items()}


def test_a_restored_run_continues_bit_for_bit(tmp_path):
    path = tmp_path / "run.safetensors"
    trainer, generator = new_trainer(1)
    train(trainer, generator, 2)
    checkpoint.save(path, trainer, generator, {"seconds": 1.5, "config": {"dim": 8}})
    saved = everything(trainer, generator)
    train(trainer, generator, 2)
    expected = everything(trainer, generator)

    again, data = new_trainer(2)  # other weights, another random state
    description, _ = checkpoint.restore(path, again, data)
    assert description == {"seconds": 1.5, "config": {"dim": 8}, "updates": 4}
    for target, steps in ((saved, 0), (expected, 2)):
        train(again, data, steps)
        actual = everything(again, data)
        assert actual.keys() == target.keys()
        assert [n for n in target if not torch.equal(actual[n], target[n])] == []
    for part in ("program.model.core.low", "program.guide", "program.heads", "average.heads"):
        moved = [n for n in saved if n.startswith(part) and not torch.equal(saved[n], expected[n])]
        assert moved, part  # the comparison above was of runs that go on
    assert len([n for n in saved if n.startswith("optimiser.")]) == 3 * len(list(trainer.program.parameters()))


def draws():
    """Of every source of randomness; normal draws come in pairs, of which one is kept for later."""
    return [
        torch.rand(3).tolist(),
        np.random.randn(3).tolist(),
        [random.gauss(0, 1) for _ in range(3)],
        random.random(),
    ]


@pytest.mark.parametrize("before", [0, 1, 700])
def test_every_random_state_continues(tmp_path, before):
    path = tmp_path / "run.safetensors"
    trainer, generator = new_trainer(1)
    for _ in range(before):
        torch.rand(1), np.random.randn(), random.gauss(0, 1)
    checkpoint.save(path, trainer, generator, {})
    expected = draws(), torch.rand(3, generator=generator).tolist()
    again, data = new_trainer(2)
    assert draws() != expected[0]
    checkpoint.restore(path, again, data)
    assert (draws(), torch.rand(3, generator=data).tolist()) == expected


def test_the_file_holds_the_average_apart_from_the_weights(tmp_path):
    trainer, generator = new_trainer(1)
    train(trainer, generator, 3)
    checkpoint.save(tmp_path / "run.safetensors", trainer, generator, {})
    tensors, _ = checkpoint.read(tmp_path / "run.safetensors")
    for name, weight, average in (
        (
            "model.readout.logits.weight",
            trainer.model.readout.logits.weight,
            trainer.averaged.readout.logits.weight,
        ),
        ("heads.bias", trainer.heads.bias, trainer.averaged_heads.bias),
    ):
        assert torch.equal(tensors[name], weight) and torch.equal(tensors[f"average.{name}"], average)
        assert not torch.equal(tensors[name], tensors[f"average.{name}"])
    for part, module in trainer.program.items():
        assert checkpoint.part_of(tensors, f"{part}.").keys() == module.state_dict().keys()


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "run.safetensors"
    trainer, generator = new_trainer(1)
    checkpoint.save(path, trainer, generator, {"n": 1})
    with pytest.raises(TypeError):
        checkpoint.save(path, trainer, generator, {"n": object()})
    assert checkpoint.read(path)[1]["n"] == 1
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_gets_its_name_when_it_is_on_the_disk(tmp_path, monkeypatch):
    """The order of POSIX: bring the data to the disk, rename, bring the folder to the disk."""
    path, calls = tmp_path / "run.safetensors", []
    sync, replace = os.fsync, os.replace

    def note_sync(handle):
        calls.append(("sync", os.readlink(f"/proc/self/fd/{handle}"), os.fstat(handle).st_size))
        sync(handle)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(
        os, "replace", lambda old, new: calls.append(("rename", str(old), str(new))) or replace(old, new)
    )
    checkpoint.write(path, {"w": torch.zeros(5)}, {})
    part = str(path) + ".part"
    size = path.stat().st_size
    assert [call[:2] for call in calls] == [("sync", part), ("rename", part), ("sync", str(tmp_path))]
    assert calls[0][2] == size and calls[1][2] == str(path)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no checkpoint at .*nowhere.safetensors; run `make sudoku`"):
        checkpoint.read(tmp_path / "nowhere.safetensors")


@pytest.mark.parametrize("keep", [0, 5, 200, -1])
def test_truncated_file(tmp_path, keep):
    path = tmp_path / "run.safetensors"
    trainer, generator = new_trainer(1)
    checkpoint.save(path, trainer, generator, {})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(
        ValueError, match="is not a whole safetensors file .* write a checkpoint of this program"
    ):
        checkpoint.restore(path, *new_trainer(2))


@pytest.mark.parametrize("header, shown", [(None, "None"), ({"format": "gram_pyro-0"}, "'gram_pyro-0'")])
def test_wrong_format(tmp_path, header, shown):
    path = tmp_path / "other.safetensors"
    save_file({"w": torch.zeros(2)}, path, header)
    with pytest.raises(ValueError, match=f"has format {shown}; expected '{FORMAT}', which this program"):
        checkpoint.read(path)


def small(path):
    """A small checkpoint, as bytes."""
    tensors = {"w": torch.arange(6.0).view(2, 3), "flag": torch.tensor([True, False]), "n": torch.tensor(3)}
    checkpoint.write(path, tensors, {"config": {"dim": 8}})
    return path.read_bytes()


@pytest.mark.parametrize("what", [b"gram_pyro-3", b'"sum"', b"config", b'"w"', b"shape", b"F64", b'"dtype"', None])
def test_every_flipped_bit_is_noticed(tmp_path, what):
    """In the header and (None) in the numbers, the last eight bytes of the file."""
    path = tmp_path / "run.safetensors"
    data = small(path)
    start = len(data) - 8 if what is None else data.index(what)
    for bit in range(8 * (8 if what is None else len(what))):
        damaged = bytearray(data)
        damaged[start + bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(
            ValueError, match=r"is not a whole safetensors|has format|is damaged: .*; copy it again"
        ) as told:
            checkpoint.read(path)
        assert what or "is damaged" in str(told.value)


@pytest.mark.parametrize("renamed", [{b"b": b"c"}, {b"a": b"c", b"b": b"a", b"c": b"b"}])
def test_tensors_of_other_names_are_noticed(tmp_path, renamed):
    """What a sum of the numbers alone would miss: another name, and two that changed places."""
    path = tmp_path / "run.safetensors"
    checkpoint.write(path, {"a": torch.zeros(2), "b": torch.ones(2)}, {})
    data = path.read_bytes()
    for old, new in renamed.items():
        data = data.replace(b'"%s":' % old, b'"%s":' % new)
    path.write_bytes(data)
    with pytest.raises(ValueError, match="is damaged"):
        checkpoint.read(path)


class Program:
    """What a pickle can hold: a program that runs on loading."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.mkdir, (self.file,)


@pytest.mark.parametrize("protocol", [None, 2, 3, 4, 5])
def test_a_pickle_is_refused_and_not_run(tmp_path, protocol):
    path, made = tmp_path / "run.safetensors", tmp_path / "made"
    bomb = {"model": Program(str(made))}
    if protocol is None:
        torch.save(bomb, path)
    else:
        path.write_bytes(pickle.dumps(bomb, protocol))
    with pytest.raises(ValueError, match="is a pickle .*can run any program; write a .safetensors checkpoint"):
        checkpoint.restore(path, *new_trainer(1))
    assert not made.exists()
    pickle.loads(pickle.dumps(bomb))
    assert made.is_dir()  # it was live


def test_weights_from_before_the_sum_are_read_and_not_continued(tmp_path):
    path = tmp_path / "old.safetensors"
    save_file({"average.w": torch.ones(2)}, path, {"format": "gram_pyro-2", "description": '{"updates": 3}'})
    tensors, description = checkpoint.read(path)
    assert description == {"updates": 3} and tensors["average.w"].tolist() == [1, 1]
    with pytest.raises(ValueError, match="holds weights and no whole run; expected a run to continue; .* start=.*old"):
        checkpoint.restore(path, *new_trainer(1))


def test_a_run_of_another_size_or_task_is_named(tmp_path):
    path = tmp_path / "run.safetensors"
    trainer, generator = new_trainer(1)
    for name, changed, sentence in (
        ("readout.logits", torch.nn.Linear(D, V + 1), r"got readout.logits.bias of shape \[6\]; expected absent"),
        (
            "embed.table",
            torch.nn.Embedding(V + 1, D),
            r"got embed.table.weight of shape \[6, 8\]; expected of shape \[5",
        ),
    ):
        other, data = new_trainer(1)
        parent, _, child = name.rpartition(".")
        setattr(other.model.get_submodule(parent), child, changed)
        checkpoint.save(path, other, data, {})
        with pytest.raises(ValueError, match=f"do not fit this task or this version: {sentence}"):
            checkpoint.restore(path, trainer, generator)


REPLACE = """
import os, sys
while True:
    for name in sys.argv[2:]:
        os.link(name, "next")
        os.replace("next", sys.argv[1])
"""


def test_a_checkpoint_that_is_replaced_while_it_is_read_is_one_of_the_two(tmp_path):
    """As when a run that goes on is evaluated."""
    for number in (0, 1):
        checkpoint.write(tmp_path / str(number), {"w": torch.full((10_000,), number)}, {"n": number})
    os.link(tmp_path / "0", tmp_path / "run.safetensors")
    writer = subprocess.Popen([sys.executable, "-c", REPLACE, "run.safetensors", "1", "0"], cwd=tmp_path)
    try:
        seen = Counter()
        while min(seen[0], seen[1]) < 1000:
            assert writer.poll() is None
            tensors, description = checkpoint.read(tmp_path / "run.safetensors")
            assert (tensors["w"] == description["n"]).all()
            seen[description["n"]] += 1
    finally:
        writer.kill()
        writer.wait()
