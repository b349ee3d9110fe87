"""Puzzles as people type them, trajectories as pictures, and the shipped weights."""

import pytest
import torch
from PIL import Image

from gram_pyro.app import puzzle as puzzle_module
from gram_pyro.app.puzzle import as_text, check_puzzle, one_of, read_queens, read_sudoku, shipped_weights
from gram_pyro.app.reading import read_file, read_puzzles
from gram_pyro.harness.load import RELEASED, load, released
from gram_pyro.inference.sampler import sample
from gram_pyro.plots.animation import animate
from gram_pyro.tasks.candidates.importers import sudoku
from gram_pyro.tasks.candidates.packed import pack
from gram_pyro.tasks.candidates.task import Candidates
from gram_pyro.tasks.nqueens.task import NQueens
from gram_pyro.tasks.sudoku.task import Sudoku

SQUARE = "1234341221434321"


def test_a_sudoku_is_read_row_by_row():
    puzzle = read_sudoku("12.." + "0" * 11 + "4")
    assert (puzzle.kind, puzzle.n, str(puzzle)) == ("sudoku", 4, "4x4 Sudoku")
    assert puzzle.x.tolist() == [1, 2] + [0] * 13 + [4]
    assert as_text(puzzle, puzzle.x) == "12" + "." * 13 + "4"
    assert read_sudoku("." * 81).n == 9


def test_queens_are_columns_by_row():
    puzzle = read_queens("2..1")
    assert (puzzle.kind, puzzle.n, str(puzzle)) == ("queens", 4, "4x4 board of queens")
    assert puzzle.x.view(4, 4).nonzero().tolist() == [[0, 2], [3, 1]] and puzzle.x.max() == 2
    assert as_text(puzzle, puzzle.x) == "2..1"
    assert as_text(puzzle, torch.where(read_queens("2031").x == 2, 2, 1)) == "2031"
    assert read_queens("." * 9 + "9").x.view(10, 10).nonzero().tolist() == [[9, 9]]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("12", "got a Sudoku of 2 cells; write 16, 36, 64, 81, 100, 144, 225, 256 or 625, row by row, '.' for a"),
        ("", "got a Sudoku of 0 cells"),
        ("5" + "." * 15, "row 1, column 1 of the Sudoku is '5'; write 1 to 4, or '.' for a blank"),
        ("." * 35 + "y", "row 6, column 6 of the Sudoku is 'Y'; write 1 to 6"),
        ("." * 15 + " ", "got a Sudoku of 15 cells"),
        ("٣" + "." * 35, "row 1, column 1 of the Sudoku is '٣'"),
    ],
)
def test_what_is_no_sudoku_is_refused(text, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_sudoku(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("...", "got '...', a board of 3 rows; write 4 to 10 characters"),
        ("." * 11, "a board of 11 rows"),
        (".4..", "row 2 of the board is '4'; write a column, 0 to 3, or '.'"),
        ("y...", "row 1 of the board is 'Y'"),
        ("1..1", "the queens of rows 1 and 4 stand on one column; move one of them"),
        ("0.2.", "the queens of rows 1 and 3 stand on one diagonal"),
        (".3.1", "the queens of rows 2 and 4 stand on one diagonal"),
    ],
)
def test_what_is_no_board_of_queens_is_refused(text, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_queens(text)


FRAMED = "+---------+\n| - - - q |\n| - - - - |\n| - - - - |\n| - - Q - |\n+---------+"  # as answers are printed


@pytest.mark.parametrize("drawn", ["- - - Q\n- - - -\n- - - -\n- - Q -", "...Q\n....\n....\n..Q.", FRAMED])
def test_a_drawn_board_of_queens_is_read(drawn):
    (puzzle,) = read_puzzles(drawn)
    assert puzzle.kind == "queens" and as_text(puzzle, puzzle.x) == "3..2"


@pytest.mark.parametrize(
    ("drawn", "sentence"),
    [
        ("Q.Q.\n" + "....\n" * 3, "row 1 of the board has 2 queens; leave one"),
        ("Q....\n" + "......\n" * 2, "got a board of 17 squares; write n rows of n, Q for a queen"),
    ],
)
def test_what_is_no_drawn_board_is_refused(drawn, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_puzzles(drawn)


def test_edges_may_stand_on_lines_of_their_own():
    lines, commas = read_puzzles("1-2\n2-3\n3-1")[0], read_puzzles("1-2,2-3,3-1")[0]
    assert lines.kind == "graph" and lines.n == 3 and lines.x.equal(commas.x)
    assert read_puzzles("12-4\n3-12\n2-43\n43-1")[0].kind == "sudoku"  # its blanks are '-'


def test_clues_and_weights_must_fit():
    check_puzzle(read_sudoku(SQUARE), Sudoku(n=4))
    check_puzzle(read_queens("2..1"), NQueens(n=4, removed=[1]))
    with pytest.raises(ValueError, match="clues contradict: 1 stands at row 1, column 1 and at row 4, column 1"):
        check_puzzle(read_sudoku("1" + "." * 11 + "1..."), Sudoku(n=4))
    for puzzle, task in ((read_sudoku(SQUARE), NQueens(n=4, removed=[1])), (read_sudoku(SQUARE), Sudoku(n=6))):
        with pytest.raises(ValueError, match="got a 4x4 Sudoku; expected a puzzle of these weights, which are for "):
            check_puzzle(puzzle, task)


def test_a_size_without_weights_gets_those_there_are_and_a_recipe(monkeypatch):
    monkeypatch.setattr(puzzle_module, "released", lambda: ["colouring_8", "nqueens_8", "sudoku_6x6"])
    assert (
        shipped_weights(read_sudoku("." * 36)) == "sudoku_6x6" and shipped_weights(read_queens("." * 8)) == "nqueens_8"
    )
    there = "but for: 6x6 Sudoku, 8x8 board of queens, graph of 8 vertices in 3 colours; to train some, run gram-pyro "
    for puzzle, recipe in (
        (read_sudoku("." * 16), "sudoku experiment=sudoku_4x4 and give weights=runs/.../GRAM.safetensors"),
        (read_sudoku("." * 81), "sudoku experiment=sudoku_extreme_small"),
        (read_queens("." * 10), "nqueens task.n=10 task.removed=[7,8,9]"),
    ):
        with pytest.raises(ValueError) as refusal:
            shipped_weights(puzzle)
        assert f"there are no weights for a {puzzle}, {there}train {recipe}" in str(refusal.value)


def test_a_file_has_a_puzzle_on_every_line(tmp_path):
    path = tmp_path / "puzzles.txt"
    path.write_bytes(f"{SQUARE}\r\n{'.' * 36}".encode())
    assert [puzzle.n for puzzle in read_file("sudoku", str(path))] == [4, 6]
    for content, sentence in (
        (b"", "puzzles.txt is empty; write one puzzle a line"),
        (b"\n# nothing\n", "puzzles.txt is empty; write one puzzle a line"),
        (f"{SQUARE}\n12\n".encode(), "puzzles.txt, line 2: got a Sudoku of 2 cells"),
        (b"\xff\xff", "puzzles.txt is damaged"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=sentence):
            read_file("sudoku", str(path))
    for missing in (tmp_path, tmp_path / "nowhere.txt"):
        with pytest.raises(FileNotFoundError, match=f"there is no file {missing}; write the path of a file"):
            read_file("queens", str(missing))


def test_choices_are_named_in_one_sentence():
    assert [one_of(names) for names in ("a", "ab", "abc")] == ["a", "a or b", "a, b or c"]


def test_an_animation_has_a_frame_per_segment(tmp_path):
    class Board:
        """A task of four cells that draws a line."""

        is_solved = staticmethod(lambda x, y: torch.tensor(False))
        draw = staticmethod(lambda axes, x, y: axes.plot([0, len(y)], [0, int(y.sum())]))

    answers = torch.arange(3 * 2 * 4).view(3, 2, 4)
    animate(Board(), torch.tensor([1, 0, 2, 0]), answers, tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as picture:
        assert picture.n_frames == 3
    with pytest.raises(ValueError, match="write a name that ends in .gif"):
        animate(Board(), torch.tensor([1, 0, 2, 0]), answers, tmp_path / "a.png")


def test_a_name_that_is_not_shipped_gets_the_list():
    with pytest.raises(ValueError, match="no weights named 'chess' are shipped; write one of .*sudoku_6x6"):
        load("chess")


@pytest.mark.parametrize("name", released())
def test_shipped_weights_are_small_have_a_card_and_solve(name):
    torch.set_default_dtype(torch.float32)
    try:
        assert (RELEASED / f"{name}.safetensors").stat().st_size < 4 * 2**20
        card = (RELEASED / f"{name}.md").read_text()
        assert "updates" in card and "unseen" in card
        task, program = load(name)
        rules_are_input = isinstance(task, Candidates)
        x = pack(sudoku([0] * 16)) if rules_are_input else torch.zeros(task.num_cells, dtype=torch.int64)
        num_cells = 4**3 if rules_are_input else task.num_cells
        torch.manual_seed(0)
        answers = sample(program.model, x[None], 4, 2, heads=program.heads)
        assert answers.answers.shape == (4, 1, num_cells) and (answers.halt > 0).all()
    finally:
        torch.set_default_dtype(torch.float64)


@pytest.mark.parametrize(
    "text, boards",
    [
        (SQUARE, ["4x4 Sudoku"]),
        ("2..1", ["4x4 board of queens"]),
        (f"{SQUARE};2.1.....;{'.' * 81}", ["4x4 Sudoku", "8x8 board of queens", "9x9 Sudoku"]),
        ("1 2 3 4\n3 4 1 2\n\n2 1 4 3\n4 3 2 1", ["4x4 Sudoku"]),
        ("{file}", ["4x4 Sudoku", "6x6 Sudoku"]),
        ("@{file}", ["4x4 Sudoku", "6x6 Sudoku"]),
    ],
)
def test_the_symbols_tell_the_kind(tmp_path, text, boards):
    file = tmp_path / "puzzles"
    file.write_text(f"{SQUARE}\n{'.' * 36}\n")
    assert list(map(str, read_puzzles(text.format(file=file)))) == boards


def test_a_kind_that_is_said_is_taken(tmp_path):
    (tmp_path / "a.txt").write_text("2.1.....\n........\n")
    assert [str(p) for p in read_puzzles(str(tmp_path / "a.txt"), "queens")] == ["8x8 board of queens"] * 2
    with pytest.raises(ValueError, match="a board of 16 rows"):
        read_puzzles(SQUARE, "queens")
    with pytest.raises(FileNotFoundError, match="there is no file a.csv; write the path of a file"):
        read_puzzles("a.csv")
