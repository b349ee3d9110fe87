"""A task is a set of puzzles, the complete solution set of each, and the rules that judge an answer.

    p(y | x) = uniform over S(x) = {y : y solves x}          the law that a trained GRAM should have

Symbols are integers 0 .. V-1; 0 is the blank. Puzzles x and solutions y share one alphabet and one length L.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from matplotlib.axes import Axes
from torch import Tensor
from torch.nn import functional as F

from gram_pyro.tasks.pinned import pin, pinned

NO_TESTS = "got no test set; expected at least one; write a number of test puzzles, or a file of them"


class Puzzles(NamedTuple):
    """N puzzles with all their solutions, stored one after the other.

    Shapes: x [N, L] int64; solutions [M_total, L] int64; offsets [N + 1] int64. The solutions of puzzle i are
    ``solutions[offsets[i] : offsets[i + 1]]``.
    """

    x: Tensor
    solutions: Tensor
    offsets: Tensor

    @classmethod
    @pinned
    def from_lists(cls, x: Sequence[Sequence[int]], solutions: Sequence[Sequence[Sequence[int]]]) -> "Puzzles":
        """Pack N puzzles and, for each, the list of its solutions."""
        counts = torch.tensor([0] + [len(s) for s in solutions])
        flat = [y for s in solutions for y in s]
        return cls(torch.tensor(x), torch.tensor(flat), counts.cumsum(0))

    @property
    def num_puzzles(self) -> int:
        return self.x.shape[0]

    @property
    def num_solutions(self) -> Tensor:
        """Size of every solution set, [N] int64."""
        return self.offsets.diff()

    @pinned
    def select(self, index: Tensor) -> "Puzzles":
        """The puzzles at `index` [M] (int64), in that order, with their solutions."""
        counts = self.num_solutions[index]
        offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        start = torch.repeat_interleave(self.offsets[index] - offsets[:-1], counts)
        return Puzzles(self.x[index], self.solutions[start + torch.arange(len(start))], offsets)

    def solutions_of(self, i: int) -> Tensor:
        """All solutions of puzzle i, [M_i, L]."""
        return self.solutions[self.offsets[i] : self.offsets[i + 1]]


@pinned
def subset(puzzles: Puzzles, limit: int | None, seed: int = 0) -> Puzzles:
    """At most `limit` puzzles, drawn without replacement (None: all, in order).  Raises: ValueError if limit < 1."""
    if limit is not None and limit < 1:
        raise ValueError(f"got num_puzzles={limit}; expected at least 1; write null for all puzzles")
    if limit is None or puzzles.num_puzzles <= limit:
        return puzzles
    return puzzles.select(torch.randperm(puzzles.num_puzzles, generator=torch.Generator().manual_seed(seed))[:limit])


def concatenate(parts: Sequence[Puzzles]) -> Puzzles:
    """Join sets of puzzles, in order.  Raises: ValueError if there is none, or their boards have several sizes."""
    if not parts:
        raise ValueError(NO_TESTS)
    sizes = {p.x.shape[-1] for p in parts}
    if len(sizes) > 1:
        raise ValueError(f"got puzzles of {sorted(sizes)} cells, which cannot be one set; write a task of one size")
    counts = torch.cat([p.num_solutions for p in parts])
    offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    return Puzzles(torch.cat([p.x for p in parts]), torch.cat([p.solutions for p in parts]), offsets)


def not_empty(made: Any) -> Any:
    """The argument, puzzles of a task.  Raises: ValueError if a set has no puzzle."""
    sets = made if isinstance(made, Mapping) else {"train": made}
    for name, puzzles in sets.items():
        if isinstance(puzzles, Puzzles) and not puzzles.num_puzzles:
            raise ValueError(
                f"got no puzzle in the set {name!r}: none was found, or train has the symmetry classes of all; "
                "expected at least 1; write another file, another size or other numbers of puzzles"
            )
    return made


def unseen(task: "Task") -> dict[str, Puzzles]:
    """The test sets.  Raises: ValueError if there is none; as `Task.test`."""
    if not task.test:
        raise ValueError(NO_TESTS)
    return task.test


def by_size(sets: Iterable[Puzzles]) -> list[Puzzles]:
    """Join sets of puzzles with the same number of cells, the smallest boards first."""
    groups: dict[int, list[Puzzles]] = {}
    for puzzles in sets:
        groups.setdefault(puzzles.x.shape[-1], []).append(puzzles)
    return [concatenate(groups[size]) for size in sorted(groups)]


class Batch(NamedTuple):
    """A batch for training.

    Shapes: x [B, L]; y [B, L], drawn uniformly from the solutions of x; solutions [B, M, L], the whole set padded to
    the largest of the batch; valid [B, M] bool, False where a row of `solutions` is padding.
    """

    x: Tensor
    y: Tensor
    solutions: Tensor
    valid: Tensor

    def to(self, device: torch.device) -> "Batch":
        return Batch(*(t.to(device) for t in self))

    def padded(self, length: int) -> "Batch":
        """The same batch with lists of `length` solutions, which is at least as long as they are."""
        missing = length - self.valid.shape[1]
        solutions = torch.cat([self.solutions, self.solutions[:, :1].expand(-1, missing, -1)], 1)
        return self._replace(solutions=solutions, valid=F.pad(self.valid, (0, missing)))


@pinned
def draw_batch(puzzles: Puzzles, index: Tensor, generator: torch.Generator) -> Batch:
    """The puzzles at `index` [B], each with a solution drawn uniformly."""
    chosen = puzzles.select(index)
    counts = chosen.num_solutions
    slots = torch.arange(int(counts.max()))
    valid = slots < counts[:, None]
    rows = chosen.offsets[:-1, None] + torch.minimum(slots, counts[:, None] - 1)
    pick = (torch.rand(len(index), generator=generator) * counts).long().clamp(max=counts - 1)
    y = chosen.solutions[chosen.offsets[:-1] + pick]
    return Batch(chosen.x, y, chosen.solutions[rows], valid)


class Constraints(NamedTuple):
    """The rules of a board whose symbols are names: each symbol is in exactly one cell of every group.

    num_symbols: C, without the blank; families of groups of the same kind (rows, columns, boxes), each [G, L] bool, the
    cells of every group.
    """

    num_symbols: int
    families: tuple[Tensor, ...]

    @property
    def num_candidates(self) -> int:
        """Pairs of a cell and a symbol, L C."""
        return self.num_symbols * self.families[0].shape[-1]


class Task(ABC):
    """Puzzles to train on, named sets of unseen puzzles to test on, and the rules of the game.

    If x and y have the same grid, a clue (a cell of x that is not blank) keeps its symbol in every answer. (ARC's x is
    longer: it begins with the name of the rule.) Constraints that all puzzles share are in `relations` and
    `constraints`. Constraints of one puzzle, such as the edges of a graph, are in cells of its x. Puzzles are made on
    the CPU, whatever torch's default device is. A set without puzzles is refused. `gram_pyro.contract.check_task` tests
    a task.

    Attributes:
        num_cells: L, the cells of an answer; of the largest board in a task of several sizes.
        num_symbols: V, including the blank; in a task of several sizes, V by the number of cells.
        relations: [R, L, L] bool, which cells share a constraint, one matrix per kind of constraint; None: the core
            gets none, or every size has its own.
        constraints: of each kind of board; None: symbols are not names.
        parts: for a task of several sizes, the tasks of one size by name; their batches and test sets are its own.
        lists_all: whether solution sets contain all solutions; False: one or some.
        tests_are_unseen: whether no batch contains a test puzzle or its symmetric image; False: both are drawn from one
            law, for example if everything is generated from the blank board.
        carries_relations: whether the symmetries of `augment` map relations to relations; False: a relation breaks a
            symmetry, as an order of the cells does.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        pin(cls, train=not_empty, test=not_empty)

    num_cells: int
    num_symbols: int | Mapping[int, int]
    relations: Tensor | None
    constraints: tuple[Constraints, ...] | None = None
    parts: Mapping[str, "Task"] = MappingProxyType({})
    lists_all: bool = True
    tests_are_unseen: bool = True
    carries_relations: bool = True

    @property
    @abstractmethod
    def train(self) -> Puzzles:
        """The training puzzles.  Raises: ValueError if there are none, or their boards have several sizes."""

    @property
    @abstractmethod
    def test(self) -> dict[str, Puzzles]:
        """Named sets of unseen puzzles, see `tests_are_unseen`."""

    @abstractmethod
    def is_solved(self, x: Tensor, y: Tensor) -> Tensor:
        """Whether y [..., L] obeys the rules and the clues of x [..., L] (leading dims broadcast); [...] bool."""

    def violations(self, x: Tensor, y: Tensor) -> Tensor:
        """The number of rules and clues that y breaks, [...] int64; 0 iff `is_solved`. By default 1 if y is wrong."""
        return (~self.is_solved(x, y)).long()

    def difficulty(self, x: Tensor) -> tuple[str, Tensor] | None:
        """The difficulty of each puzzle of x [B, L]: the name of a measure and its values [B]; None: unknown."""
        return None

    def groups(self, x: Tensor) -> Tensor | None:
        """Groups of puzzles of x [B, L] that are variants of one puzzle, [B] int64. A group counts as one observation.
        None: all puzzles are different."""
        return None

    def canonical(self, y: Tensor) -> Tensor:
        """The representative of an answer among equivalent answers, [..., L]; by default the answer itself.

        Solution sets contain representatives.
        """
        return y

    def completed(self, puzzles: Puzzles) -> Puzzles:
        """The puzzles of a test set with all their solutions, where a file lists one of several; by default as they
        are."""
        return puzzles

    @abstractmethod
    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Apply to every puzzle and all its solutions a symmetry of the rules, drawn uniformly and independently.

        A task without symmetries, or whose symmetries would map training to test puzzles, returns the batch unchanged.
        Draws depend on the generator alone. A task may add solutions that are equivalent by `canonical`, or hide cells
        of x.
        """

    def batches(self, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        """Endless augmented batches."""
        while True:
            index = self.draw_puzzles(batch_size, generator)
            yield self.augment(draw_batch(self.train, index, generator), generator)

    def draw_puzzles(self, count: int, generator: torch.Generator) -> Tensor:
        """The indices of training puzzles for a batch, [count] int64, drawn uniformly with replacement."""
        return torch.randint(self.train.num_puzzles, (count,), generator=generator)

    def render(self, x: Tensor, y: Tensor | None = None) -> str:
        """Puzzle x [L] and answer y [L] as text; by default the numbers of their symbols, one line each."""
        return "\n".join(" ".join(map(str, cells.tolist())) for cells in (x, y) if cells is not None)

    def draw(self, axes: Axes, x: Tensor, y: Tensor | None = None) -> None:
        """Draw puzzle x [L], or answer y [L] to it, on `axes`; by default as text."""
        axes.text(0.5, 0.5, self.render(x, y), ha="center", va="center", family="monospace")
        axes.axis("off")


pin(Task)


class ImplicitTask(Task):
    """A task whose puzzles have too many solutions to list.

    Batches and `test` list one solution per puzzle. In training, `near` finds others, near to where a prior rollout
    ended.
    """

    lists_all = False

    @abstractmethod
    def near(self, x: Tensor, log_prob: Tensor) -> tuple[Tensor, Tensor]:
        """Solutions of high probability under `log_prob`, for the bound log p(S | h) >= log p(these | h).

        Shapes: x [B, L]; log_prob [B, L, V], of every symbol in every cell -> solutions [B, M, L], valid [B, M] bool,
        False where none was found.
        """
