"""Every selection against plain Python that looks at one puzzle at a time, hand-built cases, and misuse."""

import math
from functools import partial

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from scripts import CONF

from gram_pyro.inference.selection import (
    abstain,
    agreement,
    best_halt,
    best_value,
    chosen,
    convergence,
    draw,
    first_to_halt,
    likelihood,
    value_vote,
    verified,
    vote,
)
from gram_pyro.inference.trajectories import Trajectories

CHOICES = sorted((CONF / "select").glob("[!o]*.yaml"))


def trajectories(answers, log_weights=None, **fields):
    """Trajectories [K, B, L] with fields of no interest filled in."""
    answers = torch.as_tensor(answers)
    zeros = torch.zeros(answers.shape[:2])
    log_weights = zeros if log_weights is None else torch.as_tensor(log_weights)
    empty = {"log_evidence": zeros[0], "log_likelihood": zeros, "depth": zeros.long(), "change": zeros}
    return Trajectories(answers, log_weights, **empty | {n: torch.as_tensor(f) for n, f in fields.items()})


def one_puzzle(letters, **fields):
    """One puzzle whose particles answer these letters; fields are lists over particles."""
    columns = {name: torch.tensor(field)[:, None] for name, field in fields.items()}
    return trajectories([[[0, ord(a)]] for a in letters], **columns)


def random_trajectories(num_particles=9, num_puzzles=30):
    """Few distinct answers, all odd in the first five puzzles; uneven weights (some zero), uneven scores."""
    shape = (num_particles, num_puzzles)
    log_weights = torch.randn(shape)
    log_weights[1:].masked_fill_(torch.rand(shape)[1:] < 0.3, -math.inf)
    answers = torch.randint(0, 2, (*shape, 2))
    answers[:, :5, 0] = 1 - answers[:, :5, 1]
    return trajectories(
        answers,
        log_weights,
        log_likelihood=-torch.rand(shape),
        depth=torch.randint(1, 4, shape),
        change=torch.rand(shape),
        halt=torch.rand(shape),
        value=torch.rand(shape),
    )


def even(answers):
    """The rules: an even sum."""
    return answers.sum(-1) % 2 == 0


def by_hand(name, t, b):
    """(index, confidence, answered) of puzzle b, counted in plain Python."""
    answers = [tuple(a) for a in t.answers[:, b].tolist()]
    raw = [math.exp(w) for w in t.log_weights[:, b].tolist()]
    weight = [w / sum(raw) for w in raw]
    column = {f: getattr(t, f)[:, b].tolist() for f in ("log_likelihood", "depth", "change", "halt", "value")}
    particles = range(len(answers))

    def first_of_best(mass):
        totals = {}
        for a, m in zip(answers, mass, strict=True):
            totals[a] = totals.get(a, 0) + m
        best = max(totals.values())
        answer = next(a for a in answers if math.isclose(totals[a], best))
        return answers.index(answer), totals[answer] / sum(mass)

    def share(k):
        return sum(w for a, w in zip(answers, weight, strict=True) if a == answers[k])

    possible = [k for k in particles if weight[k] > 0]
    if name == "vote":
        return *first_of_best(weight), True
    if name == "value_vote":
        return *first_of_best([w * v for w, v in zip(weight, column["value"], strict=True)]), True
    if name in ("best_value", "best_halt"):
        score = column[name.removeprefix("best_")]
        k = max(possible, key=lambda k: score[k])
        return k, score[k], True
    if name == "likelihood":
        k = max(possible, key=lambda k: column["log_likelihood"][k])
        return k, math.exp(column["log_likelihood"][k]), True
    if name == "convergence":
        k = min(possible, key=lambda k: column["change"][k])
        return k, share(k), True
    if name == "first_to_halt":
        k = min(possible, key=lambda k: (column["depth"][k], -column["halt"][k]))
        return k, column["halt"][k], True
    passing = [k for k in particles if sum(answers[k]) % 2 == 0]
    k = max(passing or particles, key=lambda k: (share(k), -k))
    return k, float(bool(passing)), bool(passing)


SELECTIONS = (vote, value_vote, best_value, best_halt, likelihood, convergence, first_to_halt, verified)


@pytest.mark.parametrize("select", SELECTIONS, ids=lambda s: s.__name__)
def test_every_selection_equals_plain_python(select):
    t = random_trajectories()
    choice = select(t, even)
    for b in range(30):
        index, confidence, answered = by_hand(select.__name__, t, b)
        assert choice.index[b].item() == index
        assert choice.confidence[b].item() == pytest.approx(confidence, rel=1e-6)
        assert choice.answered[b].item() == answered
    assert torch.equal(chosen(t.answers, choice), torch.stack([t.answers[k, b] for b, k in enumerate(choice.index)]))


@pytest.mark.parametrize("file", CHOICES, ids=lambda f: f.stem)
def test_every_configured_selection(file):
    """Its promises, found by walking the folder: shapes, ranges, and that each puzzle is judged by itself."""
    select = instantiate(OmegaConf.load(file))
    t = random_trajectories()
    if file.stem == "draw":  # the rest of the promises without chance
        t = t._replace(log_weights=torch.where(torch.arange(9)[:, None] == 4, 0.0, -math.inf).expand(9, 30))
    choice = select(t, even)
    assert choice.index.dtype == torch.int64 and choice.answered.dtype == torch.bool
    assert {tuple(field.shape) for field in choice} == {(30,)}
    assert ((choice.confidence >= 0) & (choice.confidence <= 1)).all()
    order = torch.randperm(30)
    shuffled = t.per_particle(lambda field: field[:, order])._replace(log_evidence=t.log_evidence[order])
    for field, expected in zip(select(shuffled, even), choice, strict=True):
        assert torch.equal(field, expected[order])


def test_there_is_a_file_for_every_selection():
    assert {f.stem for f in CHOICES} >= {s.__name__ for s in (*SELECTIONS, draw, abstain)}


@pytest.mark.parametrize("letters, index, share", [("abb", 1, 2 / 3), ("abba", 0, 0.5), ("baab", 0, 0.5), ("c", 0, 1)])
def test_vote_by_hand(letters, index, share):
    choice = vote(one_puzzle(letters), even)
    assert choice.index.item() == index and choice.confidence.item() == pytest.approx(share, rel=1e-6)


@pytest.mark.parametrize("num_particles", [6, 14, 22, 100, 1000])
def test_equal_votes_are_equal_in_any_order_and_the_first_wins(num_particles):
    half = num_particles // 2
    for _ in range(20):
        letters = [("a", "b")[i] for i in (torch.randperm(num_particles) < half).tolist()]
        choice = vote(one_puzzle(letters), even)
        assert choice.index.item() == 0 and choice.confidence.item() == 0.5


def test_a_heavy_particle_outvotes_many():
    choice = vote(one_puzzle("aab", log_weights=[0.0, 0.0, math.log(3)]), even)
    assert choice.index.item() == 2 and choice.confidence.item() == pytest.approx(0.6, rel=1e-6)


def test_weights_matter_up_to_a_factor():
    t = random_trajectories()
    for select in SELECTIONS:
        for field, expected in zip(
            select(t._replace(log_weights=t.log_weights - 900), even), select(t, even), strict=True
        ):
            assert torch.allclose(field.double(), expected.double(), rtol=1e-6)


def test_an_answer_of_weight_zero_is_not_chosen():
    nothing = -math.inf
    t = one_puzzle(
        "aab",
        log_weights=[nothing, nothing, 0.0],
        value=[0.9, 0.9, 0.0],
        halt=[0.9, 0.9, 0.1],
        change=[0.0, 0.0, 1.0],
        depth=[1, 1, 2],
        log_likelihood=[0.0, 0.0, -1.0],
    )
    for select in (vote, value_vote, best_value, best_halt, likelihood, convergence, draw, first_to_halt):
        assert select(t, even).index.item() == 2


def test_value_vote_can_overrule_the_vote_and_knows_when_it_knows_nothing():
    t = one_puzzle("aab", value=[0.1, 0.2, 0.9])
    choice = value_vote(t, even)
    assert choice.index.item() == 2 and choice.confidence.item() == pytest.approx(0.75, rel=1e-6)
    choice = value_vote(one_puzzle("abb", value=[0.0, 0.0, 0.0]), even)
    assert choice.index.item() == 1 and choice.confidence.item() == 0


def test_unanimous_is_exactly_one_and_threshold_is_met_exactly():
    t = trajectories(torch.zeros(7, 3, 2, dtype=torch.long), torch.randn(7, 3))
    for select in (vote, convergence, draw):
        assert (select(t, even).confidence == 1).all()
    for num_particles in range(1, 40):
        for votes in range((num_particles + 1) // 2, num_particles + 1):
            t = one_puzzle("a" * votes + "b" * (num_particles - votes))
            assert abstain(t, even, select=vote, threshold=votes / num_particles).answered.item()


def test_first_to_halt_breaks_ties_by_halt_probability():
    t = one_puzzle("abcd", depth=[3, 2, 2, 4], halt=[0.99, 0.6, 0.7, 0.99])
    choice = first_to_halt(t, even)
    assert choice.index.item() == 2 and choice.confidence.item() == 0.7


def test_draw_follows_the_weights():
    num_puzzles, weight = 20_000, torch.tensor([0.1, 0.0, 0.6, 0.3])
    answers = torch.tensor([0, 1, 0, 2])[:, None, None].expand(4, num_puzzles, 1)
    choice = draw(trajectories(answers, weight.log()[:, None].expand(4, num_puzzles)), even)
    for k, w in enumerate(weight.tolist()):
        share = (choice.index == k).double().mean().item()
        assert abs(share - w) <= 4 * math.sqrt(w * (1 - w) / num_puzzles)
    assert torch.allclose(choice.confidence, torch.tensor([0.7, 0.0, 0.7, 0.3])[choice.index].float())


def test_verified_answers_only_what_passes():
    answers = torch.tensor([[[1], [1], [2]], [[1], [3], [4]], [[2], [3], [4]]])  # three puzzles
    log_weights = torch.zeros(3, 3)
    log_weights[2, 0] = -math.inf  # the rules overrule the weights
    choice = verified(trajectories(answers, log_weights), even)
    assert choice.index.tolist() == [2, 1, 1]
    assert choice.answered.tolist() == [True, False, True] and choice.confidence.tolist() == [1, 0, 1]


def test_verified_asks_with_all_answers():
    seen = []
    t = random_trajectories()
    verified(t, lambda answers: seen.append(answers) or even(answers))
    assert len(seen) == 1 and torch.equal(seen[0], t.answers)


def test_abstaining_wraps_and_never_answers_more():
    t = random_trajectories()
    inner = vote(t, even)
    for threshold in (0.0, 0.4, 0.8, 1.0):
        choice = abstain(t, even, select=vote, threshold=threshold)
        assert torch.equal(choice.index, inner.index) and torch.equal(choice.confidence, inner.confidence)
        assert torch.equal(choice.answered, inner.confidence >= threshold)
    twice = partial(abstain, select=verified, threshold=0.0)
    assert torch.equal(twice(t, even).answered, verified(t, even).answered)
    assert not verified(t, even).answered.all()


def test_agreement_is_kept_within_a_puzzle():
    answers = torch.tensor([[[5, 6], [5, 6]], [[6, 5], [5, 6]]])
    share = agreement(answers, torch.tensor([[0.25, 0.5], [0.75, 0.5]]))
    assert share.tolist() == [[0.25, 1.0], [0.75, 1.0]]


@pytest.mark.parametrize("select", [value_vote, best_value, best_halt, first_to_halt], ids=lambda s: s.__name__)
def test_without_heads(select):
    head = "value" if "value" in select.__name__ else "halt"
    with pytest.raises(ValueError, match=f"expected the {head} head, which this selection reads; .* select=vote"):
        select(one_puzzle("ab"), even)


@pytest.mark.parametrize("select, name", [(value_vote, "value"), (best_halt, "halt"), (convergence, "change")])
def test_a_score_that_is_no_number(select, name):
    with pytest.raises(ValueError, match=f"got the {name} NaN of particle 1 of puzzle 0"):
        select(one_puzzle("ab", **{name: [0.5, math.nan]}), even)


@pytest.mark.parametrize("select", (*SELECTIONS, draw), ids=lambda s: s.__name__)
def test_no_weight_at_all(select):
    t = one_puzzle("ab", log_weights=[-math.inf, -math.inf], value=[0.5, 0.5], halt=[0.5, 0.5])
    with pytest.raises(ValueError, match="got weight zero for all 2 particles of puzzle 0"):
        select(t, even)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, math.nan])
def test_a_threshold_is_a_confidence(threshold):
    with pytest.raises(ValueError, match=f"got threshold={threshold}; expected a confidence from 0"):
        abstain(one_puzzle("ab"), even, select=vote, threshold=threshold)
