"""Penalties and sets: beta, the paper's surrogate, the segment loss, the likelihood of a solution set."""

import itertools
import math
from types import SimpleNamespace

import pytest
import torch
from oracle import Exact, linear_problem, log_evidence
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from tiny import B, L, V, batch, close, parameters, program, seeded_loss

from gram_pyro.networks.core import State
from gram_pyro.networks.readout import CategoricalReadout, Readout
from gram_pyro.training.objectives import Balanced_ELBO, ScaleLatents, Surrogate, segment_loss
from gram_pyro.training.rollout_losses import cover_loss, set_loss


def parts(guide, y):
    """-log p(y | z), and the KL of every transition by the Gaussian formula, summed over puzzles."""
    h = State(guide.upstream_value("h"), guide.upstream_value("l"))
    logits = guide.model.readout.logits(h.h)
    miss = -logits.log_softmax(-1).gather(-1, y[..., None]).sum()
    kls = []
    for t in range(guide.model.num_transitions):
        site = guide.trace.nodes[f"z_{t}"]
        q, p = site["fn"].base_dist, site["infer"]["prior"].base_dist
        kl = (p.scale / q.scale).log() + (q.scale**2 + (q.loc - p.loc) ** 2) / (2 * p.scale**2) - 0.5
        kls.append(kl.sum())
    return miss, torch.stack(kls)


@pytest.mark.parametrize("beta", [0.0, 0.25, 1.0, 3.0])
@pytest.mark.parametrize("objective", [Balanced_ELBO(), TraceMeanField_ELBO()])
def test_scaled_latents_weigh_the_kl_exactly(beta, objective):
    model, guide = program()
    x, y = batch()
    with ScaleLatents(beta):
        loss = seeded_loss(objective, model, guide, x, y)
    miss, kl = parts(guide, y)
    assert kl.min() > 0.1
    close(loss, miss + beta * kl.sum())


def test_scaled_latents_weigh_both_log_probabilities_of_trace_elbo():
    model, x, y = linear_problem()
    guide = Exact(model)
    with ScaleLatents(0.3):
        loss = Trace_ELBO().differentiable_loss(model, guide, x, y)
    likelihood = model.readout(State(guide.upstream_value("h"), guide.upstream_value("l"))).log_prob(y)
    # The exact guide: log p(z) - log q(z) = log p(y | x) - log p(y | z).
    close(loss, -(likelihood + 0.3 * (log_evidence(model, x, y) - likelihood)).sum())


@pytest.mark.parametrize("inner", [Balanced_ELBO(), TraceMeanField_ELBO()])
@pytest.mark.parametrize("num_transitions", [1, 3])
def test_surrogate_charges_the_last_kl_only(inner, num_transitions):
    model, guide = program(num_transitions=num_transitions)
    x, y = batch()
    loss = seeded_loss(Surrogate(inner), model, guide, x, y)
    miss, kl = parts(guide, y)
    close(loss, miss + kl[-1])
    close(guide.kl(), kl / B)  # what is watched is the whole KL, charged or not
    expected = torch.autograd.grad(miss + kl[-1], list(guide.parameters()), retain_graph=True)
    if isinstance(inner, Balanced_ELBO):
        return
    for actual, by_hand in zip(torch.autograd.grad(loss, list(guide.parameters())), expected, strict=True):
        close(actual, by_hand, 1e-8)


def test_surrogate_of_trace_elbo_charges_the_last_log_ratio_only():
    model, guide = program()
    x, y = batch()
    loss = seeded_loss(Surrogate(Trace_ELBO()), model, guide, x, y)
    miss, _ = parts(guide, y)
    site = guide.trace.nodes["z_2"]
    close(loss, miss + (site["fn"].log_prob(site["value"]) - site["infer"]["prior"].log_prob(site["value"])).sum())


@pytest.mark.parametrize("inner", [TraceMeanField_ELBO(), Trace_ELBO()])
def test_every_entry_of_the_surrogate_has_one_value(inner):
    model, guide = program()
    x, y = batch()
    objective, named = Surrogate(inner), parameters(model, guide)
    value = seeded_loss(objective, model, guide, x, y)
    expected = torch.autograd.grad(value, list(named.values()), allow_unused=True)
    torch.manual_seed(1)
    close(objective.loss(model, guide, x, y), value)
    torch.manual_seed(1)
    close(objective.loss_and_grads(model, guide, x, y), value)
    for p, grad in zip(named.values(), expected, strict=True):
        close(torch.zeros(()) if p.grad is None else p.grad, torch.zeros(()) if grad is None else grad)


def test_traces_of_the_surrogate_charge_what_it_charges():
    model, guide = program()
    x, y = batch()
    value = seeded_loss(Surrogate(Trace_ELBO()), model, guide, x, y)
    torch.manual_seed(1)
    of_model, of_guide = Surrogate(Trace_ELBO())._get_trace(model, guide, (x, y), {})
    close(of_guide.log_prob_sum() - of_model.log_prob_sum(), value)


def test_segment_loss_is_per_puzzle_and_hands_on_a_detached_state():
    model, guide = program()
    x, y = batch()
    torch.manual_seed(1)
    loss, state = segment_loss(Balanced_ELBO(), model, guide, x, y, None, beta=0.5)
    miss, kl = parts(guide, y)
    close(loss, (miss + 0.5 * kl.sum()) / B)
    close(state.h, guide.trace.nodes["u_2"]["value"] + guide.trace.nodes["z_2"]["value"])
    assert not state.h.requires_grad and not state.l.requires_grad
    chained, _ = segment_loss(Balanced_ELBO(), model, guide, x, y, state)
    close(guide.trace.nodes["u_0"]["value"], model.core.predict(model.embed(x), state).h)
    assert torch.isfinite(chained)


def enumerate_set(logits, solutions):
    """log sum_y prod_c softmax(logits)[c, y_c] of one puzzle, as a sum over answers in plain Python."""
    p = logits.softmax(-1)
    return math.log(sum(math.prod(p[c, s].item() for c, s in enumerate(answer)) for answer in solutions))


def sets_of_solutions():
    """Ragged sets [B, M, L] with their mask; the padding holds anything."""
    everything = list(itertools.product(range(V), repeat=L))
    counts = [1, 5, 3]
    lists = [[everything[i] for i in torch.randperm(len(everything))[:m]] for m in counts]
    solutions = torch.randint(V, (len(counts), max(counts), L))
    for b, rows in enumerate(lists):
        solutions[b, : len(rows)] = torch.tensor(rows)
    return lists, solutions, torch.arange(max(counts)) < torch.tensor(counts)[:, None]


def test_set_loss_against_enumeration():
    model, _ = program()
    x, _ = batch()
    lists, solutions, valid = sets_of_solutions()
    torch.manual_seed(3)
    loss, state = set_loss(model, x, solutions, valid, None)
    torch.manual_seed(3)
    end = model(x)
    logits = model.readout.logits(end.h)
    each = [enumerate_set(logits[b], lists[b]) for b in range(B)]
    close(loss, -sum(each) / B)
    close(state.h, end.h)
    assert loss.requires_grad and not state.h.requires_grad and not state.l.requires_grad

    padded = torch.where(valid[..., None], solutions, (solutions + 1) % V)
    torch.manual_seed(3)
    close(set_loss(model, x, padded, valid, None)[0], loss)


def test_set_loss_of_one_solution_is_its_negative_log_likelihood():
    model, _ = program()
    x, y = batch()
    torch.manual_seed(3)
    loss, state = set_loss(model, x, y[:, None], torch.ones(B, 1, dtype=torch.bool), None)
    close(loss, -model.readout(state).log_prob(y).mean())


def test_cover_loss_against_enumeration():
    """Three rollouts of each puzzle: every listed solution by hand, under the mixture of what the three believe."""
    model, _ = program()
    x, _ = batch()
    lists, solutions, valid = sets_of_solutions()
    rows = [t.repeat_interleave(3, 0) for t in (x, solutions, valid)]
    torch.manual_seed(3)
    loss, state = cover_loss(model, *rows, None, 3)
    torch.manual_seed(3)
    end = model(rows[0])
    close(state.h, end.h)
    p = model.readout.logits(end.h).softmax(-1).unflatten(0, (B, 3))
    expected = 0.0
    for b, listed in enumerate(lists):
        for y in listed:
            each = [math.prod(p[b, m, cell, symbol] for cell, symbol in enumerate(y)) for m in range(3)]
            expected = expected - torch.log(sum(each) / 3) / len(listed) / B
    close(loss, expected)
    assert loss.requires_grad and not state.h.requires_grad and not state.l.requires_grad

    padded = torch.where(rows[2][..., None], rows[1], (rows[1] + 1) % V)
    torch.manual_seed(3)
    close(cover_loss(model, rows[0], padded, rows[2], None, 3)[0], loss)


def test_rollouts_that_share_solutions_out_cover_them_and_those_that_agree_do_not():
    """Two solutions, two sure rollouts: log 2 nats where they differ, and the improbability of the other if not."""
    first, second = torch.zeros(L, dtype=torch.int64), torch.ones(L, dtype=torch.int64)
    readout = CategoricalReadout(V, V)
    with torch.no_grad():
        readout.logits.weight.copy_(torch.eye(V))
    solutions, valid = torch.stack([first, second]).expand(2, -1, -1), torch.ones(2, 2, dtype=torch.bool)
    nats = 20.0  # between the symbol believed and any other

    def loss(*answers):
        h = nats * torch.nn.functional.one_hot(torch.stack(answers), V).double()
        model = SimpleNamespace(readout=readout, reason=lambda x, state: State(h, h))
        return cover_loss(model, None, solutions, valid, None, 2)[0]

    close(loss(first, second), math.log(2), 1e-6)
    close(loss(first, first), L * nats / 2, 1e-6)


def test_set_loss_continues_from_a_state():
    model, _ = program(num_transitions=1)
    x, y = batch()
    start = State(torch.randn(B, L, 8), torch.randn(B, L, 8))
    torch.manual_seed(3)
    _, state = set_loss(model, x, y[:, None], torch.ones(B, 1, dtype=torch.bool), start)
    torch.manual_seed(3)
    close(state.h, model(x, state=start).h)


def test_log_prob_of_the_whole_space_is_zero_and_particles_stay_apart():
    logits = torch.randn(2, B, L, V)  # [K, B, L, V]
    readout, state = CategoricalReadout(V, V), State(logits, logits)
    with torch.no_grad():
        readout.logits.weight.copy_(torch.eye(V))
    everything = torch.cartesian_prod(*[torch.arange(V)] * L).expand(B, -1, -1)
    all_valid = torch.ones(everything.shape[:2], dtype=torch.bool)
    close(readout.log_prob_of_set(state, None, everything, all_valid), torch.zeros(2, B))
    lists, solutions, valid = sets_of_solutions()
    close(readout.log_prob_each(state, None, solutions), Readout.log_prob_each(readout, state, None, solutions))
    close(
        readout.log_prob_of_set(state, None, solutions, valid),
        torch.tensor([[enumerate_set(logits[k, b], lists[b]) for b in range(B)] for k in range(2)]),
    )


def test_gradients_reach_every_parameter_of_the_bound():
    model, guide = program()
    x, y = batch()
    named = parameters(model, guide)
    for grad, name in zip(
        torch.autograd.grad(Balanced_ELBO().differentiable_loss(model, guide, x, y), list(named.values())),
        named,
        strict=True,
    ):
        assert grad.abs().max() > 0, name
