"""Numbers that are not finite stop sampling with one sentence that names site, segment and puzzle."""

from contextlib import contextmanager, nullcontext
from functools import partial
from types import SimpleNamespace

import pyro
import pytest
import torch
from scripts import experiment
from small_baselines import BASELINES, PUZZLES
from tiny import D, close, program

from gram_pyro.baselines.base import sample_baseline
from gram_pyro.evaluation.evidence import log_weights, smc_evidence
from gram_pyro.inference import finite
from gram_pyro.inference import particles as cloud
from gram_pyro.inference.noise import drawn_answers, hot_start, random_start, tempered
from gram_pyro.inference.sampler import sample
from gram_pyro.inference.smc import sir, smc
from gram_pyro.networks.heads import Heads
from gram_pyro.networks.readout import CategoricalReadout

K, N, BAD = 4, 3, 5  # the puzzle that goes wrong, of seven


@pytest.fixture(autouse=True)
def without_validation():
    """As in experiments: it looks at every site."""
    with pyro.validation_enabled(False):
        yield


def flat(x, state, answers):
    return state.h.new_zeros(len(x))


SAMPLERS = {
    "sample": sample,
    "tempered": partial(tempered, temperature=1.0),
    "hot_start": partial(hot_start, temperature=1.0, num_hot=2),
    "random_start": partial(random_start, scale=0.0),
    "drawn_answers": drawn_answers,
    "smc": partial(smc, potential=flat, threshold=1.0),
    "sir": partial(sir, potential=flat),
}


def problem():
    model, guide = program(num_transitions=2, readout=CategoricalReadout)
    x = torch.randint(4, (7, 4))
    x[BAD, 0] = 4
    return model, guide, x


@contextmanager
def spoilt(model, site, segment, value):
    """The program comes to `value` at `site` of `segment` (from 1), for the puzzle that begins with a 4 alone."""
    now = SimpleNamespace(segment=0, t=-1, rows=None)
    transitions, predict, prior = type(model)._transitions, model.core.predict, model.prior.forward

    def spoil(h):
        return h.masked_fill(now.rows[:, None, None] & (torch.arange(D) == 2), value)

    def counted(self, x, state):
        now.segment, now.t, now.rows = now.segment + 1, -1, x[:, 0] == 4
        return transitions(self, x, state)

    def predicted(e, state):
        now.t += 1
        state = predict(e, state)
        return state._replace(h=spoil(state.h)) if (site, segment) == (f"u_{now.t}", now.segment) else state

    def law(u, t):
        found = prior(u, t)
        if (site, segment) == (f"z_{t}", now.segment):
            found.base_dist.loc = spoil(found.base_dist.loc)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(model), "_transitions", counted)
        patch.setattr(model.core, "predict", predicted)
        patch.setattr(model.prior, "forward", law)
        yield


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("site, segment", [("u_0", 1), ("u_1", 2), ("z_0", 2), ("z_1", 3)])
@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "drawn_answers"])
def test_the_first_site_segment_and_puzzle_are_named(name, site, segment, value):
    model, _, x = problem()
    broken = spoilt(model, site, segment, value)
    message = f"a number that is not finite at site '{site}' of segment {segment} of puzzle {BAD}, counted from 0; exp"
    with broken, pytest.raises(FloatingPointError, match=message):
        SAMPLERS[name](model, x, K, N, chunk=1024)


@pytest.mark.parametrize("evidence", [log_weights, smc_evidence])
@pytest.mark.parametrize("site, segment", [("u_1", 1), ("u_0", 3)])
def test_evidence_names_them_too(evidence, site, segment):
    model, guide, x = problem()
    broken = spoilt(model, site, segment, torch.nan)
    message = f"not finite at site '{site}' of segment {segment} of puzzle {BAD}"
    with broken, pytest.raises(FloatingPointError, match=message):
        evidence(model, guide, x, x.clamp(min=1), K, N, chunk=1024)


@pytest.mark.parametrize("chunk", [1, 3, 8, 1024])
@pytest.mark.parametrize("name", SAMPLERS)
def test_a_puzzle_has_its_number_in_every_chunk(name, chunk):
    """The embedding of a symbol that one puzzle alone shows."""
    model, _, x = problem()
    with torch.no_grad():
        model.embed.table.weight[4] = torch.nan
    with pytest.raises(FloatingPointError, match=f"at site 'u_0' of segment 1 of puzzle {BAD},.*what the core returns"):
        SAMPLERS[name](model, x, K, N, chunk=chunk)


def weights():
    model, guide, _ = problem()
    parts = {"model": model, "guide": guide, "heads": Heads(D, 6)}
    return [(part, name) for part, module in parts.items() for name, _ in module.named_parameters()]


@pytest.mark.parametrize("part, name", weights())
def test_one_weight_that_is_not_a_number(part, name):
    model, guide, _ = problem()
    heads = Heads(D, 6)
    x = torch.arange(5).repeat(4, 1).T.contiguous()
    with torch.no_grad():
        {"model": model, "guide": guide, "heads": heads}[part].get_parameter(name).view(-1)[0] = torch.nan
    site = {"readout": "y", "prior": "z_0", "badness": "halt head", "bias": "halt head"}.get(name.split(".")[0], "u_0")
    with pytest.raises(FloatingPointError, match=f"at site '{'z_0' if part == 'guide' else site}' of segment"):
        if part == "guide":
            log_weights(model, guide, x, x, K, N)
        else:
            sample(model, x, K, N, heads=heads)


@pytest.mark.parametrize("name", ["tempered", "hot_start"])
def test_a_prior_that_returns_nothing_finite_is_no_law_without_a_mean(name):
    model, _, x = problem()
    with torch.no_grad():
        for weight in model.prior.parameters():
            weight.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="at site 'z_0' of segment 1 of puzzle 0,.*what the prior or guide"):
        partial(SAMPLERS[name], temperature=2.0)(model, x, K, N)


@pytest.mark.parametrize("value", [torch.inf, -torch.inf])
@pytest.mark.parametrize("head", ["halt", "value"])
def test_a_head_that_is_not_finite_is_not_taken_for_certain(head, value):
    """The sigmoid of it would be a probability like any other."""
    model, _, x = problem()
    heads = lambda state: Heads(D, 6)(state)._replace(**{head: state.h.new_full((len(state.h),), value)})  # noqa: E731
    with pytest.raises(FloatingPointError, match=f"at site '{head} head' of segment {N} of puzzle 0,"):
        sample(model, x, K, N, heads=heads)


@pytest.mark.parametrize("chunk", [K, 1024])
@pytest.mark.parametrize("evidence", [log_weights, smc_evidence])
def test_a_prior_that_has_no_density_is_named_in_evidence(evidence, chunk):
    """The guide draws, so that every state is finite."""
    model, guide, x = problem()
    prior = model.prior.forward
    guide.posterior = lambda u, y, law, t: prior(u, t)

    def law(u, t):
        rows = torch.arange(u.shape[-3])
        found = prior(u, t)
        found.base_dist.scale = torch.where(u[..., :1, :1].isnan() | (now["x"] == 4)[rows, None, None], torch.nan, 1.0)
        return found

    now = {}
    embed = model.embed.forward
    model.embed.forward = lambda x: (now.update(x=x[:, 0]), embed(x))[1]
    model.prior.forward = law
    with pytest.raises(FloatingPointError, match=f"at site 'z' of segment 1 of puzzle {BAD},.*the prior or guide ret"):
        evidence(model, guide, x, x.clamp(min=1), K, N, chunk=chunk)


def test_answers_are_not_drawn_from_what_is_no_law():
    model, _, x = problem()
    with torch.no_grad():
        model.readout.logits.weight[0, 0] = torch.nan
    with pytest.raises(FloatingPointError, match="at site 'y' of the last segment;.*what the readout returns"):
        drawn_answers(model, 0 * x, K, N)


def test_halted_trajectories_are_not_looked_at_again():
    """A puzzle that has arrived is not run, so what would go wrong later does not."""
    model, _, x = problem()
    broken = spoilt(model, "u_0", 2, torch.nan)
    heads = lambda state: Heads(D, 6)(state)._replace(halt=state.h.new_ones(len(state.h)))  # noqa: E731
    with broken:
        assert (sample(model, x, K, N, heads=heads, halt_at=0.5, chunk=1024).depth == 1).all()


def test_what_is_finite_is_as_it_was(monkeypatch):
    """The answers are those of the same program that nobody looks at."""
    model, _, x = problem()
    found = []
    for watch in (finite.Finite, lambda *args: nullcontext()):
        monkeypatch.setattr(cloud, "Finite", watch)
        pyro.set_rng_seed(1)
        found.append(sample(model, x, K, N))
    assert torch.equal(found[0].answers, found[1].answers) and torch.equal(found[0].change, found[1].change)
    close(found[0].log_likelihood, found[1].log_likelihood)


def test_images_by_depth_are_looked_at():
    model, _, x = problem()
    broken = spoilt(model, "z_1", 2, torch.nan)
    with broken, pytest.raises(FloatingPointError, match=f"site 'z_1' of segment 2 of puzzle {BAD}"):
        experiment("svi_images").by_depth(model, x, [1, 3], 1024, "test")


@pytest.mark.parametrize("make", BASELINES[:2])
def test_a_baseline_with_a_weight_that_is_not_finite_does_not_answer(make):
    for name in dict(make().named_parameters()):
        baseline = make()
        with torch.no_grad():
            baseline.get_parameter(name).view(-1)[-1] = torch.inf
        with pytest.raises(FloatingPointError, match=f"in the weight '{name}' of {type(baseline).__name__}; exp"):
            sample_baseline(baseline, PUZZLES, K)
