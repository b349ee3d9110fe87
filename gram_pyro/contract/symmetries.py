"""The contract of a task in training: its symmetries, its batches, and that test puzzles are unseen."""

import torch
from torch import Tensor

from gram_pyro.contract.laws import ContractError
from gram_pyro.tasks.base import Batch, Puzzles, Task, draw_batch, subset

NUM_MOVED = 64  # images of a test puzzle that are searched for in train
NUM_BATCHES = 4
BATCH_SIZE = 64


def check_augment(name: str, task: Task, size: int) -> None:
    """Check that augment maps solutions to as many solutions, draws from the generator alone, and writes nothing."""
    few = subset(task.train, size)
    batch = draw_batch(few, torch.arange(few.num_puzzles), seeded(0))
    before = Batch(*(part.clone() for part in batch))
    moved, again = task.augment(batch, seeded(1)), task.augment(batch, seeded(1))
    if not equal(batch, before):
        raise ContractError(f"{name}: augment writes into its batch; expected a new one; write clone()")
    if not equal(moved, again):
        raise ContractError(
            f"{name}: augment gave two batches from one state of the generator; expected it to draw from the generator "
            "alone; write torch.rand(..., generator=generator)"
        )
    check_batch(f"{name}, augment", task, moved)
    for row in range(len(batch.x)):
        counts = [len(task.canonical(b.solutions[row][b.valid[row]]).unique(dim=0)) for b in (batch, moved)]
        if counts[0] != counts[1]:
            raise ContractError(
                f"{name}: augment made {counts[1]} solutions of {counts[0]}; expected one symmetry for a puzzle and "
                "all its solutions"
            )


def check_batch(where: str, task: Task, batch: Batch) -> None:
    """Check dtypes and shapes of a batch, and that its solutions solve its puzzles."""
    x, y, solutions, valid = batch
    if {part.dtype for part in (x, y, solutions)} != {torch.int64} or valid.dtype != torch.bool:
        raise ContractError(
            f"{where}: got {x.dtype}, {y.dtype}, {solutions.dtype}, {valid.dtype}; expected x, y, solutions of "
            "torch.int64, valid of torch.bool"
        )
    if solutions.shape[:2] != valid.shape or y.shape != (len(x), task.num_cells) or not valid.any(-1).all():
        raise ContractError(
            f"{where}: got y {list(y.shape)}, solutions {list(solutions.shape)}, valid {list(valid.shape)}; expected "
            f"[B, {task.num_cells}], [B, M, {task.num_cells}], [B, M], a valid one in every row"
        )
    solved = task.is_solved(x[:, None], solutions)
    if solved.dtype != torch.bool or solved.shape != valid.shape:
        raise ContractError(
            f"{where}: got {list(solved.shape)} of {solved.dtype} from is_solved(x[:, None], solutions); expected "
            f"{list(valid.shape)} of torch.bool: leading dims broadcast"
        )
    if (wrong := valid & ~solved).any():
        row, one = wrong.nonzero()[0].tolist()
        raise ContractError(
            f"{where}: is_solved refuses {solutions[row, one].tolist()}, a solution of {x[row].tolist()}; correct "
            "is_solved or the list, or apply one symmetry to x, y and solutions"
        )
    kept = (x == 0)[:, None] | (x[:, None] == solutions) if x.shape[-1] == task.num_cells else valid[..., None]
    if not kept.all(-1)[valid].all():
        raise ContractError(f"{where}: got a solution that changes a clue; expected y_i = x_i where x_i is not 0")
    if not ((y[:, None] == solutions).all(-1) & valid).any(-1).all():
        raise ContractError(f"{where}: got a y that is not a solution of its puzzle; expected one of its solutions")


def check_batches(name: str, task: Task) -> None:
    """Check that batches are well formed and depend on the generator alone."""
    first, second = (next(task.batches(BATCH_SIZE, seeded(2))) for _ in range(2))
    check_batch(f"{name}, batches", task, first)
    if len(first.x) != BATCH_SIZE or not equal(first, second):
        raise ContractError(
            f"{name}: got {len(first.x)} and {len(second.x)} rows from batches({BATCH_SIZE}) with one state of the "
            f"generator; expected {BATCH_SIZE}, equal ones; draw from the generator alone"
        )


def check_relations(name: str, task: Task) -> None:
    """Check that augment maps cells that share a constraint to cells that share one, of any kind."""
    if task.relations is None or not task.carries_relations:
        return
    known = {matrix.numpy().tobytes() for matrix in task.relations}
    for cells in moves(task):
        if any(matrix[cells][:, cells].contiguous().numpy().tobytes() not in known for matrix in task.relations):
            raise ContractError(
                f"{name}: augment maps cells that share a constraint to cells that share none; expected it to map "
                "relations to relations; leave that symmetry out, or write carries_relations = False in "
                "the class"
            )


def moves(task: Task) -> list[Tensor]:
    """The permutations of cells that augment draws: cell i of the new board is cell `cells[i]` of the old one.

    Boards of zeros and ones encode the index of every cell, one bit per board. Symmetries depend on the generator
    alone, so every board is moved alike. If augment reads the boards, the result is no permutation and is left out.
    """
    number, found = torch.arange(task.num_cells), 0
    batch = draw_batch(task.train, torch.zeros(BATCH_SIZE, dtype=torch.int64), seeded(0))
    for bit in range((task.num_cells - 1).bit_length()):
        board = ((number >> bit) & 1).expand(BATCH_SIZE, -1)
        x = board if batch.x.shape == board.shape else batch.x
        try:
            moved = task.augment(Batch(x, board, board[:, None], batch.valid[:, :1]), seeded(3))
        except (ValueError, IndexError, KeyError, RuntimeError):
            return []
        found = found + ((moved.y != 0).long() << bit)
    return [cells for cells in found.unique(dim=0) if torch.equal(cells.sort().values, number)]


def check_unseen(name: str, task: Task) -> None:
    """Check that no test puzzle, and no image of it, is trained on."""
    if not task.tests_are_unseen:
        return
    batches = zip(task.batches(BATCH_SIZE, seeded(4)), range(NUM_BATCHES), strict=False)
    shown = rows(task.train.x).union(*(rows(batch.x) for batch, _ in batches))
    for test, puzzles in task.test.items():
        if (rows(puzzles.x) | images(task, puzzles)) & shown:
            raise ContractError(
                f"{name}: a puzzle of test {test!r}, or an image of one by augment, is trained on; expected symmetry "
                "classes in train or in test; leave them out of train, or write tests_are_unseen = False in the class"
            )


def images(task: Task, puzzles: Puzzles) -> set[bytes]:
    """Images of some test puzzles."""
    few = subset(puzzles, NUM_MOVED)
    index = torch.arange(few.num_puzzles).repeat_interleave(NUM_MOVED)
    return rows(task.augment(draw_batch(few, index, seeded(5)), seeded(6)).x)


def rows(x: Tensor) -> set[bytes]:
    return {row.tobytes() for row in x.numpy()}


def equal(a: Batch, b: Batch) -> bool:
    return all(torch.equal(one, other) for one, other in zip(a, b, strict=True))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
