"""prior=unmasking, guide=unmasking and core=canvas: what is told, what it costs, and that it stays told."""

import itertools
from functools import partial

import pytest
import torch
from pyro.infer import Trace_ELBO
from small_guides import MEAN_FIELD
from tiny import D, L, close, mixing, program, shake
from torch.distributions import kl_divergence

from gram_pyro.model import GRAM
from gram_pyro.networks.canvas import Canvas
from gram_pyro.networks.core import Hierarchical
from gram_pyro.networks.embed import TokenEmbedding
from gram_pyro.networks.patches import by_patch
from gram_pyro.networks.readout import CategoricalReadout
from gram_pyro.priors.unmasking import Unmasked, Unmasking
from guides.unmasking import Unmasking as Guide

SYMBOLS = 2  # the blank not counted


def teller(num_cells=1.5, num_symbols=SYMBOLS, num_transitions=3):
    """A program of 4 cells and its guide, moved off their start."""
    core = Canvas(partial(Hierarchical, num_layers=1, num_updates=1, hidden=6), D, num_symbols,
                  num_cells=L, relations=None, mixer=mixing)  # fmt: skip
    prior = Unmasking(D, num_cells, num_symbols, 6)
    embed, readout = TokenEmbedding(num_symbols + 1, D), CategoricalReadout(D, num_symbols + 1)
    model = shake(GRAM(embed, core, prior, readout, num_transitions, num_transitions), 0.5)
    return model, Guide(model)


def told_by(state, num_symbols=SYMBOLS):
    """The symbols on the canvas, 0 where a cell is blank."""
    canvas = state.h[..., :num_symbols]
    return torch.where(canvas.sum(-1) > 0, canvas.argmax(-1) + 1, 0)


def law(told, num_symbols=SYMBOLS, dim=D):
    logits = torch.randn(*told.shape, num_symbols)
    return Unmasked(logits, told, dim), logits.log_softmax(-1)


def test_the_law_is_that_of_the_symbols_told_and_sums_to_one():
    told = torch.tensor([[True], [False], [True], [True]])
    unmasked, log_probs = law(told, 3)
    total = 0.0
    for symbols in itertools.product(range(3), repeat=3):
        z = torch.zeros(L, D)
        for cell, symbol in zip((0, 2, 3), symbols, strict=True):
            z[cell, symbol] = 1.0
        assert unmasked.support.check(z)
        close(unmasked.log_prob(z), sum(log_probs[c, 0, s] for c, s in zip((0, 2, 3), symbols, strict=True)))
        total += unmasked.log_prob(z).exp().item()
    assert abs(total - 1) < 1e-12
    z[1, 0] = 1.0
    for outside in (z, 0 * z, 0.5 * z):
        assert not unmasked.support.check(outside) and unmasked.log_prob(outside) == -torch.inf
    draws = unmasked.sample((20_000,))
    assert unmasked.support.check(draws).all()
    share = log_probs[0, 0].exp()
    assert ((draws[:, 0, :3].mean(0) - share).abs() < 4 * (share * (1 - share) / 20_000).sqrt()).all()


def test_the_kl_is_that_of_the_cells_told():
    told = torch.rand(5, L, 3) < 0.5
    (q, log_q), (p, log_p) = law(told, dim=7), law(told, dim=7)
    truth = ((log_q.exp() * (log_q - log_p)).sum(-1) * told).sum((-2, -1))
    close(kl_divergence(q, p), truth)
    z = q.sample((40_000,))
    each = q.log_prob(z) - p.log_prob(z)
    assert ((each.mean(0) - truth).abs() < 4 * each.std(0) / 200 + 1e-12).all()
    close(kl_divergence(q.expand((2, 5)), p.expand((2, 5))), truth.expand(2, 5))


def test_about_n_blank_cells_are_told_and_all_when_fewer_are_left():
    prior, states, cells = Unmasking(D, 6.0, SYMBOLS), 4000, 60
    u = torch.randn(states, cells, D)
    u[..., :SYMBOLS] = 0.0
    u[:, :20, 0] = 1.0  # a third is told already
    told = prior(u, 0).told.squeeze(-1)
    assert not told[:, :20].any()
    share = 6 / 40
    assert (told[:, 20:].double().mean(0) - share).abs().max() < 5 * (share * (1 - share) / states) ** 0.5
    u[:, 5:, 1] = 1.0
    u[:, :5, :SYMBOLS] = 0.0
    told = prior(u, 0).told.squeeze(-1)
    assert told[:, :5].all() and not told[:, 5:].any()


def test_pixels_lie_in_the_channels_of_their_patch():
    rows, columns, patch = 4, 6, 2
    prior = Unmasking(D + 8, 1e9, SYMBOLS, columns=columns, patch=patch)
    u = torch.randn(3, rows * columns // patch**2, D + 8)
    u[..., : SYMBOLS * patch**2] = 0.0
    image = torch.arange(rows * columns)
    tokens = by_patch(image, columns, patch)
    for pixel in image.tolist():
        row, column = divmod(pixel, columns)
        token, place = row // patch * (columns // patch) + column // patch, row % patch * patch + column % patch
        assert tokens[token, place] == pixel
    unmasked = prior(u, 0)
    assert unmasked.told.all() and unmasked.event_shape == u.shape[-2:]
    assert (unmasked.sample()[..., : SYMBOLS * patch**2].unflatten(-1, (-1, SYMBOLS)).sum(-1) == 1).all()


def test_the_guide_tells_the_solution_once_and_the_canvas_keeps_it():
    model, guide = teller()
    y, state = torch.randint(1, SYMBOLS + 1, (50, L)), None
    x, before = torch.zeros_like(y), torch.zeros_like(y)
    for _ in range(8):
        guide(x, y, state)
        state = guide.final_state()
        told = told_by(state)
        assert ((told == before) | (before == 0)).all() and ((told == y) | (told == 0)).all()
        before = told
    assert torch.equal(before, y)
    assert guide.kl().eq(0).all()  # nothing is left to tell


def test_the_prior_tells_a_whole_answer_and_keeps_it():
    model, _ = teller()
    x, states = torch.zeros(200, L, dtype=torch.int64), [None]
    for _ in range(10):
        states.append(model.reason(x, states[-1]))
    answers = [told_by(state) for state in states[1:]]
    assert (answers[-1] > 0).all() and len(answers[-1].unique(dim=0)) > 4
    assert all(((a == b) | (a == 0)).all() for a, b in itertools.pairwise(answers))


@pytest.mark.parametrize("objective", [MEAN_FIELD, Trace_ELBO(max_plate_nesting=1)])
def test_what_is_paid_for_all_answers_sums_to_one(objective):
    """When all cells are told, a path of latents is an answer. So exp(-KL), summed over all answers, is the probability
    of all paths: one."""
    model, guide = teller()
    y = torch.tensor(list(itertools.product(range(1, SYMBOLS + 1), repeat=L)))
    x, paid = torch.zeros_like(y), torch.zeros(len(y))
    for i in range(len(y)):
        state = None
        for _ in range(8):
            loss = objective.loss(model, guide, x[i : i + 1], y[i : i + 1], state)
            state = guide.final_state()
            paid[i] += loss + model.readout(state, x[i : i + 1]).log_prob(y[i : i + 1]).item()
    assert torch.equal(told_by(state), y[-1:])
    assert paid.std() > 0.1 and abs((-paid).exp().sum() - 1) < 1e-6


def test_another_part_is_refused():
    plain, _ = program()
    with pytest.raises(ValueError, match="got prior Gaussian; expected one that tells cells; write prior=unmasking"):
        Guide(plain)
    without, _ = program(prior=Unmasking(D, 1, SYMBOLS))
    with pytest.raises(ValueError, match="got core Hierarchical with no channels that keep what is told; expected 2"):
        Guide(without)
    model, _ = teller()
    model.embed = TokenEmbedding(5, D)
    with pytest.raises(ValueError, match="got prior.num_symbols=2 for a task of 5 symbols .* prior.num_symbols=4"):
        Guide(model)


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="got prior.num_cells=0; expected the cells told at a transition, more than 0"):
        Unmasking(D, 0)
    with pytest.raises(ValueError, match="got dim=8; expected more than 8: a token of 4 cells holds one channel"):
        Unmasking(D, 1, 2, columns=4, patch=2)
    with pytest.raises(ValueError, match="got patch=4 and columns=6; expected a side that divides the columns"):
        Unmasking(D, 1, 1, columns=6, patch=4)
    with pytest.raises(ValueError, match="got a canvas of 8 channels .2 symbols of 4 cells. and dim=8; expected"):
        Canvas(Hierarchical, D, 2, 2)
