"""What predicts validity: every predictor by hand, and AUROC by counting pairs."""

import math
from collections import Counter

import pytest
import torch
from pyro import validation_enabled
from tiny import D, V, batch, close, program, shake

from gram_pyro.evaluation.predictors import LAST, evidence, observe, pooled, views_agree, vote_share, within
from gram_pyro.inference.sampler import sample
from gram_pyro.networks.heads import Heads
from gram_pyro.networks.readout import CategoricalReadout
from gram_pyro.priors.noiseless import Noiseless
from gram_pyro.tasks.base import Batch


def by_pairs(score, valid):
    """AUROC by every pair of a valid and an invalid answer."""
    pairs = [float(s > t) + 0.5 * float(s == t) for s, v in zip(score, valid, strict=True) if v
             for t, w in zip(score, valid, strict=True) if not w]  # fmt: skip
    return sum(pairs) / len(pairs) if pairs else math.nan


@pytest.mark.parametrize("chunk", [2, 100])
def test_what_trajectories_show(chunk):
    """The same trajectories, segment by segment in plain code: the recursion has no noise, so there is one of each."""
    model, _ = program(prior=Noiseless())
    heads, (x, _) = shake(Heads(D, 6)), batch()
    answers, found = observe(model, heads, x, 2, 5, chunk)
    state, states = None, []
    with torch.no_grad():
        for _ in range(5):
            state = model.reason(x, state)
            states.append(state)
        laws = [model.readout(state, x).base_dist for state in states]
        expected = {
            "settled state": -(states[-1].h - states[-2].h).square().mean((-2, -1)).sqrt(),
            "settled beliefs": -(laws[-1].probs - laws[-1 - LAST].probs).abs().sum(-1).amax(-1) / 2,
            "likelihood": laws[-1].logits.log_softmax(-1).amax(-1).sum(-1),
            "halt": heads(state).halt,
            "value": heads(state).value,
            "vote": torch.ones(len(x)),
        }
    assert torch.equal(answers, laws[-1].logits.argmax(-1).expand(2, -1, -1)) and found.keys() == expected.keys()
    for name, score in found.items():
        close(score, expected[name].expand(2, -1))


def test_shallow_trajectories_are_refused():
    model, _ = program()
    with pytest.raises(ValueError, match="got num_segments=3; expected more than 3, over which beliefs settle"):
        observe(model, Heads(D, 6), batch()[0], 2, 3, 10)


@pytest.mark.parametrize(("part", "site"), [("readout", "y"), ("badness", "halt head"), ("core", "u_0")])
def test_what_is_not_finite_predicts_nothing(part, site):
    model, _ = program(readout=CategoricalReadout)
    heads, (x, _) = Heads(D, 6), batch()
    weights = {n: p for module in (model, heads) for n, p in module.named_parameters() if n.startswith(part)}
    with torch.no_grad(), validation_enabled(False):
        next(iter(weights.values())).view(-1)[0] = torch.nan
        with pytest.raises(FloatingPointError, match=f"not finite at site '{site}' of segment . of puzzle 0"):
            observe(model, heads, x, 2, 5, 10)


def test_votes_are_counted():
    answers = torch.randint(2, (7, 3, 2))
    share = vote_share(answers)
    for b in range(3):
        count = Counter(map(tuple, answers[:, b].tolist()))
        assert share[:, b].tolist() == [count[tuple(answer)] / 7 for answer in answers[:, b].tolist()]


class Reversed:
    """A task whose one symmetry reverses the cells; it is drawn every time."""

    def augment(self, data, generator):
        return Batch(*(t.flip(-1) for t in data[:3]), data.valid)

    def canonical(self, y):
        return y


def test_views_are_images_of_puzzle_and_answer():
    """Of no noise the trajectory of the image is known: it agrees wherever its answer, reversed back, is the answer."""
    model, _ = program(prior=Noiseless())
    x, _ = batch()
    again = sample(model, x.flip(-1), 1, 2).answers[0].flip(-1)
    answers = torch.stack([again, (again + 1) % V, again.where(torch.arange(len(x))[:, None] > 0, 0 * again)])
    agreed = views_agree(model, Reversed(), x, answers, 2, 3, 0, 100)
    assert torch.equal(agreed, (answers == again).all(-1).to(agreed.dtype))
    assert agreed[0].eq(1).all() and agreed[1].eq(0).all()


def test_evidence_is_of_its_own_answer():
    """log p(y | x) = log E_prior p(y | h), of the answers of two puzzles apart."""
    model, guide = program(num_transitions=1)
    x, y = batch(2)
    found = evidence(model, guide, x, y[None], 1, 4000, 2**14)
    with torch.no_grad():
        rows, targets = x.repeat(20_000, 1), y.repeat(20_000, 1)
        each = model.readout(model.reason(rows), rows).log_prob(targets).view(-1, 2)
    close(found[0], each.logsumexp(0) - math.log(len(each)), 0.1)


def test_auroc_over_all_and_in_each():
    score, valid = torch.randint(4, (6, 5)).double(), torch.rand(6, 5) < 0.5
    valid[:, 0], valid[:, 1] = True, False  # of one kind: nothing to tell apart in them
    whole, each = pooled(score, valid), within(score, valid)
    assert whole.mean == pytest.approx(float(by_pairs(score.flatten(), valid.flatten())))
    values = [by_pairs(score[:, b], valid[:, b]) for b in range(5) if 0 < valid[:, b].sum() < 6]
    assert each.num_groups == len(values) and each.mean == pytest.approx(sum(values) / len(values))
    assert math.isnan(within(score, valid | True).mean) and math.isnan(pooled(score, valid & False).se)


def test_the_error_of_a_pooled_auroc_is_that_over_worlds():
    """Puzzles differ in difficulty and their answers go together, so an error over answers would be too small."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(60):
        hard = torch.randn(40, generator=generator)
        valid = torch.rand(5, 40, generator=generator) < torch.sigmoid(2 * hard)
        found.append(pooled(hard + 0.3 * torch.randn(5, 40, generator=generator), valid))
    truth = torch.tensor([each.mean for each in found]).std()
    assert torch.tensor([each.se for each in found]).mean() == pytest.approx(truth.item(), rel=0.3)
