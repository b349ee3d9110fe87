"""Baselines: how they are sampled, trained and restored."""

import re
from itertools import product

import pytest
import torch
from small_baselines import BASELINES, PUZZLES, L, V, copies, trainer_of, twice
from tiny import close, products_of

from gram_pyro.baselines.base import Baseline, sample_baseline
from gram_pyro.harness import checkpoint


class Counting(Baseline):
    """Answers x + 10 i, i the number of rows drawn before: each is known by its puzzle and its place."""

    def __init__(self):
        super().__init__(L, V)
        self.chunks = []

    def loss(self, x, y):
        raise NotImplementedError

    def draw(self, x):
        assert not torch.is_grad_enabled()
        start = sum(self.chunks)
        self.chunks.append(len(x))
        return x + 10 * torch.arange(start, start + len(x))[:, None]


@pytest.mark.parametrize(("chunk", "chunks"), [(100, [8]), (3, [3, 3, 2]), (1, [1] * 8)])
def test_sample_baseline(chunk, chunks):
    baseline = Counting()
    result = sample_baseline(baseline, PUZZLES, 4, chunk=chunk)
    assert baseline.chunks == chunks and result.answers.shape == (4, 2, L)
    assert torch.equal(result.answers % 10, PUZZLES.expand(4, 2, L))
    assert torch.equal(result.answers[..., 0] // 10, torch.arange(8).view(4, 2))
    for name in ("log_weights", "log_likelihood", "change"):
        assert torch.equal(getattr(result, name), torch.zeros(4, 2))
    assert torch.equal(result.log_evidence, torch.zeros(2)) and torch.equal(result.depth, torch.ones(4, 2).long())
    assert result.halt is result.value is result.history is None


@pytest.mark.parametrize("make", BASELINES)
def test_baseline_trainer_moves_every_parameter_and_averages(make):
    trainer = trainer_of(make(4, 3))
    paths = {name: [] for name, _ in trainer.baseline.named_parameters()}
    step_with, stepped = trainer.step, []
    trainer.step = lambda loss: (stepped.append(loss.detach()), step_with(loss))
    for step in range(3):
        batch = copies()
        torch.manual_seed(step)
        expected = trainer.baseline.loss(batch.x, batch.y).detach()
        torch.manual_seed(step)
        record = trainer.train_on(batch)
        assert list(record) == ["loss"] and torch.equal(record["loss"], expected)
        assert torch.equal(stepped[-1], expected)  # Adam would not show a scale
        for name, p in trainer.baseline.named_parameters():
            paths[name].append(p.detach().clone())
    assert trainer.updates == 3
    average = dict(trainer.averaged.named_parameters())
    for name, (first, second, third) in paths.items():
        assert not torch.equal(first, second) and not torch.equal(second, third), name
        close(average[name], 0.8 * (0.8 * first + 0.2 * second) + 0.2 * third)
    trainer.averaged.draw = lambda x: x + 7  # answers are those of the average
    assert (trainer.sample(batch.x, 2, 5, chunk=3).answers == batch.x + 7).all()


@pytest.mark.parametrize("make", BASELINES)
def test_baseline_trainer_learns_to_copy(make):
    trainer = trainer_of(make(4, 3), learning_rate=2e-2, updates=80)
    losses = [trainer.train_on(copies())["loss"].item() for _ in range(80)]
    assert max(losses[:3]) > 2 and sum(losses[-5:]) / 5 < 0.3  # it starts near 2 log 3 nats
    x, y = twice(torch.tensor(list(product((1, 2), repeat=2))))
    assert (trainer.sample(x, 8, 1).answers == y).all(-1).double().mean() > 0.9


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", torch.bfloat16), ("fp32", torch.float32)])
def test_baseline_trainer_in_a_precision(precision, dtype):
    torch.set_default_dtype(torch.float32)
    try:
        for make in BASELINES:
            trainer = trainer_of(make(4, 3), precision=precision)
            with products_of(trainer.baseline) as dtypes:
                loss = trainer.train_on(copies())["loss"]
            assert dtypes == {dtype} and torch.isfinite(loss) and loss.dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float64)


@pytest.mark.parametrize("make", BASELINES)
def test_a_restored_baseline_continues_bit_for_bit(make, tmp_path):
    def start(seed):
        torch.manual_seed(seed)
        return trainer_of(make(4, 3)), torch.Generator().manual_seed(seed)

    def go(trainer, generator, steps=3):
        for _ in range(steps):
            trainer.train_on(copies(generator))
        state = trainer.program.state_dict() | {f"average.{n}": v for n, v in trainer.ema.module.state_dict().items()}
        return {n: v.clone() for n, v in state.items()} | {"rng": torch.get_rng_state()}

    trainer, generator = start(1)
    saved = go(trainer, generator)
    checkpoint.save(tmp_path / "baseline.safetensors", trainer, generator, {"seconds": 1.0})
    expected = go(trainer, generator)
    tensors, description = checkpoint.read(tmp_path / "baseline.safetensors")  # as it was written when it was a peer
    old = {re.sub(r"^(average\.)?baseline\.", r"\1peer.", name): value for name, value in tensors.items()}
    assert old.keys() != tensors.keys()
    checkpoint.write(tmp_path / "peer.safetensors", old, description)
    assert checkpoint.read(tmp_path / "peer.safetensors")[0].keys() == tensors.keys()
    again, data = start(2)
    assert checkpoint.restore(tmp_path / "baseline.safetensors", again, data) == ({"seconds": 1.0, "updates": 3}, {})
    for target, steps in ((saved, 0), (expected, 3)):
        actual = go(again, data, steps)
        assert [n for n in target if not torch.equal(actual[n], target[n])] == []
    assert not torch.equal(saved["baseline.logits.weight"], expected["baseline.logits.weight"])
