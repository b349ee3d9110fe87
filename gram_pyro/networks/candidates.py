"""Tokens are candidates (cell, symbol). All weights are shared over symbols and cells: symbols are only names.

    e_ic   = table[role],   role of candidate (i, c): cell i is blank, holds c, or holds another symbol
    mix_ic = sum_f W_f s_{f(i) c} + W' s_i,   s_gc = sum_{j in g} x_jc / 3,   s_i = sum_c x_ic / 3
    p(y | h, x) = prod_i softmax_c(w . h_ic)[y_i]                                  a clue keeps its symbol

A group g is a constraint of the task, "every symbol in exactly one of these cells". f(i) is the group of family f
(rows, columns, boxes) that contains cell i. The other kind of constraint is that a cell holds exactly one symbol.
Candidates exchange messages through constraints only. So the network commutes exactly with every renaming of the
symbols, and with every permutation of the cells that maps the groups of each family to each other. No weight depends on
the number of symbols, cells or groups, so the same weights serve boards of every size.

Shapes: [..., L, C, D] inside a mixer, [..., L C, D] elsewhere; C symbols, the blank not among them.
Source: ours; an axis of digits with shared weights: DEC, SE-RRM (arXiv:2603.02193).
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gram_pyro.networks.core import State
from gram_pyro.networks.embed import Embedding
from gram_pyro.networks.layers import Linear, SwiGLU
from gram_pyro.networks.readout import CategoricalReadout
from gram_pyro.tasks.base import Constraints, Task

BLANK, HELD, EXCLUDED = range(3)  # roles
SCALE = 1 / 3  # of a sum; the same for every size, so that a sum over two candidates looks alike in every group

NumSymbols = int | Mapping[int, int]  # V, or for boards of several sizes, V by number of cells


def num_candidates(num_symbols: NumSymbols, num_cells: int) -> int:
    """C, the number of candidates per cell on a board of `num_cells` cells."""
    return (num_symbols if isinstance(num_symbols, int) else num_symbols[num_cells]) - 1


class CandidateEmbedding(Embedding):
    """One vector per role.  Shapes: [..., L] int -> [..., L C, D], unit variance per channel at the start.

    Raises: ValueError if the task has no constraints.
    """

    serves_every_size = True

    def __init__(self, num_symbols: NumSymbols, dim: int) -> None:
        super().__init__()
        self.num_symbols = num_symbols
        self.table = nn.Embedding(3, dim)
        nn.init.normal_(self.table.weight)

    def num_tokens(self, num_cells: int) -> int:
        return num_cells * num_candidates(self.num_symbols, num_cells)

    def structure(self, task: Task) -> tuple[Constraints, ...]:
        if task.constraints is None:
            raise ValueError(
                f"got the task {type(task).__name__}, which has no constraints; expected them for embed=candidates; "
                "write embed=tokens core=relational readout=categorical"
            )
        return task.constraints

    def for_target(self) -> nn.Module:
        return CandidateEmbedding(self.num_symbols, self.table.embedding_dim)

    def forward(self, x: Tensor) -> Tensor:
        symbols = torch.arange(1, 1 + num_candidates(self.num_symbols, x.shape[-1]), device=x.device)
        shown = x[..., None]
        role = torch.where(shown == 0, BLANK, torch.where(shown == symbols, HELD, EXCLUDED))
        return self.table(role.flatten(-2))


class GroupNetwork(Linear):
    """What a group says, W s + SwiGLU(s): a network of the sum over its candidates.  Shapes: [..., D] -> [..., D].

    A linear message adds up over groups, and a candidate has to tell them apart again. This one can be silent until
    a group has something to say: that one candidate is left in it, or none.  Args: dim D; hidden D_h of the SwiGLU.
    """

    def __init__(self, dim_in: int, dim_out: int, hidden: int) -> None:
        super().__init__(dim_in, dim_out)
        self.net = SwiGLU(dim_in, hidden, dim_out)

    def forward(self, sums: Tensor) -> Tensor:
        return super().forward(sums) + self.net(sums)


class ConstraintMixer(nn.Module):
    """Messages between candidates that share a constraint.  Shapes: [..., L C, D] -> [..., L C, D].

    Sums run over groups, not over pairs of cells. The messages are made of the sums, of which there are fewer.
    Args: dim D; constraints of every size of board, with different numbers of candidates; message(D, D), the map of a
    sum to what its group says.
    Raises: ValueError if `constraints` is no tuple of constraints, if boards have different numbers of families, or if
    two boards have the same number of candidates.
    """

    def __init__(
        self,
        dim: int,
        num_tokens: int,
        constraints: tuple[Constraints, ...],
        message: Callable[[int, int], nn.Module] = Linear,
    ) -> None:
        super().__init__()
        if not isinstance(constraints, tuple):
            raise ValueError(
                "got core=constraints without constraints; expected those that embed=candidates reads from the task; "
                "write embed=candidates readout=candidates"
            )
        num_families = {len(board.families) for board in constraints}
        if len(num_families) > 1:
            raise ValueError(f"got boards with {sorted(num_families)} families of constraints; expected one number")
        self.families = nn.ModuleList(message(dim, dim) for _ in range(num_families.pop()))
        self.cell = message(dim, dim)
        self.sizes = {board.num_candidates: [len(groups) for groups in board.families] for board in constraints}
        if len(self.sizes) < len(constraints):
            raise ValueError(
                f"got boards with {[board.num_candidates for board in constraints]} candidates; expected different "
                "numbers, by which boards are told apart"
            )
        for board in constraints:  # looked up by the number of candidates
            groups = torch.cat(board.families).to(next(self.cell.parameters()).detach())
            self.register_buffer(f"groups_{board.num_candidates}", groups, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        groups = getattr(self, f"groups_{x.shape[-2]}").to(x.dtype)  # [G, L], of all families
        cells = x.unflatten(-2, (groups.shape[-1], -1))  # [..., L, C, D]
        num_symbols = cells.shape[-2]
        by_group = ((SCALE * groups) @ cells.flatten(-2)).unflatten(-1, (num_symbols, -1))  # [..., G, C, D]
        # contiguous, for torch would otherwise compute a product per row
        parts = [part.contiguous() for part in by_group.split(self.sizes[x.shape[-2]], -3)]
        said = torch.cat([weigh(sums) for weigh, sums in zip(self.families, parts, strict=True)], -3)
        heard = (groups.mT @ said.flatten(-2)).unflatten(-1, (num_symbols, -1))
        return (heard + self.cell(SCALE * cells.sum(-2, keepdim=True))).flatten(-3, -2)


class CandidateReadout(CategoricalReadout):
    """One logit per candidate.  Shapes: h [..., L C, D] -> batch [...], event [L], V symbols; never the blank."""

    def __init__(self, dim: int, num_symbols: NumSymbols) -> None:
        super().__init__(dim, 1)
        self.num_symbols = num_symbols

    def scores(self, state: State, x: Tensor | None) -> Tensor:
        each = self.logits(state.h).squeeze(-1).to(state.h.dtype)
        width = self.num_symbols - 1 if x is None else num_candidates(self.num_symbols, x.shape[-1])
        if x is not None and each.shape[-1] != x.shape[-1] * width:
            raise ValueError(
                f"got a state of {each.shape[-1]} tokens for {x.shape[-1]} cells; expected {width} candidates of each "
                "cell; write embed=candidates core=constraints with readout=candidates"
            )
        return F.pad(each.unflatten(-1, (-1, width)), (1, 0), value=-torch.inf)
