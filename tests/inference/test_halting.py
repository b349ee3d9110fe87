"""Halting: a trajectory that has arrived keeps its state, is not run again, and says how deep it went."""

import math

import pytest
import torch
from halting import SAMPLERS, Above, problem
from tiny import close

from gram_pyro.inference import chunks
from gram_pyro.inference.particles import Cloud
from gram_pyro.inference.sampler import sample
from gram_pyro.inference.smc import smc
from gram_pyro.networks.core import State
from gram_pyro.networks.heads import HeadLogits

N = 3


def flat(x, state, answers):
    """A potential that prefers nothing."""
    return state.h.new_zeros(len(x))


def rows_of(model):
    """How many rows every transition of the core runs, as a list that grows."""
    rows, predict = [], model.core.predict
    model.core.predict = lambda e, state: rows.append(len(state.h)) or predict(e, state)
    return rows


def test_halted_rows_keep_their_state_and_cost_nothing():
    asked = []

    def propose(index, state, segment):
        asked.append(index.tolist())
        return State(state.h + 1 + index[:, None, None], state.l - 1), torch.full((len(index),), 0.25)

    cloud = Cloud(propose, State(torch.zeros(5, 2, 3), torch.zeros(5, 2, 3)), chunk=2)
    close(cloud.advance(), torch.full((5,), 0.25))
    close(cloud.change, [1, 2, 3, 4, 5])
    cloud.halted[[1, 4]] = True
    close(cloud.advance(), [0.25, 0, 0.25, 0.25, 0])
    assert asked == [[0, 1], [2, 3], [4], [0, 2], [3]]
    close(cloud.state.h[:, 0, 0], [2, 2, 6, 8, 5])
    close(cloud.state.l[:, 1, 2], [-2, -1, -2, -2, -1])
    assert cloud.depth.tolist() == [2, 1, 2, 2, 1]
    cloud.select(torch.tensor([4, 4, 0, 0, 2]))
    assert cloud.halted.tolist() == [True, True, False, False, False] and cloud.depth.tolist() == [1, 1, 2, 2, 2]
    close(cloud.change, [5, 5, 1, 1, 3])  # of whom they continue, at his last segment
    close(cloud.state.h[:, 1, 1], [5, 5, 2, 2, 6])
    cloud.halted[:] = True
    close(cloud.advance(), [0] * 5)
    assert len(asked) == 5 and cloud.depth.tolist() == [1, 1, 2, 2, 2]


@pytest.mark.parametrize("chunk", [7, 1024])
def test_halting_ends_a_trajectory_where_the_head_says(chunk):
    model, x = problem()
    heads, rows = Above(1.0), rows_of(model)
    torch.manual_seed(3)
    run = sample(model, x, 40, N, heads=heads, halt_at=0.5, chunk=chunk)
    assert sum(rows) == 2 * run.depth.sum() and max(rows) <= chunk
    going = [(part >= n).sum().item() for part in run.depth.flatten().split(8 * chunk) for n in range(1, N + 1)]
    assert len(rows) == 2 * sum(-(-count // chunk) for count in going)  # those that go on fill chunks between them
    assert run.depth.unique().tolist() == [1, 2, 3]
    assert (run.halt[run.depth < N] > 0.5).all() and (run.halt[run.depth == N] <= 0.5).any()
    close(run.value, 1 / (1 + run.halt / (1 - run.halt) * math.e))  # logit of value = -(logit of halt) - bar
    steered = smc(model, x, 40, N, heads=heads, halt_at=0.5, chunk=chunk, potential=lambda x, s, a: s.h[:, 0, 0])
    assert (steered.halt[steered.depth < N] > 0.5).all() and steered.depth.unique().tolist() == [1, 2, 3]
    full = sample(model, x, 4, N, heads=heads, chunk=chunk)
    assert (full.depth == N).all() and full.halt.shape == full.value.shape == (4, 3)


def test_halting_from_the_first_segment_is_one_segment():
    model, x = problem()
    runs = []
    for num_segments, options in ((1, {}), (N, {"heads": Above(-1e9), "halt_at": 0.5})):
        torch.manual_seed(3)
        runs.append(sample(model, x, 5, num_segments, **options))
    assert torch.equal(runs[0].answers, runs[1].answers) and (runs[1].depth == 1).all()
    assert torch.equal(runs[0].change, runs[1].change) and (runs[0].change > 0).all()


@pytest.mark.parametrize("chunk", [20, 1024])
@pytest.mark.parametrize("name", SAMPLERS)
def test_sampling_stops_when_all_have_halted(name, chunk):
    """The same trajectories as where the depth was chosen to fit; a list of 10^9 segments would not fit in memory."""
    runs, heads = [], Above(0.0)
    for num_segments in (10**9, None):
        model, x = problem()
        rows = rows_of(model)
        torch.manual_seed(3)
        deepest = num_segments or 1 + (int(runs[0].depth.max()) if not runs[0].history else len(runs[0].history[0]))
        runs.append(SAMPLERS[name](model, x, 20, deepest, heads=heads, halt_at=0.5, chunk=chunk))
        assert sum(rows) < 2 * 60 * (deepest if num_segments is None else 1000)
    endless, fitting = runs
    for one, other in zip(endless[:-1], fitting[:-1], strict=True):
        close(one, other)
    assert endless.depth.max() > 1
    if endless.history:
        assert len(endless.history.ancestors) == len(endless.history.log_weights) == len(fitting.history[0])


@pytest.mark.parametrize("patience, shown", [(0.0, True), (3.0, False)])
def test_a_bar_where_depth_takes_long(monkeypatch, capsys, patience, shown):
    monkeypatch.setattr(chunks, "PATIENCE", patience)
    model, x = problem()
    sample(model, x, 2, 7)
    assert ("/7 " in capsys.readouterr().err) == shown


def test_change_after_resampling_and_halting_is_that_of_the_last_segment_run():
    """Particles that go on from one that has halted have its change; others that of their own last segment."""
    model, x = problem()
    potential = lambda x, state, answers: 2 * state.h[:, 0, 0]  # noqa: E731
    ends = []
    advance = Cloud.advance

    def noting(cloud):
        before = cloud.state.h.clone()
        ratio = advance(cloud)
        ends.append((cloud.state.h, (cloud.state.h - before).square().mean((-2, -1)).sqrt()))
        return ratio

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Cloud, "advance", noting)
        run = smc(model, x, 40, N, heads=Above(1.0), halt_at=0.5, potential=potential, threshold=0.9)
    assert run.depth.unique().tolist() == [1, 2, 3]
    assert (run.history.ancestors != torch.arange(40)[:, None]).any()
    rows = torch.arange(120).view(40, 3)
    for segment in reversed(range(N)):  # back along the lineage, to where each ran last
        now = run.depth == segment + 1
        close(run.change[now], ends[segment][1][rows[now]])
        if segment:
            rows = run.history.ancestors[segment - 1].gather(0, rows // 3) * 3 + rows % 3


def test_a_trajectory_halts_above_the_threshold_and_not_at_it():
    model, x = problem()

    def level(logit):
        return lambda state: HeadLogits(*torch.full((2, len(state.h)), logit))

    assert (sample(model, x, 2, N, heads=level(0.0), halt_at=0.5).depth == N).all()
    assert (sample(model, x, 2, N, heads=level(1e-9), halt_at=0.5).depth == 1).all()


@pytest.mark.parametrize("sampler", [sample, smc])
def test_halting_needs_heads_and_a_probability(sampler):
    model, x = problem()
    options = {"potential": flat} if sampler is smc else {}
    with pytest.raises(
        ValueError, match="got halt_at=0.5 and no heads; expected heads, for the halt head; write heads="
    ):
        sampler(model, x, 4, 2, halt_at=0.5, **options)
    for halt_at in (0, 1.0, 3):
        with pytest.raises(
            ValueError, match=f"got halt_at={halt_at}; expected a probability between 0 and 1; leave it out to run"
        ):
            sampler(model, x, 4, 2, heads=Above(0.0), halt_at=halt_at, **options)
