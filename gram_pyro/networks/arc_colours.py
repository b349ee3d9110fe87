"""Colours as names: tokens of ARC are pairs (symbol, place), and all weights are shared over the colours 1 .. 9.

    e_cp = held[x_p = c] + kind[c] + shown[kind of x_p] + row_p + column_p          a cell p of the canvas
    e_cp = task[role of c]_p,   symmetry + kind[c]                                  a prefix: what names the task

kind is one of pad, eos, colour 0 and "a colour"; the role of c is the number that the colour has in the task as it is
stored, which x names. So recolouring a pair and its name permutes the tokens, and the network commutes with it exactly:
no copy of a task in other colours is needed, neither to train on nor to vote. A task still knows its colours by role.

    mix_cp = attention over the places p of symbol c + W mean_c x_cp

Shapes: [..., V S, D] outside, symbol by symbol, [..., V, S, D] inside; S = Q + 1 + L places, of which the first Q name
the task and one its symmetry.
Source: ours; an axis of symbols with shared weights on ARC: SE-RRM (arXiv:2603.02193).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gram_pyro.networks.arc_tokens import ContentReadout, table
from gram_pyro.networks.core import State
from gram_pyro.networks.embed import Embedding
from gram_pyro.networks.layers import Linear, RelationalAttention
from gram_pyro.networks.readout import CategoricalReadout
from gram_pyro.tasks.arc.canvas import FIRST, NUM_SYMMETRIES
from gram_pyro.tasks.arc.task import COLOURS, NAME_CELLS, SYMMETRY, TASK

KINDS = FIRST + 2  # pad, eos, colour 0, and the colours 1 .. 9, which are alike


class ColourCells(nn.Module):
    """The tokens (symbol, cell) of a canvas.  Shapes: [..., L] int -> [..., V, L, D], unit variance at the start."""

    def __init__(self, num_symbols: int, dim: int, side: int) -> None:
        super().__init__()
        self.num_symbols, self.scale = num_symbols, (dim / 5) ** 0.5
        self.held, self.kind, self.shown = table(2, dim), table(KINDS, dim), table(KINDS, dim)
        self.row, self.column = table(side, dim), table(side, dim)

    def forward(self, x: Tensor) -> Tensor:
        symbols = torch.arange(self.num_symbols, device=x.device)
        place = (self.row.weight[:, None] + self.column.weight).flatten(0, 1)
        each = self.shown(x.clamp(max=KINDS - 1)) + place  # [..., L, D]
        held = self.held((x[..., None, :] == symbols[:, None]).long())
        return self.scale * (held + self.kind(symbols.clamp(max=KINDS - 1))[:, None] + each[..., None, :, :])


class ColourTokens(Embedding):
    """Shapes: x [..., 11 + L] -> [..., V S, D].

    Args: num_symbols V; dim D; num_names, the number of tasks; num_prefix Q + 1; side n of the canvas.
    Raises: ValueError if the prefix leaves no place for the task.
    """

    def __init__(self, num_symbols: int, dim: int, num_names: int, num_prefix: int, side: int) -> None:
        super().__init__()
        if num_prefix < 2:
            raise ValueError(
                f"got num_prefix={num_prefix}; expected a place for the symmetry and one or more for the task; write 2 "
                "or more"
            )
        self.num_symbols, self.num_prefix, self.side, self.scale = num_symbols, num_prefix, side, dim**0.5
        self.task = table(num_names, num_symbols * (num_prefix - 1) * dim)
        with torch.no_grad():  # at the start all colours of a task are alike
            roles = self.task.weight.view(num_names, num_symbols, -1)
            roles[:, KINDS - 1 :] = roles[:, KINDS - 1, None]
        self.symmetry, self.kind = table(NUM_SYMMETRIES, dim), table(KINDS, dim)
        self.cells = ColourCells(num_symbols, dim, side)

    def num_tokens(self, num_cells: int) -> int:
        return self.num_symbols * (self.num_prefix + num_cells)

    def relations(self, relations: Tensor | None) -> Tensor | None:
        """The relations of the cells, and one more: to the prefix.  Shapes: [R, L, L] -> [R + 1, S, S]."""
        if relations is None:
            return None
        cells = F.pad(relations, (self.num_prefix, 0, self.num_prefix, 0))
        prefix = torch.arange(cells.shape[-1], device=cells.device) < self.num_prefix
        return torch.cat([prefix.expand(1, cells.shape[-1], -1), cells])

    def for_target(self) -> nn.Module:
        return TargetColours(ColourCells(self.num_symbols, self.symmetry.embedding_dim, self.side), self.num_prefix)

    def forward(self, x: Tensor) -> Tensor:
        symbols = torch.arange(self.num_symbols, device=x.device)
        fixed = symbols[: FIRST + 1].expand(*x.shape[:-1], -1)
        role = torch.cat([fixed, x[..., COLOURS]], -1).argsort(-1)  # of every symbol, [..., V]
        task = self.task(x[..., TASK]).unflatten(-1, (self.num_symbols, self.num_prefix - 1, -1))
        task = task.gather(-3, role[..., None, None].expand(task.shape))
        symmetry = (self.symmetry(x[..., SYMMETRY])[..., None, :] + self.kind(symbols.clamp(max=KINDS - 1))) * 0.5**0.5
        prefix = self.scale * torch.cat([task, symmetry[..., None, :]], -2)
        return torch.cat([prefix, self.cells(x[..., NAME_CELLS:])], -2).flatten(-3, -2)


class TargetColours(nn.Module):
    """The embedding of y for a guide: zeros at the prefix, then the cells.  Shapes: [..., L] -> [..., V S, D]."""

    def __init__(self, cells: ColourCells, num_prefix: int) -> None:
        super().__init__()
        self.cells, self.num_prefix = cells, num_prefix

    def forward(self, y: Tensor) -> Tensor:
        return F.pad(self.cells(y), (0, 0, self.num_prefix, 0)).flatten(-3, -2)


class ColourMixer(nn.Module):
    """Attention over the places of every symbol, and a message from the mean of the symbols.

    Args: dim D; num_tokens V S; relations [R, S, S] of the places; num_heads.
    Raises: ValueError if the tokens are not those of a number of symbols; as `RelationalAttention`.
    """

    def __init__(self, dim: int, num_tokens: int, relations: Tensor | None, num_heads: int = 4) -> None:
        super().__init__()
        self.places = RelationalAttention(dim, num_tokens, relations, num_heads)
        self.num_places = relations.shape[-1]
        if num_tokens % self.num_places or num_tokens == self.num_places:
            raise ValueError(
                f"got core=colours with {num_tokens} tokens of {self.num_places} places; expected a token per symbol "
                "and place; write embed=colours readout=colours"
            )
        self.symbols = Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        places = x.unflatten(-2, (-1, self.num_places))
        return (self.places(places) + self.symbols(places.mean(-3, keepdim=True))).flatten(-3, -2)


class ColourReadout(ContentReadout):
    """One logit per (symbol, cell), a softmax over the symbols.

    Shapes: h [..., V S, D] -> batch [...], event [L], V symbols.
    """

    def __init__(self, num_symbols: int, dim: int, num_prefix: int) -> None:
        super().__init__(num_symbols, dim, num_prefix)
        self.cells = SymbolReadout(num_symbols, dim)

    def content(self, state: State) -> State:
        return super().content(State(*(stream.unflatten(-2, (self.cells.num_symbols, -1)) for stream in state)))


class SymbolReadout(CategoricalReadout):
    """The logit of every symbol from its own token.  Shapes: h [..., V, L, D] -> [..., L, V]."""

    def __init__(self, num_symbols: int, dim: int) -> None:
        super().__init__(dim, 1)
        self.num_symbols = num_symbols

    def scores(self, state: State, x: Tensor | None) -> Tensor:
        return self.logits(state.h).squeeze(-1).to(state.h.dtype).transpose(-1, -2)
