"""Embedding of a puzzle: e = sqrt(D) table[x], table ~ N(0, 1 / D).

Source: paper B.1, with the initialisation of HRM and TRM.
"""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from gram_pyro.tasks.base import Task


class Embedding(nn.Module, ABC):
    """A puzzle as S tokens, by default one per cell.  Shapes: [..., L] int -> [..., S, D].

    Attributes: num_symbols V; serves_every_size, whether no weight depends on the number of cells or symbols.
    """

    num_symbols: int
    serves_every_size: bool = False

    def num_tokens(self, num_cells: int) -> int:
        """S, for puzzles of L cells."""
        return num_cells

    def relations(self, relations: Tensor | None) -> Tensor | None:
        """The relations of the tokens, [R', S, S], from those of the cells, [R, L, L]."""
        return relations

    def structure(self, task: Task) -> object:
        """What the mixers of the core know of the board: by default, which tokens constrain each other."""
        return self.relations(task.relations)

    @abstractmethod
    def for_target(self) -> nn.Module:
        """The embedding of the target y for a guide: the same tokens, separate weights."""


class TokenEmbedding(Embedding):
    """One vector per symbol.  Shapes: [..., L] int -> [..., L, D], unit variance per channel at the start.

    Raises: ValueError if the task has boards of several sizes, hence several numbers of symbols; forward, on a symbol
    that has no vector.
    """

    def __init__(self, num_symbols: int, dim: int) -> None:
        super().__init__()
        if not isinstance(num_symbols, int):
            raise ValueError(
                f"got num_symbols={num_symbols}, of a task with boards of several sizes; expected one number V, for "
                "embed=tokens has V vectors; write embed=candidates core=constraints readout=candidates"
            )
        self.table = nn.Embedding(num_symbols, dim)
        nn.init.normal_(self.table.weight, std=dim**-0.5)
        self.num_symbols = num_symbols
        self.scale = dim**0.5

    def for_target(self) -> nn.Module:
        return TokenEmbedding(self.num_symbols, self.table.embedding_dim)

    def forward(self, x: Tensor) -> Tensor:
        try:
            return self.scale * self.table(x)
        except IndexError:
            raise ValueError(
                f"got symbols from {int(x.min())} to {int(x.max())}; expected 0 to {self.num_symbols - 1}, of which "
                "embed=tokens has vectors; write puzzles of the task of this program, or another embed"
            ) from None
