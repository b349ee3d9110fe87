"""Tasks of candidates: puzzles of one family, and mixtures of families.

    rules ~ family,   y = first solution in a random order of the candidates,   k ~ uniform{0 .. ceil(a L) - 1} cells
    given, none of a share b of the puzzles

A batch has one shape, and its puzzles may have different rules. Solutions are not listed: a rollout row is trained on
the solution near its end, see `Search.near`.  Source: ours.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from random import Random

import torch
from torch import Tensor

from gram_pyro.tasks.base import Batch, ImplicitTask, Puzzles
from gram_pyro.tasks.candidates.families import Family
from gram_pyro.tasks.candidates.importers import read_folder
from gram_pyro.tasks.candidates.packed import groups_of, pack, shape_of, stack, violations, widen
from gram_pyro.tasks.candidates.puzzle import IN, CandidatePuzzle
from gram_pyro.tasks.candidates.search import GivenUp, Search

ROLES = 3  # symbols of a candidate: unknown, out, in
MOST_STEPS = 100_000  # of the search for a solution of a puzzle in a file
TRIES = 1000  # rules drawn for some that have a solution


class Candidates(ImplicitTask):
    """The base of all tasks of candidates. Rules, clues and shape are read from x, see `packed`."""

    n = 0  # boards of no one side
    num_symbols = ROLES
    relations = None
    tests_are_unseen = False

    def is_solved(self, x: Tensor, y: Tensor) -> Tensor:
        return self.violations(x, y) == 0

    def violations(self, x: Tensor, y: Tensor) -> Tensor:
        """Broken groups, changed clues, and candidates that are neither in nor out."""
        return violations(x, y)

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        """The batch itself: a core of candidates is equivariant already."""
        return batch

    def near(self, x: Tensor, log_prob: Tensor) -> tuple[Tensor, Tensor]:
        """The solution that `Search.near` finds, M = 1, where the most probable candidates come first."""
        ranking = log_prob[..., IN].argsort(1, descending=True).cpu().tolist()
        size = log_prob.shape[1]
        rows = x.cpu()
        found = [search(row[size:]).near(row[:size].tolist(), order) for row, order in zip(rows, ranking, strict=True)]
        y = torch.tensor([[0] * size if solution is None else solution for solution in found], device=x.device)
        return y[:, None], torch.tensor([solution is not None for solution in found], device=x.device)[:, None]

    def render(self, x: Tensor, y: Tensor | None = None) -> str:
        return as_text(x, y)


def as_text(x: Tensor, y: Tensor | None = None) -> str:
    """The number of the symbol of every cell, '.' for a blank: the puzzle and, below, the answer."""
    shape = shape_of(x)
    lines = []
    for roles in (x[: shape[0] * shape[1]], y):
        if roles is not None:
            chosen = [row.index(True) + 1 if any(row) else "." for row in (roles == IN).view(shape).tolist()]
            lines.append(" ".join(map(str, chosen)))
    return "\n".join(lines)


def search(rules: Tensor) -> Search:
    """The search for the rules of a packed puzzle."""
    return _search(rules.numpy().tobytes())


@lru_cache(maxsize=1024)
def _search(rules: bytes) -> Search:
    tail = torch.frombuffer(bytearray(rules), dtype=torch.int64)
    size = int(tail[-2] * tail[-1])
    return Search(size, groups_of(torch.cat([torch.zeros(size, dtype=torch.int64), tail])))


class DrawnCandidates(Candidates):
    """Puzzles of one family and one shape. `num_train` rules with a solution each are drawn; in training a number of
    cells, drawn uniformly, are given. The test set "completions" has `num_test` others, with clues.

    Args: blank_share b, of puzzles without a clue; most_given a, the largest share of cells that are given.
    Raises: ValueError on arguments out of range, if the family has several shapes, and if TRIES rules have no solution.
    """

    def __init__(
        self,
        family: Family,
        num_train: int = 1000,
        num_test: int = 100,
        seed: int = 0,
        blank_share: float = 0.1,
        most_given: float = 0.7,
    ) -> None:
        if min(num_train, num_test) < 1:
            raise ValueError(f"got num_train={num_train}, num_test={num_test}; expected 1 or more of each")
        if not (0 <= blank_share <= 1 and 0 <= most_given <= 1):
            raise ValueError(f"got blank_share={blank_share}, most_given={most_given}; expected shares, 0 to 1")
        self.family, self.num_train, self.num_test, self.seed = family, num_train, num_test, seed
        self.blank_share, self.most_given = blank_share, most_given

    @cached_property
    def _drawn(self) -> Puzzles:
        rng = Random(f"candidates/{self.seed}")
        pairs = [draw(self.family, rng) for _ in range(self.num_train + self.num_test)]
        shapes = {(len(puzzle.cells), len(puzzle.symbols)) for puzzle, _ in pairs}
        if len(shapes) > 1:
            raise ValueError(f"got a family of shapes {sorted(shapes)[:4]}; expected one; write a part for each")
        x = stack([pack(puzzle) for puzzle, _ in pairs])
        return Puzzles(x, torch.tensor([y for _, y in pairs]), torch.arange(len(x) + 1))

    @cached_property
    def num_cells(self) -> int:
        return len(self.family(Random(0)).roles)

    @cached_property
    def train(self) -> Puzzles:
        """Puzzles without clues; `batches` gives some."""
        return self._drawn.select(torch.arange(self.num_train))

    @cached_property
    def test(self) -> dict[str, Puzzles]:
        chosen = self._drawn.select(torch.arange(self.num_train, self.num_train + self.num_test))
        x = self._clues(chosen.x, chosen.solutions, torch.Generator().manual_seed(self.seed))
        return {"completions": chosen._replace(x=x)}

    def _clues(self, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        return give_some(x, y, generator, self.blank_share, self.most_given)

    def batches(self, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        for batch in super().batches(batch_size, generator):
            yield batch._replace(x=self._clues(batch.x, batch.y, generator))


def draw(family: Family, rng: Random) -> tuple[CandidatePuzzle, list[int]]:
    """Rules and a solution.  Raises: ValueError if TRIES rules have none."""
    for _ in range(TRIES):
        puzzle = family(rng)
        size = len(puzzle.roles)
        y = search(pack(puzzle)[size:]).near(puzzle.roles, rng.sample(range(size), k=size))
        if y is not None:
            return puzzle, y
    raise ValueError(f"got {TRIES} rules without a solution that is found; expected one; write looser rules")


def give_some(
    x: Tensor, y: Tensor, generator: torch.Generator, blank_share: float = 0.0, most_given: float = 1.0
) -> Tensor:
    """Give k cells, drawn, their candidate, k uniform from 0 up to most_given L, exclusively, but 0 in a share
    `blank_share` of the rows.  Shapes: [B, W], [B, N] -> [B, W]."""
    num_cells, num_symbols = shape_of(x)
    counts = torch.randint(max(1, math.ceil(most_given * num_cells)), (len(x), 1), generator=generator)
    counts = counts.where(torch.rand(len(x), 1, generator=generator) >= blank_share, 0)
    given = torch.rand(len(x), num_cells, generator=generator).argsort(1).argsort(1) < counts
    roles = torch.where(given.repeat_interleave(num_symbols, 1), y, x[:, : y.shape[1]])
    return torch.cat([roles, x[:, y.shape[1] :]], 1)


class CandidateMixture(Candidates):
    """Several families, so that one set of weights learns from all: each batch comes from one of them, drawn by
    `shares` (relative; None: all alike).  The test sets are those of all parts, "NAME, TEST SET"; or those of `test`, a
    file or folder (see `importers`), one for each shape.

    Args: num_colours, of graphs in `test`; n, the side of boards in archives there.
    Raises: ValueError if there is no part, or shares are not one above 0 for each; as `read_folder`, `of_shapes`.
    """

    def __init__(
        self,
        parts: Mapping[str, DrawnCandidates],
        shares: Mapping[str, float] | None = None,
        test: str | Path | None = None,
        num_colours: int | None = None,
        n: int | None = None,
    ) -> None:
        self.parts = dict(parts)
        shares = dict.fromkeys(self.parts, 1.0) if shares is None else dict(shares)
        if not parts or shares.keys() != self.parts.keys() or min(shares.values()) <= 0:
            raise ValueError(f"got parts={list(self.parts)}, shares={shares}; expected a share above 0 for each part")
        self.shares = torch.tensor([float(shares[name]) for name in self.parts])
        self.file, self.num_colours, self.side = test, num_colours, n

    @cached_property
    def num_cells(self) -> int:
        return max(part.num_cells for part in self.parts.values())

    @property
    def train(self) -> Puzzles:
        raise ValueError("puzzles of several shapes are not one set; write task.parts[NAME].train")

    @cached_property
    def test(self) -> dict[str, Puzzles]:
        if self.file is not None:
            return told_apart(of_shapes(read_folder(self.file, self.num_colours, self.side)))
        sets = {f"{name}, {test}": s for name, part in self.parts.items() for test, s in part.test.items()}
        return told_apart(sets)

    def batches(self, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        streams = [part.batches(batch_size, generator) for part in self.parts.values()]
        while True:
            yield next(streams[int(torch.multinomial(self.shares, 1, generator=generator))])


def of_shapes(puzzles: Sequence[CandidatePuzzle]) -> dict[str, Puzzles]:
    """Puzzles as sets of one shape, each with the solution that a search finds first.

    Raises: ValueError if one has no solution, or none is found.
    """
    sets: dict[tuple[int, int], list[CandidatePuzzle]] = {}
    for puzzle in puzzles:
        sets.setdefault((len(puzzle.cells), len(puzzle.symbols)), []).append(puzzle)
    return {f"{cells} cells, {symbols} symbols": listed(some) for (cells, symbols), some in sets.items()}


def listed(puzzles: Sequence[CandidatePuzzle]) -> Puzzles:
    """Puzzles of one shape, each with one solution.  Raises: as `of_shapes`."""
    solutions = []
    for number, puzzle in enumerate(puzzles, 1):
        try:
            solutions.append(next(Search.of(puzzle).solutions(puzzle.roles, MOST_STEPS)))
        except (StopIteration, GivenUp):
            raise ValueError(
                f"got a puzzle of {len(puzzle.cells)} cells, number {number} of its shape, and found no solution "
                "of it; leave it out"
            ) from None
    x = stack([pack(puzzle) for puzzle in puzzles])
    return Puzzles(x, torch.tensor(solutions), torch.arange(len(x) + 1))


def told_apart(sets: Mapping[str, Puzzles]) -> dict[str, Puzzles]:
    """The same sets, padded so that rows of equal length have equal shapes."""
    known: dict[int, tuple[int, int]] = {}
    found = {}
    for name, puzzles in sets.items():
        shape, width = shape_of(puzzles.x), puzzles.x.shape[-1]
        while known.setdefault(width, shape) != shape:
            width += 1
        found[name] = puzzles._replace(x=widen(puzzles.x, width))
    return found
