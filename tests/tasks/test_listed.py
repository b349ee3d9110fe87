"""Puzzles of other tasks as puzzles of candidates: the same puzzles, answers and batches, written otherwise."""

import pytest
import torch

from gram_pyro.tasks.candidates.importers import colouring
from gram_pyro.tasks.candidates.listed import ListedGraphs, ListedQueens
from gram_pyro.tasks.candidates.packed import groups_of, pack
from gram_pyro.tasks.candidates.puzzle import BLANK, IN, OUT
from gram_pyro.tasks.candidates.shorthands import queens
from gram_pyro.tasks.colouring.task import EDGE, FIRST, Colouring
from gram_pyro.tasks.nqueens.task import NQueens


def graphs(**options):
    return ListedGraphs(Colouring(num_train=30, num_test=6, cache=None, **{"n": 5} | options))


def test_boards_are_those_of_the_shorthand():
    task = ListedQueens(NQueens(n=6, removed=(2, 3, 4)))
    for row, squares in zip(task.train.x[:20], task.task.train.x[:20].tolist(), strict=True):
        assert row.equal(pack(queens(6, squares)))
    assert task.train.solutions.equal(task.task.train.solutions)


@pytest.mark.parametrize("colours", [2, 3])
def test_graphs_are_those_of_the_importer(colours):
    task = graphs(colours=colours)
    puzzles = task.task.test["graphs"]
    for row, x in zip(task.test["graphs"].x, puzzles.x, strict=True):
        theirs = pack(colouring(task.task._graph(x), colours))
        assert groups_of(row) == groups_of(theirs) and row[: task.num_cells].eq(BLANK).all()


def test_colours_are_candidates():
    task = graphs()
    y = torch.tensor([[EDGE] * 10 + [FIRST, FIRST + 2, FIRST + 1, FIRST, FIRST]])
    assert task.answer(y).view(5, 3).tolist() == [
        [IN, OUT, OUT], [OUT, OUT, IN], [OUT, IN, OUT], [IN, OUT, OUT], [IN, OUT, OUT]
    ]  # fmt: skip


def test_batches_are_those_of_the_other_task():
    task = graphs()
    mine = next(task.batches(7, torch.Generator().manual_seed(3)))
    theirs = next(task.task.batches(7, torch.Generator().manual_seed(3)))
    assert mine.valid.equal(theirs.valid) and mine.y.equal(task.answer(theirs.y))
    assert task.is_solved(mine.x[:, None], mine.solutions)[mine.valid].all()
    named = {tuple(y) for y in task.canonical(mine.solutions[0][mine.valid[0]]).tolist()}
    assert named == {tuple(y) for y in task.answer(task.task.canonical(theirs.solutions[0][theirs.valid[0]])).tolist()}


def test_the_same_answers_are_right():
    task, generator = graphs(), torch.Generator().manual_seed(0)
    x, theirs = task.test["graphs"].x, task.task.test["graphs"].x
    symbols = torch.randint(FIRST, FIRST + 3, (500, len(x), 5), generator=generator)
    y = torch.cat([theirs[:, :10].expand(500, -1, -1), symbols], -1)
    right = task.task.is_solved(theirs, y)
    assert task.is_solved(x, task.answer(y)).equal(right) and 0 < right.double().mean() < 1


def test_what_is_no_colouring_keeps_its_name():
    task = graphs()
    y = task.test["graphs"].solutions[0].clone()
    y[:3] = OUT
    other = torch.full_like(y, IN)
    assert task.canonical(torch.stack([y, other])).equal(torch.stack([y, other]))


def test_images_of_a_board_are_one_observation():
    task = ListedQueens(NQueens(n=6, removed=(2, 3, 4)))
    x = task.test["completions"].x
    assert task.groups(x).equal(task.task.groups(task.task.test["completions"].x))


def test_boards_are_eased_beyond_those_of_the_split():
    """With fewer queens missing than on any test board, and with all solutions that are left."""
    plain = NQueens(n=6, removed=(4, 5))
    batches = ListedQueens(plain, eased_share=0.5).batches(40, torch.Generator().manual_seed(0))
    counts = []
    for _ in range(10):
        x, y, solutions, valid = next(batches)
        squares = torch.where(x[:, :36] == IN, IN, BLANK)
        every = plain.board.complete(squares)
        assert valid.sum(1).equal(every.num_solutions) and plain.is_solved(squares[:, None], solutions).all()
        for i in range(40):
            listed = {tuple(row) for row in solutions[i][valid[i]].tolist()}
            assert listed == {tuple(row) for row in every.solutions_of(i).tolist()} and tuple(y[i].tolist()) in listed
        counts += (6 - (squares == IN).sum(1)).tolist()
    shares = torch.tensor(counts).bincount(minlength=6) / len(counts)
    assert abs(shares[1:4].sum() - 0.5) < 4 * (0.25 / len(counts)) ** 0.5 and shares[1:4].min() > 0.1 and shares[0] == 0


def test_a_split_that_shares_images_is_refused():
    with pytest.raises(ValueError, match="got split='input', by which images of test puzzles are trained on, .* write"):
        ListedQueens(NQueens(n=6, removed=(2,), split="input"))
    with pytest.raises(ValueError, match="got eased_share=1.5; expected a share from 0 to 1; write 0.5, say"):
        ListedQueens(NQueens(n=6, removed=(2,)), eased_share=1.5)
