"""Tasks that are wrong in one way each, and what they are told."""

from functools import cached_property
from itertools import combinations, product

import torch

from gram_pyro.tasks.base import Constraints, ImplicitTask, Puzzles, Task

N = 5


class Ring(Task):
    """Beads of a ring in 3 colours, neighbours differ: a task that keeps the contract, to be spoilt in one place."""

    num_cells, num_symbols = N, 4

    @property
    def relations(self):
        beside = torch.eye(N).roll(1, 0)
        return (beside + beside.T).bool()[None]

    def lists(self):
        rings = [y for y in product((1, 2, 3), repeat=N) if all(y[i] != y[i - 1] for i in range(N))]
        found = {}
        for y, given in product(rings, combinations(range(N), 2)):
            found.setdefault(tuple(y[i] if i in given else 0 for i in range(N)), []).append(y)
        return found

    def part(self, test):
        lists = self.lists()
        tests = set(sorted({name_of(x) for x in lists})[::4])
        chosen = [x for x in lists if (name_of(x) in tests) == test]
        return Puzzles.from_lists(chosen, [lists[x] for x in chosen])

    @cached_property
    def train(self):
        return self.part(test=False)

    @cached_property
    def test(self):
        return {"rings": self.part(test=True)}

    def is_solved(self, x, y):
        return ((y > 0) & ((x == 0) | (x == y)) & (y != y.roll(1, -1))).all(-1)

    def augment(self, batch, generator):
        turn = torch.randint(N, (len(batch.x), 1), generator=generator)
        names = torch.rand(len(batch.x), 3, generator=generator).argsort(-1) + 1
        names = torch.cat([torch.zeros_like(names[:, :1]), names], -1)
        return self.moved(batch, (torch.arange(N) + turn) % N, names)

    def moved(self, batch, cells, names):
        boards = torch.cat([batch.x[:, None], batch.y[:, None], batch.solutions], 1)
        boards = boards.gather(2, cells[:, None].expand_as(boards))
        boards = names.gather(1, boards.flatten(1)).view_as(boards)
        return batch._replace(x=boards[:, 0], y=boards[:, 1], solutions=boards[:, 2:])


def name_of(x):
    """What all turned and recoloured versions of puzzle x share."""
    turns = (x[i:] + x[:i] for i in range(N))
    return min(tuple(turn.index(c) if c else -1 for c in turn) for turn in turns)


class NoTest(Ring):
    test = {}


class NoNumber(Ring):
    num_symbols = 4.0


class NumbersAsRelations(Ring):
    relations = torch.eye(N, dtype=torch.float32)[None]


class Floats(Ring):
    def part(self, test):
        puzzles = super().part(test)
        return puzzles._replace(x=puzzles.x.double())


class ShortAnswers(Ring):
    def part(self, test):
        puzzles = super().part(test)
        return puzzles._replace(solutions=puzzles.solutions[:, 1:])


class Unsolvable(Ring):
    def lists(self):
        found = super().lists()
        return {x: ys if i % 2 else [] for i, (x, ys) in enumerate(found.items())}


class TooFewSymbols(Ring):
    num_symbols = 3


class WrongSolution(Ring):
    def lists(self):
        return {x: [*ys, tuple(x)] for x, ys in super().lists().items()}


class OtherNames(Ring):
    def canonical(self, y):
        return y.clamp(max=2)


class Twice(Ring):
    def lists(self):
        return {x: [ys[0], *ys] for x, ys in super().lists().items()}


class OneVerdict(Ring):
    def is_solved(self, x, y):
        return super().is_solved(x, y).all()


class CluesIgnored(Ring):
    def is_solved(self, x, y):
        return super().is_solved(0 * x, y)


class ClueChanged(CluesIgnored):
    lists_all = False

    def lists(self):
        every = super().lists()
        return {x: ys for x, ys in zip(every, reversed(every.values()), strict=True)}


class OpenEnd(Ring):
    """Forgets that the last bead is beside the first."""

    def is_solved(self, x, y):
        return ((y > 0) & ((x == 0) | (x == y))).all(-1) & (y[..., 1:] != y[..., :-1]).all(-1)


class MilderCount(Ring):
    def violations(self, x, y):
        return (y == y.roll(1, -1)).sum(-1)


class CountsAsFloat(Ring):
    def violations(self, x, y):
        return super().violations(x, y).double()


class Neighbourly(Ring):
    """Judges by the number of dims."""

    def is_solved(self, x, y):
        solved = super().is_solved(x, y)
        return solved if y.ndim > 1 else ~solved


class Incomplete(Ring):
    def lists(self):
        return {x: ys[:-1] or ys for x, ys in super().lists().items()}


class GroupedOnce(Ring):
    def groups(self, x):
        return torch.tensor(0)


class HardAsNumbers(Ring):
    def difficulty(self, x):
        return (x == 0).sum(-1)


class Speechless(Ring):
    def render(self, x, y=None):
        return x


class Finds(ImplicitTask, Ring):
    """Finds what it is asked for, whatever that is."""

    def near(self, x, log_prob):
        return log_prob.argmax(-1)[:, None], torch.ones(len(x), 1, dtype=torch.bool)


class Everywhere(Ring):
    constraints = (Constraints(3, (torch.ones(1, N, dtype=torch.bool),)),)


class Overwrites(Ring):
    def augment(self, batch, generator):
        batch.x[:] = (batch.x + 1).where(batch.x > 0, 0).clamp(max=3)
        return batch


class DrawsElsewhere(Ring):
    def augment(self, batch, generator):
        return super().augment(batch, torch.Generator().manual_seed(torch.randint(99, ()).item()))


class PuzzleAlone(Ring):
    def augment(self, batch, generator):
        return batch._replace(x=super().augment(batch, generator).x)


class AnswerAlone(Ring):
    def augment(self, batch, generator):
        moved = super().augment(batch, generator)
        return moved._replace(y=moved.y % 3 + 1)


class Loses(Ring):
    def augment(self, batch, generator):
        moved = super().augment(batch, generator)
        return moved._replace(solutions=moved.y[:, None], valid=moved.valid[:, :1])


class Widens(Ring):
    def augment(self, batch, generator):
        return super().augment(batch, generator)._replace(valid=batch.valid.long())


class Crops(Ring):
    def augment(self, batch, generator):
        moved = super().augment(batch, generator)
        return moved._replace(valid=moved.valid[:, 1:])


class ForgetsItsGenerator(Ring):
    def draw_puzzles(self, count, generator):
        return torch.randint(self.train.num_puzzles, (count,))


class HalfBatches(Ring):
    def draw_puzzles(self, count, generator):
        return super().draw_puzzles(count // 2, generator)


class Line(Ring):
    """Tells the core of a line and turns it as a ring."""

    @property
    def relations(self):
        beside = torch.diag(torch.ones(N - 1), 1)
        return (beside + beside.T).bool()[None]


class TestedOnTrain(Ring):
    @property
    def train(self):
        lists = self.lists()
        return Puzzles.from_lists(list(lists), list(lists.values()))


class ImagesInTrain(Ring):
    """Parts the puzzles, not the classes."""

    def part(self, test):
        lists = self.lists()
        chosen = [x for i, x in enumerate(lists) if (i % 9 == 0) == test]
        return Puzzles.from_lists(chosen, [lists[x] for x in chosen])


class OtherPart(Ring):
    @property
    def parts(self):
        return {"ring": Ring()}

    def batches(self, batch_size, generator):
        for batch in super().batches(batch_size, generator):
            yield batch._replace(x=batch.x[:, 1:])


WRONG_TASKS = {
    NoTest: "got no test set; expected at least one",
    NoNumber: "got num_symbols=4.0; expected a whole number",
    NumbersAsRelations: r"got relations \[1, 5, 5\] of torch.float32; expected",
    Floats: r"train: got x \[\d+, 5\] of torch.float64; expected 2 dims of torch.int64",
    ShortAnswers: "got solutions of 4 cells; expected num_cells=5",
    Unsolvable: "expected one or more per puzzle; leave puzzles without a solution out",
    TooFewSymbols: "got symbols 1 to 3 in solutions; expected 0 to V-1 = 2",
    WrongSolution: r"is_solved refuses \[.*\], a solution of",
    OtherNames: r"got a listed solution that canonical\(\) renames",
    Twice: "got a solution of .* twice; expected each once",
    OneVerdict: r"got \[\] of torch.bool from is_solved\(x\[:, None\], solutions\)",
    CluesIgnored: "which changes a clue or is not listed",
    ClueChanged: "got a solution that changes a clue",
    OpenEnd: "is_solved accepts .* as an answer|got .* solutions of .*, which has",
    MilderCount: "got violations that are 0 where is_solved is False",
    CountsAsFloat: r"got violations \[\d+, \d+\] of torch.float64",
    Neighbourly: "got another verdict on an answer alone than in a batch",
    Incomplete: r"which changes a clue or is not listed|got \d+ solutions of .*, which has \d+",
    GroupedOnce: r"got groups \[\] of torch.int64; expected \[B\]",
    HardAsNumbers: "got a difficulty that is not a pair",
    Speechless: "got no text from render",
    Finds: "near found a board that is_solved refuses",
    Everywhere: "got constraints that a listed solution breaks",
    Overwrites: "augment writes into its batch",
    DrawsElsewhere: "augment gave two batches from one state of the generator",
    PuzzleAlone: "augment: is_solved refuses .* apply one symmetry to x, y and solutions",
    AnswerAlone: "got a y that is not a solution of its puzzle",
    Loses: r"augment made 1 solutions of \d+",
    Widens: "torch.int64; expected x, y, solutions of torch.int64, valid of torch.bool",
    Crops: r"got y \[\d+, 5\], solutions .* expected \[B, 5\]",
    ForgetsItsGenerator: "with one state of the generator; expected 64, equal ones",
    HalfBatches: r"got 32 and 32 rows from batches\(64\)",
    Line: "augment maps cells that share a constraint to cells that share none",
    TestedOnTrain: "a puzzle of test 'rings', or an image of one by augment, is trained on",
    ImagesInTrain: "a puzzle of test 'rings', or an image of one by augment, is trained on",
    OtherPart: r"got a batch of 4 cells; expected one of its parts, of \[5\]",
}
