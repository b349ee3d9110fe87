"""What prior rollouts are trained on: many samples of a puzzle by enumeration, and solutions that are searched for."""

import math
from functools import partial
from itertools import permutations, product
from types import SimpleNamespace

import pytest
import torch
from small_candidates import D, boards, candidates
from tiny import close, shake

from gram_pyro.networks.candidates import CandidateReadout
from gram_pyro.networks.core import State
from gram_pyro.networks.readout import CategoricalReadout
from gram_pyro.tasks.base import Batch
from gram_pyro.tasks.sudoku.rules import Geometry
from gram_pyro.training.rollout_losses import (
    Assignment,
    Cover,
    MultiSample,
    Nearest,
    Set,
    cover_loss,
    multi_sample_loss,
    set_loss,
)

L, C, P, M = 3, 2, 4, 3  # cells, symbols, puzzles, rollouts of each
ANSWERS = torch.tensor(list(product(range(1, C + 1), repeat=L)))
X = torch.tensor([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 1]])
READOUTS = {"cells": CategoricalReadout, "candidates": CandidateReadout}


def rollouts(name, size=P * M):
    """A model whose rollouts end where they are told to, and those states, as something to differentiate in."""
    readout = shake(READOUTS[name](D, C + 1), 0.5)
    h = torch.randn(size, L * C if name == "candidates" else L, D, requires_grad=True)
    return SimpleNamespace(readout=readout, reason=lambda x, state: State(h, h)), h


def puzzles():
    """Four puzzles and ragged sets of answers that keep their clues, every row M times."""
    fits = ((X[:, None] == 0) | (X[:, None] == ANSWERS)).all(-1)
    valid = fits & (torch.rand(fits.shape) < 0.6)
    valid[torch.arange(P), fits.long().argmax(1)] = True
    rows = X, ANSWERS.expand(P, -1, -1), valid
    return [t.repeat_interleave(M, 0) for t in rows]


def p_right(model, h, x, solutions, valid):
    """p(S | h) of every row as a sum over answers, each a product over cells, in plain Python."""
    logits = (h @ model.readout.logits.weight.T).detach()
    if isinstance(model.readout, CandidateReadout):
        logits = torch.cat([torch.full((len(h), L, 1), -math.inf), logits.view(len(h), L, C)], -1)
    p, total = logits.softmax(-1).tolist(), []
    for row in range(len(h)):
        open_cells = (x[row] == 0).nonzero().flatten().tolist()
        listed = solutions[row][valid[row]].tolist()
        total.append(sum(math.prod(p[row][cell][y[cell]] for cell in open_cells) for y in listed))
    return torch.tensor(total)


@pytest.mark.parametrize("name", READOUTS)
def test_losses_against_enumeration(name):
    model, h = rollouts(name)
    rows = puzzles()
    right = p_right(model, h, *rows)
    assert right.std() > 0.05
    close(set_loss(model, *rows, None)[0], -right.log().mean())
    close(multi_sample_loss(model, *rows, None, M)[0], -right.view(P, M).mean(1).log().mean())
    padded = torch.where(rows[2][..., None], rows[1], torch.randint(1, C + 1, rows[1].shape))
    close(multi_sample_loss(model, rows[0], padded, rows[2], None, M)[0], -right.view(P, M).mean(1).log().mean())


@pytest.mark.parametrize("name", READOUTS)
def test_one_sample_is_the_set_loss_and_many_are_never_more(name):
    for _ in range(20):
        model, _ = rollouts(name)
        rows = puzzles()
        of_set, state = set_loss(model, *rows, None)
        one, end = multi_sample_loss(model, *rows, None, 1)
        close(one, of_set), close(end.h, state.h)
        assert not end.h.requires_grad and multi_sample_loss(model, *rows, None, M)[0] < of_set


@pytest.mark.parametrize("function", [set_loss, partial(multi_sample_loss, num_rollouts=M)], ids=["set", "many"])
@pytest.mark.parametrize("name", READOUTS)
def test_gradients_by_finite_differences(name, function):
    model, h = rollouts(name)
    rows = puzzles()
    (slope,) = torch.autograd.grad(function(model, *rows, None)[0], h)
    for _ in range(5):
        direction = torch.randn_like(h)
        sides = []
        for step in (1e-5, -1e-5):
            there = h.detach() + step * direction
            moved = SimpleNamespace(readout=model.readout, reason=lambda x, state, there=there: State(there, there))
            sides.append(function(moved, *rows, None)[0])
        close((slope * direction).sum(), (sides[0] - sides[1]) / 2e-5, 1e-7)


def test_a_rollout_moves_many_samples_as_much_as_it_is_right():
    """The gradient is the mean of those of log p(S | h^m) with weights p(S | h^m) / sum: who is right is made surer."""
    model, h = rollouts("cells")
    rows = puzzles()
    right = model.readout.log_prob_of_set(State(h, h), *rows)
    each = torch.autograd.grad(-right.sum(), h, retain_graph=True)[0]
    weight = right.detach().view(P, M).softmax(1).view(-1, 1, 1)
    close(torch.autograd.grad(multi_sample_loss(model, *rows, None, M)[0], h)[0], weight * each / P)


# ---- solutions that are searched for


def near(found):
    """A search that finds the first answer that keeps the clues, in the rows of `found`."""

    def search(x, log_prob):
        assert log_prob.shape == (len(x), L, C + 1) and not log_prob.requires_grad
        y = torch.where(x == 0, 1, x)
        return y[:, None] * found[:, None, None], found[:, None]

    return search


@pytest.mark.parametrize("name", READOUTS)
@pytest.mark.parametrize("found", [[1] * 12, [0] * 12, [1, 1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 1]])
def test_rows_for_which_nothing_is_found_count_for_nothing(name, found):
    model, h = rollouts(name)
    found = torch.tensor(found).bool()
    x = X.repeat_interleave(M, 0)
    y = torch.where(x == 0, 1, x)
    right = p_right(model, h, x, y[:, None], torch.ones(P * M, 1, dtype=torch.bool))
    loss, _ = set_loss(model, x, None, None, None, near(found))
    close(loss, -right.log()[found].sum() / (P * M))
    groups = [(right[k : k + M], found[k : k + M]) for k in range(0, P * M, M)]
    expected = sum(-p[known].mean().log().item() for p, known in groups if known.any()) / P
    many, _ = multi_sample_loss(model, x, None, None, None, M, near(found))
    close(many, expected)
    for value in (loss, many):
        (slope,) = torch.autograd.grad(value, h)
        assert torch.isfinite(slope).all() and (slope[~found] == 0).all()
        open_rows = found & (x == 0).any(1)
        assert (slope[open_rows].abs().amax((1, 2)) > 0).all()


# ---- answers that are known


def known():
    """Four puzzles, M rows of each with their lists, and then the blank one in 4 rows that bring an answer each: all
    shuffled. Returns: the batch, and by puzzle its rows and its answers."""
    x, solutions, valid = puzzles()
    alone = torch.zeros(4, len(ANSWERS), dtype=torch.bool)
    alone[torch.arange(4), torch.tensor([0, 3, 3, 5])] = True
    parts = (x[M:], torch.zeros(4, L, dtype=torch.int64)), (solutions[M:], solutions[:4]), (valid[M:], alone)
    x, solutions, valid = (torch.cat(pair) for pair in parts)
    order = torch.randperm(len(x))
    x, solutions, valid = x[order], solutions[order], valid[order]
    groups = {}
    for row in range(len(x)):
        rows, answers = groups.setdefault(tuple(x[row].tolist()), ([], set()))
        rows.append(row)
        answers |= {tuple(y) for y in solutions[row][valid[row]].tolist()}
    return Batch(x, solutions[:, 0], solutions, valid), list(groups.values())


def log_p_each(model, h, batch, rows, answers):
    """log p(y | h), rows x answers, in plain Python."""
    one = torch.ones(len(h), 1, dtype=torch.bool)
    columns = [p_right(model, h, batch.x, torch.tensor(y).expand(len(h), 1, -1), one).log() for y in sorted(answers)]
    return torch.stack(columns, 1)[rows].tolist()


def best_assignment(log_p):
    """Over all ways to hand out every answer ceil(R / N) times at most, in plain Python."""
    most = math.ceil(len(log_p) / len(log_p[0]))
    places = [answer for answer in range(len(log_p[0])) for _ in range(most)]
    return max(sum(row[a] for row, a in zip(log_p, way, strict=False)) for way in permutations(places, len(log_p)))


@pytest.mark.parametrize("name", READOUTS)
def test_nearest_and_assignment_against_enumeration(name):
    for _ in range(3):
        batch, groups = known()
        model, h = rollouts(name, len(batch.x))
        tables = [log_p_each(model, h, batch, *group) for group in groups]
        nearest = -sum(max(row) for table in tables for row in table) / len(h)
        assignment = -sum(best_assignment(table) for table in tables) / len(h)
        assert assignment > nearest + 1e-3
        for choice, expected in ((Nearest(), nearest), (Assignment(), assignment)):
            loss, end = choice(model, batch, None, 0, 1, None)
            close(loss, expected)
            assert torch.equal(end.h, h) and not end.h.requires_grad
            assert torch.isfinite(torch.autograd.grad(loss, h)[0]).all()


def test_the_set_is_below_the_nearest_and_that_below_an_assignment():
    for _ in range(20):
        model, _ = rollouts("cells")
        x, solutions, valid = puzzles()
        batch = Batch(x, solutions[:, 0], solutions, valid)
        right, near_one, own = (loss(model, batch, None, 0, M, None)[0] for loss in (Set(), Nearest(), Assignment()))
        assert right <= near_one <= own


def test_rollouts_of_one_mind_are_sent_apart():
    """Two rollouts that are nearest to one of two solutions: an assignment pulls them to one each."""
    model, h = rollouts("cells", 1)
    h = h.detach().repeat(2, 1, 1).requires_grad_()
    model.reason = lambda x, state: State(h, h)
    x, y = torch.zeros(2, L, dtype=torch.int64), torch.tensor([[1, 1, 1], [2, 2, 2]])
    batch = Batch(x, y, y.expand(2, -1, -1), torch.ones(2, 2, dtype=torch.bool))
    pulls = [torch.autograd.grad(loss(model, batch, None, 0, 2, None)[0], h)[0] for loss in (Nearest(), Assignment())]
    close(pulls[0][0], pulls[0][1])
    assert not torch.allclose(pulls[1][0], pulls[1][1])


# ---- the choices


def test_choices_run_what_they_name():
    model, *_ = candidates(Geometry(4))
    x, y = (t.repeat_interleave(2, 0) for t in boards(Geometry(4), 3))
    batch = Batch(x, y, y[:, None], torch.ones(6, 1, dtype=torch.bool))
    rows = (model, *batch[:1], *batch[2:])
    wanted = {
        Set(): [("set_loss", set_loss)] * 2,
        MultiSample(): [("multi_sample_loss", partial(multi_sample_loss, num_rollouts=2))] * 2,
        Cover(): [("cover_loss", partial(cover_loss, num_rollouts=2)), ("set_loss", set_loss)],
    }
    for choice, segments in wanted.items():
        assert choice.needs_lists == isinstance(choice, Cover)
        state = None
        for segment, (label, function) in enumerate(segments):
            assert choice.label(segment) == label
            torch.manual_seed(3)
            loss, end = choice(model, batch, state, segment, 2, None)
            torch.manual_seed(3)
            expected, after = function(*rows, state)
            close(loss, expected), close(end.h, after.h)
            state = end
