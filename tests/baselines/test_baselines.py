"""Baselines: their losses against enumeration, their draws against their laws."""

from itertools import permutations
from math import prod

import pytest
import torch
from scipy.stats import chi2
from small_baselines import ANSWERS, PUZZLES, SUBSETS, L, V, autoregressive, diffusion, shown
from tiny import close, shake

from gram_pyro.baselines import autoregressive as autoregressive_baseline
from gram_pyro.baselines import masked_diffusion
from gram_pyro.baselines.autoregressive import Memory
from gram_pyro.baselines.masked_diffusion import MaskedDiffusion
from gram_pyro.networks.readout import clamp


def conforms(answers, law):
    """Draws [N, L] against probabilities of ANSWERS: each frequency within 4 standard errors, and chi-square.
    What contradicts a clue is never drawn."""
    index = (answers * V ** torch.arange(L - 1, -1, -1)).sum(-1)
    count = torch.bincount(index, minlength=len(ANSWERS)).double()
    expected = len(answers) * law.double()
    assert ((count - expected).abs() < 4 * (expected * (1 - law)).sqrt() + 1).all()
    possible = law > 0
    assert (count[~possible] == 0).all()
    degrees = int(possible.sum()) - 1
    assert chi2.sf(((count - expected).square() / expected)[possible].sum(), degrees) > 1e-5


# ---------------------------------------------------------------------------------------------- autoregressive


def chained(baseline, x, y):
    """log p(y | x) [B], one cell at a time: nothing later than a cell ever enters the network."""
    total = torch.zeros(len(x))
    for i in range(y.shape[1]):
        logits = baseline(x, y[:, :i])
        assert logits.shape == (len(x), i + 1, V)
        total += logits[:, -1].log_softmax(-1).gather(-1, y[:, i : i + 1]).squeeze(-1)
    return total


def test_autoregressive_loss_is_the_chain_of_conditionals():
    baseline = shake(autoregressive(), 0.3)
    y = torch.randint(V, (7, L))
    x = shown(y)
    log_p = chained(baseline, x, y)
    assert baseline.loss(x, y).shape == () and log_p.std() > 0.1
    close(baseline.loss(x, y), -log_p.mean(), 1e-5)
    close(torch.stack([baseline.loss(x[i : i + 1], y[i : i + 1]) for i in range(7)]), -log_p, 1e-5)


def test_autoregressive_law_sums_to_one():
    baseline = shake(autoregressive(), 0.3)
    for x in PUZZLES:
        close(chained(baseline, x.expand(V**L, L), ANSWERS).exp().sum(), 1.0, 1e-5)


def test_autoregressive_is_causal_in_the_answer_and_sees_the_whole_puzzle(monkeypatch):
    monkeypatch.setattr(autoregressive_baseline, "clamp", lambda logits, x: logits)
    baseline = shake(autoregressive())
    x, before = torch.randint(V, (5, L)), torch.randint(V, (5, L - 1))
    logits = baseline(x, before)
    assert logits.shape == (5, L, V)

    def change(tensor, j):
        return tensor.index_copy(1, torch.tensor([j]), (tensor[:, j : j + 1] + 1) % V)

    for j in range(L - 1):
        moved = (baseline(x, change(before, j)) - logits).abs().amax(-1)
        assert (moved[:, : j + 1] < 1e-6).all() and (moved[:, j + 1 :] > 1e-5).all()
    see = [[j < L or j <= i for j in range(2 * L)] for i in range(2 * L)]
    assert (baseline.bias == 0).tolist() == see and (
        baseline.bias == -torch.inf
    ).logical_not().tolist() == see  # cells of the puzzle see each other both ways
    for j in range(L):
        assert ((baseline(change(x, j), before) - logits).abs().amax(-1) > 1e-5).all()


@torch.no_grad()
def test_autoregressive_draws_follow_the_law_of_their_own_puzzle():
    baseline = shake(autoregressive(), 0.3)
    draws = baseline.draw(PUZZLES.repeat(20_000, 1)).view(-1, 2, L)
    laws = [chained(baseline, x.expand(V**L, L), ANSWERS).exp() for x in PUZZLES]
    assert draws.dtype == torch.int64 and (laws[0] - laws[1]).abs().max() > 0.05
    for i, law in enumerate(laws):
        conforms(draws[:, i], law)


@torch.no_grad()
def test_autoregressive_memory_changes_nothing():
    """x, then y token by token, against all at once: what is in memory is what a full pass would compute again."""
    baseline = shake(autoregressive(4), 0.3)
    x, y = torch.randint(V, (6, 4)), torch.randint(V, (6, 4))
    memories = [Memory(8) for _ in baseline.blocks]
    baseline.read(x, 0, memories)
    tokens = torch.cat([torch.full((6, 1), V), y[:, :3]], 1)
    logits = torch.cat([baseline.read(tokens[:, i : i + 1], 4 + i, memories) for i in range(4)], 1)
    assert logits.std(1).min() > 1e-3
    close(clamp(logits, x), baseline(x, y[:, :3]), 1e-5)


@torch.no_grad()
def test_autoregressive_draws_have_the_probability_that_the_forward_pass_gives(monkeypatch):
    baseline, laws, multinomial = shake(autoregressive(4), 0.3), [], torch.multinomial
    monkeypatch.setattr(torch, "multinomial", lambda law, n: laws.append(law) or multinomial(law, n))
    x = torch.randint(V, (50, 4))
    y = baseline.draw(x)
    drawn = torch.stack(laws, 1).log().gather(-1, y[..., None]).sum((1, 2))
    full = baseline(x, y[:, :-1]).log_softmax(-1).gather(-1, y[..., None]).sum((1, 2))
    assert full.std() > 0.1
    close(drawn, full, 1e-5)


@torch.no_grad()
def test_autoregressive_draws_read_every_token_once():
    baseline, read = autoregressive(4), []
    for block in baseline.blocks:
        block.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0].shape[1]))
    baseline.draw(torch.zeros(2, 4, dtype=torch.int64))
    assert sum(read) == (4 + 4) * len(baseline.blocks)


# ---------------------------------------------------------------------------------------------- masked diffusion


@torch.no_grad()
def conditionals(baseline, x, y):
    """log p(y_i | x, y at the known cells) of every set of known cells: {known: [L]}."""
    known = torch.tensor(SUBSETS)
    logits = baseline(x.expand(len(known), L), torch.where(known, y, baseline.mask))
    log_p = logits.double().log_softmax(-1).gather(-1, y.expand(len(known), L)[..., None]).squeeze(-1)
    return dict(zip(SUBSETS, log_p.tolist(), strict=True))


def order_log_probs(table):
    """log p(y | x) for each order in which cells may be filled, one at a time: [L!]."""
    logs = []
    for order in permutations(range(L)):
        known, total = [False] * L, 0.0
        for i in order:
            total += table[tuple(known)][i]
            known[i] = True
        logs.append(total)
    return torch.tensor(logs)


def law_of_draw(table, num_steps):
    """p(y | x) of the sampler, exactly: a step from time t to s fills every open cell with probability (t - s) / t,
    independently given what was known before. Forward over sets of known cells."""
    weight = {SUBSETS[0]: 1.0}
    for step in range(num_steps, 0, -1):
        rate, after = 1 / step, dict.fromkeys(SUBSETS, 0.0)  # (t - s) / t at t = step / num_steps
        for known, w in weight.items():
            for new in SUBSETS:
                if all(b or not a for a, b in zip(known, new, strict=True)):
                    opened = [i for i in range(L) if new[i] and not known[i]]
                    fill = prod(rate * torch.tensor(table[known][i]).exp().item() for i in opened)
                    after[new] += w * fill * (1 - rate) ** (L - sum(new))
        weight = after
    return weight[SUBSETS[-1]]


@torch.no_grad()
@pytest.mark.parametrize("size", [1, 100])
def test_diffusion_loss_is_the_mean_over_orders_and_a_bound(size):
    """int_0^1 t^(m-1) (1-t)^(L-m) dt = 1 / (m C(L, m)): the loss is E[-log p(y filled in a random order)]."""
    baseline = shake(diffusion(), 0.3)
    x, y = torch.zeros(L, dtype=torch.int64), torch.tensor([1, 0, 2])
    orders = order_log_probs(conditionals(baseline, x, y))
    assert orders.std() > 0.05  # the order matters, so weights by the number of masked cells would show
    rows = (x.expand(size, L), y.expand(size, L))
    losses = torch.stack([baseline.loss(*rows) for _ in range(3000 if size == 1 else 500)]).double()
    se = losses.std() / len(losses) ** 0.5

    assert se < {1: 0.2, 100: 0.04}[size] and abs(losses.mean() + orders.mean()) < 4 * se
    mixture = orders.logsumexp(0) - torch.tensor(float(len(orders))).log()
    assert -orders.mean() > -mixture
    fine = torch.tensor(law_of_draw(conditionals(baseline, x, y), 300)).log()
    close(fine, mixture, 0.01)  # what is bounded is the law of the sampler with many steps


@torch.no_grad()
@pytest.mark.parametrize("num_steps", [1, 2, 5])
def test_diffusion_draws_follow_the_law_of_the_sampler(num_steps):
    baseline = shake(diffusion(num_steps=num_steps), 0.5)
    draws = baseline.draw(PUZZLES.repeat(10_000, 1)).view(-1, 2, L)
    for i, x in enumerate(PUZZLES):
        law = torch.tensor([law_of_draw(conditionals(baseline, x, y), num_steps) for y in ANSWERS])
        close(law.sum(), 1.0, 1e-6)
        conforms(draws[:, i], law)


@pytest.mark.parametrize("num_steps", [1, 2, 32])
def test_diffusion_fills_every_cell_with_a_symbol(num_steps):
    draws = diffusion(4, num_steps=num_steps).draw(torch.zeros(200, 4, dtype=torch.int64))
    assert draws.dtype == torch.int64 and draws.shape == (200, 4) and set(draws.flatten().tolist()) == set(range(V))


def test_diffusion_needs_a_step():
    with pytest.raises(ValueError, match="num_steps=0"):
        diffusion(num_steps=0)


@pytest.mark.parametrize("num_steps", [1, 4])
def test_diffusion_of_a_network_that_ignores_its_input_has_its_marginals(num_steps):
    baseline = diffusion(num_steps=num_steps)
    law = torch.tensor([[0.1, 0.2, 0.7], [0.3, 0.3, 0.4], [0.8, 0.15, 0.05]])
    baseline.forward = lambda x, y: law.log().expand(len(x), L, V)
    conforms(baseline.draw(torch.zeros(20_000, L, dtype=torch.int64)), law[torch.arange(L), ANSWERS].prod(-1))


def test_diffusion_never_sees_the_value_of_a_masked_cell(monkeypatch):
    monkeypatch.setattr(masked_diffusion, "clamp", lambda logits, x: logits)
    baseline = shake(diffusion())
    seen = []
    monkeypatch.setattr(
        baseline, "forward", lambda x, y: seen.append((y, MaskedDiffusion.forward(baseline, x, y))) or seen[-1][1]
    )
    x, y = torch.randint(V, (16, L)), torch.randint(V, (16, L))
    for j in range(L):
        seen.clear()
        other = y.clone()
        other[:, j] = (other[:, j] + 1) % V
        for answer in (y, other):
            torch.manual_seed(3)
            baseline.loss(x, answer)
        (given, logits), (given_other, logits_other) = seen
        masked = given == baseline.mask
        assert torch.equal(masked, given_other == baseline.mask) and torch.equal(given[~masked], y[~masked])
        moved = (logits - logits_other).abs().amax((1, 2))
        assert (moved[masked[:, j]] == 0).all() and (moved[~masked[:, j]] > 1e-6).all()
        assert 0 < masked[:, j].sum() < len(x)
