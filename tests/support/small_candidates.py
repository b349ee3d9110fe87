"""Programs of candidates small enough to check, and the symmetries they must keep, as maps of boards and of states."""

from typing import NamedTuple

import torch
from pyro.poutine.messenger import Messenger
from small_guides import GUIDES
from tiny import D, shake

from gram_pyro.model import GRAM
from gram_pyro.networks.candidates import CandidateEmbedding, CandidateReadout, ConstraintMixer
from gram_pyro.networks.core import Hierarchical
from gram_pyro.networks.heads import Heads
from gram_pyro.priors.gaussian import Gaussian
from gram_pyro.tasks.sudoku.task import random_symmetries


def candidates(*geometries, guide=GUIDES["concat"], num_transitions=2, shaken=0.1):
    """Model, guide and heads for boards of these sizes."""
    boards = tuple(geometry.constraints for geometry in geometries)
    num_symbols = {geometry.num_cells: geometry.n + 1 for geometry in geometries}
    num_symbols = num_symbols if len(num_symbols) > 1 else geometries[0].n + 1
    embed = CandidateEmbedding(num_symbols, D)
    core = Hierarchical(D, embed.num_tokens(geometries[0].num_cells), boards, ConstraintMixer, num_layers=1, hidden=6)
    model = GRAM(embed, core, Gaussian(D, 6), CandidateReadout(D, num_symbols), num_transitions)
    parts = model, guide(model), Heads(D, 6)
    return tuple(shake(part, shaken) for part in parts) if shaken else parts


def boards(geometry, size, share=0.4, seed=0):
    """Solved boards y [B, L], and puzzles x that show about `share` of each."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.tensor(geometry.solve([0] * geometry.num_cells, 1)).expand(size, -1)
    cells, digits = random_symmetries(geometry, size, generator)
    y = digits.gather(1, y.gather(1, cells))
    return y * (torch.rand(y.shape, generator=generator) < share), y


class Symmetry(NamedTuple):
    """Cell i of the new board is cell `cells[i]` of the old one, and symbol d becomes `symbols[d]`."""

    cells: torch.Tensor
    symbols: torch.Tensor

    def board(self, y):
        return self.symbols[y[..., self.cells]]

    def state(self, h):
        """The same of what stands at every candidate, [..., L C, D]."""
        each = h.unflatten(-2, (len(self.cells), -1))[..., self.cells, :, :]
        return each[..., self.symbols[1:].argsort(), :].flatten(-3, -2)

    def keeps(self, families):
        """Whether rows stay rows, columns columns and boxes boxes."""

        def sets(groups):
            return {tuple(group) for group in groups.tolist()}

        return all(sets(groups[:, self.cells]) == sets(groups) for groups in families)


def symmetries(geometry, size, seed=0):
    """Symmetries of Sudoku that do not transpose the board, for its rows mean something else than its columns."""
    drawn = zip(*random_symmetries(geometry, 8 * size, torch.Generator().manual_seed(seed)), strict=True)
    kept = [moved for pair in drawn if (moved := Symmetry(*pair)).keeps(geometry.constraints.families)]
    assert len(kept) >= size
    return kept[:size]


class Latents(Messenger):
    """Writes down the latents in the order in which they are drawn; `moved` ones take the place of others."""

    def __init__(self, moved=None):
        super().__init__()
        self.drawn, self.moved = [], moved

    def _pyro_sample(self, msg):
        if self.moved is not None and msg["name"].startswith("z_"):
            msg["value"], msg["done"] = self.moved.pop(0), True

    def _pyro_post_sample(self, msg):
        if msg["name"].startswith("z_"):
            self.drawn.append(msg["value"])


def with_noise(run, symmetry):
    """run(), and a handler under which the same is run again with its latents moved."""
    with Latents() as first:
        one = run()
    return one, Latents([symmetry.state(z) for z in first.drawn])
