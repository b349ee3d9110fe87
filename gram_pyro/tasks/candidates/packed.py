"""Puzzles of candidates as rows of numbers. Rules are a part of x, so the puzzles of a batch may have different rules.

    x = [roles of the N = L C candidates | group, group, .. | padding | L, C]
    group = FIRST + j for each of its candidates j, then EXACT or AT_MOST

Rows are padded to the longest of the batch, and all have the same L and C. The groups of the cells are not stored,
because L and C determine them. Membership is kept as two lists, by group and by candidate, so that sums and their
gradients cost as much as there are pairs (candidate, group).
Source: ours; sums over ragged lists: torch's embedding_bag.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from gram_pyro.tasks.candidates.puzzle import BLANK, IN, OUT, CandidatePuzzle, Group

PADDING, EXACT, AT_MOST, FIRST = range(4)


class Lists(NamedTuple):
    """Ragged lists back to back: list i is ``index[starts[i] : starts[i + 1]]``.  Shapes: index [P], starts [M + 1]."""

    index: Tensor
    starts: Tensor


class Incidence(NamedTuple):
    """Which candidates are in which groups, of all puzzles of a batch: candidate j of puzzle b is number b N + j.

    by_group: the candidates of each of G groups, those of the cells first; by_candidate: the groups of each of B N
    candidates; kind [G] int64, 0 exactly one, 1 at most one.
    """

    by_group: Lists
    by_candidate: Lists
    kind: Tensor


class Unpacked(NamedTuple):
    """roles [B, N]; num_cells L; num_symbols C; who is in which group."""

    roles: Tensor
    num_cells: int
    num_symbols: int
    incidence: Incidence


def pack(puzzle: CandidatePuzzle) -> Tensor:
    """A puzzle as one row x [W] int64."""
    body = []
    for group in puzzle.groups:
        body += [*(FIRST + c for c in group.candidates), EXACT if group.exact else AT_MOST]
    return torch.tensor([*puzzle.roles, *body, len(puzzle.cells), len(puzzle.symbols)])


def pack_all(puzzles: Sequence[CandidatePuzzle]) -> Tensor:
    """Puzzles of one shape, [B, W].  Raises: ValueError if there is none, or they are not of one shape."""
    shapes = {(len(puzzle.cells), len(puzzle.symbols)) for puzzle in puzzles}
    if len(shapes) != 1:
        raise ValueError(
            f"got puzzles of {len(shapes)} shapes (cells, symbols) {sorted(shapes)[:4]}; expected one; group them by it"
        )
    return stack([pack(puzzle) for puzzle in puzzles])


def stack(rows: Sequence[Tensor]) -> Tensor:
    """Rows of one shape, padded to the longest.  Shapes: [W_b] each -> [B, W]."""
    width = max(len(row) for row in rows)
    return torch.stack([widen(row, width) for row in rows])


def widen(x: Tensor, width: int) -> Tensor:
    """Pad rows to `width`.  Shapes: [..., W] -> [..., width]."""
    return torch.cat([F.pad(x[..., :-2], (0, width - x.shape[-1]), value=PADDING), x[..., -2:]], -1)


def shape_of(x: Tensor) -> tuple[int, int]:
    """L and C of rows x [..., W].

    Raises: ValueError if these are not packed puzzles, or of several shapes.
    """
    rows = x.reshape(-1, x.shape[-1])
    num_cells, num_symbols = rows[0, -2:].tolist()
    if not 0 < num_cells * num_symbols <= x.shape[-1] - 2 or (rows[:, -2:] != rows[0, -2:]).any():
        raise ValueError("got x that holds no packed puzzles of one shape; expected some; write pack_all(puzzles)")
    return num_cells, num_symbols


def unpack(x: Tensor) -> Unpacked:
    """The rules of packed puzzles.  Shapes: x [..., W], leading dims taken as one of B rows.  Raises: as `shape_of`."""
    num_cells, num_symbols = shape_of(x)
    size, rows = num_cells * num_symbols, x.reshape(-1, x.shape[-1])
    body, num_rows = rows[:, size:-2], len(rows)
    ends = (body == EXACT) | (body == AT_MOST)
    member = body >= FIRST
    row = torch.arange(num_rows, device=x.device)
    listed = (body - FIRST + size * row[:, None])[member]
    group = (ends.flatten().cumsum(0) - ends.flatten().long())[member.flatten()] + num_rows * num_cells
    own = torch.arange(num_rows * size, device=x.device)
    candidates, groups = torch.cat([own, listed]), torch.cat([own // num_symbols, group])
    kind = F.pad((body[ends] == AT_MOST).long(), (num_rows * num_cells, 0))
    order = candidates.argsort(stable=True)
    by_group = Lists(candidates, _starts(groups, len(kind)))
    by_candidate = Lists(groups[order], _starts(candidates, num_rows * size))
    return Unpacked(rows[:, :size], num_cells, num_symbols, Incidence(by_group, by_candidate, kind))


def _starts(owner: Tensor, count: int) -> Tensor:
    return F.pad(owner.bincount(minlength=count).cumsum(0), (1, 0))


def groups_of(x: Tensor) -> list[Group]:
    """All groups of one packed puzzle x [W], those of the cells first."""
    (starts, members), kind = (unpack(x).incidence.by_group[i].tolist() for i in (1, 0)), unpack(x).incidence.kind
    pairs = zip(starts, starts[1:], kind.tolist(), strict=False)
    return [Group(k == 0, tuple(members[first:last])) for first, last, k in pairs]


def sums(values: Tensor, lists: Lists) -> Tensor:
    """The sum over every list.  Shapes: [R, D] of what is listed -> [M, D]."""
    return F.embedding_bag(lists.index, values, lists.starts, mode="sum", include_last_offset=True)


def violations(x: Tensor, y: Tensor) -> Tensor:
    """Groups that y [..., N] breaks, clues of x [..., W] that it changes and candidates that are neither in nor out,
    added up (leading dims broadcast).

    Returns: [...] int64, 0 where y solves x.
    """
    lead = torch.broadcast_shapes(x.shape[:-1], y.shape[:-1])
    if x.shape[:-1] != lead[len(lead) - x.ndim + 1 :]:
        x = x.expand(*lead, -1)
    roles, num_cells, _, (by_group, _, kind) = unpack(x)
    y = y.expand(*lead, -1).reshape(-1, *roles.shape)  # [K, B, N]
    counts = sums((y == IN).float().flatten(1).mT.contiguous(), by_group)  # [G, K]
    broken = torch.where(kind[:, None] == 0, counts != 1, counts > 1).long()
    row = by_group.index[by_group.starts[:-1]] // roles.shape[1]
    wrong = broken.new_zeros(len(roles), len(y)).index_add_(0, row, broken).mT
    changed = ((roles != BLANK) & (roles != y)) | ((y != IN) & (y != OUT))
    return (wrong + changed.sum(-1)).view(lead)
