"""prior=denoising, guide=denoising and core=canvas: what is drawn, what it costs, and that it is kept and read."""

import itertools
from functools import partial

import pytest
import torch
from small_guides import MEAN_FIELD
from tiny import D, L, close, mixing, program, shake
from torch.distributions import kl_divergence

from gram_pyro.evaluation.evidence import log_weights
from gram_pyro.model import GRAM
from gram_pyro.networks.canvas import Canvas
from gram_pyro.networks.cell_logits import PixelLogits
from gram_pyro.networks.core import Hierarchical, State
from gram_pyro.networks.embed import TokenEmbedding
from gram_pyro.networks.heads import Heads
from gram_pyro.networks.patches import by_patch, whole
from gram_pyro.networks.readout import CategoricalReadout
from gram_pyro.priors.denoising import Denoising
from gram_pyro.tasks.base import Batch
from gram_pyro.training.cuda_graph import begin
from gram_pyro.training.relay import Relay
from gram_pyro.training.trainer import Trainer, TrainSettings
from guides.denoising import Denoising as Guide

SYMBOLS, STEPS = 2, 6  # the blank not counted


def draughtsman(num_symbols=SYMBOLS, num_transitions=3):
    """A program of 4 cells and its guide, moved off their start."""
    core = Canvas(partial(Hierarchical, num_layers=1, num_updates=1, hidden=6), TokenEmbedding, D, num_symbols,
                  num_cells=L, relations=None, mixer=mixing)  # fmt: skip
    prior = Denoising(D, STEPS, num_symbols, 6)
    embed, readout = TokenEmbedding(num_symbols + 1, D), CategoricalReadout(D, num_symbols + 1)
    model = shake(GRAM(embed, core, prior, readout, num_transitions, num_transitions), 0.5)
    return model, Guide(model)


def canvas_after(prior, step, cells):
    """States whose canvas holds `cells` [N, L] (from 0) with the evidence of a level."""
    u = torch.randn(*cells.shape, D)
    u[..., : prior.num_symbols] = prior.evidence(prior.kept(torch.tensor(float(step)))) * torch.eye(
        prior.num_symbols
    )[cells]
    return u


def test_the_law_is_that_of_all_canvases_and_sums_to_one():
    prior = shake(Denoising(D, STEPS, 3, 6), 0.5)
    law = prior(canvas_after(prior, 2, torch.tensor([0, 2, 1])), 0)
    total = 0.0
    for symbols in itertools.product(range(3), repeat=3):
        z = torch.nn.functional.pad(law.evidence.squeeze(-1) * torch.eye(3)[list(symbols)], (0, D - 3))
        z[:, :3] -= law.canvas.squeeze(-2)
        assert law.support.check(z)
        close(law.log_prob(z), sum(law.log_probs[i, 0, s] for i, s in enumerate(symbols)))
        total += law.log_prob(z).exp().item()
    assert abs(total - 1) < 1e-8
    z[1, 4] = 1.0
    for outside in (z, 0 * z, 0.5 * z):
        assert not law.support.check(outside) and law.log_prob(outside) == -torch.inf
    assert law.support.check(law.sample((100,))).all()


def test_the_answer_is_predicted_by_the_odds_of_its_logits():
    prior = shake(Denoising(D, STEPS, 3, 6), 0.5)
    u = canvas_after(prior, 2, torch.randint(3, (5, L)))
    clean, logits = prior.predicted(u), prior.logits(u, prior.canvas(u))
    close(clean.sum(-1), torch.ones(5, L, 1))
    close(clean.log().diff(dim=-1), logits.diff(dim=-1))


@pytest.mark.parametrize("steps", [1, 6, 50])
def test_the_law_is_bayes_rule_in_the_chain_of_noise(steps):
    """Matrices of the noise, from the answer outwards: state `done` is what the last of N - done of them leaves."""
    prior, uniform = Denoising(D, steps, 3), torch.full((3, 3), 1 / 3)
    clean, seen = torch.rand(50, L, 3).softmax(-1), torch.randint(3, (50, L))
    kept = [torch.tensor(torch.pi / 2 * done / steps).sin() ** 2 for done in range(steps + 1)]
    for done in range(steps):
        share = kept[done] / kept[done + 1]
        step = share * torch.eye(3) + (1 - share) * uniform  # from a canvas to the one before it
        until = kept[done + 1] * torch.eye(3) + (1 - kept[done + 1]) * uniform  # from the answer to a canvas
        joint = torch.einsum("blv,vc->blc", clean, until) * step[:, seen].movedim(0, -1)
        u = canvas_after(prior, done, seen) if done else torch.zeros(50, L, D)
        law = prior.law(u, clean[:, :, None]).log_probs.exp().squeeze(-2)
        assert (law - joint / joint.sum(-1, keepdim=True)).abs().max() < 1e-5


def test_a_state_tells_its_level_whatever_the_number_of_steps():
    for steps in (1, 7, 50, 200):
        prior = Denoising(D, steps, 3).float()
        kept = prior.kept(torch.arange(steps + 1.0, dtype=torch.float32))
        assert kept[0] == 0 and kept[-1] == 1
        assert (prior.level(prior.evidence(kept)) - kept).abs().max() < 1e-6
        nats = ((kept + (1 - kept) / 3) / ((1 - kept) / 3)).log()[:-1]  # that a cell is what it shows, by Bayes
        assert (4 * prior.evidence(kept[:-1]) - nats).abs().max() < 1e-3


def test_what_is_certain_stays_whatever_is_predicted():
    prior, drawn = Denoising(D, STEPS, 3), torch.tensor([0, 2, 1, 1])
    law = prior.law(canvas_after(prior, STEPS, drawn), torch.eye(3)[(drawn + 1) % 3][:, None])
    assert torch.equal(law.log_probs.exp().argmax(-1).squeeze(-1), drawn) and law.log_probs.exp().amax() > 1 - 1e-6


def test_the_kl_is_that_of_the_cells():
    prior = shake(Denoising(D, STEPS, 3, 6), 0.5)
    u = canvas_after(prior, 3, torch.randint(3, (5, L)))
    q, p = prior.law(u, torch.rand(5, L, 1, 3).softmax(-1)), prior(u, 0)
    (a, b), kl = (q.log_probs.exp(), p.log_probs.exp()), kl_divergence(q, p)
    close(kl, (a * (a / b).log()).sum((-3, -2, -1)))
    z = q.sample((40_000,))
    each = q.log_prob(z) - p.log_prob(z)
    assert ((each.mean(0) - kl).abs() < 4 * each.std(0) / 200).all()
    close(kl_divergence(q.expand((2, 5)), p.expand((2, 5))), kl.expand(2, 5))


def test_the_guide_draws_the_solution_with_less_and_less_noise():
    model, guide = draughtsman()
    rows = 4000
    y, state = torch.randint(1, SYMBOLS + 1, (rows, L)), None
    for done in (3, 6):
        guide(torch.zeros_like(y), y, state)
        state = guide.final_state()
        kept = model.prior.kept(torch.tensor(float(done))).item()
        share, right = kept + (1 - kept) / SYMBOLS, (model.core.drawn(state.h) == y).double().mean().item()
        assert abs(right - share) <= 4 * (share * (1 - share) / (rows * L)) ** 0.5
    guide(torch.zeros_like(y), y, state)
    assert torch.equal(model.core.drawn(guide.final_state().h), y) and guide.kl().abs().max() < 1e-12  # it stays


def test_a_guided_row_begins_anywhere_in_a_trajectory():
    model, guide = draughtsman()
    rows = 6000
    y = torch.randint(1, SYMBOLS + 1, (rows, L))
    begun = guide.start(torch.zeros_like(y), y)
    evidence = begun.h[..., :SYMBOLS].amax((-2, -1))
    steps = [model.prior.evidence(model.prior.kept(torch.tensor(float(step)))) for step in range(STEPS)]
    for step, w in enumerate(steps):
        mine = (evidence - w).abs() < 1e-9
        assert abs(mine.double().mean() - 1 / STEPS) < 4 * (1 / STEPS / rows) ** 0.5
        drawn = model.core.drawn(begun.h[mine])
        if step == 0:
            assert not drawn.any()
            continue
        kept = model.prior.kept(torch.tensor(float(step))).item()
        share, right = kept + (1 - kept) / SYMBOLS, (drawn == y[mine]).double()
        assert abs(right.mean() - share) < 4 * (share * (1 - share) / right.numel()) ** 0.5
    start = model.start(torch.zeros_like(y))
    assert torch.equal(begun.h[..., SYMBOLS:], start.h[..., SYMBOLS:]) and torch.equal(begun.l, start.l)


def test_the_depths_of_a_batch_are_spread_evenly():
    """So a batch has all of them, as often as each other; and which rows begin where changes from batch to batch."""
    model, guide = draughtsman()
    y = torch.randint(1, SYMBOLS + 1, (10 * STEPS, L))
    first, second = (guide.start(torch.zeros_like(y), y).h[..., :SYMBOLS].amax((-2, -1)) for _ in range(2))
    for evidence in (first, second):
        _, counts = evidence.unique(return_counts=True)
        assert len(counts) == STEPS and ((counts - 10).abs() <= 1).all()
    assert not torch.equal(first, second)


def training(**options):
    return Heads(D, 6), MEAN_FIELD, TrainSettings(10, num_segments=2, batch_size=24, precision="fp32", **options)


def a_batch():
    y = torch.randint(1, SYMBOLS + 1, (24, L))
    return Batch(torch.zeros_like(y), y, y[:, None], torch.ones(24, 1, dtype=torch.bool))


@pytest.mark.parametrize("count", [1, 3])
def test_training_begins_where_the_guide_begins_also_in_parts(count):
    """The parts of a batch begin as its rows do, from one random state; the heads' rollouts begin at the start."""
    model, guide = draughtsman()
    trainer, batch = Trainer(model, guide, *training(accumulate=count)), a_batch()
    torch.manual_seed(3)
    parts = trainer.rows(batch)
    torch.manual_seed(3)
    whole_batch = guide.start(batch.x, batch.y)
    assert torch.equal(torch.cat([rows.guided_state.h for rows in parts]), whole_batch.h)
    assert torch.equal(torch.cat([rows.guided.y for rows in parts]), batch.y)
    assert all(rows.rollout_state is None for rows in parts)
    assert torch.isfinite(trainer.train_on(batch)["loss"])


def test_a_relay_and_a_recording_begin_there_too():
    model, guide = draughtsman()
    relay = Relay(model, guide, *training(relay=True))
    relay.train_on(a_batch())
    (rows,) = relay.rows(a_batch())  # of its second batch
    assert model.core.drawn(rows.guided_state.h).any()
    (rows,) = Trainer(model, guide, *training()).rows(a_batch())
    begun = rows.guided_state
    begin(rows)
    assert rows.guided_state is begun and not model.core.drawn(rows.rollout_state.h).any()


def test_the_probabilities_of_all_answers_sum_to_one():
    """Importance weights of an answer are unbiased for its probability; together the answers have all of it."""
    model, guide = draughtsman()
    y = torch.tensor(list(itertools.product(range(1, SYMBOLS + 1), repeat=L)))
    weights = log_weights(model, guide, torch.zeros_like(y), y, 4000, STEPS // 3).double().exp()
    blank = 1.0 - sum_without_blank(model)
    error = (weights.var(-2) / 4000).sum().sqrt()
    assert error < 0.02 and abs(weights.mean(-2).sum() - (1 - blank)) < 4 * error + 0.02


def sum_without_blank(model, rows=4000):
    """The share of the readout's mass on answers without a blank, over prior trajectories."""
    x, state = torch.zeros(rows, L, dtype=torch.int64), None
    with torch.no_grad():
        for _ in range(STEPS // 3):
            state = model.reason(x, state)
        return (1 - model.readout(state, x).base_dist.probs[..., 0]).prod(-1).mean().item()


def test_the_prior_draws_a_whole_answer_and_keeps_it():
    model, _ = draughtsman()
    x, states = torch.zeros(200, L, dtype=torch.int64), [None]
    for _ in range(4):
        states.append(model.reason(x, states[-1]))
    first, second, third, fourth = (model.core.drawn(state.h) for state in states[1:])
    assert (first > 0).all() and len(second.unique(dim=0)) > 4 and not torch.equal(first, second)
    assert torch.equal(second, third) and torch.equal(third, fourth)
    model.prior.num_steps = 12  # the same weights, with finer steps
    state = None
    for _ in range(4):
        state, before = model.reason(x, state), state
    assert not torch.equal(model.core.drawn(before.h), model.core.drawn(state.h))
    assert torch.equal(model.core.drawn(model.reason(x, state).h), model.core.drawn(state.h))


def test_the_canvas_is_read():
    """Two states that differ on the canvas alone lead to other predictions; the canvas itself stays."""
    model, _ = draughtsman()
    e, h = torch.randn(3, L, D), torch.randn(3, L, D)
    other = h.clone()
    h[..., :SYMBOLS], other[..., :SYMBOLS] = torch.tensor([1e-9, 0.0]), torch.tensor([0.0, 1e-9])
    a, b = (model.core.predict(e, State(state, h)).h for state in (h, other))
    assert (a - b)[..., SYMBOLS:].abs().max() > 1e-3
    assert torch.equal(a[..., :SYMBOLS], h[..., :SYMBOLS])


def test_patches_and_images_are_each_the_other():
    image = torch.randint(9, (3, 24))
    close(whole(by_patch(image, 6, 2), 6, 2), image)
    close(whole(by_patch(image, 1, 1), 1, 1), image)
    prior = Denoising(D + 8, STEPS, SYMBOLS, columns=6, patch=2, logits=PixelLogits)
    drawn = prior(torch.zeros(3, 6, D + 8), 0).sample()[..., : SYMBOLS * 4].unflatten(-1, (-1, SYMBOLS))
    assert ((drawn > 0).sum(-1) == 1).all()


def test_another_part_is_refused():
    plain, _ = program()
    with pytest.raises(ValueError, match="got prior Gaussian; expected one that draws the answer; write prior=denois"):
        Guide(plain)
    without, _ = program(prior=Denoising(D, STEPS, SYMBOLS))
    with pytest.raises(ValueError, match="got core Hierarchical with no channels that keep what is drawn; expected 2"):
        Guide(without)
    model, _ = draughtsman()
    model.embed = TokenEmbedding(5, D)
    with pytest.raises(ValueError, match="got prior.num_symbols=2 for a task of 5 symbols .* prior.num_symbols=4"):
        Guide(model)


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="got prior.num_steps=0; expected 1 or more, the transitions of an answer"):
        Denoising(D, 0)
    with pytest.raises(ValueError, match="got dim=8; expected more than 8: a token of 4 cells holds one channel"):
        Denoising(D, 1, 2, columns=4, patch=2)
    with pytest.raises(ValueError, match="got patch=4 and columns=6; expected a side that divides the columns"):
        Denoising(D, 1, 1, columns=6, patch=4)
    with pytest.raises(ValueError, match="got a canvas of 8 channels .2 symbols of 4 cells. and dim=8; expected"):
        Canvas(Hierarchical, TokenEmbedding, D, 2, patch=2)
