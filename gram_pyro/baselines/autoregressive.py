"""An autoregressive transformer: p(y | x) = prod_i p(y_i | x, y_<i), cells in reading order.

The network reads 2 L tokens: x, then y shifted by one. Every token sees x; a token of y also sees the tokens before it.
Drawing keeps the keys and values of tokens, so that every token passes through the network once.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gram_pyro.baselines.base import Baseline
from gram_pyro.networks.embed import TokenEmbedding
from gram_pyro.networks.layers import Linear, SwiGLU, attend, check_heads, merge_heads, normalise, split_heads
from gram_pyro.networks.readout import clamp


class Memory:
    """Keys and values of the tokens that one block has read.  Shapes: k, v [B, H, S, D / H]; `length` are filled."""

    def __init__(self, num_tokens: int) -> None:
        self.num_tokens, self.length = num_tokens, 0

    def extend(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Add tokens.  Returns: the keys and values of all tokens so far."""
        if self.length == 0:
            shape = (*k.shape[:-2], self.num_tokens, k.shape[-1])
            self.k, self.v = k.new_empty(shape), v.new_empty(shape)
        start, self.length = self.length, self.length + k.shape[-2]
        self.k[..., start : self.length, :], self.v[..., start : self.length, :] = k, v
        return self.k[..., : self.length, :], self.v[..., : self.length, :]


class MaskedBlock(nn.Module):
    """A block as in layers.py with masked attention: to the tokens in `memory`, or where `bias` [S, S] is not -inf."""

    compiles = ("forward",)

    def __init__(self, dim: int, hidden: int, num_heads: int) -> None:
        super().__init__()
        check_heads(dim, num_heads, multiple=1)
        self.num_heads = num_heads
        self.qkv, self.out, self.ffn = Linear(dim, 3 * dim), Linear(dim, dim), SwiGLU(dim, hidden, dim)

    def forward(self, x: Tensor, bias: Tensor | float, memory: Memory | None = None) -> Tensor:
        q, k, v = split_heads(self.qkv(x), self.num_heads)
        if memory is not None:
            k, v = memory.extend(k, v)
        x = normalise(x + self.out(merge_heads(attend(q, k, v, bias))))
        return normalise(x + self.ffn(x))


class Autoregressive(Baseline):
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
        visible = (place[:, None] >= place) | (place < num_cells)
        bias = torch.zeros(visible.shape).masked_fill(~visible, -torch.inf)
        self.register_buffer("bias", bias, persistent=False)

    def forward(self, x: Tensor, before: Tensor) -> Tensor:
        """Logits of y_1 .. y_S, with clues fixed.  Shapes: x [B, L]; before [B, S - 1], cells of y -> [B, S, V]."""
        sequence = torch.cat([x, self.start_of(x), before], 1)
        length = sequence.shape[1]
        h = self.embed(sequence, 0)
        for block in self.blocks:
            h = block(h, self.bias[:length, :length])
        return clamp(self.logits(h[:, self.num_cells :]).float(), x[:, : length - self.num_cells])

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        logits = self(x, y[:, :-1])
        return F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum") / len(x)

    def draw(self, x: Tensor) -> Tensor:
        memories = [Memory(2 * self.num_cells) for _ in self.blocks]
        self.read(x, 0, memories)
        y = [self.start_of(x)]
        for i in range(self.num_cells):
            logits = clamp(self.read(y[-1], self.num_cells + i, memories), x[:, i : i + 1])
            y.append(torch.multinomial(logits.squeeze(1).softmax(-1), 1))
        return torch.cat(y[1:], 1)

    def read(self, tokens: Tensor, place: int, memories: list[Memory]) -> Tensor:
        """Logits after each of the tokens [B, S] from position `place`, given each other and memory: [B, S, V]."""
        h = self.embed(tokens, place)
        for block, memory in zip(self.blocks, memories, strict=True):
            h = block(h, 0.0, memory)
        return self.logits(h).float()

    def start_of(self, x: Tensor) -> Tensor:
        """The first token of y, [B, 1]."""
        return x.new_full((len(x), 1), self.num_symbols)

    def embed(self, tokens: Tensor, place: int) -> Tensor:
        return self.tokens(tokens) + self.positions.weight[place : place + tokens.shape[1]]
