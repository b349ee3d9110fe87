"""A task is a set of puzzles, the complete solution set of each, and the rules that judge an answer.

    p(y | x) = uniform over S(x) = {y : y solves x}          the law a trained GRAM should reach

Symbols are integers 0 .. V-1; 0 is the blank. Puzzles x and solutions y share one alphabet and one length L.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from matplotlib.axes import Axes
from torch import Tensor

from gram_pyro.tasks.pinned import pin, pinned

NO_TESTS = "got no test set; expected at least one; write a number of test puzzles, or a file of them"


class Puzzles(NamedTuple):
    """N puzzles with all their solutions, stored back to back.

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
        raise ValueError(f"got num_puzzles={limit}; expected at least 1; write null for all there are")
    if limit is None or puzzles.num_puzzles <= limit:
        return puzzles
    return puzzles.select(torch.randperm(puzzles.num_puzzles, generator=torch.Generator().manual_seed(seed))[:limit])


def concatenate(parts: Sequence[Puzzles]) -> Puzzles:
    """Join sets of puzzles, in order.  Raises: ValueError unless there is one at least, and all are of one size."""
    if not parts:
        raise ValueError(NO_TESTS)
    sizes = {p.x.shape[-1] for p in parts}
    if len(sizes) > 1:
        raise ValueError(f"got puzzles of {sorted(sizes)} cells, which cannot be one set; write a task of one size")
    counts = torch.cat([p.num_solutions for p in parts])
    offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    return Puzzles(torch.cat([p.x for p in parts]), torch.cat([p.solutions for p in parts]), offsets)


def not_empty(made: Any) -> Any:
    """What a task gives to train or test on.  Raises: ValueError on a set without a puzzle."""
    sets = made if isinstance(made, Mapping) else {"train": made}
    for name, puzzles in sets.items():
        if isinstance(puzzles, Puzzles) and not puzzles.num_puzzles:
            raise ValueError(
                f"got no puzzle in the set {name!r}: none was found, or all were left out because train has their "
                "like; expected at least 1; write another file, another size or other numbers of puzzles"
            )
    return made


def unseen(task: "Task") -> dict[str, Puzzles]:
    """The test sets.  Raises: ValueError if there is none, as `Task.test`."""
    if not task.test:
        raise ValueError(NO_TESTS)
    return task.test


def by_size(sets: Iterable[Puzzles]) -> list[Puzzles]:
    """Join sets of puzzles that have as many cells, the smallest first."""
    groups: dict[int, list[Puzzles]] = {}
    for puzzles in sets:
        groups.setdefault(puzzles.x.shape[-1], []).append(puzzles)
    return [concatenate(groups[size]) for size in sorted(groups)]


class Batch(NamedTuple):
    """What one training visit sees.

    Shapes: x [B, L]; y [B, L], drawn uniformly from the solutions of x; solutions [B, M, L], the whole set padded to
    the largest of the batch; valid [B, M] bool, False where a row of `solutions` is padding.
    """

    x: Tensor
    y: Tensor
    solutions: Tensor
    valid: Tensor

    def to(self, device: torch.device) -> "Batch":
        return Batch(*(t.to(device) for t in self))


@pinned
def draw_batch(puzzles: Puzzles, index: Tensor, generator: torch.Generator) -> Batch:
    """The puzzles at `index` [B] with a solution drawn uniformly and afresh for each."""
    chosen = puzzles.select(index)
    counts = chosen.num_solutions
    slots = torch.arange(int(counts.max()))
    valid = slots < counts[:, None]
    rows = chosen.offsets[:-1, None] + torch.minimum(slots, counts[:, None] - 1)
    pick = (torch.rand(len(index), generator=generator) * counts).long().clamp(max=counts - 1)
    y = chosen.solutions[chosen.offsets[:-1] + pick]
    return Batch(chosen.x, y, chosen.solutions[rows], valid)


class Constraints(NamedTuple):
    """The rules of a board whose symbols are names: each of them stands in exactly one cell of every group.

    num_symbols: C, the blank not among them; families, of groups that mean the same (rows, columns, boxes), each
    [G, L] bool: which cells are in every group.
    """

    num_symbols: int
    families: tuple[Tensor, ...]

    @property
    def num_candidates(self) -> int:
        """Pairs of a cell and a symbol, L C."""
        return self.num_symbols * self.families[0].shape[-1]


class Task(ABC):
    """Puzzles to train on, named sets of unseen puzzles to test on, and the rules of the game.

    A cell of x that is not blank keeps its symbol in every answer, where x and y are of one grid (an ARC x is longer:
    it names its rule first). What constrains all puzzles alike stands in `relations` and `constraints`; what constrains
    one puzzle alone, the edges of a graph, say, stands in cells of its x. Whatever torch's default device is, puzzles
    are made on the CPU; a set without a puzzle is refused. `gram_pyro.contract.check_task` names what is wrong.

    Attributes:
        num_cells: L, the cells of an answer; of the largest board in a task of several sizes.
        num_symbols: V, the blank included; in a task of several sizes V by the number of cells.
        relations: [R, L, L] bool, which cells share a constraint, one matrix per kind of constraint; None: the core is
            not told, or each size has its own.
        constraints: of each kind of board; None: symbols are not names.
        parts: tasks of one size each, by name, whose batches and test sets a task of several sizes hands out.
        lists_all: whether a solution set is known to hold all solutions; False: it holds one or some.
        tests_are_unseen: whether no batch shows a puzzle of a test set, in whatever symmetry; False: both are drawn
            from one law, as where everything is to be generated from the blank board.
        carries_relations: whether the symmetries of `augment` map relations to relations; False: a relation says what
            breaks a symmetry, as an order of the cells does.
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
        """The puzzles to learn from.  Raises: ValueError if there are none, or they are of several sizes."""

    @property
    @abstractmethod
    def test(self) -> dict[str, Puzzles]:
        """Named sets of unseen puzzles, see `tests_are_unseen`."""

    @abstractmethod
    def is_solved(self, x: Tensor, y: Tensor) -> Tensor:
        """Whether y [..., L] obeys the rules and the clues of x [..., L] (leading dims broadcast); [...] bool."""

    def violations(self, x: Tensor, y: Tensor) -> Tensor:
        """How many rules and clues y breaks, [...] int64; 0 iff `is_solved`. Here 1 for every wrong answer; a
        task that can count better, does."""
        return (~self.is_solved(x, y)).long()

    def difficulty(self, x: Tensor) -> tuple[str, Tensor] | None:
        """How hard each puzzle of x [B, L] is: what is counted, and the counts [B]; None where nobody can tell."""
        return None

    def groups(self, x: Tensor) -> Tensor | None:
        """Which puzzles of x [B, L] are variants of one puzzle, [B] int64, equal where they are: as observations they
        count as one. None: no two are."""
        return None

    def canonical(self, y: Tensor) -> Tensor:
        """One name for answers that are the same, [..., L]; here every answer is its own. Solution sets hold these."""
        return y

    @abstractmethod
    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Apply to every puzzle and all its solutions one symmetry of the rules, drawn uniformly and independently; a
        task without symmetries, or one that would show test puzzles by them, returns the batch as it is. What is drawn
        depends on the generator alone. A task may add solutions that are the same by `canonical`, or hide cells of x.
        """

    def batches(self, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        """Endless augmented batches."""
        while True:
            index = self.draw_puzzles(batch_size, generator)
            yield self.augment(draw_batch(self.train, index, generator), generator)

    def draw_puzzles(self, count: int, generator: torch.Generator) -> Tensor:
        """Training puzzles for a batch, [count] int64: uniformly, with replacement."""
        return torch.randint(self.train.num_puzzles, (count,), generator=generator)

    def render(self, x: Tensor, y: Tensor | None = None) -> str:
        """Puzzle x [L] and answer y [L] as text; here the numbers of their symbols, a line each."""
        return "\n".join(" ".join(map(str, cells.tolist())) for cells in (x, y) if cells is not None)

    def draw(self, axes: Axes, x: Tensor, y: Tensor | None = None) -> None:
        """Draw puzzle x [L], or answer y [L] to it, on `axes`; here as text."""
        axes.text(0.5, 0.5, self.render(x, y), ha="center", va="center", family="monospace")
        axes.axis("off")


pin(Task)


class ImplicitTask(Task):
    """A task whose puzzles have too many solutions to list: a batch and `test` hold one of them for each puzzle, and
    training asks for others where a prior rollout ended."""

    lists_all = False

    @abstractmethod
    def near(self, x: Tensor, log_prob: Tensor) -> tuple[Tensor, Tensor]:
        """Solutions near to what is believed of them, for the bound log p(S | h) >= log p(these | h).

        Shapes: x [B, L]; log_prob [B, L, V], of every symbol in every cell -> solutions [B, M, L], valid [B, M] bool,
        False where none was found.
        """
