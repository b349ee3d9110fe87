"""A tiny program of the package's own parts: 4 cells on a 2 x 2 board, 8 channels, 5 symbols."""

from contextlib import contextmanager

import pyro.distributions as dist
import torch
from torch import nn

from gram_pyro.model import GRAM
from gram_pyro.networks.core import Hierarchical
from gram_pyro.networks.embed import TokenEmbedding
from gram_pyro.networks.layers import Linear, RelationalAttention, RotaryAttention, TokenMixing
from gram_pyro.networks.readout import Readout
from gram_pyro.priors.gaussian import Gaussian
from guides.concat import Concat

L, D, V, B = 4, 8, 5, 3


def relations(side):
    """Same row, same column: [2, side^2, side^2] bool."""
    cell = torch.arange(side * side)
    row, column = cell // side, cell % side
    return torch.stack([row[:, None] == row, column[:, None] == column])


def relational(dim, num_cells, matrices):
    return RelationalAttention(dim, num_cells, matrices, num_heads=2)


def rotary(dim, num_cells, matrices):
    return RotaryAttention(dim, num_cells, matrices, num_heads=2)


def mixing(dim, num_cells, matrices):
    return TokenMixing(dim, num_cells, matrices, hidden=6)


MIXERS = [relational, rotary, mixing]


class DoubleReadout(Readout):
    """A categorical readout for which no cell of x is a clue, so that any x may stand beside any y."""

    def __init__(self, dim, num_symbols):
        super().__init__()
        self.logits = Linear(dim, num_symbols)

    def forward(self, state, x=None):
        return dist.Categorical(logits=self.logits(state.h)).to_event(1)

    def answer(self, state, x=None):
        return self.logits(state.h).argmax(-1)


def shake(module, size=0.1):
    """Move every parameter off its initial value, where zero-initialised heads would hide errors; little enough
    that the scales stay clear of their floor, where gradients are so large that rounding shows."""
    with torch.no_grad():
        for p in module.parameters():
            p += size * torch.randn_like(p)
    return module


@contextmanager
def products_of(module):
    """The dtypes of what the linear layers of a module give, as a set that grows."""
    seen, layers = set(), [part for part in module.modules() if isinstance(part, nn.Linear)]
    hooks = [layer.register_forward_hook(lambda layer, given, out: seen.add(out.dtype)) for layer in layers]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def program(
    mixer=relational, num_transitions=3, num_grad_steps=1, prior=None, readout=DoubleReadout, dim=D, shaken=True
):
    core = Hierarchical(dim, L, relations(2), mixer, num_layers=1, num_updates=2, hidden=6)
    model = GRAM(
        TokenEmbedding(V, dim), core, prior or Gaussian(dim, 6), readout(dim, V), num_transitions, num_grad_steps
    )
    guide = Concat(model, dim, 6)
    if shaken:
        shake(model), shake(guide)
    return model, guide


def batch(size=B):
    return torch.randint(V, (size, L)), torch.randint(V, (size, L))


def parameters(model, guide, heads=None):
    parts = {"model": model, "guide": guide} | ({"heads": heads} if heads else {})
    return {f"{part}.{name}": p for part, module in parts.items() for name, p in module.named_parameters()}


def swiglu(p, name, x):
    gate, up = (x @ p[f"{name}.gate_up.weight"].T).chunk(2, -1)
    return (gate * gate.sigmoid() * up) @ p[f"{name}.down.weight"].T


def close(a, b, tolerance=1e-10):
    torch.testing.assert_close(
        torch.as_tensor(a), torch.as_tensor(b), rtol=tolerance, atol=tolerance, check_dtype=False
    )


def seeded_loss(objective, model, guide, *args, seed=1):
    torch.manual_seed(seed)
    return objective.differentiable_loss(model, guide, *args)
