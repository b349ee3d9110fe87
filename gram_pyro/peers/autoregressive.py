"""An autoregressive transformer: p(y | x) = prod_i p(y_i | x, y_<i), cells in reading order.

The network reads 2 L tokens: x, which all see, then y shifted by one, each of which sees x and what is before it.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gram_pyro.embed import TokenEmbedding
from gram_pyro.layers import Linear, SwiGLU, check_heads, merge_heads, normalise, split_heads
from gram_pyro.peers.base import Peer


class MaskedBlock(nn.Module):
    """A block of layers.py whose attention sees only where `visible` [S, S] says."""

    def __init__(self, dim: int, hidden: int, num_heads: int) -> None:
        super().__init__()
        check_heads(dim, num_heads, multiple=1)
        self.num_heads = num_heads
        self.qkv, self.out, self.ffn = Linear(dim, 3 * dim), Linear(dim, dim), SwiGLU(dim, hidden, dim)

    def forward(self, x: Tensor, visible: Tensor) -> Tensor:
        attended = F.scaled_dot_product_attention(*split_heads(self.qkv(x), self.num_heads), attn_mask=visible)
        x = normalise(x + self.out(merge_heads(attended)))
        return normalise(x + self.ffn(x))


class Autoregressive(Peer):
    """Args: dim D; num_layers, num_heads, hidden D_h. The relations of the task are not used: positions are learnt."""

    def __init__(
        self,
        num_cells: int,
        num_symbols: int,
        relations: Tensor | None,
        dim: int,
        num_layers: int = 8,
        num_heads: int = 4,
        hidden: int | None = None,
    ) -> None:
        super().__init__(num_cells, num_symbols)
        self.tokens = TokenEmbedding(num_symbols + 1, dim)  # the last symbol starts y
        self.positions = nn.Embedding(2 * num_cells, dim)
        self.blocks = nn.ModuleList(MaskedBlock(dim, hidden or dim, num_heads) for _ in range(num_layers))
        self.logits = Linear(dim, num_symbols)
        place = torch.arange(2 * num_cells)
        causal = place[:, None] >= place
        self.register_buffer("visible", causal | (place < num_cells), persistent=False)

    def forward(self, x: Tensor, before: Tensor) -> Tensor:
        """Logits of y_1 .. y_S.  Shapes: x [B, L]; before [B, S - 1], the cells already known -> [B, S, V]."""
        start = before.new_full((len(x), 1), self.num_symbols)
        sequence = torch.cat([x, start, before], 1)
        length = sequence.shape[1]
        h = self.tokens(sequence) + self.positions.weight[:length]
        for block in self.blocks:
            h = block(h, self.visible[:length, :length])
        return self.logits(h[:, self.num_cells :]).float()

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        logits = self(x, y[:, :-1])
        return F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum") / len(x)

    def draw(self, x: Tensor) -> Tensor:
        y = x[:, :0]
        for _ in range(self.num_cells):
            law = self(x, y)[:, -1].softmax(-1)
            y = torch.cat([y, torch.multinomial(law, 1)], 1)
        return y
