"""Embedding of a puzzle: e = sqrt(D) table[x], table ~ N(0, 1 / D).

Source: paper B.1, with the initialisation of its lineage.
"""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from gram_pyro.tasks.base import Task


class Embedding(nn.Module, ABC):
    """What the core sees of a puzzle: S tokens, here one per cell.  Shapes: [..., L] int -> [..., S, D].

    Attributes: num_symbols V; serves_every_size, whether no weight depends on how many cells or symbols a board has.
    """

    num_symbols: int
    serves_every_size: bool = False

    def num_tokens(self, num_cells: int) -> int:
        """S, for puzzles of L cells."""
        return num_cells

    def relations(self, relations: Tensor | None) -> Tensor | None:
        """Those of the tokens, [R', S, S], from those of the cells, [R, L, L]."""
        return relations

    def structure(self, task: Task) -> object:
        """What the mixers of the core are told of the board: here which tokens constrain each other."""
        return self.relations(task.relations)

    @abstractmethod
    def for_target(self) -> nn.Module:
        """The embedding that a guide reads the target y with: of the same tokens, with weights of its own."""


class TokenEmbedding(Embedding):
    """One vector per symbol.  Shapes: [..., L] int -> [..., L, D], unit variance per channel at the start.

    Raises: ValueError if the task has boards of several sizes, and with them several numbers of symbols.
    """

    def __init__(self, num_symbols: int, dim: int) -> None:
        super().__init__()
        if not isinstance(num_symbols, int):
            raise ValueError(
                f"embed=tokens has a vector for each of V symbols; got {num_symbols}, V by the number of cells, of a "
                "task with boards of several sizes; write embed=candidates core=constraints readout=candidates"
            )
        self.table = nn.Embedding(num_symbols, dim)
        nn.init.normal_(self.table.weight, std=dim**-0.5)
        self.num_symbols = num_symbols
        self.scale = dim**0.5

    def for_target(self) -> nn.Module:
        return TokenEmbedding(self.num_symbols, self.table.embedding_dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.table(x)
