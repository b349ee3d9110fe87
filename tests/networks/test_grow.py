"""A larger network computes what the smaller one computes, and then learns what the smaller one cannot."""

from functools import partial

import pytest
import torch
from tiny import close, shake
from torch import nn

from gram_pyro.networks.candidates import ConstraintMixer, GroupNetwork
from gram_pyro.networks.core import Hierarchical, tiny
from gram_pyro.networks.grow import grown
from gram_pyro.networks.layers import Block, Linear, SwiGLU
from gram_pyro.tasks.sudoku.rules import Geometry

D = 6
BOARD = Geometry(4).constraints


def core_of(hidden, message=Linear, make=Hierarchical):
    mixer = partial(ConstraintMixer, message=message)
    core = make(dim=D, num_cells=BOARD.num_candidates, relations=(BOARD,), mixer=mixer, num_layers=2, hidden=hidden)
    return shake(core)


def load(network, weights):
    network.load_state_dict(grown(network, weights))
    return network


@pytest.mark.parametrize("make", [Hierarchical, tiny])
@pytest.mark.parametrize("message", [Linear, partial(GroupNetwork, hidden=3)], ids=["linear", "network"])
def test_a_larger_core_computes_the_same(message, make):
    small, large = core_of(4, make=make), core_of(9, message, make)
    e = torch.randn(3, BOARD.num_candidates, D)
    with pytest.raises(AssertionError):
        close(large.predict(e, large.init(e)).h, small.predict(e, small.init(e)).h)
    load(large, small.state_dict())
    for mine, its in zip(large.predict(e, large.init(e)), small.predict(e, small.init(e)), strict=True):
        close(mine, its)


def test_new_units_learn():
    """Their outgoing weights are 0 and their incoming ones are not, so the first gradient reaches them."""
    small, large = SwiGLU(D, 2, D), SwiGLU(D, 5, D)
    load(large, small.state_dict())
    large(torch.randn(7, D)).square().sum().backward()
    assert (large.down.weight[:, 2:] == 0).all() and (large.down.weight.grad[:, 2:] != 0).all()
    with torch.no_grad():
        large.down.weight -= 0.1 * large.down.weight.grad
    large.zero_grad()
    large(torch.randn(7, D)).square().sum().backward()
    gate, up = large.gate_up.weight.grad.chunk(2)
    assert (gate[2:] != 0).all() and (up[2:] != 0).all()


def test_the_units_it_had_stay_where_they_were():
    small, large = SwiGLU(D, 2, D), SwiGLU(D, 5, D)
    untouched = large.gate_up.weight.detach().clone()
    load(large, small.state_dict())
    halves = [weight.chunk(2) for weight in (large.gate_up.weight, small.gate_up.weight, untouched)]
    for mine, its, own in zip(*halves, strict=True):
        assert mine[:2].equal(its) and mine[2:].equal(own[2:])
    assert large.down.weight[:, :2].equal(small.down.weight)


def test_what_does_not_grow_is_left_to_others():
    """Weights of the same size, of a larger network, of another width, and of another kind come back as they are."""
    same, larger, wider = SwiGLU(D, 5, D), SwiGLU(D, 7, D), SwiGLU(D + 1, 2, D + 1)
    for other in (same, larger, wider):
        weights = other.state_dict()
        assert {name: w.data_ptr() for name, w in grown(SwiGLU(D, 5, D), weights).items()} == {
            name: w.data_ptr() for name, w in weights.items()
        }
    block = Block(D, 4, nn.Identity())
    assert grown(nn.Linear(2, 2), block.state_dict()).keys() == block.state_dict().keys()
