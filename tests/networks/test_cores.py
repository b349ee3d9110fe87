"""The other cores: one network in two places (tiny), no hierarchy (Flat); each by hand, and stored and restored."""

from copy import deepcopy

import pytest
import torch
from tiny import MIXERS, B, D, L, V, close, relational, relations, shake

from gram_pyro.harness import checkpoint
from gram_pyro.model import GRAM
from gram_pyro.networks.core import Blocks, DirectPrediction, Flat, Hierarchical, State, tiny
from gram_pyro.networks.embed import TokenEmbedding
from gram_pyro.networks.heads import Heads
from gram_pyro.networks.layers import TokenMixing
from gram_pyro.networks.readout import CategoricalReadout
from gram_pyro.priors.gaussian import Gaussian
from gram_pyro.tasks.base import Batch
from gram_pyro.training.learner import TrainSettings
from gram_pyro.training.objectives import Balanced_ELBO
from gram_pyro.training.trainer import Trainer
from guides.concat import Concat

CORES = [Hierarchical, tiny, Flat]


def build(core, mixer=relational, num_updates=3):
    sizes = dict(dim=D, num_cells=L, relations=relations(2), num_layers=2, hidden=6)
    return shake(core(**sizes, mixer=mixer, num_updates=num_updates))


def inputs(*lead):
    return torch.randn(*lead, L, D), State(torch.randn(*lead, L, D), torch.randn(*lead, L, D))


def count(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("mixer", MIXERS)
def test_tiny_has_the_parameters_of_one_stack(mixer):
    stack = count(Blocks(D, L, relations(2), mixer, 2, 6))
    core = build(tiny, mixer)
    assert core.high is core.low
    assert count(core) == count(build(Flat, mixer)) == stack and count(build(Hierarchical, mixer)) == 2 * stack
    assert len(list(core.parameters())) == len({p.data_ptr() for p in core.parameters()})


def test_tiny_by_hand():
    core = build(tiny)
    e, (h, l) = inputs(B)  # noqa: E741 - the paper's symbol
    end = core.predict(e, State(h, l))
    for _ in range(3):
        l = core.low(l + h + e)  # noqa: E741
    close(end.l, l)
    close(end.h, core.low(h + l))


@pytest.mark.parametrize("mixer", MIXERS)
def test_the_gradient_of_tiny_is_the_sum_over_both_places(mixer):
    shared, apart = build(tiny, mixer), build(Hierarchical, mixer)
    apart.load_state_dict(shared.state_dict())
    e, state = inputs(B)
    weight = torch.randn(B, L, D)
    for core in (shared, apart):
        end = core.predict(e, state)
        (weight * end.h).sum().backward()
    close(shared.predict(e, state).h, apart.predict(e, state).h)
    parts = zip(shared.low.parameters(), apart.low.parameters(), apart.high.parameters(), strict=True)
    for both, low, high in parts:
        close(both.grad, low.grad + high.grad)
        assert low.grad.abs().max() > 1e-8 and high.grad.abs().max() > 1e-8


def test_tiny_stays_shared_when_it_is_stored_and_copied():
    core, other = build(tiny), build(tiny)
    e, state = inputs(B)
    assert set(core.state_dict()) == set(build(Hierarchical).state_dict())
    other.load_state_dict(core.state_dict())
    for copy in (other, deepcopy(core)):
        assert copy.high is copy.low and count(copy) == count(core)
        close(copy.predict(e, state).h, core.predict(e, state).h)
        with torch.no_grad():
            next(copy.low.parameters()).add_(1.0)
        assert torch.equal(next(copy.low.parameters()), next(copy.high.parameters()))
        assert not torch.equal(next(copy.low.parameters()), next(core.low.parameters()))


@pytest.mark.parametrize("num_updates", [1, 3])
def test_flat_by_hand(num_updates):
    core = build(Flat, num_updates=num_updates)
    e, state = inputs(B)
    end = core.predict(e, state)
    h = state.h
    for _ in range(num_updates):
        h = core.net(h + e)
    close(end.h, h)
    assert (end.h - core.net(state.h + e)).abs().max() > 1e-3 or num_updates == 1


def test_direct_prediction_replaces_the_state():
    core = DirectPrediction(dim=D, num_cells=L, relations=relations(2), mixer=relational, num_layers=1, hidden=6)
    e, z = torch.randn(2, L, D), torch.randn(2, L, D)
    before = core.predict(e, core.init(e))
    after = core.perturb(before, z)
    assert torch.equal(after.h, z) and torch.equal(after.l, before.l) and not torch.equal(before.h, z)


def test_flat_ignores_and_keeps_l():
    core = build(Flat)
    e, state = inputs(B)
    end = core.predict(e, state)
    assert torch.equal(end.l, state.l)
    assert torch.equal(core.predict(e, State(state.h, torch.randn_like(state.l))).h, end.h)
    start = core.init(e)
    assert torch.equal(start.l, torch.zeros(B, L, D)) and torch.equal(start.h, core.h0.expand(B, L, D))
    z = torch.randn(B, L, D)
    moved = core.perturb(end, z)
    assert torch.equal(moved.h, end.h + z) and torch.equal(moved.l, end.l)


@pytest.mark.parametrize("core", CORES)
def test_the_start_is_drawn_once_per_network_and_stored_with_it(core):
    start = build(core)
    assert not torch.equal(start.h0, build(core).h0) and "h0" in start.state_dict()


@pytest.mark.parametrize("core", [tiny, Flat])
def test_a_restored_run_continues_bit_for_bit(local_params, tmp_path, core):
    def start(seed):
        torch.manual_seed(seed)
        model = GRAM(TokenEmbedding(V, D), build(core), Gaussian(D, 6), CategoricalReadout(D, V), 2, 1)
        settings = TrainSettings(20, 2, batch_size=8, rollout_share=0.25, precision="fp32", warmup=2, ema=0.9)
        trainer = Trainer(model, Concat(model, D, 6), Heads(D, 6), Balanced_ELBO(), settings)
        return trainer, torch.Generator().manual_seed(seed)

    def go(trainer, generator, trajectories=2):
        for _ in range(trajectories):
            y = torch.randint(V, (8, L), generator=generator)
            x = y * (torch.rand(8, L, generator=generator) < 0.3)
            trainer.train_on(Batch(x, y, y[:, None], torch.ones(8, 1, dtype=torch.bool)))
        state = trainer.program.state_dict() | {f"average.{n}": v for n, v in trainer.ema.module.state_dict().items()}
        return {name: value.clone() for name, value in state.items()}

    def network(model):
        return model.core.low if core is tiny else model.core.net

    path = tmp_path / "run.safetensors"
    trainer, generator = start(1)
    initial = {n: p.detach().clone() for n, p in trainer.model.core.named_parameters()}
    saved = go(trainer, generator)
    moved = {n: not torch.equal(p, initial[n]) for n, p in trainer.model.core.named_parameters()}
    assert all(moved.values()) and len(moved) == len(list(network(trainer.model).parameters()))
    checkpoint.save(path, trainer, generator, {"seconds": 0.0})
    expected = go(trainer, generator)

    again, data = start(2)
    checkpoint.restore(path, again, data)
    for target, steps in ((saved, 0), (expected, 2)):
        actual = go(again, data, steps)
        assert actual.keys() == target.keys()
        assert [n for n in target if not torch.equal(actual[n], target[n])] == []
    if core is tiny:
        assert again.model.core.high is again.model.core.low and again.averaged.core.high is again.averaged.core.low
        tensors, _ = checkpoint.read(path)
        for part in ("model", "average.model"):
            low = checkpoint.part_of(tensors, f"{part}.core.low.")
            high = checkpoint.part_of(tensors, f"{part}.core.high.")
            assert low.keys() == high.keys() and all(torch.equal(low[n], high[n]) for n in low) and low


def test_memory_that_is_full_is_not_taken_for_another_size(monkeypatch):
    """Blocks that serve every number of cells may fail for another reason."""
    blocks = Blocks(8, 4, None, TokenMixing, 1, 8)
    with pytest.raises(ValueError, match="got puzzles of 5 cells; expected 4"):
        blocks(torch.zeros(2, 5, 8))

    def full(x):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(blocks[0], "forward", full)
    with pytest.raises(torch.OutOfMemoryError):
        blocks(torch.zeros(2, 5, 8))
