"""Checkpoints: what is restored continues bit for bit, and what is not a checkpoint is refused in a sentence."""

import pyro
import pytest
import torch
from safetensors.torch import save_file
from tiny import D, L, V, program

from gram_pyro import checkpoint
from gram_pyro.heads import Heads
from gram_pyro.objectives import Balanced_ELBO
from gram_pyro.readout import CategoricalReadout
from gram_pyro.tasks.base import Batch
from gram_pyro.train import Trainer, TrainSettings


@pytest.fixture(autouse=True)
def parameters_of_their_own(local_params):
    """As in training."""


def new_trainer(seed):
    pyro.set_rng_seed(seed)
    model, guide = program(num_transitions=2, readout=CategoricalReadout, shaken=False)
    settings = TrainSettings(
        updates=20, num_segments=2, batch_size=8, free_share=0.25, precision="fp32", warmup=2, ema=0.9
    )
    return Trainer(model, guide, Heads(D, 6), Balanced_ELBO(), settings), torch.Generator().manual_seed(seed)


def train(trainer, generator, trajectories):
    for _ in range(trajectories):
        x = torch.randint(V, (8, L), generator=generator)
        y = torch.randint(V, (8, L), generator=generator)
        trainer.trajectory(Batch(x, y, y[:, None], torch.ones(8, 1, dtype=torch.bool)))


def everything(trainer, generator):
    """Every number a run depends on, by name."""
    tensors = {f"program.{n}": v for n, v in trainer.program.state_dict().items()}
    tensors |= {f"average.{n}": v for n, v in trainer.ema.state_dict().items()}
    for index, moments in trainer.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{n}": v for n, v in moments.items()}
    tensors |= {"rng": torch.get_rng_state(), "data": generator.get_state(), "updates": torch.tensor(trainer.updates)}
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
    description = checkpoint.restore(path, again, data)
    assert description == {"seconds": 1.5, "config": {"dim": 8}, "updates": 4}
    for target, steps in ((saved, 0), (expected, 2)):
        train(again, data, steps)
        actual = everything(again, data)
        assert actual.keys() == target.keys()
        assert [n for n in target if not torch.equal(actual[n], target[n])] == []
    for part in ("program.model.core.low", "program.guide", "program.heads", "average.module.heads"):
        moved = [n for n in saved if n.startswith(part) and not torch.equal(saved[n], expected[n])]
        assert moved, part  # the comparison above was of runs that go on
    assert len([n for n in saved if n.startswith("optimiser.")]) == 3 * len(list(trainer.program.parameters()))


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
        ValueError, match="is not a whole safetensors file .* give a checkpoint written by this program"
    ):
        checkpoint.restore(path, *new_trainer(2))


@pytest.mark.parametrize("header, shown", [(None, "None"), ({"format": "gram_pyro-0"}, "'gram_pyro-0'")])
def test_wrong_format(tmp_path, header, shown):
    path = tmp_path / "other.safetensors"
    save_file({"w": torch.zeros(2)}, path, header)
    with pytest.raises(ValueError, match=f"has format {shown}, and this program reads '{checkpoint.FORMAT}'; train it"):
        checkpoint.read(path)
