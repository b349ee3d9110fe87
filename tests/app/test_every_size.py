"""One set of weights for Sudokus of every size: loaded, evaluated, solved with, and shown on the page."""

from importlib import import_module

import pytest
import torch
from every_size import write_weights
from hydra import compose, initialize_config_dir
from scripts import CONF, experiment, script

import gram_pyro
from gram_pyro.app import puzzle as puzzle_module
from gram_pyro.app.puzzle import Board, best_weights, read_sudoku
from gram_pyro.app.solver import open_weights
from gram_pyro.harness.load import serves_every_size, stored_config, weights_file
from gram_pyro.tasks.sudoku.boards import draw_boards
from gram_pyro.tasks.sudoku.rules import Geometry
from gram_pyro.tasks.sudoku.task import NAMES


@pytest.fixture
def single():
    """Single precision, as scripts have it."""
    torch.set_default_dtype(torch.float32)
    yield
    torch.set_default_dtype(torch.float64)


@pytest.fixture
def shipped(tmp_path, monkeypatch, single):
    """A folder of shipped weights: 'sudoku', which serves every size, and nothing else."""
    monkeypatch.setattr(import_module("gram_pyro.harness.load"), "RELEASED", tmp_path)  # gram_pyro.load is its function
    write_weights(tmp_path / "sudoku.safetensors")
    return tmp_path


def test_shipped_weights_are_loaded_for_another_size(shipped):
    for changes, side, box in (({}, 9, (3, 3)), ({"n": 16}, 16, (4, 4)), ({"n": 12, "box": (2, 6)}, 12, (2, 6))):
        task, program = gram_pyro.load("sudoku", **changes)
        assert (task.n, task.geometry.box) == (side, box)
        x = torch.zeros(1, side * side, dtype=torch.long)
        answers = gram_pyro.sample(program.model, x, 2, 1, heads=program.heads).answers
        assert answers.shape == (2, 1, side * side) and answers.min() >= 1 and answers.max() <= side
    assert weights_file("sudoku") == shipped / "sudoku.safetensors" and serves_every_size(stored_config("sudoku"))
    with pytest.raises(ValueError, match="no weights named 'chess' are shipped; write one of"):
        gram_pyro.load("chess", n=4)


def test_weights_of_one_size_do_not_fit_another(single):
    with pytest.raises(ValueError, match="do not fit this task.*got embed.table.weight of shape"):
        gram_pyro.load("sudoku_6x6", n=9, num_train=1)
    assert open_weights("sudoku_6x6", Board("sudoku", 9))[0].n == 6  # check_puzzle says the rest


def test_the_best_weights_for_a_board(monkeypatch):
    monkeypatch.setattr(puzzle_module, "released", lambda: ["nqueens_8", "sudoku", "sudoku_6x6", "sudoku_9x9"])
    chosen = {n: best_weights(Board("sudoku", n)) for n in (4, 6, 9, 16)}
    assert chosen == {4: "sudoku", 6: "sudoku_6x6", 9: "sudoku", 16: "sudoku"}
    assert best_weights(Board("queens", 8)) == "nqueens_8" and best_weights(Board("queens", 9)) is None


@pytest.mark.parametrize("n", [8, 16])
def test_a_puzzle_given_as_text_is_solved_or_left_unanswered(shipped, n):
    board = draw_boards(Geometry(n), 1, seed=0)[0]
    board[n:] = 0
    text = "".join(NAMES[symbol] for symbol in board.tolist())
    done = script("solve", f"puzzle={text}", "num_particles=2", "most=2", "num_segments=1", check=False)
    assert done.returncode == 1 and "0 distinct solutions" in done.stdout and "Traceback" not in done.stderr
    assert len([line for line in done.stdout.splitlines() if line.startswith("|")]) == n


def test_a_shipped_name_is_a_checkpoint(shipped, tmp_path):
    quick = ("num_segments=1", "widths=[1,2]", "device=cpu", "num_puzzles=2")
    done = script("evaluate", "checkpoint=sudoku", "task.n=4", *quick, f"run_dir={tmp_path / 'run'}")
    assert "puzzles 'minimal', 1 segment deep" in done.stdout
    small = ("+task=boards_8", "task.num_test=2", "task.num_train=1", "+task.cache=null")
    done = script("evaluate", "checkpoint=sudoku", *small, *quick, f"run_dir={tmp_path / 'other'}", check=False)
    assert "2 puzzles '32 clues'" in done.stdout, done.stderr


def test_the_page_offers_every_size_and_shows_letters(shipped):
    with initialize_config_dir(str(CONF), version_base=None):
        config = compose("demo")
    demo = experiment("demo")
    offered = [Board("sudoku", n) for n in config.boards.sudoku]
    boards = demo.open_boards(offered[:1], [])
    assert list(boards) == [Board("sudoku", 4)]
    boards = demo.open_boards(
        [Board("sudoku", 16)], [str(shipped / "sudoku.safetensors")]
    )  # one's own: its side as well
    assert list(boards) == [Board("sudoku", 9), Board("sudoku", 16)]
    wish = demo.Wish(read_sudoku("G" + "." * 255), "hot_start", None, 2, 1, 0)
    reply = demo.answer(wish, config, boards, lambda *told: None)
    assert reply["clues"] == "G" + "0" * 255 and len(reply["answers"][0][0]) == 256
    assert all(answer[0] == "G" and set(answer) <= set(NAMES[1:17]) for answer in reply["answers"][-1])
    assert len(demo.catalogue(config, boards)["boards"]) == 2
