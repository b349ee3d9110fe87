"""Training: both promised ways move every parameter, and the trainer computes the loss it documents."""

import pyro
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO, TraceMeanField_ELBO
from tiny import MIXERS, D, L, V, close, parameters, products_of, program, shake
from tiny_trainer import ragged, trainer_of

from gram_pyro.networks.readout import CategoricalReadout
from gram_pyro.tasks.sudoku.boards import SudokuBoards
from gram_pyro.training import trainer as trainer_module
from gram_pyro.training.learner import decay_groups
from gram_pyro.training.objectives import Balanced_ELBO, Surrogate, segment_loss
from gram_pyro.training.rollout_losses import Cover, cover_loss, set_likelihood, set_loss
from gram_pyro.training.trainer import Trainer

OBJECTIVES = [Balanced_ELBO(), TraceMeanField_ELBO(), Trace_ELBO(), Surrogate(Balanced_ELBO()), Surrogate(Trace_ELBO())]


def unmoved(before, named):
    return [name for name, p in named.items() if torch.equal(before[name], p)]


@pytest.mark.parametrize("mixer", MIXERS)
@pytest.mark.parametrize("loss", [Trace_ELBO(), TraceMeanField_ELBO(), Balanced_ELBO()])
def test_stock_svi_moves_every_parameter(mixer, loss):
    model, guide = program(mixer, num_transitions=2, readout=CategoricalReadout, shaken=False)
    x, y = torch.arange(V).repeat(L, 1).T.contiguous(), torch.arange(V).repeat(L, 1).T.contiguous()
    named = parameters(model, guide)
    before = {name: p.detach().clone() for name, p in named.items()}
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 1e-2}), loss)
    losses = [svi.step(x, y) for _ in range(4)]
    assert all(torch.isfinite(torch.tensor(losses)))
    assert unmoved(before, named) == []
    assert len(pyro.get_param_store()) == len(named)  # nothing shared by name


@pytest.mark.parametrize("rollout_share", [0.0, 0.25])
@pytest.mark.parametrize("mixer", MIXERS)
def test_trainer_moves_every_parameter(local_params, mixer, rollout_share):
    trainer = trainer_of(rollout_share, mixer, ema=0.5)
    named = parameters(trainer.model, trainer.guide, trainer.heads)
    average = parameters(trainer.averaged, trainer.ema.module["guide"], trainer.averaged_heads)
    assert named.keys() == average.keys() and len(list(trainer.program.parameters())) == len(named)
    before = {name: p.detach().clone() for name, p in named.items()}
    records = [trainer.train_on(ragged(8)) for _ in range(2)]
    assert unmoved(before, named) == [] and unmoved(before, average) == []
    assert trainer.updates == 4
    assert len(pyro.get_param_store()) == 0  # no name of a parameter leaves its module
    for record in records:
        assert record["kl"].shape == (2,) and ("set_loss" in record) == (rollout_share > 0)
        assert all(torch.isfinite(value).all() for value in record.values())


@pytest.mark.parametrize(("num_segments", "steps"), [(1, 1), (3, 3), (16, 8)])
def test_the_heads_take_a_step_for_every_state_they_saw(local_params, num_segments, steps):
    trainer = trainer_of(num_segments=num_segments)
    trainer.train_on(ragged(8))
    weights = {name: next(module.parameters()) for name, module in trainer.program.items()}
    taken = {name: int(trainer.optimiser.state[weight]["step"]) for name, weight in weights.items()}
    assert taken == {"model": num_segments, "guide": num_segments, "heads": steps}
    assert trainer.updates == num_segments


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_first_segment_of_the_trainer_is_the_weighted_loss(local_params, beta):
    """rho = 1/4: the guided rows are the last six, and the loss of a batch is the mean over its rows."""
    trainer = trainer_of(num_segments=1, beta=beta)
    shake(trainer.program)  # where it starts the KL is zero, and beta would not show
    data = ragged(8)
    seen = []
    trainer.step = lambda loss: seen.append(loss)
    torch.manual_seed(1)
    record = trainer.train_on(data)
    torch.manual_seed(1)
    with torch.no_grad():
        trainer.guide(data.x[2:], data.y[2:], None)
        kl = trainer.guide.kl().sum()
        bound = beta * kl - trainer.model.readout(trainer.guide.final_state(), data.x[2:]).log_prob(data.y[2:]).mean()
        end = trainer.model(data.x[:2])
        law = trainer.model.readout(end, data.x[:2])
        miss = -torch.logaddexp(law.log_prob(data.solutions[:2, 0]), law.log_prob(data.solutions[:2, 1])).mean()
    assert kl > 0.1
    close(record["loss"], bound, 1e-6)
    close(record["kl"].sum(), kl)
    close(record["set_loss"], miss, 1e-6)
    close(seen[0], (6 * bound + 2 * miss) / 8, 1e-6)


def test_segments_are_chained_through_the_detached_state(local_params, monkeypatch):
    """Guided and rollout rows start from the initial state, and later segments where their own last one ended."""
    trainer = trainer_of(num_segments=3)
    starts, ends = {"guided": [], "free": []}, {"guided": [], "free": []}

    def watch(kind, function, position):
        def watched(*args):
            starts[kind].append(args[position])
            loss, state = function(*args)
            ends[kind].append(state)
            return loss, state

        return watched

    monkeypatch.setattr(trainer_module, "segment_loss", watch("guided", segment_loss, 5))
    monkeypatch.setattr(set_likelihood, "set_loss", watch("free", set_loss, 4))
    trainer.train_on(ragged(8))
    for kind, rows in (("guided", 6), ("free", 2)):
        assert len(starts[kind]) == 3 and starts[kind][0] is None
        for end, start in zip(ends[kind], starts[kind][1:], strict=False):
            assert start is end and start.h.shape == (rows, L, D)
            assert not start.h.requires_grad and not start.l.requires_grad
        assert not torch.equal(ends[kind][0].h, ends[kind][1].h)


def test_rollouts_of_a_puzzle_cover_its_solutions_in_the_first_segment(local_params, monkeypatch):
    trainer, calls = trainer_of(rollout_share=0.7, rollouts_per_puzzle=2, num_segments=3, rollout_loss=Cover()), []

    def watch(name, function):
        def watched(model, x, solutions, valid, state, *rest):
            calls.append((name, x, state is None))
            loss, state = function(model, x, solutions, valid, state, *rest)
            calls.append(loss.item())
            return loss, state

        return watched

    for name, function in (("cover", cover_loss), ("set", set_loss)):
        monkeypatch.setattr(f"gram_pyro.training.rollout_losses.cover.{name}_loss", watch(name, function))
    batch = ragged(8)
    record = trainer.train_on(batch)
    assert trainer.settings.num_rollouts == 6 == round(0.7 * 8)
    names, losses = [call[0] for call in calls[::2]], calls[1::2]
    assert names == ["cover", "set", "set"] and [call[2] for call in calls[::2]] == [True, False, False]
    for _, x, _ in calls[::2]:
        assert torch.equal(x, batch.x[[0, 0, 1, 1, 2, 2]])
    close(record["cover_loss"], losses[0], 1e-6)
    close(record["set_loss"], (losses[1] + losses[2]) / 2, 1e-6)


def test_covering_that_cannot_be(local_params):
    with pytest.raises(ValueError, match="got rollouts_per_puzzle=5, and rollout_share=0.5 of"):
        trainer_of(rollout_share=0.5, rollouts_per_puzzle=5)
    t = trainer_of()
    with pytest.raises(ValueError, match="got rollout_loss=Cover with the task SudokuBoards, which does not list its"):
        Trainer(t.model, t.guide, t.heads, t.objective, t.settings, Cover(), SudokuBoards())


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", torch.bfloat16), ("fp32", torch.float32)])
def test_networks_run_in_the_precision_and_laws_in_full(local_params, precision, dtype):
    torch.set_default_dtype(torch.float32)
    try:
        trainer = trainer_of(precision=precision)
        with products_of(trainer.model.core) as dtypes:
            record = trainer.train_on(ragged(8))
        assert dtypes == {dtype} and {p.dtype for p in trainer.program.parameters()} == {torch.float32}
        assert all(torch.isfinite(value).all() and value.dtype == torch.float32 for value in record.values())
        site = trainer.guide.trace.nodes["z_1"]
        assert site["value"].dtype == site["fn"].base_dist.scale.dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float64)


def test_learning_rate_warms_up_and_ends_at_zero(local_params):
    trainer = trainer_of(learning_rate=2.0, warmup=10, updates=110)
    rates = []
    for trainer.updates in range(111):
        rates.append(trainer.learning_rate())
    assert rates[:11] == pytest.approx([2.0 * (i + 1) / 11 for i in range(11)])
    assert rates[60] == pytest.approx(1.0) and rates[110] == pytest.approx(0.0, abs=1e-12)
    assert all(a >= b for a, b in zip(rates[10:], rates[11:], strict=False))


def test_only_matrices_decay():
    model, guide = program()
    decays, rest = decay_groups(torch.nn.ModuleDict({"model": model, "guide": guide}), 0.1)
    named = {id(p): name for name, p in parameters(model, guide).items()}
    free = {named[id(p)] for p in rest["params"]}
    assert free == {n for n in named.values() if n.endswith(("table.weight", ".bias"))} and len(free) == 4
    assert {named[id(p)] for p in decays["params"]} == set(named.values()) - free
    assert (decays["weight_decay"], rest["weight_decay"]) == (0.1, 0.0)


def test_a_gradient_that_is_not_finite_is_told_with_its_update(local_params):
    trainer = trainer_of()
    total = sum(p.sum() for p in trainer.program.parameters())
    trainer.step(total)
    trainer.step(total.detach() + sum((p * float("inf")).sum() for p in trainer.program.parameters()) * 0)
    with pytest.raises(FloatingPointError, match="nan at update 1; .*; write a lower learning_rate or precision=fp32"):
        trainer.check_finite()
