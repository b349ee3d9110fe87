"""Graph colouring with the canonical naming of colours only, for networks without noise to choose a naming.

To find a canonical answer, a network must know the order of the vertices. So there are two more relations: which
vertices are earlier, and which are later. Everything else is as in `gram_pyro.tasks.colouring.task`.
Source: the paper; relations: ours.
"""

from functools import cached_property

import torch
from torch import Tensor

from gram_pyro.tasks.base import Batch
from gram_pyro.tasks.colouring.task import Colouring


class CanonicalColouring(Colouring):
    """Colouring, trained on canonical answers alone."""

    carries_relations = False  # the order of the vertices decides the naming

    @cached_property
    def relations(self) -> Tensor:
        """[4, L, L] bool: those of Colouring, then vertex j is earlier than vertex i, and later."""
        order = torch.zeros(2, self.num_cells, self.num_cells, dtype=torch.bool)
        every = torch.ones(self.n, self.n, dtype=torch.bool)
        order[0, self._pairs :, self._pairs :], order[1, self._pairs :, self._pairs :] = every.tril(-1), every.triu(1)
        return torch.cat([super().relations, order])

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        """A uniform permutation of the vertices per graph; colours are then numbered by the new order."""
        order = torch.rand(len(batch.x), self.n, generator=generator).argsort(1)  # new vertex i is old order[i]
        place = torch.zeros(self.n, self.n, dtype=torch.int64)  # the cell of a pair, and of a vertex on the diagonal
        place[self._row, self._column] = place[self._column, self._row] = torch.arange(self._pairs)
        cells = torch.cat([place[order[:, self._row], order[:, self._column]], order + self._pairs], 1)
        boards = torch.cat([batch.x[:, None], batch.y[:, None], batch.solutions], 1)
        moved = self.canonical(boards.gather(2, cells[:, None].expand_as(boards)))
        x, y, solutions = moved.split([1, 1, batch.solutions.shape[1]], 1)
        return Batch(x[:, 0], y[:, 0], solutions, batch.valid)
