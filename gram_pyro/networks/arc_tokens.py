"""Tokens of ARC: prefix tokens that name the task, its symmetry and its colours, then a token per cell of the canvas.

    e = [task_1 .. task_Q, symmetry, colour_1 .. colour_9, cells]          S = P + L tokens,  P = Q + 10

task_q is vector q of the task's own Q vectors. colour_k is the vector of the token that colour k is drawn with, plus a
vector for k. So a rule about colour k, learnt once, applies under every recolouring. Layout of x: `tasks.arc`.
Source: the prefix of 16 puzzle tokens is that of HRM, TRM and the paper (B.1), with one row per augmented copy of a
task; the split into task, symmetry and colours is ours.
"""

import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gram_pyro.networks.core import State
from gram_pyro.networks.embed import Embedding, TokenEmbedding
from gram_pyro.networks.readout import CategoricalReadout, Readout
from gram_pyro.tasks.arc.canvas import NUM_SYMMETRIES
from gram_pyro.tasks.arc.task import COLOURS, NAME_CELLS, SYMMETRY, TASK

NUM_SHARED = NAME_CELLS - 1  # prefix tokens that all tasks share


class PlacedTokens(Embedding):
    """One vector per symbol, per row and per column: e = sqrt(D / 3) (symbol[x_ij] + row[i] + column[j]).

    Args: num_symbols V; dim D; side n of the square.  Shapes: [..., n^2] int -> [..., n^2, D].  Source: ours.
    """

    def __init__(self, num_symbols: int, dim: int, side: int) -> None:
        super().__init__()
        self.symbol, self.row, self.column = (table(size, dim) for size in (num_symbols, side, side))
        self.num_symbols, self.side, self.scale = num_symbols, side, (dim / 3) ** 0.5

    def for_target(self) -> nn.Module:
        return PlacedTokens(self.num_symbols, self.symbol.embedding_dim, self.side)

    def forward(self, x: Tensor) -> Tensor:
        place = (self.row.weight[:, None] + self.column.weight).flatten(0, 1)
        return self.scale * (self.symbol(x) + place)


class PuzzleTokens(Embedding):
    """Shapes: x [..., 11 + L] -> [..., P + L, D].

    Args: num_symbols V; dim D; num_names, the number of tasks; num_prefix P; content(num_symbols, dim), the embedding
    of the canvas.  Raises: ValueError if P leaves no token for the task.
    """

    def __init__(
        self, num_symbols: int, dim: int, num_names: int, num_prefix: int, content: type[Embedding] = TokenEmbedding
    ) -> None:
        super().__init__()
        if num_prefix <= NUM_SHARED:
            raise ValueError(
                f"got num_prefix={num_prefix}; expected more than the {NUM_SHARED} tokens for symmetry and colours; "
                f"write {NUM_SHARED + 1} or more"
            )
        self.num_symbols, self.num_prefix, self.scale = num_symbols, num_prefix, dim**0.5
        self.task = table(num_names, (num_prefix - NUM_SHARED) * dim, std=dim**-0.5)
        self.symmetry, self.drawn_with = table(NUM_SYMMETRIES, dim), table(num_symbols, dim)
        self.colour = table(NUM_SHARED - 1, dim)
        self.content = content(num_symbols, dim)

    def num_tokens(self, num_cells: int) -> int:
        return self.num_prefix + num_cells

    def relations(self, relations: Tensor | None) -> Tensor | None:
        """The relations of the cells, and two more: to the tokens of the task, and to the rest of the prefix."""
        if relations is None:
            return None
        cells = F.pad(relations, (self.num_prefix, 0, self.num_prefix, 0))
        names = torch.arange(cells.shape[-1], device=cells.device)
        own = names < self.num_prefix - NUM_SHARED
        prefix = torch.stack([own, (names < self.num_prefix) & ~own])
        return torch.cat([prefix[:, None].expand(-1, cells.shape[-1], -1), cells])

    def for_target(self) -> nn.Module:
        return TargetTokens(self.content.for_target(), self.num_prefix)

    def forward(self, x: Tensor) -> Tensor:
        task = self.task(x[..., TASK]).unflatten(-1, (self.num_prefix - NUM_SHARED, -1))
        symmetry = self.symmetry(x[..., SYMMETRY, None])
        colours = (self.drawn_with(x[..., COLOURS]) + self.colour.weight) * 0.5**0.5
        prefix = self.scale * torch.cat([task, symmetry, colours], -2)
        return torch.cat([prefix, self.content(x[..., NAME_CELLS:])], -2)


class TargetTokens(nn.Module):
    """The embedding of y for a guide: zeros at the prefix, then the cells.  Shapes: [..., L] -> [..., P + L, D]."""

    def __init__(self, content: nn.Module, num_prefix: int) -> None:
        super().__init__()
        self.content, self.num_prefix = content, num_prefix

    def forward(self, y: Tensor) -> Tensor:
        return F.pad(self.content(y), (0, 0, self.num_prefix, 0))


class ContentReadout(Readout):
    """Independent categorical cells, read from the tokens after the prefix (paper B.1: "prefix dropped"). Puzzle and
    answer are different grids, so no cell of the puzzle is kept.

    Shapes: h [..., P + L, D] -> batch [...], event [L], V symbols.
    """

    def __init__(self, num_symbols: int, dim: int, num_prefix: int) -> None:
        super().__init__()
        self.cells, self.num_prefix = CategoricalReadout(dim, num_symbols), num_prefix

    def content(self, state: State) -> State:
        return State(*(stream[..., self.num_prefix :, :] for stream in state))

    def forward(self, state: State, x: Tensor | None = None) -> dist.TorchDistribution:
        return self.cells(self.content(state))

    def answer(self, state: State, x: Tensor | None = None) -> Tensor:
        return self.cells.answer(self.content(state))

    def log_prob_each(self, state: State, x: Tensor | None, solutions: Tensor) -> Tensor:
        return self.cells.log_prob_each(self.content(state), None, solutions)


def table(size: int, dim: int, std: float | None = None) -> nn.Embedding:
    """Vectors drawn from N(0, 1 / D), or from N(0, std^2)."""
    made = nn.Embedding(size, dim)
    nn.init.normal_(made.weight, std=dim**-0.5 if std is None else std)
    return made
