"""The blocks of the recursive core: post-norm residual blocks of a mixer over cells and a SwiGLU over channels.

    block(x) = n(y + ffn(y)),  y = n(x + mix(x)),  n(x) = x / sqrt(mean(x^2) + eps)

A mixer is built as ``mixer(dim, num_cells, relations)`` and maps [..., L, D] to [..., L, D]. The configuration chooses
it. Linear maps have no bias; their weights start from a truncated normal of standard deviation 1 / sqrt(fan-in).
Source: paper B.1; the norm and the initialisation, which the paper does not state, are those of HRM and TRM.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Mixer = Callable[[int, int, Tensor | None], nn.Module]


class Linear(nn.Linear):
    """x W^T without bias; W ~ truncated N(0, 1 / fan-in)."""

    def __init__(self, dim_in: int, dim_out: int) -> None:
        super().__init__(dim_in, dim_out, bias=False)

    def reset_parameters(self) -> None:
        nn.init.trunc_normal_(self.weight, std=self.in_features**-0.5, a=-2, b=2)


class SwiGLU(nn.Module):
    """down(silu(gate(x)) * up(x)).  Shapes: [..., D_in] -> [..., D_out]."""

    def __init__(self, dim_in: int, hidden: int, dim_out: int) -> None:
        super().__init__()
        self.gate_up = Linear(dim_in, 2 * hidden)
        self.down = Linear(hidden, dim_out)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)


def normalise(x: Tensor) -> Tensor:
    """x / rms(x) over the last dimension, without parameters."""
    return F.rms_norm(x, x.shape[-1:], eps=1e-5)


class Block(nn.Module):
    """Mix cells, then channels; normalise each residual sum.  Shapes: [..., L, D] -> [..., L, D]."""

    compiles = ("forward",)  # methods that are pure functions of tensors, for torch.compile

    def __init__(self, dim: int, hidden: int, mixer: nn.Module) -> None:
        super().__init__()
        self.mixer = mixer
        self.ffn = SwiGLU(dim, hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        x = normalise(x + self.mixer(x))
        return normalise(x + self.ffn(x))


def split_heads(qkv: Tensor, num_heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """[..., L, 3 D] -> q, k, v, each [..., H, L, D / H]."""
    q, k, v = qkv.unflatten(-1, (3, num_heads, -1)).unbind(-3)
    return q.transpose(-2, -3), k.transpose(-2, -3), v.transpose(-2, -3)


def merge_heads(x: Tensor) -> Tensor:
    """[..., H, L, D / H] -> [..., L, D]."""
    return x.transpose(-2, -3).flatten(-2)


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | float) -> Tensor:
    """softmax_j(q_i . k_j / sqrt(d) + bias_ij) v_j.  Shapes: q [..., S, d], k, v [..., S', d], bias [..., S, S'].

    It is written out because scaled_dot_product_attention with a bias is two to four times as slow on a CPU, mostly in
    the backward pass.
    """
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5 + bias
    return scores.softmax(-1).to(v.dtype) @ v


class RotaryAttention(nn.Module):
    """Self-attention with rotary positions over the cells in reading order.  Source: paper B.1 (theta: 10000, ours)."""

    def __init__(
        self, dim: int, num_cells: int, relations: Tensor | None, num_heads: int = 8, theta: float = 1e4
    ) -> None:
        super().__init__()
        check_heads(dim, num_heads, multiple=2)
        check_relations(relations)
        self.num_heads = num_heads
        self.qkv = Linear(dim, 3 * dim)
        self.out = Linear(dim, dim)
        half = dim // num_heads // 2
        angle = torch.arange(num_cells)[:, None] * theta ** (-torch.arange(half) / half)
        self.register_buffer("cos", angle.cos().repeat(1, 2), persistent=False)
        self.register_buffer("sin", angle.sin().repeat(1, 2), persistent=False)

    def rotate(self, x: Tensor) -> Tensor:
        first, second = x.chunk(2, dim=-1)
        return (x * self.cos + torch.cat([-second, first], dim=-1) * self.sin).to(x.dtype)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = split_heads(self.qkv(x), self.num_heads)
        return self.out(merge_heads(F.scaled_dot_product_attention(self.rotate(q), self.rotate(k), v)))


class RelationalAttention(nn.Module):
    """Self-attention with a bias for cells that constrain each other. It has no other knowledge of positions.

        weight_ij = softmax_j(q_i . k_j / sqrt(d) + sum_r b_{r,head} R_r[i, j])

    The map is equivariant to every permutation of cells that preserves the relations R [R, L, L] (for Sudoku: all row,
    column, band and stack symmetries), so it need not learn them. At the start, each head attends along one relation.
    Raises: ValueError if the task has no relations.  Source: ours.
    """

    def __init__(self, dim: int, num_cells: int, relations: Tensor | None, num_heads: int = 4) -> None:
        super().__init__()
        if relations is None:
            raise ValueError(
                "got a task without relations; expected the relation matrices that core=relational reads; write "
                "core=attention"
            )
        check_heads(dim, num_heads, multiple=1)
        check_relations(relations)
        self.num_heads = num_heads
        self.qkv = Linear(dim, 3 * dim)
        self.out = Linear(dim, dim)
        self.register_buffer("relations", relations.to(self.out.weight.detach()), persistent=False)
        focus = torch.arange(num_heads) % len(relations)
        self.bias = nn.Parameter(2.0 * F.one_hot(focus, len(relations)).to(torch.get_default_dtype()))  # [H, R]

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = split_heads(self.qkv(x), self.num_heads)
        bias = torch.einsum("hr,rij->hij", self.bias, self.relations)
        return self.out(merge_heads(attend(q, k, v, bias)))


class TokenMixing(nn.Module):
    """SwiGLU over the cells, the same for every channel.  Source: paper's Sudoku core, after TRM."""

    def __init__(self, dim: int, num_cells: int, relations: Tensor | None, hidden: int = 512) -> None:
        super().__init__()
        check_relations(relations)
        self.net = SwiGLU(num_cells, hidden, num_cells)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.transpose(-1, -2)).transpose(-1, -2)


def check_heads(dim: int, num_heads: int, multiple: int) -> None:
    """Raises: ValueError unless dim splits into heads of a size divisible by `multiple`."""
    if dim % (num_heads * multiple):
        raise ValueError(
            f"got dim={dim}; expected num_heads={num_heads} heads of a size divisible by {multiple}; "
            f"write a dim that is a multiple of {num_heads * multiple}"
        )


def check_relations(relations: object) -> None:
    """Raises: ValueError unless `relations` are relations of cells, or None."""
    if not isinstance(relations, Tensor | None):
        raise ValueError(
            "got embed=candidates with a core that mixes cells; expected the core of that embedding; write "
            "core=constraints readout=candidates, or embed=tokens readout=categorical"
        )
