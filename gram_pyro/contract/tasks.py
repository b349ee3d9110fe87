"""The contract of a task."""

from itertools import product

import torch
from matplotlib.figure import Figure
from torch import Tensor

from gram_pyro.contract.laws import ContractError, laboratory
from gram_pyro.contract.symmetries import check_augment, check_batch, check_batches, check_relations, check_unseen
from gram_pyro.tasks.base import Batch, Constraints, ImplicitTask, Puzzles, Task, draw_batch, subset

NUM_CLOSE = 32  # puzzles per set that are checked in detail
NUM_EDITS = 16  # edits of a solution, in one cell each
MOST_FILLINGS = 4096  # fillings of the open cells that are tried at most, to compare with the list of solutions


def check_task(task: Task) -> None:
    """Check a task on its own puzzles: all of them for shapes and numbers, some of every set for the rest.

    Listed solutions are solved, distinct and canonical, and keep the clues; `violations` is 0 iff `is_solved`; leading
    dims broadcast; an answer that is not listed is wrong (where few cells are open, all fillings are tried); `augment`
    preserves all this, depends on the generator alone, and maps relations to relations; no batch contains a test
    puzzle. A task of several sizes is checked part by part.

    Raises: ContractError, with the first mistake found; as the task, if it cannot make its puzzles.
    """
    name = type(task).__name__
    if task.parts:
        return check_parts(name, task)
    with laboratory():
        sets = {"train": task.train} | {f"test {test!r}": puzzles for test, puzzles in task.test.items()}
        if len(sets) == 1:
            raise ContractError(f"{name}: got no test set; expected at least one; write test = {{NAME: Puzzles(...)}}")
        check_declared(name, task)
        for where, puzzles in sets.items():
            check_numbers(f"{name}, {where}", task, puzzles)
            few = subset(puzzles, NUM_CLOSE)
            batch = draw_batch(few, torch.arange(few.num_puzzles), torch.Generator().manual_seed(0))
            check_listed(f"{name}, {where}", task, batch)
            check_judged(f"{name}, {where}", task, batch)
            check_fillings(f"{name}, {where}", task, few)
            check_shown(f"{name}, {where}", task, batch)
        for board in task.constraints or ():
            check_constraints(name, board, task)
        check_augment(name, task, NUM_CLOSE)
        check_batches(name, task)
        check_relations(name, task)
        check_unseen(name, task)


def check_parts(name: str, task: Task) -> None:
    """Check the parts of a task of several sizes, and that batches come from them."""
    for part in task.parts.values():
        check_task(part)
    with laboratory():
        x = next(task.batches(4, torch.Generator().manual_seed(0))).x
    known = sorted(part.train.x.shape[-1] for part in task.parts.values())
    if x.shape[-1] not in known:
        raise ContractError(f"{name}: got a batch of {x.shape[-1]} cells; expected one of its parts, of {known}")


def check_declared(name: str, task: Task) -> None:
    """Check the numbers of cells and symbols, and the relations."""
    for what in ("num_cells", "num_symbols"):
        if not isinstance(value := getattr(task, what, None), int) or value < 1:
            raise ContractError(f"{name}: got {what}={value!r}; expected a whole number; write self.{what} = ...")
    shape = [task.num_cells, task.num_cells]
    if (r := task.relations) is not None and (r.dtype != torch.bool or list(r.shape[1:]) != shape):
        raise ContractError(
            f"{name}: got relations {list(r.shape)} of {r.dtype}; expected [R, L, L] = [R, {shape[0]}, {shape[0]}] of "
            "torch.bool, or None"
        )


def check_constraints(name: str, board: Constraints, task: Task) -> None:
    """Check that every symbol occurs once in every group of a solution."""
    y = task.train.solutions[:NUM_CLOSE]
    hot = torch.nn.functional.one_hot(y, task.num_symbols)[..., 1:]  # [N, L, C]
    for groups in board.families:
        if groups.shape[-1] != task.num_cells or (torch.einsum("gl,nlc->ngc", groups.long(), hot) != 1).any():
            raise ContractError(
                f"{name}: got constraints that a listed solution breaks; expected groups [G, L] bool in which every "
                "symbol 1 to V-1 occurs once; write constraints = None if symbols are not names"
            )


def check_numbers(where: str, task: Task, puzzles: Puzzles) -> None:
    """Check shapes, dtypes and ranges of a whole set."""
    for field, dims in (("x", 2), ("solutions", 2), ("offsets", 1)):
        value = getattr(puzzles, field)
        if value.dtype != torch.int64 or value.ndim != dims:
            raise ContractError(
                f"{where}: got {field} {list(value.shape)} of {value.dtype}; expected {dims} dims of torch.int64; "
                "write Puzzles.from_lists(xs, lists_of_solutions)"
            )
    x, y, offsets = puzzles
    if y.shape[-1] != task.num_cells:
        raise ContractError(f"{where}: got solutions of {y.shape[-1]} cells; expected num_cells={task.num_cells}")
    ends = (0, len(y)) if len(offsets) == len(x) + 1 else None
    if ends != (int(offsets[0]), int(offsets[-1])) or (offsets.diff() < 1).any():
        raise ContractError(
            f"{where}: got offsets that do not divide {len(y)} solutions among {len(x)} puzzles; expected one or more "
            "per puzzle; leave puzzles without a solution out"
        )
    for what, value in (("solutions", y), ("x", x)):
        top = task.num_symbols if value.shape[-1] == task.num_cells else value.max() + 1  # else a name, of any symbols
        if value.min() < 0 or value.max() >= top:
            raise ContractError(
                f"{where}: got symbols {int(value.min())} to {int(value.max())} in {what}; expected 0 to V-1 = "
                f"{top - 1}, 0 the blank"
            )


def same_grid(task: Task, x: Tensor) -> bool:
    """Whether puzzles and answers have the same cells."""
    return x.shape[-1] == task.num_cells


def check_listed(where: str, task: Task, batch: Batch) -> None:
    """Check that listed solutions are solved, keep the clues, and are distinct and canonical."""
    x, _, solutions, valid = batch
    check_batch(where, task, batch)
    if (task.canonical(solutions) != solutions)[valid].any():
        raise ContractError(
            f"{where}: got a listed solution that canonical() renames; expected canonical ones; write "
            "self.canonical(solutions)"
        )
    for puzzle, found, real in zip(x, solutions, valid, strict=True):
        if len(found[real].unique(dim=0)) < real.sum():
            raise ContractError(
                f"{where}: got a solution of {puzzle.tolist()} twice; expected each once; write .unique(dim=0)"
            )


def check_judged(where: str, task: Task, batch: Batch) -> None:
    """Check is_solved and violations on listed solutions and on other answers, in a batch and one by one."""
    x, y, solutions, valid = batch
    others = torch.stack([y.roll(1, 0), torch.zeros_like(y)], 1)
    answers = torch.cat([y[:, None], edits(y, task.num_symbols), others], 1)
    solved, broken = task.is_solved(x[:, None], answers), task.violations(x[:, None], answers)
    if broken.dtype != torch.int64 or broken.shape != solved.shape:
        raise ContractError(
            f"{where}: got violations {list(broken.shape)} of {broken.dtype}; expected {list(solved.shape)} of "
            "torch.int64: leading dims broadcast"
        )
    if ((broken == 0) != solved).any() or (broken < 0).any():
        raise ContractError(f"{where}: got violations that are 0 where is_solved is False, or not where it is True")
    for row in range(len(x)):
        for one in (0, 1, -1):
            alone = task.is_solved(x[row], answers[row, one]), task.violations(x[row], answers[row, one])
            if alone[0] != solved[row, one] or alone[1] != broken[row, one]:
                raise ContractError(
                    f"{where}: got another verdict on an answer alone than in a batch; expected is_solved and "
                    "violations to use the last dim only"
                )
    names = task.canonical(answers)
    listed = ((names[:, :, None] == solutions[:, None]).all(-1) & valid[:, None]).any(-1)
    forbidden = ~listed if task.lists_all else torch.zeros_like(solved)
    if same_grid(task, x):
        forbidden |= ((x != 0)[:, None] & (x[:, None] != answers)).any(-1)
    if (wrong := solved & forbidden).any():
        row, one = wrong.nonzero()[0].tolist()
        raise ContractError(
            f"{where}: is_solved accepts {answers[row, one].tolist()} as an answer to {x[row].tolist()}, which changes "
            "a clue or is not listed; correct is_solved, complete the list, or write lists_all = False in the class"
        )


def edits(y: Tensor, num_symbols: int) -> Tensor:
    """NUM_EDITS copies of every y [B, L] with another symbol in one cell."""
    shape = (len(y), NUM_EDITS, 1)
    cell, shift = torch.randint(y.shape[-1], shape), torch.randint(1, num_symbols, shape)
    copies = y[:, None].expand(-1, NUM_EDITS, -1)
    return copies.scatter(-1, cell, (copies.gather(-1, cell) + shift) % num_symbols)


def check_fillings(where: str, task: Task, puzzles: Puzzles) -> None:
    """Check, by trying all fillings of puzzles with few open cells, that the lists of solutions are complete."""
    if not task.lists_all or not same_grid(task, puzzles.x):
        return
    for i, x in enumerate(puzzles.x):
        open_cells = (x == 0).nonzero().flatten()
        if task.num_symbols ** len(open_cells) > MOST_FILLINGS:
            continue
        fillings = torch.tensor(list(product(range(task.num_symbols), repeat=len(open_cells))), dtype=torch.int64)
        answers = x.expand(len(fillings), -1).clone()
        answers[:, open_cells] = fillings
        found = task.canonical(answers[task.is_solved(x, answers)]).unique(dim=0)
        if len(found) != puzzles.num_solutions[i]:
            raise ContractError(
                f"{where}: got {puzzles.num_solutions[i]} solutions of {x.tolist()}, which has {len(found)}; expected "
                "all of them; complete the list, or write lists_all = False in the class"
            )


def check_shown(where: str, task: Task, batch: Batch) -> None:
    """Check the optional methods: difficulty, groups, near, render and draw."""
    x, y = batch.x, batch.y
    kinds, hard = task.groups(x), task.difficulty(x)
    if kinds is not None and (kinds.shape != x.shape[:1] or kinds.dtype != torch.int64):
        raise ContractError(f"{where}: got groups {list(kinds.shape)} of {kinds.dtype}; expected [B] of torch.int64")
    if hard is not None and (not isinstance(hard[0], str) or hard[1].shape != x.shape[:1]):
        raise ContractError(f"{where}: got a difficulty that is not a pair (name, numbers [B]); write one, or None")
    if not all(isinstance(text, str) for text in (task.render(x[0]), task.render(x[0], y[0]))):
        raise ContractError(f"{where}: got no text from render(x) or render(x, y); expected a str")
    for answer in (None, y[0], torch.zeros_like(y[0])):
        task.draw(Figure().subplots(), x[0], answer)
    if isinstance(task, ImplicitTask):
        found, valid = task.near(x[:4], torch.randn(*y[:4].shape, task.num_symbols).log_softmax(-1))
        if not task.is_solved(x[:4, None], found)[valid].all():
            raise ContractError(f"{where}: near found a board that is_solved refuses; expected valid=False for it")
