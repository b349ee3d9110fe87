"""Puzzles as people type them, trajectories as pictures, and the shipped weights."""

import pytest
import torch
from PIL import Image
from tiny import program

from gram_pyro.animation import animate, answers_by_segment
from gram_pyro.load import RELEASED, load, released
from gram_pyro.priors.noiseless import Noiseless
from gram_pyro.puzzle import read_queens, read_sudoku
from gram_pyro.readout import CategoricalReadout
from gram_pyro.sampler import sample


def test_a_sudoku_is_read_row_by_row():
    name, x = read_sudoku("12.." + "0" * 11 + "4")
    assert name == "sudoku_4x4" and x.tolist() == [[1, 2] + [0] * 13 + [4]]
    assert read_sudoku("." * 81)[0] == "sudoku_9x9"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("12", "has 2 cells; write 16, 36 or 81"),
        ("5" + "." * 15, "cell 1 of puzzle=5.* is '5'; write 1 to 4"),
        ("." * 35 + "x", "cell 36 of puzzle=.*x is 'x'; write 1 to 6"),
        ("", "has 0 cells"),
    ],
)
def test_what_is_no_sudoku_is_refused(text, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_sudoku(text)


def test_queens_are_columns_by_row():
    name, x = read_queens("3..0")
    assert name == "nqueens_4" and x.view(4, 4).nonzero().tolist() == [[0, 3], [3, 0]] and x.max() == 2
    with pytest.raises(ValueError, match="row 2 of queens=.4.. is '4'; write a column, 0 to 3, or '.'"):
        read_queens(".4..")
    with pytest.raises(ValueError, match="row 1"):
        read_queens("x...")


def test_the_last_frame_is_what_sampling_answers():
    model, _ = program(prior=Noiseless())
    x = torch.tensor([1, 0, 2, 0])
    frames = answers_by_segment(model, x, 2, 3)
    assert frames.shape == (3, 2, 4)
    for depth in (1, 2, 3):
        assert torch.equal(frames[depth - 1, 0], sample(model, x[None], 1, depth).answers[0, 0])


def test_an_animation_has_a_frame_per_segment(tmp_path):
    model, _ = program(readout=CategoricalReadout)

    class Board:
        """A task of four cells that draws nothing."""

        is_solved = staticmethod(lambda x, y: torch.tensor(False))
        draw = staticmethod(lambda axes, x, y: axes.plot([0, len(y)], [0, int(y.sum())]))

    animate(Board(), model, torch.tensor([1, 0, 2, 0]), 3, tmp_path / "a.gif", num_particles=2)
    with Image.open(tmp_path / "a.gif") as picture:
        assert 1 <= picture.n_frames <= 3  # equal frames are stored once
    with pytest.raises(ValueError, match="must end in .gif"):
        animate(Board(), model, torch.tensor([1, 0, 2, 0]), 1, tmp_path / "a.png")


def test_a_name_that_is_not_shipped_gets_the_list():
    with pytest.raises(ValueError, match="no weights named 'chess' are shipped; there are .*sudoku_6x6"):
        load("chess")


@pytest.mark.parametrize("name", released())
def test_shipped_weights_are_small_have_a_card_and_solve(name):
    torch.set_default_dtype(torch.float32)
    try:
        assert (RELEASED / f"{name}.safetensors").stat().st_size < 4 * 2**20
        card = (RELEASED / f"{name}.md").read_text()
        assert "updates" in card and "unseen" in card
        task, program = load(name)
        x = torch.zeros(1, task.num_cells, dtype=torch.int64)
        torch.manual_seed(0)
        answers = sample(program.model, x, 4, 2, heads=program.heads)
        assert answers.answers.shape == (4, 1, task.num_cells) and (answers.halt > 0).all()
    finally:
        torch.set_default_dtype(torch.float64)
