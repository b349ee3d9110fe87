"""Embedding of a puzzle: e = sqrt(D) table[x], table ~ N(0, 1 / D).

Source: paper B.1, with the initialisation of its lineage.
"""

from torch import Tensor, nn


class TokenEmbedding(nn.Module):
    """One vector per symbol.  Shapes: [..., L] int -> [..., L, D], unit variance per channel at the start."""

    def __init__(self, num_symbols: int, dim: int) -> None:
        super().__init__()
        self.table = nn.Embedding(num_symbols, dim)
        nn.init.normal_(self.table.weight, std=dim**-0.5)
        self.num_symbols = num_symbols
        self.scale = dim**0.5

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.table(x)
