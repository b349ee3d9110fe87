"""The rules are an input: candidates exchange messages through the groups of each puzzle.

    s_g    = 1/3 sum_{j in g} x_j,   m_g = SwiGLU(n(s_g + kind_g)),   mix_j = 2/3 n_j^-1/2 sum_{g: j in g} m_g
    p(y | h, x) = prod_cells softmax_{j in cell}(w . h_j)                            a clue keeps its candidate

A group means "exactly one of these candidates" (so does a cell) or "at most one of these". kind_g is one of two
vectors; all groups share all weights. So no weight depends on the number of candidates, cells or groups, or on the
kind of puzzle. The network commutes with every permutation of the candidates that maps groups to groups. The cost is
linear in the number of pairs (candidate, group). The puzzles of a batch may have different groups. A message is bounded
(n is `normalise`), and the factor keeps the sum over the n_j groups of a candidate below its state in norm. With a
factor three times as large, training on a mixture of small puzzles takes more than three times as many updates.

Shapes: N = L C candidates as tokens, [..., B, N, D]; x [B, W] holds clues and groups, see `tasks.candidates.packed`.
Source: ours; messages between variables and factors: belief propagation, NeuroSAT (arXiv:1802.03685).
"""

from typing import Any, NamedTuple

import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gram_pyro.networks.core import Core, State
from gram_pyro.networks.embed import Embedding, TokenEmbedding
from gram_pyro.networks.layers import Linear, SwiGLU, normalise
from gram_pyro.networks.readout import Readout
from gram_pyro.tasks.base import Task
from gram_pyro.tasks.candidates.packed import Incidence, Lists, shape_of, sums, unpack
from gram_pyro.tasks.candidates.puzzle import IN, OUT

ROLES = 3  # nothing known, out, in
SCALE = 1 / 3  # of a sum; the same for every size, so that a sum over two candidates looks alike in every group
HEARD = 2 / 3  # of the sum of messages to a candidate


class Seen(NamedTuple):
    """The input of the core: a vector per candidate, [..., B, N, D], and the groups of the candidates."""

    e: Tensor
    groups: Incidence


class CoverEmbedding(Embedding):
    """One vector per role.  Shapes: x [..., W] int -> vectors [..., N, D], unit variance at the start, and the groups.

    Raises: ValueError if the puzzles are not puzzles of candidates.
    """

    serves_every_size = True

    def __init__(self, num_symbols: int, dim: int) -> None:
        super().__init__()
        if num_symbols != ROLES:
            raise ValueError(
                f"got puzzles of {num_symbols} symbols; expected puzzles of candidates, whose {ROLES} symbols are "
                "unknown, out and in; write task=constraints, or embed=tokens core=relational readout=categorical"
            )
        self.num_symbols = num_symbols
        self.roles = TokenEmbedding(ROLES, dim)

    def structure(self, task: Task) -> None:
        """Nothing: every puzzle brings its own rules."""

    def for_target(self) -> nn.Module:
        return self.roles.for_target()

    def forward(self, x: Tensor) -> Seen:
        roles, *_, groups = unpack(x)
        return Seen(self.roles(roles).view(*x.shape[:-1], roles.shape[-1], -1), groups)


@torch.library.custom_op("gram_pyro::list_sums", mutates_args=())
def list_sums(x: Tensor, index: Tensor, starts: Tensor, back: Tensor, back_starts: Tensor) -> Tensor:
    """`sums` over lists; the gradient is a sum over the transposed lists.  Shapes: [R, D] -> [M, D]."""
    return sums(x, Lists(index, starts))


@list_sums.register_fake
def _(x: Tensor, index: Tensor, starts: Tensor, back: Tensor, back_starts: Tensor) -> Tensor:
    return x.new_empty(starts.shape[0] - 1, x.shape[1])


def _keep(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[1:])


def _back(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    index, starts, back, back_starts = ctx.saved_tensors
    return list_sums(gradient.contiguous(), back, back_starts, index, starts), None, None, None, None


list_sums.register_autograd(_back, setup_context=_keep)


class GroupMixer(nn.Module):
    """Messages to every candidate from its groups.  Shapes: x [..., B, N, D] -> [..., B, N, D]."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.kind = nn.Embedding(2, dim)
        nn.init.normal_(self.kind.weight)
        self.message = SwiGLU(dim, dim, dim)

    def forward(self, x: Tensor, groups: Incidence) -> Tensor:
        num_candidates, dim = len(groups.by_candidate.starts) - 1, x.shape[-1]
        wide = x.reshape(-1, num_candidates, dim).transpose(0, 1)  # [B N, K, D]
        there, back = groups.by_group, groups.by_candidate
        gathered = list_sums(wide.flatten(1).contiguous(), *there, *back).unflatten(1, (-1, dim))
        said = self.message(normalise(SCALE * gathered + self.kind(groups.kind)[:, None].to(x.dtype)))
        heard = list_sums(said.flatten(1).to(x.dtype), *back, *there)
        loudness = HEARD * back.starts.diff().to(x.dtype).rsqrt()
        return (loudness[:, None, None] * heard.unflatten(1, (-1, dim))).transpose(0, 1).reshape(x.shape)


class CoverBlock(nn.Module):
    """Mix candidates, then channels; normalise each residual sum.  Shapes: as GroupMixer."""

    compiles = ("forward",)

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.mixer = GroupMixer(dim)
        self.ffn = SwiGLU(dim, hidden, dim)

    def forward(self, x: Tensor, groups: Incidence) -> Tensor:
        x = normalise(x + self.mixer(x, groups))
        return normalise(x + self.ffn(x))


class CoverBlocks(nn.ModuleList):
    """A stack of blocks. Under autocast the residual stream has half precision, as in `core.Blocks`."""

    def __init__(self, dim: int, hidden: int, num_layers: int) -> None:
        super().__init__(CoverBlock(dim, hidden) for _ in range(num_layers))

    def forward(self, x: Tensor, groups: Incidence) -> Tensor:
        kind = x.device.type
        halved = torch.is_autocast_enabled(kind) and x.dtype != torch.float64
        y = x.to(torch.get_autocast_dtype(kind)) if halved else x
        for block in self:
            y = block(y, groups)
        return y.to(x.dtype)


class ExactCover(Core):
    """K fast updates of l, then one slow update of h, as in `core.Hierarchical`; every puzzle brings its groups.

    Args: dim D; num_cells and relations are ignored; num_layers of f_L and of f_H; num_updates K; hidden D_h.
    """

    def __init__(
        self,
        dim: int,
        num_cells: int | None = None,
        relations: None = None,
        num_layers: int = 2,
        num_updates: int = 2,
        hidden: int | None = None,
    ) -> None:
        super().__init__()
        self.num_updates = num_updates
        self.low, self.high = (CoverBlocks(dim, hidden or dim, num_layers) for _ in range(2))
        self.register_buffer("h0", torch.randn(dim))
        self.register_buffer("l0", torch.randn(dim))

    def init(self, e: Seen) -> State:
        """The initial state.  Raises: ValueError if the embedding gives no groups."""
        if not isinstance(e, Seen):
            raise ValueError(
                "got core=exact_cover with an embedding that gives no groups; expected its own embedding; write "
                "embed=exact_cover readout=exact_cover"
            )
        return State(self.h0.expand_as(e.e), self.l0.expand_as(e.e))

    def predict(self, e: Seen, state: State) -> State:
        context, low = state.h + e.e, state.l
        for _ in range(self.num_updates):
            low = self.low(low + context, e.groups)
        return State(self.high(state.h + low, e.groups), low)


class OneOfEach(dist.TorchDistribution):
    """One candidate of every cell, independently.  Shapes: logits [..., L, C] -> batch [...], event [N]."""

    arg_constraints = {}
    support = dist.constraints.independent(dist.constraints.nonnegative_integer, 1)

    def __init__(self, logits: Tensor) -> None:
        self.cells = dist.Categorical(logits=logits, validate_args=False)
        *batch, num_cells, num_symbols = logits.shape
        super().__init__(torch.Size(batch), torch.Size([num_cells * num_symbols]), validate_args=False)

    @property
    def base_dist(self) -> dist.Categorical:
        """The marginal law of every candidate: out or in.  Shapes: logits [..., N, 3], nats."""
        chosen = self.cells.logits.flatten(-2)
        never = torch.full_like(chosen, -torch.inf)
        logits = torch.stack([never, torch.log1p(-chosen.exp()), chosen], -1)
        return dist.Categorical(logits=logits, validate_args=False)

    def expand(self, batch_shape: torch.Size, _instance: object = None) -> "OneOfEach":
        logits = self.cells.logits
        return OneOfEach(logits.expand(*batch_shape, *logits.shape[-2:]))

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        return written(self.cells.sample(sample_shape), self.cells.logits.shape[-1])

    def log_prob(self, value: Tensor) -> Tensor:
        """In nats; -inf unless `value` has exactly one candidate in per cell."""
        logits = self.cells.logits
        chosen = (value == IN).unflatten(-1, logits.shape[-2:])
        each = torch.where(chosen, logits, 0.0).sum((-1, -2))
        return each.masked_fill((chosen.sum(-1) != 1).any(-1), -torch.inf)


def written(symbols: Tensor, num_symbols: int) -> Tensor:
    """The answer with these symbols, counted from 0.  Shapes: [..., L] -> [..., N]."""
    return (OUT + (IN - OUT) * F.one_hot(symbols, num_symbols)).flatten(-2)


class CoverReadout(Readout):
    """One logit per candidate, a softmax over the candidates of a cell; those that x excludes have probability 0.

    Shapes: h [..., B, N, D], x [B, W] -> batch [..., B], event [N].  Raises: ValueError if x is not given.
    """

    def __init__(self, dim: int, num_symbols: int) -> None:
        super().__init__()
        self.logits = Linear(dim, 1)

    def forward(self, state: State, x: Tensor | None = None) -> OneOfEach:
        if x is None:
            raise ValueError("got no puzzle x; expected one, which readout=exact_cover reads; write readout(state, x)")
        shape = shape_of(x)
        scores = self.logits(state.h).squeeze(-1).to(state.h.dtype)
        out = x[..., : scores.shape[-1]] == OUT
        return OneOfEach(scores.masked_fill(out, -torch.inf).unflatten(-1, shape))

    def answer(self, state: State, x: Tensor | None = None) -> Tensor:
        logits = self(state, x).cells.logits
        return written(logits.argmax(-1), logits.shape[-1])
