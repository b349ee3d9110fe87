"""The two critics: their form by hand, what they are fitted to, and that they move nothing but themselves."""

import math

import pyro.distributions as dist
import pytest
import torch
from pyro.infer import Trace_ELBO
from tiny import D, L, V, close, shake, swiglu
from tiny_trainer import ragged, trainer_of

from gram_pyro.inference import potentials
from gram_pyro.networks.core import State
from gram_pyro.networks.heads import Heads, heads_loss
from gram_pyro.training import trainer as train
from gram_pyro.training import trainer as trainer_module
from gram_pyro.training.trainer import TrainSettings, is_solution


def heads_and_state(*lead):
    heads = shake(Heads(D, 6))
    return heads, State(torch.randn(*lead, L, D), torch.randn(*lead, L, D))


def by_segment(states):
    """[N, B, L, D] as a list of N."""
    return [State(*streams) for streams in zip(*states, strict=True)]


def test_logits_by_hand():
    """Noisy-or: exp(-logit) = e^-b sum_cells e^badness, cell by cell in plain Python."""
    heads, state = heads_and_state(3)
    p = dict(heads.named_parameters())
    badness = swiglu(p, "badness", state.h)
    assert badness.shape == (3, L, 2)
    for index, logit in enumerate(heads(state)):
        assert logit.shape == (3,)
        for b in range(3):
            total = sum(badness[b, cell, index].exp().item() for cell in range(L))
            close(logit[b], heads.bias[index] - math.log(total))
            close(1 / logit[b].sigmoid() - 1, (-heads.bias[index]).exp() * total)  # the odds against add up


@pytest.mark.parametrize("lead", [(), (5,), (2, 5), (4, 2, 5)])
def test_any_leading_dims_and_any_order_of_cells(lead):
    heads, state = heads_and_state(*lead)
    verdict = heads(state)
    assert verdict.halt.shape == verdict.value.shape == lead
    order = torch.randperm(L)
    moved = heads(State(state.h[..., order, :], state.l))
    close(moved.halt, verdict.halt), close(moved.value, verdict.value)
    flat = heads(State(state.h.view(-1, L, D), state.l.view(-1, L, D)))
    close(flat.halt.view(lead), verdict.halt), close(flat.value.view(lead), verdict.value)
    assert torch.equal(heads(State(state.h, -state.l)).value, verdict.value)  # l is not read


def test_one_bad_cell_is_enough():
    """Where one cell is very bad, the logit is b minus its badness, whatever the others are."""
    heads, state = heads_and_state(200)
    p = dict(heads.named_parameters())
    h = state.h.clone()
    h[:, 2] *= 30
    badness = swiglu(p, "badness", h)
    for index, (logit, before) in enumerate(zip(heads(State(h, h)), heads(state), strict=True)):
        alone = badness[:, 2, index]
        clear = alone > badness[:, [0, 1, 3], index].amax(-1) + 20
        assert clear.sum() > 20
        close(logit[clear], (heads.bias[index] - alone)[clear], 1e-6)
        assert (logit <= heads.bias[index] - badness[..., index].amax(-1) + 1e-9).all()
        worse = alone > swiglu(p, "badness", state.h)[:, 2, index]
        assert (logit[worse] < before[worse]).all() and (logit[~worse] >= before[~worse]).all()


def test_targets_of_the_loss():
    """halt is fitted to every segment's own rightness, value to that at the end of its trajectory."""
    heads, states = heads_and_state(3, 6)
    right, at_end = torch.rand(2, 3, 6) < 0.5
    assert (right != at_end).any()
    halt, value = (logit.sigmoid().tolist() for logit in heads(states))
    loss = 0
    for n in range(3):
        for b in range(6):
            loss -= math.log(halt[n][b] if right[n, b] else 1 - halt[n][b])
            loss -= math.log(value[n][b] if at_end[n, b] else 1 - value[n][b])
    close(heads_loss(heads, by_segment(states), right, at_end), loss / 18)


def test_the_loss_moves_the_heads_alone():
    heads, states = heads_and_state(3, 6)
    h, l = states.h.requires_grad_(), states.l.requires_grad_()  # noqa: E741
    heads_loss(heads, by_segment(State(h * 1, l * 1)), *torch.rand(2, 3, 6) < 0.5).backward()
    assert h.grad is None and l.grad is None
    assert all(p.grad.abs().max() > 0 for p in heads.parameters())


def watch_heads_loss(monkeypatch):
    calls = []
    monkeypatch.setattr(train, "heads_loss", lambda *args: calls.append(args) or heads_loss(*args))
    return calls


@pytest.mark.parametrize("rollout_share, rows", [(0.0, 1), (0.25, 2)])
def test_the_trainer_fits_heads_to_prior_rollouts(local_params, monkeypatch, rollout_share, rows):
    """N segments of `reason` from the initial state, judged by the solution sets of their own puzzles. The guide, which
    here leads every state far astray, has no part in them."""
    calls = watch_heads_loss(monkeypatch)
    trainer = trainer_of(rollout_share, num_segments=3, learning_rate=0.0, objective=Trace_ELBO())
    model, data = trainer.model, ragged(8)
    shake(trainer.heads), shake(model)
    model.prior.forward = lambda u, t: dist.Normal(torch.zeros_like(u), 1e-9).to_event(2)  # too small to see
    trainer.guide.posterior = lambda u, y, prior, t: dist.Normal(torch.full_like(u, 1e3), 1e-9).to_event(2)
    with torch.no_grad():  # two of three answers are right, so that targets differ
        data.solutions[0, 1] = model.readout.answer(model.reason(data.x[:1]), data.x[:1])[0]
        data.solutions[1, 0] = model.readout.answer(model.reason(data.x[1:2]), data.x[1:2])[0]
        data.valid[1, 1] = False
    record = trainer.train_on(data)
    (heads, states, right, at_end), *others = calls
    assert len(others) == 2 and all(a is b for other in others for a, b in zip(other, calls[0], strict=True))
    assert heads is trainer.heads and [s.h.shape for s in states] == [(rows, L, D)] * 3
    assert trainer.guide.final_state().h.min() > 900
    assert all(s.h.max() < 10 and not s.h.requires_grad for s in states)
    state = None
    with torch.no_grad():
        for n in range(3):
            state = model.reason(data.x[:rows], state)
            close(states[n].h, state.h, 1e-6), close(states[n].l, state.l, 1e-6)
            answers = model.readout.answer(state, data.x[:rows]).tolist()
            for b in range(rows):
                assert right[n, b] == (answers[b] in data.solutions[b][data.valid[b]].tolist())
    assert right[0].all() and torch.equal(at_end, right[-1].expand(3, rows))
    close(record["heads_loss"], heads_loss(heads, states, right, at_end))


def test_padding_is_no_solution():
    solutions = torch.randint(V, (2, 3, L))
    valid = torch.tensor([[True, True, False], [True, False, False]])
    answers = torch.stack([solutions[:, m] for m in (0, 1, 2)])  # [3, 2, L]
    expected = [[True, True], [True, False], [False, False]]
    assert is_solution(answers, solutions, valid).tolist() == expected
    assert not is_solution((solutions[:, 0] + 1) % V, solutions[:, :1], valid[:, :1]).any()
    one_off = solutions[:, 0].clone()
    one_off[:, 3] = (one_off[:, 3] + 1) % V
    assert not is_solution(one_off, solutions[:, :1], valid[:, :1]).any()


@pytest.mark.parametrize("rollout_share", [0.0, 0.25])
def test_heads_do_not_change_what_the_model_learns(local_params, rollout_share):
    """Heads that are wholly wrong against heads that are nearly right: the model's clipped steps are the same, bit for
    bit."""
    programs = []
    for bias in (1e3, 3.0):
        torch.manual_seed(4)
        trainer = trainer_of(rollout_share, clip=0.1, num_segments=3)
        trainer.heads.bias.data[:] = bias
        data = ragged(8)
        for _ in range(2):
            record = trainer.train_on(data)
        programs.append((trainer, record))
    (first, one), (second, other) = programs
    assert (one["heads_loss"] - other["heads_loss"]).abs() > 100 and torch.equal(one["loss"], other["loss"])
    for part in ("model", "guide"):
        for a, b in zip(first.program[part].parameters(), second.program[part].parameters(), strict=True):
            assert torch.equal(a, b)
    assert first.updates == second.updates == 6


def test_heads_learn_after_a_trajectory_and_clip_by_themselves(local_params):
    """By a step of their own, after those of the segments, that moves nothing else."""
    trainer = trainer_of(0.25, clip=1e-3, num_segments=3)
    shake(trainer.program)
    seen, descend, clip = [], trainer.descend, trainer.clip

    def watched(loss):
        before = {name: p.detach().clone() for name, p in trainer.program.named_parameters()}
        numbers = descend(loss)
        moved = [name for name, p in trainer.program.named_parameters() if not torch.equal(p, before[name])]
        seen.append({name.split(".")[0] for name in moved})
        return numbers

    def watched_clip():
        assert clip() > 1e-3
        norms = [p.grad.norm() for p in trainer.program.parameters() if p.grad is not None]
        close(torch.stack(norms).norm(), 1e-3, 1e-3)
        return clip()

    trainer.descend, trainer.clip = watched, watched_clip
    trainer.train_on(ragged(8))
    assert seen == [{"model", "guide"}] * 3 + [{"heads"}] * 3 and trainer.updates == 3


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_heads_separate_right_from_wrong(precision):
    """They fit a rule on the states: right iff no cell has a first channel above 1."""
    torch.manual_seed(0)
    heads = Heads(D, 16)
    optimiser = torch.optim.Adam(heads.parameters(), lr=0.03)
    settings = TrainSettings(updates=1, num_segments=1, batch_size=8, precision=precision)
    for _ in range(150):
        h = torch.randn(200, L, D, dtype=torch.float32).double()
        right = (h[..., 0] < 1).all(-1)
        with settings.autocast(h.device):
            loss = heads_loss(heads, [State(h, h)], right[None], right[None])
        assert loss.dtype == torch.float64
        optimiser.zero_grad(), loss.backward(), optimiser.step()
    assert ((heads(State(h, h)).halt > 0) == right).double().mean() > 0.85


@pytest.mark.parametrize("name", ["halt", "value"])
def test_potentials_by_heads_are_their_log_probabilities(name):
    heads, state = heads_and_state(7)
    for strength in (1.0, 0.5):
        log_g = getattr(potentials, name)(None, heads, strength)(None, state, None)
        close(log_g, strength * getattr(heads(state), name).sigmoid().log())
    with pytest.raises(
        ValueError, match=f"got no heads; expected trained ones, which the potential '{name}' reads; write potential"
    ):
        getattr(potentials, name)(None, None)


def test_potential_by_rules_counts_what_is_broken():
    class Task:
        def violations(self, x, y):
            return (x != y).sum(-1)

    x, answers = torch.randint(V, (6, L)), torch.randint(V, (6, L))
    _, state = heads_and_state(6)
    broken = [
        sum(a != b for a, b in zip(*rows, strict=True)) for rows in zip(x.tolist(), answers.tolist(), strict=True)
    ]
    for options, strength in (({"strength": 2.0}, 2.0), ({}, 0.5)):
        log_g = potentials.violation(Task(), None, **options)(x, state, answers)
        close(log_g, [-strength * count for count in broken])
        assert log_g.dtype == state.h.dtype


@pytest.mark.parametrize(
    ("num_segments", "seen"), [(2, [1, 2]), (8, [1, 2, 3, 4, 5, 6, 7, 8]), (16, [*range(2, 17, 2)])]
)
def test_heads_see_a_bounded_number_of_states_and_the_last(local_params, monkeypatch, num_segments, seen):
    trainer = trainer_of(0.25, num_segments=num_segments)
    ends, given = [], []
    reason = trainer.model.reason
    trainer.model.reason = lambda x, state: ends.append(reason(x, state)) or ends[-1]

    def watch(heads, states, *right):
        given.append(torch.stack([s.h for s in states]))
        return heads_loss(heads, states, *right)

    monkeypatch.setattr(trainer_module, "heads_loss", watch)
    trainer.train_on(ragged(8))
    assert torch.equal(given[0], torch.stack([ends[n - 1].h.detach() for n in seen]))
