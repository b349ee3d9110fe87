"""Layers, cores, readout and priors, by hand and by their symmetries."""

import pyro.distributions as dist
import pytest
import torch
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from tiny import (
    MIXERS,
    B,
    D,
    L,
    V,
    batch,
    close,
    mixing,
    program,
    relational,
    relations,
    rotary,
    shake,
    swiglu,
)
from torch.nn import functional as F

from gram_pyro.model import GRAM
from gram_pyro.networks.core import Hierarchical, State
from gram_pyro.networks.embed import TokenEmbedding
from gram_pyro.networks.layers import Block, RotaryAttention, TokenMixing
from gram_pyro.networks.readout import CategoricalReadout
from gram_pyro.priors.gaussian import Gaussian
from gram_pyro.priors.noiseless import Noiseless
from gram_pyro.training.objectives import Balanced_ELBO, Surrogate, segment_loss
from guides.bootstrap import Bootstrap
from guides.concat import Concat

OBJECTIVES = [Balanced_ELBO(), TraceMeanField_ELBO(), Trace_ELBO(), Surrogate(Balanced_ELBO()), Surrogate(Trace_ELBO())]


@pytest.mark.parametrize("mixer", [relational, rotary, mixing, None])
def test_any_leading_dims(mixer):
    module = shake(mixer(D, L, relations(2)) if mixer else Block(D, 6, relational(D, L, relations(2))))
    x = torch.randn(2, 3, B, L, D)
    together = module(x)
    assert together.shape == x.shape
    for i in range(2):
        for j in range(3):
            for b in range(B):
                close(together[i, j, b], module(x[i, j, b]))


@pytest.mark.parametrize("mixer", MIXERS)
def test_core_takes_any_leading_dims(mixer):
    core = shake(Hierarchical(D, L, relations(2), mixer, num_layers=2, num_updates=3))
    e, state = torch.randn(2, B, L, D), State(torch.randn(2, B, L, D), torch.randn(2, B, L, D))
    together = core.predict(e, state)
    for i in range(2):
        for b in range(B):
            alone = core.predict(e[i, b], State(state.h[i, b], state.l[i, b]))
            close(together.h[i, b], alone.h)
            close(together.l[i, b], alone.l)
    start = core.init(e)
    assert start.h.shape == start.l.shape == e.shape and not torch.equal(start.h, start.l)


def board_permutation(side):
    """Shuffled rows and columns: a symmetry of the relations."""
    rows, columns = torch.randperm(side), torch.randperm(side)
    return (rows[:, None] * side + columns).flatten()


def core_discrepancy(mixer, permutation, side=3):
    core = shake(Hierarchical(D, side * side, relations(side), mixer, num_layers=2, num_updates=2, hidden=6))
    e, state = torch.randn(B, side * side, D), State(torch.randn(B, side * side, D), torch.randn(B, side * side, D))
    a = core.predict(e, state)
    b = core.predict(e[:, permutation], State(state.h[:, permutation], state.l[:, permutation]))
    return max((a.h[:, permutation] - b.h).abs().max().item(), (a.l[:, permutation] - b.l).abs().max().item())


def test_relational_core_is_equivariant_to_what_preserves_the_relations():
    for _ in range(3):
        assert core_discrepancy(relational, board_permutation(3)) < 1e-10
    swapped = torch.arange(9)
    swapped[[0, 4]] = swapped[[4, 0]]
    assert core_discrepancy(relational, swapped) > 1e-3  # breaks rows and columns


@pytest.mark.parametrize("mixer", [rotary, mixing])
def test_other_cores_know_positions(mixer):
    assert core_discrepancy(mixer, board_permutation(3)) > 1e-3


def test_rotary_scores_depend_on_the_distance_only():
    attention = RotaryAttention(8, 7, None, num_heads=1)
    q, k = attention.rotate(torch.randn(8).expand(7, 8)), attention.rotate(torch.randn(8).expand(7, 8))
    scores = q @ k.T
    for offset in range(-6, 7):
        diagonal = scores.diagonal(offset)
        close(diagonal, diagonal[:1].expand_as(diagonal))
    assert (scores[0, 1:] - scores[0, 0]).abs().min() > 1e-6
    close(q.norm(dim=-1), q.norm(dim=-1)[:1].expand(7))


def test_rotary_attention_by_hand():
    attention = shake(rotary(D, L, None))
    x = torch.randn(L, D)
    wq, wk, wv = attention.qkv.weight.chunk(3)
    turned, out = {}, []
    for i in range(2):
        rows = slice(4 * i, 4 * i + 4)
        for name, w in (("q", wq), ("k", wk)):
            v = x @ w[rows].T
            pairs = torch.complex(v[:, :2], v[:, 2:])
            angle = torch.arange(L)[:, None] * 1e4 ** (-torch.arange(2) / 2)
            turned[name] = pairs * torch.polar(torch.ones(L, 2), angle.double())
        scores = (turned["q"][:, None] * turned["k"].conj()[None]).real.sum(-1) / 2
        out.append(scores.softmax(-1) @ x @ wv[rows].T)
    close(attention(x), torch.cat(out, -1) @ attention.out.weight.T)


def test_token_mixing_by_hand_treats_channels_alike():
    module = shake(TokenMixing(D, L, None, hidden=6))
    x = torch.randn(L, D)
    columns = [swiglu(dict(module.named_parameters()), "net", x[:, c]) for c in range(D)]
    close(module(x), torch.stack(columns, -1))


def test_blocks_leave_unit_rms():
    x = Block(D, 6, relational(D, L, relations(2)))(torch.randn(B, L, D))
    close(x.square().mean(-1), torch.ones(B, L), 1e-4)


def test_initialisation():
    table = TokenEmbedding(2000, 16)
    x = table(torch.arange(2000)).detach()
    assert abs(x.var().item() - 1) < 4 * (2 / x.numel()) ** 0.5
    prior = Gaussian(D, 6, scale=0.3)
    law = prior(torch.randn(B, L, D), 0)
    assert law.batch_shape == (B,) and law.event_shape == (L, D)
    close(law.mean, torch.zeros(B, L, D))
    close(law.stddev, torch.full((B, L, D), 0.3))
    model, _ = program(shaken=False)
    close(
        Concat(model, D, 6, scale=0.3).posterior(torch.randn(B, L, D), batch()[1], law, 0).stddev,
        torch.full((B, L, D), 0.3),
    )


def test_categorical_readout_by_hand():
    readout = CategoricalReadout(D, V)
    h, y = torch.randn(2, B, L, D), torch.randint(V, (B, L))
    law = readout(State(h, h))
    assert law.batch_shape == (2, B) and law.event_shape == (L,)
    logits = h @ readout.logits.weight.T
    expected = F.log_softmax(logits, -1).gather(-1, y.expand(2, B, L)[..., None]).squeeze(-1).sum(-1)
    close(law.log_prob(y), expected, 1e-5)
    assert torch.equal(readout.answer(State(h, h)), logits.argmax(-1))


def test_noiseless_prior_with_the_bootstrap_guide():
    """A point mass: the bound is the likelihood of one deterministic path, and its gradient is finite."""
    model, _ = program(prior=Noiseless())
    guide = Bootstrap(model)
    x, y = batch()
    for objective in (Trace_ELBO(), TraceMeanField_ELBO(), Balanced_ELBO()):
        loss = objective.differentiable_loss(model, guide, x, y)
        close(loss, -model.readout(model(x)).log_prob(y).sum())
        assert (guide.kl() == 0).all()
        loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize("objective", [Balanced_ELBO(), TraceMeanField_ELBO(), Trace_ELBO()])
def test_bootstrap_guide_pays_no_kl(objective):
    model, _ = program()
    guide = Bootstrap(model)
    x, y = batch()
    loss = objective.differentiable_loss(model, guide, x, y)
    end = State(guide.upstream_value("h"), guide.upstream_value("l"))
    close(loss, -model.readout(end).log_prob(y).sum())
    close(guide.kl(), torch.zeros(3))


def test_a_prior_may_be_of_any_family():
    class HeavyTail(Gaussian):
        def forward(self, u, t):
            return dist.StudentT(4.0, u, torch.ones_like(u)).to_event(2)

    model, guide = program(prior=HeavyTail(D, 6))
    assert isinstance(model, GRAM)
    loss, _ = segment_loss(Trace_ELBO(), model, guide, *batch(), None)
    assert torch.isfinite(loss)
