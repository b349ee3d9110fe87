"""A clue is known: no answer changes one, and likelihoods are of the open cells alone."""

import math
from functools import partial
from itertools import product

import pytest
import torch
from small_candidates import D, boards, candidates
from tiny import close, mixing, relational, shake

from gram_pyro.app.solver import open_weights
from gram_pyro.app.watch import Watch
from gram_pyro.baselines.autoregressive import Autoregressive
from gram_pyro.baselines.base import sample_baseline
from gram_pyro.baselines.d3pm import D3PM
from gram_pyro.baselines.masked_diffusion import MaskedDiffusion
from gram_pyro.baselines.vae import VAE
from gram_pyro.evaluation.evidence import log_weights
from gram_pyro.harness.load import Program, released
from gram_pyro.inference import noise, smc
from gram_pyro.inference.potentials import value
from gram_pyro.inference.sampler import sample
from gram_pyro.model import GRAM
from gram_pyro.networks.candidates import CandidateReadout
from gram_pyro.networks.core import Hierarchical, State
from gram_pyro.networks.embed import TokenEmbedding
from gram_pyro.networks.heads import Heads
from gram_pyro.networks.readout import CategoricalReadout, Readout, clamp
from gram_pyro.priors.gaussian import Gaussian
from gram_pyro.tasks.candidates.importers import sudoku
from gram_pyro.tasks.candidates.packed import pack_all
from gram_pyro.tasks.candidates.task import Candidates
from gram_pyro.tasks.sudoku.rules import Geometry
from guides.concat import Concat

FOUR = Geometry(4)
K, N = 6, 3


def cells():
    """A program of cells and relations: its tokens are cells."""
    core = Hierarchical(D, 16, FOUR.relations, relational, num_layers=1, hidden=6)
    model = GRAM(TokenEmbedding(5, D), core, Gaussian(D, 6), CategoricalReadout(D, 5), num_transitions=2)
    return tuple(shake(part, 0.3) for part in (model, Concat(model, D, 6), Heads(D, 6)))


PROGRAMS = {"cells": cells, "candidates": partial(candidates, FOUR, shaken=0.3)}
SAMPLERS = {
    "sample": sample,
    "tempered": partial(noise.tempered, temperature=2.0),
    "hot_start": partial(noise.hot_start, temperature=3.0),
    "ptrm": noise.ptrm,
    "random_start": noise.random_start,
    "drawn_answers": noise.drawn_answers,
    "smc": partial(smc.smc, threshold=1.0),
    "sir": smc.sir,
}


def kept(x, answers):
    return bool(((x == 0) | (x == answers)).all())


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("name", SAMPLERS)
def test_no_answer_of_a_sampler_changes_a_clue(name, program):
    model, _, heads = PROGRAMS[program]()
    x, _ = boards(FOUR, 5)
    free = x * 0
    options = {"potential": value(None, heads)} if name in ("smc", "sir") else {}
    draw = partial(SAMPLERS[name], model, num_particles=K, num_segments=N, heads=heads, chunk=7, **options)
    found = draw(x)
    assert found.answers.shape == (K, 5, 16) and kept(x, found.answers)
    assert torch.isfinite(found.log_likelihood).all() and (found.log_likelihood <= 0).all()
    assert not kept(x, draw(free).answers)  # these weights know of no clue: it is the readout that keeps it
    if program == "candidates":
        assert found.answers.min() >= 1  # a blank is no candidate


@pytest.mark.parametrize("name", released())
def test_no_shipped_weights_change_a_clue(name, single_precision):
    """Of puzzles that contradict themselves, which the network would like to correct."""
    task, (model, _, heads) = open_weights(name)
    if isinstance(task, Candidates):  # whose rules are part of x, and refuse contradictions
        pytest.skip("see test_weights_of_every_kind_keep_clues")
    x = torch.randint(task.num_symbols, (3, task.num_cells))
    for draw in (sample, partial(noise.hot_start, temperature=3.0), noise.drawn_answers):
        answers = draw(model, x, 2, 1, heads=heads).answers
        assert kept(x, answers) and not kept(x, sample(model, x * 0, 2, 1).answers)


def test_weights_of_every_kind_keep_clues(single_precision):
    """Roles of candidates that are given, in or out."""
    _, (model, _, heads) = open_weights("constraints")
    x = pack_all([sudoku([1, 2, 0, 0, 3, 0, 0, last] + [0] * 8) for last in (0, 1, 2)])
    roles = x[:, : 4**3]
    for draw in (sample, partial(noise.hot_start, temperature=3.0), noise.drawn_answers):
        answers = draw(model, x, 2, 1, heads=heads).answers
        assert answers.shape == (2, 3, 4**3) and kept(roles, answers)
    free = torch.cat([roles * 0, x[:, 4**3 :]], -1)
    assert not kept(roles, sample(model, free, 2, 1).answers)


@pytest.mark.parametrize("program", PROGRAMS)
def test_answers_that_are_watched_keep_clues(program):
    parts = Program(*PROGRAMS[program]())
    x, _ = boards(FOUR, 1)
    with Watch(parts, x[0]) as watch:
        found = sample(parts.model, x, K, N, chunk=K)
    thoughts = watch.replay(found)
    assert thoughts.answers.shape == (N, K, 16) and kept(x[0], thoughts.answers)
    assert thoughts.answers[-1].equal(found.answers[:, 0])


def test_evidence_is_of_the_open_cells():
    """Of a puzzle that shows everything, log p(y | x) = 0 whatever the latents are: the weights are p / q alone."""
    model, guide, _ = candidates(FOUR)
    _, y = boards(FOUR, 3)
    guide.posterior = lambda u, y, prior, t: prior
    assert (log_weights(model, guide, y, y, 4, 2) == 0).all()
    assert (log_weights(model, guide, y * 0, y, 4, 2) < -1).all()
    other = y.roll(1, 0)
    assert (log_weights(model, guide, other, y, 4, 2) == -torch.inf).all()  # what contradicts a clue cannot be


BASELINES = {
    "autoregressive": partial(Autoregressive, num_layers=1, num_heads=2),
    "masked_diffusion": partial(MaskedDiffusion, mixer=relational, num_layers=1, num_steps=4),
    "d3pm": partial(D3PM, embed=TokenEmbedding, readout=CategoricalReadout, mixer=mixing, num_layers=1, num_steps=4),
    "vae": partial(VAE, embed=TokenEmbedding, readout=CategoricalReadout, mixer=mixing, num_layers=1, num_latents=2),
}


@pytest.mark.parametrize("share", [0.4, 1.0])
@pytest.mark.parametrize("name", BASELINES)
def test_baselines_keep_clues_and_learn_with_them(name, share):
    baseline = shake(BASELINES[name](16, 5, FOUR.relations, D), 0.3)
    x, y = boards(FOUR, 5, share)
    answers = sample_baseline(baseline, x, K).answers
    assert kept(x, answers) and not kept(x, sample_baseline(baseline, x * 0, K).answers)
    loss = baseline.loss(x, y)
    loss.backward()
    gradients = [p.grad for p in baseline.parameters() if p.grad is not None]
    assert torch.isfinite(loss) and all(torch.isfinite(gradient).all() for gradient in gradients)
    if share == 1 and name != "vae":  # there is nothing left to tell, but to a latent
        close(loss, 0.0)


# ---- likelihoods by hand


def by_hand(logits, x, y):
    """log p(y | h, x) of one puzzle from logits [L, V], in plain Python."""
    total = 0.0
    for row, clue, symbol in zip(logits.tolist(), x.tolist(), y.tolist(), strict=True):
        if clue == 0:
            total += row[symbol] - math.log(sum(map(math.exp, row)))
        elif clue != symbol:
            return -math.inf
    return total


def readers():
    """Readouts and states [2, B, ...] of a board of three cells and two symbols, and their logits by hand."""
    cells, each = shake(CategoricalReadout(D, 3)), shake(CandidateReadout(D, 3))
    h = torch.randn(2, 3, 3, D)
    yield cells, State(h, h), h @ cells.logits.weight.T
    h = torch.randn(2, 3, 6, D)
    scores = (h @ each.logits.weight.T).view(2, 3, 3, 2)
    yield each, State(h, h), torch.cat([torch.full((2, 3, 3, 1), -1e9), scores], -1)  # a blank is no answer


def test_the_likelihood_of_an_answer_by_hand():
    x = torch.tensor([[0, 1, 0], [2, 0, 0], [0, 0, 0]])
    answers = torch.tensor(list(product((1, 2), repeat=3)))  # all
    solutions = answers.expand(3, -1, -1)
    valid = torch.rand(3, 8) < 0.5
    valid[torch.arange(3), torch.tensor([0, 4, 0])] = True  # one that keeps the clues
    for readout, state, logits in readers():
        expected = torch.tensor(
            [[[by_hand(logits[k, b], x[b], y) for y in answers] for b in range(3)] for k in range(2)]
        )
        close(readout.log_prob_each(state, x, solutions), expected)
        close(Readout.log_prob_each(readout, state, x, solutions), expected)
        for m in range(8):
            close(readout(state, x).log_prob(solutions[:, m]), expected[..., m])
        of_set = [[math.log(sum(p.exp() for p in expected[k, b, valid[b]])) for b in range(3)] for k in range(2)]
        close(readout.log_prob_of_set(state, x, solutions, valid), of_set)
        if isinstance(readout, CandidateReadout):
            close(expected.logsumexp(-1), torch.zeros(2, 3))
            assert readout.answer(state, x).equal(answers[expected.argmax(-1)])
        assert torch.isneginf(expected).any() and kept(x, readout.answer(state, x))
        assert kept(x, readout(state, x).sample((50,)))


def test_gradients_are_finite_where_an_answer_is_impossible():
    """A listed answer that contradicts a clue has probability zero, and says nothing."""
    x = torch.tensor([[0, 1, 0]])
    solutions = torch.tensor([[[1, 1, 2], [1, 2, 2]]])
    for readout, state, _ in readers():
        one = State(*(stream[:, :1].clone().requires_grad_() for stream in state))
        both = readout.log_prob_of_set(one, x, solutions, torch.ones(1, 2, dtype=torch.bool))
        close(both, readout.log_prob_of_set(one, x, solutions, torch.tensor([[True, False]])))
        both.sum().backward()
        assert torch.isfinite(one.h.grad).all() and one.h.grad.abs().max() > 1e-3


def test_clamped_logits_are_those_of_a_clue():
    logits = torch.randn(4, 2, 3, 5)
    x = torch.tensor([[0, 1, 4], [3, 0, 0]])
    found = clamp(logits, x)
    for b, cell in product(range(2), range(3)):
        if clue := x[b, cell].item():
            assert found[:, b, cell, clue].equal(logits[:, b, cell, clue])
            assert found[:, b, cell].isneginf().sum() == 4 * 4
        else:
            assert found[:, b, cell].equal(logits[:, b, cell])
    with pytest.raises(ValueError, match="got logits for 3 cells and a puzzle of 4; expected as many; if the"):
        clamp(logits, torch.zeros(2, 4, dtype=torch.int64))
