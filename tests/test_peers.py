"""Peers: their losses against enumeration, their draws against their laws, and their training."""

from itertools import permutations, product
from math import prod

import pytest
import torch
from tiny import close, mixing, relational, relations, shake

from gram_pyro.learner import TrainSettings
from gram_pyro.peers.autoregressive import Autoregressive, Memory
from gram_pyro.peers.base import Peer, sample_peer
from gram_pyro.peers.masked_diffusion import MaskedDiffusion
from gram_pyro.peers.train import PeerTrainer
from gram_pyro.runs import checkpoint
from gram_pyro.tasks.base import Batch

L, V, D = 3, 3, 8
ANSWERS = torch.tensor(list(product(range(V), repeat=L)))  # all V^L
SUBSETS = list(product((False, True), repeat=L))  # of cells that are known
PUZZLES = torch.tensor([[0, 1, 2], [2, 0, 0]])


def autoregressive(num_cells=L, num_symbols=V, **options):
    return Autoregressive(num_cells, num_symbols, None, D, **({"num_layers": 2, "num_heads": 2} | options))


def diffusion(num_cells=L, num_symbols=V, mixer=mixing, **options):
    matrices = relations(2) if num_cells == 4 else None
    return MaskedDiffusion(num_cells, num_symbols, matrices, D, mixer, **({"num_layers": 2} | options))


PEERS = [autoregressive, diffusion, lambda *sizes: diffusion(*sizes, mixer=relational)]


def conforms(answers, law):
    """Draws [N, L] against probabilities of ANSWERS: each frequency, and chi-square, within 4 standard errors."""
    index = (answers * V ** torch.arange(L - 1, -1, -1)).sum(-1)
    count = torch.bincount(index, minlength=len(ANSWERS)).double()
    expected = len(answers) * law.double()
    assert ((count - expected).abs() < 4 * (expected * (1 - law)).sqrt() + 1).all()
    degrees = len(ANSWERS) - 1
    assert ((count - expected).square() / expected).sum() < degrees + 4 * (2 * degrees) ** 0.5


# ---------------------------------------------------------------------------------------------- autoregressive


def chained(peer, x, y):
    """log p(y | x) [B], one cell at a time: nothing later than a cell ever enters the network."""
    total = torch.zeros(len(x))
    for i in range(y.shape[1]):
        logits = peer(x, y[:, :i])
        assert logits.shape == (len(x), i + 1, V)
        total += logits[:, -1].log_softmax(-1).gather(-1, y[:, i : i + 1]).squeeze(-1)
    return total


def test_autoregressive_loss_is_the_chain_of_conditionals():
    peer = shake(autoregressive(), 0.3)
    x, y = torch.randint(V, (7, L)), torch.randint(V, (7, L))
    log_p = chained(peer, x, y)
    assert peer.loss(x, y).shape == () and log_p.std() > 0.1
    close(peer.loss(x, y), -log_p.mean(), 1e-5)
    close(torch.stack([peer.loss(x[i : i + 1], y[i : i + 1]) for i in range(7)]), -log_p, 1e-5)


def test_autoregressive_law_sums_to_one():
    peer = shake(autoregressive(), 0.3)
    for x in PUZZLES:
        close(chained(peer, x.expand(V**L, L), ANSWERS).exp().sum(), 1.0, 1e-5)


def test_autoregressive_is_causal_in_the_answer_and_sees_the_whole_puzzle():
    peer = shake(autoregressive())
    x, before = torch.randint(V, (5, L)), torch.randint(V, (5, L - 1))
    logits = peer(x, before)
    assert logits.shape == (5, L, V)

    def change(tensor, j):
        return tensor.index_copy(1, torch.tensor([j]), (tensor[:, j : j + 1] + 1) % V)

    for j in range(L - 1):
        moved = (peer(x, change(before, j)) - logits).abs().amax(-1)
        assert (moved[:, : j + 1] < 1e-6).all() and (moved[:, j + 1 :] > 1e-5).all()
    see = [[j < L or j <= i for j in range(2 * L)] for i in range(2 * L)]
    assert (peer.bias == 0).tolist() == see and (
        peer.bias == -torch.inf
    ).logical_not().tolist() == see  # cells of the puzzle see each other both ways
    for j in range(L):
        assert ((peer(change(x, j), before) - logits).abs().amax(-1) > 1e-5).all()


@torch.no_grad()
def test_autoregressive_draws_follow_the_law_of_their_own_puzzle():
    peer = shake(autoregressive(), 0.3)
    draws = peer.draw(PUZZLES.repeat(20_000, 1)).view(-1, 2, L)
    laws = [chained(peer, x.expand(V**L, L), ANSWERS).exp() for x in PUZZLES]
    assert draws.dtype == torch.int64 and (laws[0] - laws[1]).abs().max() > 0.05
    for i, law in enumerate(laws):
        conforms(draws[:, i], law)


@torch.no_grad()
def test_autoregressive_memory_changes_nothing():
    """x, then y token by token, against all at once: what is in memory is what a full pass would compute again."""
    peer = shake(autoregressive(4), 0.3)
    x, y = torch.randint(V, (6, 4)), torch.randint(V, (6, 4))
    memories = [Memory(8) for _ in peer.blocks]
    peer.read(x, 0, memories)
    tokens = torch.cat([torch.full((6, 1), V), y[:, :3]], 1)
    logits = torch.cat([peer.read(tokens[:, i : i + 1], 4 + i, memories) for i in range(4)], 1)
    assert logits.std(1).min() > 1e-3
    close(logits, peer(x, y[:, :3]), 1e-5)


@torch.no_grad()
def test_autoregressive_draws_have_the_probability_that_the_forward_pass_gives(monkeypatch):
    peer, laws, multinomial = shake(autoregressive(4), 0.3), [], torch.multinomial
    monkeypatch.setattr(torch, "multinomial", lambda law, n: laws.append(law) or multinomial(law, n))
    x = torch.randint(V, (50, 4))
    y = peer.draw(x)
    drawn = torch.stack(laws, 1).log().gather(-1, y[..., None]).sum((1, 2))
    full = peer(x, y[:, :-1]).log_softmax(-1).gather(-1, y[..., None]).sum((1, 2))
    assert full.std() > 0.1
    close(drawn, full, 1e-5)


@torch.no_grad()
def test_autoregressive_draws_read_every_token_once():
    peer, read = autoregressive(4), []
    for block in peer.blocks:
        block.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0].shape[1]))
    peer.draw(torch.zeros(2, 4, dtype=torch.int64))
    assert sum(read) == (4 + 4) * len(peer.blocks)


# ---------------------------------------------------------------------------------------------- masked diffusion


@torch.no_grad()
def conditionals(peer, x, y):
    """log p(y_i | x, y at the known cells) of every set of known cells: {known: [L]}."""
    known = torch.tensor(SUBSETS)
    logits = peer(x.expand(len(known), L), torch.where(known, y, peer.mask))
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
    peer = shake(diffusion(), 0.3)
    x, y = PUZZLES[0], torch.tensor([1, 0, 2])
    orders = order_log_probs(conditionals(peer, x, y))
    assert orders.std() > 0.05  # the order matters, so weights by the number of masked cells would show
    rows = (x.expand(size, L), y.expand(size, L))
    losses = torch.stack([peer.loss(*rows) for _ in range(3000 if size == 1 else 500)]).double()
    se = losses.std() / len(losses) ** 0.5

    assert se < {1: 0.2, 100: 0.04}[size] and abs(losses.mean() + orders.mean()) < 4 * se
    mixture = orders.logsumexp(0) - torch.tensor(float(len(orders))).log()
    assert -orders.mean() > -mixture
    fine = torch.tensor(law_of_draw(conditionals(peer, x, y), 300)).log()
    close(fine, mixture, 0.01)  # what is bounded is the law of the sampler with many steps


@torch.no_grad()
@pytest.mark.parametrize("num_steps", [1, 2, 5])
def test_diffusion_draws_follow_the_law_of_the_sampler(num_steps):
    peer = shake(diffusion(num_steps=num_steps), 0.5)
    draws = peer.draw(PUZZLES.repeat(10_000, 1)).view(-1, 2, L)
    for i, x in enumerate(PUZZLES):
        law = torch.tensor([law_of_draw(conditionals(peer, x, y), num_steps) for y in ANSWERS])
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
    peer = diffusion(num_steps=num_steps)
    law = torch.tensor([[0.1, 0.2, 0.7], [0.3, 0.3, 0.4], [0.8, 0.15, 0.05]])
    peer.forward = lambda x, y: law.log().expand(len(x), L, V)
    conforms(peer.draw(torch.zeros(20_000, L, dtype=torch.int64)), law[torch.arange(L), ANSWERS].prod(-1))


def test_diffusion_never_sees_the_value_of_a_masked_cell(monkeypatch):
    peer = shake(diffusion())
    seen = []
    monkeypatch.setattr(
        peer, "forward", lambda x, y: seen.append((y, MaskedDiffusion.forward(peer, x, y))) or seen[-1][1]
    )
    x, y = torch.randint(V, (16, L)), torch.randint(V, (16, L))
    for j in range(L):
        seen.clear()
        other = y.clone()
        other[:, j] = (other[:, j] + 1) % V
        for answer in (y, other):
            torch.manual_seed(3)
            peer.loss(x, answer)
        (given, logits), (given_other, logits_other) = seen
        masked = given == peer.mask
        assert torch.equal(masked, given_other == peer.mask) and torch.equal(given[~masked], y[~masked])
        moved = (logits - logits_other).abs().amax((1, 2))
        assert (moved[masked[:, j]] == 0).all() and (moved[~masked[:, j]] > 1e-6).all()
        assert 0 < masked[:, j].sum() < len(x)


# ---------------------------------------------------------------------------------------------- sampling, training


class Counting(Peer):
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
def test_sample_peer(chunk, chunks):
    peer = Counting()
    result = sample_peer(peer, PUZZLES, 4, chunk=chunk)
    assert peer.chunks == chunks and result.answers.shape == (4, 2, L)
    assert torch.equal(result.answers % 10, PUZZLES.expand(4, 2, L))
    assert torch.equal(result.answers[..., 0] // 10, torch.arange(8).view(4, 2))
    for name in ("log_weights", "log_likelihood", "change"):
        assert torch.equal(getattr(result, name), torch.zeros(4, 2))
    assert torch.equal(result.log_evidence, torch.zeros(2)) and torch.equal(result.depth, torch.ones(4, 2).long())
    assert result.halt is result.value is result.history is None


def trainer_of(peer, **options):
    settings = dict(updates=60, num_segments=1, batch_size=16, precision="fp32", warmup=2, ema=0.8, weight_decay=0.0)
    return PeerTrainer(peer, TrainSettings(**(settings | options)))


def copies(generator=None, size=16, num_cells=4):
    x = torch.randint(2, (size, num_cells), generator=generator)
    return Batch(x, x, x[:, None], torch.ones(size, 1, dtype=torch.bool))


@pytest.mark.parametrize("make", PEERS)
def test_peer_trainer_moves_every_parameter_and_averages(make):
    trainer = trainer_of(make(4, 2))
    paths = {name: [] for name, _ in trainer.peer.named_parameters()}
    step_with, stepped = trainer.step, []
    trainer.step = lambda loss: (stepped.append(loss.detach()), step_with(loss))
    for step in range(3):
        batch = copies()
        torch.manual_seed(step)
        expected = trainer.peer.loss(batch.x, batch.y).detach()
        torch.manual_seed(step)
        record = trainer.trajectory(batch)
        assert list(record) == ["loss"] and torch.equal(record["loss"], expected)
        assert torch.equal(stepped[-1], expected)  # Adam would not show a scale
        for name, p in trainer.peer.named_parameters():
            paths[name].append(p.detach().clone())
    assert trainer.updates == 3
    average = dict(trainer.averaged.named_parameters())
    for name, (first, second, third) in paths.items():
        assert not torch.equal(first, second) and not torch.equal(second, third), name
        close(average[name], 0.8 * (0.8 * first + 0.2 * second) + 0.2 * third)
    trainer.averaged.draw = lambda x: x + 7  # answers are those of the average
    assert (trainer.sample(batch.x, 2, 5, chunk=3).answers == batch.x + 7).all()


@pytest.mark.parametrize("make", PEERS)
def test_peer_trainer_learns_to_copy(make):
    trainer = trainer_of(make(4, 2), learning_rate=2e-2, updates=80)
    losses = [trainer.trajectory(copies())["loss"].item() for _ in range(80)]
    assert max(losses[:3]) > 2 and sum(losses[-5:]) / 5 < 0.3  # it starts near 4 log 2 nats
    x = torch.tensor(list(product(range(2), repeat=4)))
    assert (trainer.sample(x, 8, 1).answers == x).all(-1).double().mean() > 0.9


def test_peer_trainer_in_bf16():
    torch.set_default_dtype(torch.float32)
    try:
        for make in PEERS:
            loss = trainer_of(make(4, 2), precision="bf16").trajectory(copies())["loss"]
            assert torch.isfinite(loss) and loss.dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float64)


@pytest.mark.parametrize("make", PEERS)
def test_a_restored_peer_continues_bit_for_bit(make, tmp_path):
    def start(seed):
        torch.manual_seed(seed)
        return trainer_of(make(4, 2)), torch.Generator().manual_seed(seed)

    def go(trainer, generator, steps=3):
        for _ in range(steps):
            trainer.trajectory(copies(generator))
        state = trainer.program.state_dict() | {f"average.{n}": v for n, v in trainer.ema.module.state_dict().items()}
        return {n: v.clone() for n, v in state.items()} | {"rng": torch.get_rng_state()}

    trainer, generator = start(1)
    saved = go(trainer, generator)
    checkpoint.save(tmp_path / "peer.safetensors", trainer, generator, {"seconds": 1.0})
    expected = go(trainer, generator)
    again, data = start(2)
    assert checkpoint.restore(tmp_path / "peer.safetensors", again, data) == ({"seconds": 1.0, "updates": 3}, {})
    for target, steps in ((saved, 0), (expected, 3)):
        actual = go(again, data, steps)
        assert [n for n in target if not torch.equal(actual[n], target[n])] == []
    assert not torch.equal(saved["peer.logits.weight"], expected["peer.logits.weight"])
