"""Files as people send them: marks, encodings, packing, line ends, names of columns, grids; and caches."""

import gzip
import io
import logging
import lzma
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch

from gram_pyro.app.puzzle import as_text, read_queens, read_sudoku
from gram_pyro.app.reading import read_file
from gram_pyro.tasks import cache as cache_module
from gram_pyro.tasks.arc.files import read_tasks
from gram_pyro.tasks.base import Puzzles
from gram_pyro.tasks.cache import AUTO, cached, cached_tensors
from gram_pyro.tasks.colouring.files import read_graphs
from gram_pyro.tasks.files import PuzzleFileError, kind_of, open_text
from gram_pyro.tasks.images import read_images, read_labels
from gram_pyro.tasks.sudoku.files import parse, read_puzzles
from gram_pyro.tasks.sudoku.task import Sudoku
from gram_pyro.tasks.tidy import boards, tidy

CLUES, BOARD = "1.3..4..2......1", "1234341221434321"
LINES = "1.3.\n.4..\n2...\n...1\n"
BARS = "1 _ | 3 _\n_ 4 | _ _\n------+------\n2 _ | _ _\n_ _ | _ 1\n\n"
NINE = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"

TABLES = {
    "bom": f"\ufeffquestion,answer\r\n{CLUES},{BOARD}\r\n",
    "quizzes": f"quizzes,solutions\n{CLUES.replace('.', '0')},{BOARD}\n",
    "puzzle": f"id,puzzle,solution,clues,difficulty\n1,{CLUES},{BOARD},5,0.0\n",
    "space": f"question, answer\n{CLUES}, {BOARD}\n",
    "capitals": f"Question,Answer\n{CLUES},{BOARD}\n",
    "semicolon": f"Quiz ; SOLUTION\n{CLUES};{BOARD}\n\n",
    "tab": f"rating\tQuizzes\tAnswers\n1,5\t{CLUES}\t{BOARD}\n",
    "quoted": f'"n_solutions","question","answer"\n"1","{LINES}","{BOARD}"\n',
}
TEXTS = {
    "lines": (LINES, 1),
    "bars": (BARS, 1),
    "both": (BARS + LINES, 2),
    "comments": (f"# four by four\n{CLUES}\n\n  {CLUES.replace('.', '0')}  \n", 2),
    "corners": (f".-------.\n{BARS.replace('------+------', ':---+---:')}'-------'\n".replace("\n\n", "\n"), 1),
    "dashes": ("1-3-\n-4--\n2---\n---1", 1),
    "a rule without a cross": ("1x|3x\nx4|xx\n-----\n2x|xx\nxx|x1", 1),
    "boxes": ("┌───┬───┐\n│1 .│3 .│\n│. 4│. .│\n├───┼───┤\n│2 .│. .│\n│. .│. 1│\n└───┴───┘\n", 1),
    "one a line": (f"{CLUES}\n" * 4, 4),
    "sixteen a line": (f"{CLUES}\n" * 16, 16),
    "a list of lists": ("[[1,0,3,0],[0,4,0,0],[2,0,0,0],[0,0,0,1]]", 1),
    "a list over lines": ("[\n  [1, 0, 3, 0],\n  [0, 4, 0, 0],\n  [2, 0, 0, 0],\n  [0, 0, 0, 1],\n]\n", 1),
    "a list of characters": ('[["1",".","3","."],[".","4",".","."],["2",".",".","."],[".",".",".","1"]]', 1),
    "commas": ("1,0,3,0\n0,4,0,0\n2,0,0,0\n0,0,0,1\n", 1),
    "commas around nothing": ("1,,3,\n,4,,\n2,,,\n,,,1\n", 1),
    "a spreadsheet": ("1\t\t3\t\n\t4\t\t\n2\t\t\t\n\t\t\t1\n", 1),
    "no line end": (CLUES.replace(".", "*"), 1),
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_tables_are_read_with_their_answers(tmp_path, name, encoding):
    path = tmp_path / f"{name}.csv"
    path.write_bytes(TABLES[name].removeprefix("\ufeff" if encoding == "utf-16" else "").encode(encoding))
    puzzles = read_puzzles(path)
    assert puzzles.x.tolist() == [parse(CLUES)] and puzzles.solutions.tolist() == [parse(BOARD)]
    wrong = TABLES[name].replace(BOARD, BOARD[4:] + BOARD[:4])
    path.write_text(wrong, encoding="utf-8")
    with pytest.raises(PuzzleFileError, match="row 1: answer 1 does not solve it"):  # answers are never dropped
        read_puzzles(path)


@pytest.mark.parametrize("header", ["question,anser", "question,answr", "quiz,soluton", "quiz;solutionss"])
def test_an_answer_under_a_wrong_name_is_not_dropped(tmp_path, header):
    (tmp_path / "a.csv").write_text(
        f"{header}\n{CLUES}{header[4] if ';' in header else ','}{BOARD}\n", encoding="utf-8"
    )
    with pytest.raises(PuzzleFileError, match="has a column .*; write .* if it is that, or rename it"):
        read_puzzles(tmp_path / "a.csv")


@pytest.mark.parametrize("name", TEXTS)
def test_texts_are_boards_however_they_are_pasted(tmp_path, name):
    text, count = TEXTS[name]
    for suffix, pack in ((".txt", bytes), (".TXT.gz", gzip.compress), (".xz", lzma.compress)):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(pack(text.replace("\n", "\r\n").encode()))
        assert [as_text(puzzle, puzzle.x) for puzzle in read_file("sudoku", str(path))] == [CLUES] * count
        assert read_puzzles(path).x.tolist() == [parse(CLUES)] * count  # as a training file, too
    if count == 1:
        assert as_text(*(read_sudoku(text), read_sudoku(text).x)) == CLUES  # on the command line and on the page, too


def test_numbers_of_a_list_are_symbols():
    rows = [[(i + j) % 16 + 1 for j in range(16)] for i in range(16)]
    assert parse(str(rows)) == sum(rows, []) and parse(str(rows).replace("], [", "],\n[")) == sum(rows, [])
    with pytest.raises(ValueError, match="got a board of 33 symbols"):  # a question and an answer are no fields
        parse(f"{CLUES},{BOARD}")


def test_grids_of_several_sizes_stand_in_one_file(tmp_path):
    grid = "\n".join(NINE[i : i + 9] for i in range(0, 81, 9))
    sixteen = "\n".join("123456789ABCdefg"[k:] + "." * k for k in range(16))
    text = f"{LINES}\n{grid}\n# a comment\n\n{CLUES}\n{NINE}\n\n{sixteen}\n"
    assert [len(board) for _, board in boards(text.splitlines())] == [16, 81, 16, 81, 256]
    assert [number for number, _ in boards(text.splitlines())] == [1, 6, 17, 18, 20]
    assert parse(sixteen)[:16] == list(range(1, 17)) and tidy(sixteen)[12:16] == "DEFG"


def test_queens_stand_one_a_line(tmp_path):
    (tmp_path / "a.txt").write_text("# two\n\n 2 | _ * 1\n2--2\n", encoding="utf-8")
    with pytest.raises(ValueError, match="a.txt, line 4: the queens of rows 1 and 4 stand on one"):
        read_file("queens", str(tmp_path / "a.txt"))
    assert as_text(read_queens(" 2 | _ x 1"), read_queens("2..1").x) == "2..1"


def test_the_standard_input_is_a_file(monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(BARS.encode("utf-16"))))
    assert [puzzle.n for puzzle in read_file("sudoku", "-")] == [4]


def test_suffixes_in_any_case():
    names = {"A.CSV": ".csv", "a.csv.GZ": ".csv", "a.b.jsonl.xz": ".jsonl", "a": "", "-": ""}
    assert {name: kind_of(Path(name)) for name in names} == names


@pytest.mark.parametrize(
    "name, content", [("a.gz", b"no gzip"), ("a.xz", b"no xz"), ("a", b"\xff"), ("b", b"\xff\xfea")]
)
def test_damage_is_one_sentence(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with (
        pytest.raises(PuzzleFileError, match=f"{name} is damaged .*; fetch or write it again"),
        open_text(tmp_path / name) as file,
    ):
        file.read()


GRAPHS = {
    "damaged.g6": (b"Gh!GKC\n", "row 1: 'Gh!GKC' is not graph6 .byte 3 is '!'"),
    "trailing_line.g6": (b"GhCGKC\n\n", 8),
    "header.g6": (b">>graph6<<GhCGKC\r\n", 8),
    "sparse6.s6": (b":An\n", 2),
    "sparse6.g6": (b">>sparse6<<:An\n", 2),
    "cut.col": (b"c cut in half\np edge 8 8\ne 1 2\ne 2 3\ne 3 4\ne 4 5\n", "declares 8 edges and holds 4 in 4 lines"),
    "twice.col": (b"p edge 4 3\ne 1 2\ne 2 3\ne 2 3\n", "declares 3 edges and holds 2 in 3 lines"),
    "both_ways.col": (b"p col 3 4\ne 1 2\ne 2 3\ne 2 1\ne 3 2\n", 3),
    "vertex_lines.COL": (b"c n lines are standard\np edge 4 3\nn 1 2\ne 1 2\ne 2 3\ne 3 4\n", 4),
    "square.col.gz": (gzip.compress(b"p edge 4 4\ne 1 2\ne 2 3\ne 3 4\ne 4 1\n"), 4),
    "no_number.col": ("p edge 4 1\ne 1 ٢\n".encode(), "row 2: got 'e 1 ٢'; expected"),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs(tmp_path, name):
    content, expected = GRAPHS[name]
    (tmp_path / name).write_bytes(content)
    if isinstance(expected, int):
        assert read_graphs(tmp_path / name, expected, 3, 10_000).num_puzzles == 1
    else:
        with pytest.raises(PuzzleFileError, match=expected):
            read_graphs(tmp_path / name, 8 if name == "cut.col" else 4, 3, 10_000)


EMPTY = {
    "a.csv": (read_puzzles, ("", "question,answer\n")),
    "a.jsonl": (read_puzzles, ("", "\n")),
    "a.txt": (read_puzzles, ("", "# nothing\n", "\ufeff")),
    "b.txt": (lambda path: read_file("queens", str(path)), ("", "\n\n")),
    "a.g6": (lambda path: read_graphs(path, 4, 3, 99), ("", "\n", ">>graph6<<\n")),
    "b.csv": (lambda path: read_graphs(path, 4, 3, 99), ("", "graph6\n")),
    "a.col": (lambda path: read_graphs(path, 4, 3, 99), ("", "c\n")),
    "a.json": (read_tasks, ("", "{}", "[]", "null")),
    "images": (lambda path: read_images(path, 8), ("",)),
    "labels": (read_labels, ("", "\0\0\x08\x01", "\0\0\x08\x01\0\0\0\0")),
}


@pytest.mark.parametrize("name", EMPTY)
def test_a_file_that_holds_nothing_is_refused(tmp_path, name):
    read, contents = EMPTY[name]
    for content in contents:
        (tmp_path / name).write_text(content, encoding="utf-8")
        with pytest.raises(ValueError, match=name):
            read(tmp_path / name)


PAIR = {"part": Puzzles(torch.tensor([[1, 0]]), torch.tensor([[1, 2]]), torch.tensor([0, 1]))}


def test_the_users_cache_folder_is_the_default(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cached(AUTO, "pair", {}, lambda: PAIR)
    (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
    assert "gram_pyro" in file.relative_to(tmp_path).parts[0] and file.name.startswith("pair-")
    assert Sudoku(n=4)._generated[-1] == AUTO


@pytest.mark.parametrize("place", ["file/below", "file"])
def test_what_cannot_be_kept_is_made(tmp_path, caplog, place):
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING):
        found = cached_tensors(tmp_path / place, "a", lambda: {"w": torch.ones(2)})
    assert found["w"].tolist() == [1, 1] and "cannot be written" in caplog.text and "nothing is kept" in caplog.text


def test_a_folder_that_may_not_be_read_is_no_cache(tmp_path, monkeypatch, caplog):
    """As root, whom the tests may run as, any folder can be read."""
    denied = PermissionError(13, "Permission denied")
    monkeypatch.setattr(cache_module, "read", Mock(side_effect=denied))
    monkeypatch.setattr(Path, "mkdir", Mock(side_effect=denied))
    with caplog.at_level(logging.WARNING):
        assert cached_tensors(tmp_path, "a", lambda: {"w": torch.ones(2)})["w"].tolist() == [1, 1]
    assert "cannot be read" in caplog.text and "cannot be written" in caplog.text and not os.listdir(tmp_path)


def test_nothing_is_kept_where_nothing_shall_be(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert cached(None, "pair", {}, lambda: PAIR) is not None and not os.listdir(tmp_path)
