"""Whatever torch's default device is: puzzles are on the CPU, programs where they are asked for."""

from functools import partial

import pytest
import torch
from arc_files import small_task
from boards_of_4x4 import boards_task
from image_files import write_images
from tiny import batch, mixing, program, relational, rotary

import gram_pyro
from gram_pyro.app.solver import solve
from gram_pyro.baselines.base import sample_baseline
from gram_pyro.baselines.masked_diffusion import MaskedDiffusion
from gram_pyro.evaluation.evaluate import evaluate, selected
from gram_pyro.evaluation.evidence import log_weights
from gram_pyro.inference.noise import hot_start
from gram_pyro.inference.sampler import sample
from gram_pyro.inference.search import Found, search
from gram_pyro.inference.selection import vote
from gram_pyro.inference.smc import sir, smc
from gram_pyro.tasks.base import ImplicitTask, Puzzles, Task, subset
from gram_pyro.tasks.colouring.canonical import CanonicalColouring
from gram_pyro.tasks.colouring.task import Colouring
from gram_pyro.tasks.images import Images
from gram_pyro.tasks.nqueens.pairs import NQueensPairs
from gram_pyro.tasks.nqueens.task import NQueens
from gram_pyro.tasks.planning.task import Planning
from gram_pyro.tasks.sudoku.sizes import SudokuSizes
from gram_pyro.tasks.sudoku.task import Sudoku

CPU = torch.device("cpu")


@pytest.fixture
def elsewhere():
    """New tensors have no numbers, unless it is said where they are made."""
    torch.set_default_device("meta")
    yield
    torch.set_default_device(None)


class Parity(Task):
    """A task of somebody else's: the second cell has the parity of the first."""

    num_cells, num_symbols, relations = 2, 3, None

    @property
    def train(self):
        return Puzzles(torch.tensor([[1, 0], [2, 0]]), torch.tensor([[1, 1], [2, 2]]), torch.arange(3))

    @property
    def test(self):
        return {"both": self.train}

    def is_solved(self, x, y):
        return (y[..., 1] == y[..., 0]) & (torch.arange(3)[x[..., 0]] == y[..., 0])

    def augment(self, batch, generator):
        assert len(torch.randperm(2, generator=generator)) == 2
        return batch


small = {"num_train": 12, "num_test": 4, "cache": None}
TASKS = {
    "sudoku": lambda folder: Sudoku(4, **small),
    "boards": lambda folder: boards_task(),
    "sizes": lambda folder: SudokuSizes({"four": boards_task()}, {"four": 1.0}),
    "nqueens": lambda folder: NQueens(6, removed=(2, 3)),
    "pairs": lambda folder: NQueensPairs(6, removed=(2, 3), split="input"),
    "colouring": lambda folder: Colouring(5, **small),
    "canonical": lambda folder: CanonicalColouring(5, **small),
    "planning": lambda folder: Planning(3, min_distance=2, **small),
    "images": lambda folder: Images(**write_images(folder)[0]),
    "arc": small_task,
    "somebody's": lambda folder: Parity(),
}


def everything(task):
    """All tensors that a task makes for training and tests, in a fixed order."""
    sets = task.test if isinstance(task, SudokuSizes) else {"train": task.train} | task.test
    found = [tensor for _, puzzles in sorted(sets.items()) for tensor in puzzles]
    batches = task.batches(6, torch.Generator("cpu").manual_seed(0))
    for _ in range(3):
        x, y, solutions, valid = drawn = next(batches)
        assert torch.empty(0).device == torch.get_default_device()  # between two batches it is as it was
        found += [*drawn, task.is_solved(x, y), task.violations(x, y), task.canonical(y)]
        found += [part for part in (task.groups(x), (task.difficulty(x) or [None, None])[1]) if part is not None]
        if isinstance(task, ImplicitTask):
            found += task.near(x, torch.linspace(-1, 0, 20, device="cpu").view(4, 5).repeat(len(x), 4, 1))
    return found if task.relations is None else [*found, task.relations]


@pytest.mark.parametrize("name", TASKS)
def test_puzzles_are_made_on_the_cpu_and_are_the_same(name, tmp_path):
    plain = everything(TASKS[name](tmp_path))
    torch.set_default_device("meta")
    try:
        other = everything(TASKS[name](tmp_path))
        with torch.device("meta"):
            third = everything(TASKS[name](tmp_path))
    finally:
        torch.set_default_device(None)
    for one, *same in zip(plain, other, third, strict=True):
        assert all(tensor.device == CPU and torch.equal(one, tensor) for tensor in same)


def places(*modules):
    return {str(t.device) for module in modules for t in [*module.parameters(), *module.buffers()]}


def test_a_program_is_where_it_is_asked_for(elsewhere):
    _, program = gram_pyro.load("sudoku_4x4")
    assert places(*program) == {"meta"}
    _, program = gram_pyro.load("sudoku_4x4", device="cpu")
    assert places(*program) == {"cpu"} and all(p.isfinite().all() for p in program.model.parameters())
    assert places(*program.to("meta")) == {"meta"}


def test_a_gpu_that_is_not_there_is_refused():
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(ValueError, match="got device=cuda; expected a GPU that torch can use"):
        gram_pyro.load("sudoku_4x4", device="cuda")


@pytest.mark.parametrize("mixer", [relational, rotary, mixing])
def test_a_program_built_by_hand_is_in_one_place(mixer, elsewhere):
    with CPU:
        matrices = Sudoku(4, test={}).relations
    layer = mixer(8, 16, matrices)
    assert places(layer) == {"meta"}
    boards = gram_pyro.load("sudoku_9x9")
    assert places(*boards[1]) == {"meta"}


def test_evaluation_does_not_ask_for_the_default_device(elsewhere):
    task, program = gram_pyro.load("sudoku_4x4", device="cpu")
    puzzles = subset(task.test["several"], 3)
    draw = partial(sample, program.model, heads=program.heads)
    found, result, table = evaluate(draw, task, puzzles, 2, [1, 2], 0, CPU)
    assert result.solved.device == CPU and 0 <= table["accuracy"][2] <= 1
    _, _, row = selected(task, puzzles, found, vote)
    assert 0 <= row["accuracy"] <= 1
    solution = Found.nothing(puzzles.x)
    for part in search(lambda x, k: draw(x, k, 2), task.is_solved, puzzles.x, 2, 4):
        solution = solution.after(part)
    assert solution.tries.max() <= 4
    assert solve(task, program, puzzles.x[0], sample, 2, 2).answers.shape == (2, 16)


# ---------------------------------------------------------------------------------------------- x in the sampler


def flat(x, state, answers):
    return state.h.new_zeros(len(x))


SAMPLERS = {
    "sample": lambda model, guide, x: sample(model, x, 2, 1),
    "hot_start": lambda model, guide, x: hot_start(model, x, 2, 1, temperature=1.0),
    "smc": lambda model, guide, x: smc(model, x, 2, 1, potential=flat),
    "sir": lambda model, guide, x: sir(model, x, 2, 1, potential=flat),
    "evidence": lambda model, guide, x: log_weights(model, guide, x, x, 2, 1),
    "baseline": lambda model, guide, x: sample_baseline(MaskedDiffusion(4, 5, None, 8, mixing, num_layers=1), x, 2),
}
WRONG = {
    "one puzzle": (lambda x: x[0], r"got x of shape \[4\]; expected \[B, L\], a row for every puzzle; write x\[None\]"),
    "particles": (lambda x: x[None], r"got x of shape \[1, 3, 4\]; expected .*; write x.view\(-1, L\)"),
    "none": (lambda x: x[:0], r"got x of shape \[0, 4\]; expected .*; write at least one puzzle"),
    "a number": (lambda x: x[0, 0], r"got x of shape \[\]; expected"),
    "no cells": (lambda x: x[:, :0], r"got x of shape \[3, 0\]; expected"),
    "other cells": (lambda x: x.repeat(1, 2), "got puzzles of 8 cells; expected 4, for which the core was built"),
    "another symbol": (lambda x: x + 9, r"got symbols from \d+ to \d+; expected 0 to 4, of which embed=tokens has vec"),
    "a negative symbol": (lambda x: x - 9, r"got symbols from -9 to -\d; expected 0 to 4, .*; write puzzles of"),
    "float": (lambda x: x.double(), "got x of torch.float64; expected whole numbers.*; write x.long"),
    "bytes": (lambda x: x.byte(), "got x of torch.uint8; expected whole numbers.*; write x.long"),
    "marks": (lambda x: x > 0, "got x of torch.bool; expected whole numbers.*; write x.long"),
    "elsewhere": (
        lambda x: x.to("meta"),
        "got x on meta and a program on cpu.*write x.to.'cpu'., or program.to.'meta'",
    ),
}


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("wrong", WRONG)
def test_puzzles_that_are_none_get_a_sentence(sampler, wrong):
    change, message = WRONG[wrong]
    model, guide = program(shaken=False)
    x, _ = batch()
    with pytest.raises(ValueError, match=message):
        SAMPLERS[sampler](model, guide, change(x))
    SAMPLERS[sampler](model, guide, x)  # which is right
