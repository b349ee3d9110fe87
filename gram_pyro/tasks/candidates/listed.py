"""Puzzles of other tasks as puzzles of candidates, with all the solutions that those tasks list.

    x' = [roles of the candidates of x | the rules as groups],   y' = which candidates of y are in

Puzzles, split, batches and symmetry classes are those of the other task. Only what the network reads and writes
differs. A core of candidates knows the symmetries of the rules, so a rotated board is the same board to it.
NQueens(split="input") is refused, because its training set has images of every test puzzle.
Source: ours.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property

import networkx as nx
import torch
from torch import Tensor
from torch.nn import functional as F

from gram_pyro.tasks.base import Batch, Puzzles, Task
from gram_pyro.tasks.candidates.importers import colouring
from gram_pyro.tasks.candidates.packed import PADDING, pack, violations
from gram_pyro.tasks.candidates.puzzle import BLANK, IN, OUT
from gram_pyro.tasks.candidates.shorthands import queens
from gram_pyro.tasks.candidates.task import ROLES, as_text
from gram_pyro.tasks.colouring.task import EDGE, FIRST, Colouring
from gram_pyro.tasks.nqueens.task import NQueens


class ListedTask(Task, ABC):
    """Args: task, whose puzzles these are."""

    num_symbols = ROLES
    relations = None

    def __init__(self, task: Task) -> None:
        self.task, self.tests_are_unseen = task, task.tests_are_unseen

    @abstractmethod
    def puzzle(self, x: Tensor) -> Tensor:
        """A puzzle of the task with its rules.  Shapes: [B, L] -> [B, W]."""

    @abstractmethod
    def answer(self, y: Tensor) -> Tensor:
        """An answer of the task by candidates.  Shapes: [..., L] -> [..., N]."""

    def canonical(self, y: Tensor) -> Tensor:
        return y

    def with_rules(self, puzzles: Puzzles) -> Puzzles:
        return Puzzles(self.puzzle(puzzles.x), self.answer(puzzles.solutions), puzzles.offsets)

    @cached_property
    def train(self) -> Puzzles:
        return self.with_rules(self.task.train)

    @cached_property
    def test(self) -> dict[str, Puzzles]:
        return {name: self.with_rules(puzzles) for name, puzzles in self.task.test.items()}

    def batches(self, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        for batch in self.task.batches(batch_size, generator):
            x, y, solutions, valid = self.eased(batch, generator)
            yield Batch(self.puzzle(x), self.answer(y), self.answer(solutions), valid)

    def eased(self, batch: Batch, generator: torch.Generator) -> Batch:
        """A batch of the task with some of its puzzles made easier; here none."""
        return batch

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        """The batch itself: a core of candidates is equivariant already."""
        return batch

    def is_solved(self, x: Tensor, y: Tensor) -> Tensor:
        return self.violations(x, y) == 0

    def violations(self, x: Tensor, y: Tensor) -> Tensor:
        """Broken groups, changed clues, and candidates that are neither in nor out."""
        return violations(x, y)

    def render(self, x: Tensor, y: Tensor | None = None) -> str:
        return as_text(x, y)


class ListedQueens(ListedTask):
    """Boards of queens: cells are the rows, symbols the columns.

    In training a share `eased_share` of the boards is shown with more queens of the drawn solution, so many that fewer
    are missing than on any board of the split: they teach the rules, and none of them can be a test board.

    Raises: ValueError if the split of `task` shares symmetry classes, or eased_share is not from 0 to 1.
    """

    def __init__(self, task: NQueens, eased_share: float = 0.0) -> None:
        super().__init__(task)
        if not 0 <= eased_share <= 1:
            raise ValueError(f"got eased_share={eased_share}; expected a share from 0 to 1; write 0.5, say")
        self.eased_share, self.most_missing = eased_share, min(task.removed) - 1
        if task.split != "class":
            raise ValueError(
                f"got split={task.split!r}, by which images of test puzzles are trained on, and to candidates an image "
                "is the same puzzle; expected 'class'; write task.task.split=class"
            )
        self.num_cells = task.num_cells
        self._rules = pack(queens(task.n))[self.num_cells :]

    def eased(self, batch: Batch, generator: torch.Generator) -> Batch:
        """1 to `most_missing` queens are missing, uniformly, on a share of the boards."""
        x, y, solutions, valid = batch
        if not self.eased_share or not self.most_missing:
            return batch
        kept = torch.randint(1, self.most_missing + 1, (len(x), 1), generator=generator)
        missing = (y == IN) & (x != IN)
        place = torch.rand(x.shape, generator=generator).masked_fill(~missing, 2).argsort(1).argsort(1)
        chosen = torch.rand(len(x), 1, generator=generator) < self.eased_share
        given = missing & (place >= kept) & chosen
        valid = valid & ((solutions == IN) | ~given[:, None]).all(-1)
        possible = torch.where(valid[..., None], solutions, y[:, None])  # what is impossible has a log of -inf
        return Batch(torch.where(given, IN, x), y, possible, valid)

    def puzzle(self, x: Tensor) -> Tensor:
        """The other squares of a row with a queen are out, as `make_puzzle` has it."""
        rows = x.unflatten(-1, (self.task.n, self.task.n))
        beside = (rows == IN).any(-1, keepdim=True) & (rows != IN)
        roles = torch.where(beside, OUT, rows).flatten(-2)
        return torch.cat([roles, self._rules.expand(len(x), -1)], -1)

    def answer(self, y: Tensor) -> Tensor:
        return y

    def groups(self, x: Tensor) -> Tensor:
        """By symmetry class."""
        return self.task.groups(torch.where(x[:, : self.num_cells] == IN, IN, BLANK))


class ListedGraphs(ListedTask):
    """Graphs to colour: cells are the vertices, symbols the colours, and every edge has a group for each colour."""

    def __init__(self, task: Colouring) -> None:
        super().__init__(task)
        self.num_cells = task.n * task.colours
        rules = pack(colouring(nx.complete_graph(task.n), task.colours))[self.num_cells :]
        self._rules, self._shape = rules[:-2].unflatten(0, (task.n * (task.n - 1) // 2, -1)), rules[-2:]

    def puzzle(self, x: Tensor) -> Tensor:
        is_edge = x[:, : len(self._rules), None] == EDGE
        rules = torch.where(is_edge, self._rules, PADDING).flatten(1)
        return torch.cat([x.new_full((len(x), self.num_cells), BLANK), rules, self._shape.expand(len(x), -1)], 1)

    def answer(self, y: Tensor) -> Tensor:
        colours = F.one_hot((y[..., -self.task.n :] - FIRST).clamp(min=0), self.task.colours)
        return (OUT + (IN - OUT) * colours).flatten(-2)

    def canonical(self, y: Tensor) -> Tensor:
        """Colours numbered by first appearance; what is no answer stays."""
        chosen = (y == IN).unflatten(-1, (self.task.n, self.task.colours))
        colours = FIRST + chosen.long().argmax(-1)
        pairs = colours.new_zeros(*y.shape[:-1], len(self._rules))
        named = self.answer(self.task.canonical(torch.cat([pairs, colours], -1)))
        return torch.where((chosen.sum(-1) == 1).all(-1, keepdim=True) & (y != BLANK).all(-1, keepdim=True), named, y)
