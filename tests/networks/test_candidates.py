"""Candidates as tokens: renaming the symbols of a board and permuting its cells does the same to what is computed."""

from functools import partial

import pytest
import torch
from plain_sudoku import units_of
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from small_candidates import D, Symmetry, boards, candidates, symmetries, with_noise
from small_guides import GUIDES
from tiny import close, shake
from torch.distributions import kl_divergence

from gram_pyro.inference.noise import hot_start
from gram_pyro.inference.sampler import sample
from gram_pyro.inference.smc import smc
from gram_pyro.networks.candidates import CandidateEmbedding, CandidateReadout, ConstraintMixer, GroupNetwork
from gram_pyro.networks.core import Hierarchical, State, tiny
from gram_pyro.tasks.sudoku.rules import Geometry
from gram_pyro.training.importance import IWAE
from gram_pyro.training.objectives import Balanced_ELBO, MeanField_ELBO, Surrogate, segment_loss
from gram_pyro.training.rollout_losses import cover_loss, multi_sample_loss, set_loss

FOUR, SIX, NINE = Geometry(4), Geometry(6), Geometry(9)
SIZES = pytest.mark.parametrize("geometry", [FOUR, SIX], ids=["4x4", "6x6"])
B = 3


def moved(geometry, size=4):
    return symmetries(geometry, size)


def random_state(geometry, *lead):
    shape = (*lead, geometry.constraints.num_candidates, D)
    return State(torch.randn(shape), torch.randn(shape))


# ---- parts


@SIZES
def test_a_mixer_by_hand(geometry):
    """Candidate by candidate: three sums over the cells of its row, column and box, and one over its own cell."""
    n, num_cells = geometry.n, geometry.num_cells
    mixer = shake(ConstraintMixer(D, num_cells * n, (geometry.constraints,)))
    x = torch.randn(2, num_cells, n, D)
    units = [list(units_of(n))[kind::3] for kind in range(3)]  # rows, columns, boxes
    expected = torch.zeros_like(x)
    for cell in range(num_cells):
        own = x[:, cell].sum(1) / 3 @ mixer.cell.weight.T
        for symbol in range(n):
            expected[:, cell, symbol] = own
            for weigh, groups in zip(mixer.families, units, strict=True):
                (group,) = [group for group in groups if cell in group]
                expected[:, cell, symbol] += x[:, group, symbol].sum(1) / 3 @ weigh.weight.T
    close(mixer(x.flatten(1, 2)), expected.flatten(1, 2))


@SIZES
def test_a_group_that_thinks_by_hand(geometry):
    """The same sums as above, and what a group says of its sum is W s + SwiGLU(s)."""
    n, num_cells = geometry.n, geometry.num_cells
    mixer = shake(ConstraintMixer(D, num_cells * n, (geometry.constraints,), partial(GroupNetwork, hidden=5)))

    def says(network, total):
        gate, up = (total @ network.net.gate_up.weight.T).split(5, -1)
        return total @ network.weight.T + (gate / (1 + (-gate).exp()) * up) @ network.net.down.weight.T

    x = torch.randn(2, num_cells, n, D)
    units = [list(units_of(n))[kind::3] for kind in range(3)]
    expected = torch.zeros_like(x)
    for cell in range(num_cells):
        own = says(mixer.cell, x[:, cell].sum(1) / 3)
        for symbol in range(n):
            expected[:, cell, symbol] = own
            for network, groups in zip(mixer.families, units, strict=True):
                (group,) = [group for group in groups if cell in group]
                expected[:, cell, symbol] += says(network, x[:, group, symbol].sum(1) / 3)
    close(mixer(x.flatten(1, 2)), expected.flatten(1, 2))


def test_an_embedding_by_hand():
    embed = CandidateEmbedding(5, D)
    blank, held, excluded = embed.table.weight
    e = embed(torch.tensor([[0, 2]])).unflatten(1, (2, 4))[0]
    close(e, torch.stack([torch.stack([blank] * 4), torch.stack([excluded, held, excluded, excluded])]))
    assert embed.num_tokens(16) == 64
    target = embed.for_target()
    assert isinstance(target, CandidateEmbedding) and target.table.weight is not embed.table.weight


@SIZES
def test_every_part_moves_with_the_board(geometry):
    model, guide, heads = candidates(geometry)
    x, y = boards(geometry, B)
    state, mixer = random_state(geometry, 2, B), model.core.low[0].mixer
    for symmetry in moved(geometry):
        new = State(*map(symmetry.state, state))
        close(model.embed(symmetry.board(x)), symmetry.state(model.embed(x)))
        close(guide.q_embed(symmetry.board(y)), symmetry.state(guide.q_embed(y)))
        close(mixer(new.h), symmetry.state(mixer(state.h)))
        start, after = model.core.init(model.embed(x)), model.core.predict(model.embed(x), state)
        for mine, its in zip(model.core.init(model.embed(symmetry.board(x))), start, strict=True):
            close(mine, symmetry.state(its))
        for mine, its in zip(model.core.predict(model.embed(symmetry.board(x)), new), after, strict=True):
            close(mine, symmetry.state(its))
        law, new_law = model.prior(state.h, 0), model.prior(new.h, 0)
        close(new_law.mean, symmetry.state(law.mean)), close(new_law.stddev, symmetry.state(law.stddev))
        for mine, its in zip(heads(new), heads(state), strict=True):
            close(mine, its)
        read = model.readout
        close(read(new, symmetry.board(x)).log_prob(symmetry.board(y)), read(state, x).log_prob(y))
        assert read.answer(new, symmetry.board(x)).equal(symmetry.board(read.answer(state, x)))
        assert not read.answer(new, symmetry.board(x)).equal(read.answer(state, x))


def test_what_is_no_symmetry_of_the_network_is_none():
    """Cells at random, and the transposed board: rows, columns and boxes have weights of their own."""
    mixer, state = candidates(FOUR)[0].core.low[0].mixer, random_state(FOUR, B)
    transposed = torch.arange(16).view(4, 4).T.flatten()
    for cells in (torch.randperm(16), transposed):
        symmetry = Symmetry(cells, torch.arange(5))
        assert not symmetry.keeps(FOUR.constraints.families)
        assert (mixer(symmetry.state(state.h)) - symmetry.state(mixer(state.h))).abs().max() > 1e-2


@pytest.mark.parametrize("core", [Hierarchical, tiny])
def test_a_core_is_any_core(core):
    """The mixer knows nothing of the recursion."""
    made = shake(core(dim=D, num_cells=64, relations=(FOUR.constraints,), mixer=ConstraintMixer, hidden=6))
    e, state = torch.randn(B, 64, D), random_state(FOUR, B)
    (symmetry,) = moved(FOUR, 1)
    after = made.predict(symmetry.state(e), State(*map(symmetry.state, state)))
    close(after.h, symmetry.state(made.predict(e, state).h))


# ---- programs


@SIZES
def test_a_segment_moves_with_the_board(geometry):
    model, *_ = candidates(geometry)
    x, _ = boards(geometry, B)
    for symmetry in moved(geometry):
        state, noise = with_noise(lambda: model.reason(x, model.reason(x)), symmetry)
        with noise:
            after = model.reason(symmetry.board(x), model.reason(symmetry.board(x)))
        assert len(noise.drawn) == 4 and not noise.moved
        close(after.h, symmetry.state(state.h)), close(after.l, symmetry.state(state.l))


@pytest.mark.parametrize("name", ["concat", "residual", "encoder", "semi_amortised", "delayed"])
@SIZES
def test_the_kl_of_a_guide_does_not_change(geometry, name):
    model, guide, _ = candidates(geometry, guide=GUIDES[name])
    x, y = boards(geometry, B)
    u = random_state(geometry, B).h
    for symmetry in moved(geometry):
        new_u, new_y = symmetry.state(u), symmetry.board(y)
        prior, new_prior = model.prior(u, 0), model.prior(new_u, 0)
        kl = kl_divergence(guide.posterior_in(0, u, y, prior, 0), prior)
        close(kl_divergence(guide.posterior_in(0, new_u, new_y, new_prior, 0), new_prior), kl)
        assert name == "delayed" or kl.min() > 1e-3
        _, noise = with_noise(lambda: guide(x, y), symmetry)
        whole = guide.kl()
        with noise:
            guide(symmetry.board(x), new_y)
        close(guide.kl(), whole)


OBJECTIVES = [Balanced_ELBO(), MeanField_ELBO(), Trace_ELBO(), TraceMeanField_ELBO(), IWAE(num_particles=2)]


@pytest.mark.parametrize("objective", [*OBJECTIVES, Surrogate(Trace_ELBO())], ids=lambda o: type(o).__name__)
@SIZES
def test_a_bound_does_not_change(geometry, objective):
    model, guide, _ = candidates(geometry)
    x, y = boards(geometry, B)
    for symmetry in moved(geometry, 2):
        (loss, state), noise = with_noise(lambda: segment_loss(objective, model, guide, x, y, None), symmetry)
        with noise:
            again, end = segment_loss(objective, model, guide, *map(symmetry.board, (x, y)), None)
        close(again, loss), close(end.h, symmetry.state(state.h))


@pytest.mark.parametrize("function", [set_loss, partial(multi_sample_loss, num_rollouts=2), cover_loss])
@SIZES
def test_a_loss_of_rollouts_does_not_change(geometry, function):
    if function is cover_loss:
        function = partial(cover_loss, num_rollouts=2)
    model, *_ = candidates(geometry)
    x, y = (t.repeat_interleave(2, 0) for t in boards(geometry, B))
    solutions, valid = torch.stack([y, boards(geometry, 2 * B, seed=1)[1]], 1), torch.ones(2 * B, 2, dtype=torch.bool)
    x = x * (solutions[:, 0] == solutions[:, 1])  # of both
    for symmetry in moved(geometry, 2):
        (loss, _), noise = with_noise(lambda: function(model, x, solutions, valid, None), symmetry)
        with noise:
            again, _ = function(model, symmetry.board(x), symmetry.board(solutions), valid, None)
        close(again, loss)


SAMPLERS = {
    "sample": sample,
    "hot_start": partial(hot_start, temperature=2.0),
    "smc": partial(smc, potential=lambda x, state, answers: state.h.square().mean((-1, -2)), threshold=0.0),
}


@pytest.mark.parametrize("name", SAMPLERS)
@SIZES
def test_answers_of_a_sampler_move_with_the_board(geometry, name):
    model, _, heads = candidates(geometry, shaken=0.5)
    x, _ = boards(geometry, B)
    draw = partial(SAMPLERS[name], model, num_particles=4, num_segments=2, heads=heads, chunk=5)
    for symmetry in moved(geometry, 2):
        found, noise = with_noise(lambda: draw(x), symmetry)
        with noise:
            again = draw(symmetry.board(x))
        assert again.answers.equal(symmetry.board(found.answers)) and len(found.answers.unique(dim=0)) > 1
        for field in ("log_weights", "log_likelihood", "change", "halt", "value"):
            close(getattr(again, field), getattr(found, field))


# ---- sizes


def test_the_same_weights_serve_boards_of_every_size():
    alone = [candidates(geometry)[0] for geometry in (FOUR, SIX, NINE)]
    together, *_ = candidates(FOUR, SIX, NINE)
    weights = together.state_dict()
    for model, geometry in zip(alone, (FOUR, SIX, NINE), strict=True):
        assert {n: w.shape for n, w in model.state_dict().items()} == {n: w.shape for n, w in weights.items()}
        model.load_state_dict(weights)
        x, y = boards(geometry, B)
        identity = Symmetry(torch.arange(geometry.num_cells), torch.arange(geometry.n + 1))
        state, noise = with_noise(partial(model.reason, x), identity)
        with noise:
            again = together.reason(x)
        close(again.h, state.h)
        close(together.readout(again, x).log_prob(y), model.readout(state, x).log_prob(y))
        assert (found := sample(together, x, 2, 2).answers).shape == (2, *x.shape) and 1 <= found.min() <= geometry.n


def test_the_start_of_a_program_is_the_same_at_every_size():
    """Unit variance of the embedding, and a mixer whose output does not grow with the board."""
    for geometry in (FOUR, SIX, NINE):
        mixer = ConstraintMixer(64, 1, (geometry.constraints,))
        x = torch.randn(1, geometry.constraints.num_candidates, 64)
        expected = 4 * geometry.n / 9  # four sums of n numbers, times (1 / 3)^2
        assert abs(mixer(x).var() / expected - 1) < 0.2
        assert abs(CandidateEmbedding(geometry.n + 1, 4000).table.weight.var() - 1) < 0.1


# ---- what cannot be


def test_a_mixer_refuses_what_it_cannot_serve():
    with pytest.raises(ValueError, match="got core=constraints without constraints.*; write embed=candidates"):
        ConstraintMixer(D, 16, FOUR.relations)
    odd = FOUR.constraints._replace(families=FOUR.constraints.families[:2])
    with pytest.raises(ValueError, match=r"got boards with \[2, 3\] families of constraints; expected one number"):
        ConstraintMixer(D, 64, (odd, SIX.constraints))
    with pytest.raises(ValueError, match=r"got boards with \[216, 216\] candidates; expected different numbers"):
        ConstraintMixer(D, 216, (SIX.constraints, Geometry(6, (3, 2)).constraints))


def test_a_readout_refuses_tokens_that_are_no_candidates():
    h = torch.randn(B, 16, D)
    with pytest.raises(ValueError, match="got a state of 16 tokens for 16 cells; expected 4 candidates of each cell"):
        CandidateReadout(D, 5)(State(h, h), torch.zeros(B, 16, dtype=torch.int64))
