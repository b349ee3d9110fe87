"""ARC-AGI as a task: given a learnt name of a rule and an input, find the output.

    x = [task, symmetry, c_1 .. c_9, canvas of the input]          [11 + L]
    y = [canvas of the output]                                     [L],  L = n^2

The first 11 cells of x are its *name*: the task, the symmetry of the grids (`canvas.py`), and the token of every colour
1 .. 9. A pair and its name are always transformed together, so a rule about red is the same rule when red is drawn as
blue. `networks/arc_tokens.py` makes prefix tokens of the name. y has no name, hence L cells.

Every pair has one answer. The program does not know the rule: answers are judged by the stored output.
Source: ARC-AGI (arXiv:1911.01547); protocol of TRM (arXiv:2510.04871), where every augmented copy of a task has its own
name. Naming a copy by task, symmetry and colours is ours.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from gram_pyro.tasks.arc.canvas import FIRST, NUM_SYMMETRIES, NUM_TOKENS, SAME, Canvas, draw_recolourings, inverse
from gram_pyro.tasks.arc.files import ArcTask, Pair, read_tasks, refuse_leaks, without_answers
from gram_pyro.tasks.base import Batch, Puzzles, Task

TASK, SYMMETRY, COLOURS, NAME_CELLS = 0, 1, slice(2, 11), 11


class Arc(Task):
    """The tasks of files whose grids fit a canvas of side n = `side`.

    Training uses all pairs of the tasks of `shown`, and the demonstrations of the tasks of `asked`, whose test pairs
    are held out. Every file of `asked` gives a test set, named by its stem. `num_names` is the number of tasks that the
    embedding can name.

    Attributes: tasks, those that fit; the index of a task is its name.
    Raises: ValueError if a task is in two of the files, nothing fits, or there are more than `num_names` tasks;
    FileNotFoundError, PuzzleFileError as `read_tasks`.
    """

    def __init__(self, shown: Sequence[str | Path], asked: Sequence[str | Path], side: int, num_names: int) -> None:
        known, held_out = ([task for file in files for task in read_tasks(file)] for files in (shown, asked))
        refuse_leaks(known, held_out)
        known = without_answers(known, held_out)
        self.tasks = [task for task in (*known, *held_out) if task.side <= side]
        if not self.tasks:
            raise ValueError(f"no task of the files has all its grids in side={side} cells; give a larger side")
        if len(self.tasks) > num_names:
            raise ValueError(f"got num_names={num_names} for {len(self.tasks)} tasks; write that many or more")
        self.canvas = Canvas(side)
        self.num_cells, self.num_symbols, self.relations = self.canvas.num_cells, NUM_TOKENS, self.canvas.relations
        self._asked = {task.source for task in held_out}

    @cached_property
    def train(self) -> Puzzles:
        pairs = [task.demonstrations + (() if task.source in self._asked else task.tests) for task in self.tasks]
        return self._puzzles(pairs)

    @cached_property
    def test(self) -> dict[str, Puzzles]:
        """Test pairs of the tasks of `asked`, by their set."""
        sources = dict.fromkeys(task.source for task in self.tasks if task.source in self._asked)
        return {
            source: self._puzzles([task.tests if task.source == source else () for task in self.tasks])
            for source in sources
        }

    def _puzzles(self, pairs: Sequence[Sequence[Pair]]) -> Puzzles:
        """Pairs per task, untransformed."""
        rows = [(number, pair) for number, some in enumerate(pairs) for pair in some]
        colours = SAME[FIRST + 1 :]
        x = [torch.cat([torch.tensor([number, 0]), colours, self.canvas.place(pair.input)]) for number, pair in rows]
        return Puzzles(
            torch.stack(x), torch.stack([self.canvas.place(p.output) for _, p in rows]), torch.arange(len(rows) + 1)
        )

    def task_of(self, x: Tensor) -> list[ArcTask]:
        """The task of each x [B, 11 + L], by its name."""
        return [self.tasks[number] for number in x[:, TASK].tolist()]

    def transform(self, x: Tensor, symmetry: Tensor, recolouring: Tensor) -> Tensor:
        """Transform and recolour untransformed puzzles, name and input together.

        Shapes: x [..., 11 + L], symmetry [...], recolouring [..., V], leading dims broadcast.
        """
        board = self.canvas.redraw(x[..., NAME_CELLS:], symmetry, recolouring)
        shape = board.shape[:-1]
        name = (x[..., :1].expand(*shape, 1), symmetry[..., None].expand(*shape, 1), recolouring[..., FIRST + 1 :])
        return torch.cat([*name[:2], name[2].expand(*shape, -1), board], -1)

    def restore(self, x: Tensor, board: Tensor) -> Tensor:
        """Undo, on canvases, the transformation that x names. The canvas is brought to normal form.

        Shapes: x [..., 11 + L], board [..., L] -> [..., L].
        """
        recolouring = torch.cat([SAME[: FIRST + 1].to(x.device).expand(*x.shape[:-1], -1), x[..., COLOURS]], -1)
        return self.canvas.redraw(board, inverse(x[..., SYMMETRY]), recolouring.argsort(-1))

    def canonical(self, y: Tensor) -> Tensor:
        """The canvas in normal form: answers with the same grid are equivalent."""
        return self.canvas.redraw(y, torch.zeros_like(y[..., 0]), SAME.to(y.device))

    @cached_property
    def _outputs(self) -> dict[bytes, Tensor]:
        known = [self.train, *self.test.values()]
        return {key(x): y for puzzles in known for x, y in zip(puzzles.x, puzzles.solutions, strict=True)}

    def outputs(self, x: Tensor) -> Tensor:
        """The stored outputs of puzzles x [..., 11 + L], untransformed, [..., L].

        Raises: ValueError if a task has no such input.
        """
        plain = torch.cat([x[..., :1], torch.zeros_like(x[..., :1]), torch.zeros_like(x[..., COLOURS])], -1)
        plain[..., COLOURS] = SAME[FIRST + 1 :].to(x.device)
        rows = torch.cat([plain, self.restore(x, x[..., NAME_CELLS:])], -1).view(-1, x.shape[-1])
        try:
            found = [self._outputs[key(row)] for row in rows]
        except KeyError:
            raise ValueError(
                "got a puzzle that is no pair of these tasks, so there is no output to compare with; expected puzzles "
                "of the task's train or test sets"
            ) from None
        return torch.stack(found).view(*x.shape[:-1], -1).to(x.device)

    def is_solved(self, x: Tensor, y: Tensor) -> Tensor:
        """Whether y has the stored grid of x, with its size and every cell."""
        return (self.restore(x, y) == self.outputs(x)).all(-1)

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        """One symmetry of the square and one permutation of the colours 1 .. 9 for every pair and its name."""
        size = len(batch.x)
        symmetry = torch.randint(NUM_SYMMETRIES, (size,), generator=generator)
        recolouring = draw_recolourings(size, generator)
        solutions = self.canvas.redraw(batch.solutions, symmetry[:, None], recolouring[:, None])
        y = self.canvas.redraw(batch.y, symmetry, recolouring)
        return Batch(self.transform(batch.x, symmetry, recolouring), y, solutions, batch.valid)


def key(x: Tensor) -> bytes:
    """A row as a key of a table."""
    return x.cpu().numpy().astype("int32").tobytes()
