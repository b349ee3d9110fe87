"""Puzzle strings and files: what is read, and the sentence for everything that cannot be."""

import gzip
import json
import logging

import pytest
from data_folder import DATA

from gram_pyro.tasks.sudoku.files import parse, read_puzzles
from gram_pyro.tasks.sudoku.generator import generate
from gram_pyro.tasks.sudoku.rules import Geometry
from gram_pyro.tasks.sudoku.task import Sudoku

BOXES = {4: (2, 2), 6: (2, 3), 9: (3, 3)}
FULL4 = "1234341221434321"
PUZZLE4 = "1.34341221434321"


@pytest.mark.parametrize("text, board", [("0.1" + "4" * 13, [0, 0, 1] + [4] * 13), ("." * 255 + "G", [0] * 255 + [16])])
def test_parse(text, board):
    assert parse(text) == board


@pytest.mark.parametrize(
    "text, n, message",
    [
        ("123", None, "got a board of 3 symbols; expected a square number"),
        ("", None, "got a board of 0 symbols"),
        ("." * 36, 9, "36 symbols; expected n . n = 81 for n=9"),
        ("." * 15 + "5", None, "row 4, column 4 of the Sudoku is '5'; write 1 to 4, or '.' for a blank"),
        ("." * 15 + "?", None, "row 4, column 4 of the Sudoku is '[?]'; write 1 to 4"),
        ("." * 255 + "H", None, "row 16, column 16 of the Sudoku is 'H'; write 1 to 9, and A to G for 10 to 16, or"),
        ("0" + "." * 254 + "A", None, "got '0' and '.'; expected one kind of blank"),
    ],
)
def test_parse_errors(text, n, message):
    with pytest.raises(ValueError, match=message):
        parse(text, n)


@pytest.mark.parametrize(
    "name, text, message",
    [
        (
            "a.csv",
            f"question,answer\n{FULL4},{FULL4}\n{PUZZLE4[:-1]},{FULL4}",
            "a.csv, row 2: got a board of 15 symbols",
        ),
        (
            "a.csv",
            f"question,answer\n{FULL4},{FULL4}\n{PUZZLE4}",
            "a.csv, row 2: got 1 fields; expected 2, as the header has",
        ),
        ("a.csv", f"question,answer\n{PUZZLE4[:-1]}9,{FULL4}", "row 1: row 4, column 4 of the Sudoku is '9'"),
        (
            "a.csv",
            f"question,answer\n11{PUZZLE4[2:]},{FULL4}",
            "row 1: clues contradict: 1 .* row 1, column 2, in one row",
        ),
        ("a.csv", f"question\n1...1{'.' * 11}", "row 1: clues contradict: 1 .* row 2, column 1, in one column"),
        ("a.csv", "question\n123....4........", "a.csv, row 1: the puzzle has no solution"),
        ("a.csv", f"question\n{'.' * 36}", "row 1: the puzzle has more than 10000 solutions"),
        ("a.csv", f"question,answer\n{PUZZLE4},{FULL4[4:] + FULL4[:4]}", "row 1: answer 1 does not solve it"),
        ("a.csv", f"question,answer\n{PUZZLE4},{PUZZLE4}", "row 1: answer 1 does not solve it"),
        ("a.csv", "grid\n1", r"has columns \['grid'\]; expected question or puzzle or quizzes or quiz among them"),
        (
            "a.csv",
            f"question,anwser\n{PUZZLE4},{FULL4}",
            "has a column 'anwser'; write 'answer' if it is that, or rename it",
        ),
        (
            "a.csv",
            f"question,puzzle\n{PUZZLE4},{PUZZLE4}",
            r"has columns \['question', 'puzzle'\]; expected one of them",
        ),
        ("a.csv", "question,answer\n", "has no puzzle"),
        ("a.csv", f"question\n{'.' * 49}", "n=7, which has no default box"),
        ("a.txt", "1", "a.txt, line 1: got n=1, which has no default box"),
        (
            "a.jsonl",
            f"{json.dumps({'question': PUZZLE4, 'solutions': []})}",
            "row 1: got a puzzle without a solution",
        ),
        (
            "a.jsonl",
            f"{json.dumps({'question': PUZZLE4, 'solutions': [FULL4] * 2})}",
            "row 1: a solution is listed twice",
        ),
        ("a.jsonl", "{", "a.jsonl, row 1: got '{'; expected"),
        *(
            ("a.jsonl", f'{{"question": "{PUZZLE4}", {twice}, "solutions": ["{FULL4}"]}}', "row 1: got .*; expected")
            for twice in (f'"question": "{FULL4}"', f'"QUESTION ": "{FULL4}"', '"a": {"b": 1, "b": 2}')
        ),
        ("a.jsonl", '["question", "solutions"]', "row 1: got .*; expected"),
        ("a.jsonl", '"question solutions"', "row 1: got .*; expected"),
        ("a.jsonl", "7", "row 1: got '7'; expected"),
        ("a.jsonl", json.dumps({"question": [1], "solutions": []}), "row 1: got .*; expected"),
        ("a.csv.gz", "question", "a.csv.gz is damaged"),
        ("a.csv.xz", "question", "a.csv.xz is damaged"),
    ],
)
def test_file_errors(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_puzzles(tmp_path / name)


def test_a_row_without_an_answer_gets_all_solutions(tmp_path):
    blank = "..3....2....4..3"
    (tmp_path / "a.csv").write_text(f"question,answer\n{blank},\n{PUZZLE4},{FULL4}\n{blank},  \n")
    found = read_puzzles(tmp_path / "a.csv")
    assert found.num_solutions.tolist() == [4, 1, 4]
    assert found.solutions_of(0).tolist() == sorted(Geometry(4).solve(parse(blank), 99))


def test_files_good(tmp_path, monkeypatch, caplog):
    (tmp_path / "train.csv.gz").write_bytes(gzip.compress(f"question,answer,x\n{PUZZLE4},{FULL4},0\n".encode()))
    (tmp_path / "test.csv").write_text(f"question\n{'.' * 16}\n{PUZZLE4.replace('.', '0')}\n")
    monkeypatch.setenv("GRAM_DATA", str(tmp_path))
    with caplog.at_level(logging.WARNING):
        task = Sudoku(n=4, train="train.csv.gz", test={"all": "test.csv"})
    assert task.train.solutions.tolist() == [parse(FULL4)]
    assert task.test["all"].num_solutions.tolist() == [288]
    assert "1 of 2 puzzles" in caplog.text and "are left out" in caplog.text
    assert list(Sudoku(n=4, train="train.csv.gz", test="test.csv").test) == ["test.csv"]
    (tmp_path / "more.csv").write_text(f"question,answer\n.{FULL4[1:]},{FULL4}\n")
    with caplog.at_level(logging.WARNING):
        several = Sudoku(n=4, train=["train.csv.gz", "more.csv"], test="test.csv")
    assert several.train.x.tolist() == [parse(PUZZLE4), parse("." + FULL4[1:])]
    assert several.test["test.csv"].num_puzzles == 1
    assert f"{tmp_path / 'train.csv.gz'} or {tmp_path / 'more.csv'} and are left out" in caplog.text
    with pytest.raises(ValueError, match="16 symbols; expected n . n = 36"):
        _ = Sudoku(train="train.csv.gz", test={}).train
    with pytest.raises(ValueError, match="got test=.* only; expected puzzles to train on"):
        _ = Sudoku(n=4, test="test.csv").train
    with pytest.raises(FileNotFoundError, match="none.csv is not there nor under GRAM_DATA=.*; write another path"):
        read_puzzles("none.csv")
    monkeypatch.delenv("GRAM_DATA")
    with pytest.raises(FileNotFoundError, match="not there; write another path, or set .* GRAM_DATA"):
        read_puzzles("train.csv.gz")


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Geometry(7), "got n=7, which has no default box; write box="),
        (lambda: Geometry(6, (2, 2)), r"got box=\(2, 2\) with n=6"),
        (lambda: Geometry(4).solve([0] * 9, 1), "got a puzzle of 9 cells; expected 16, for n=4"),
        (lambda: Geometry(4).solve([5] + [0] * 15, 1), "got 5 at row 1, column 1; write 1..4"),
        (
            lambda: Geometry(4).solve([1, 0, 0, 0, 0, 1] + [0] * 10, 1),
            "row 1, column 1 and at row 2, column 2, in one box",
        ),
        (lambda: generate(Geometry(4), 0), "got count=0, max_solutions=1; expected"),
        (lambda: Sudoku(n=2, box=(1, 2), cache=None).train, "too few symmetry classes"),
        (lambda: Sudoku(train="a.csv"), "got train=a.csv without test"),
        (lambda: Sudoku(num_train=0), "num_train=0, .* expected num_train >= 1"),
        (lambda: Sudoku(max_solutions=1), "expected .* max_solutions >= 2"),
    ],
)
def test_argument_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_an_answer_that_is_one_of_several_is_completed_before_an_evaluation(tmp_path):
    """`answer` is a column for one solution. Taken for all of them, coverage would pass 1."""
    several, alone = "..3....2....4..3", PUZZLE4
    every = {tuple(board) for board in Geometry(4).solve(parse(several), 99)}
    one = "".join(map(str, max(every)))
    (tmp_path / "a.csv").write_text(f"question,answer\n{several},{one}\n{alone},{FULL4}\n")
    task = Sudoku(n=4, test=tmp_path / "a.csv")
    puzzles = task.test["a.csv"]
    assert puzzles.num_solutions.tolist() == [1, 1] and len(every) == 4
    completed = task.completed(puzzles)
    assert completed.num_solutions.tolist() == [4, 1] and completed.x.equal(puzzles.x)
    assert {tuple(y) for y in completed.solutions_of(0).tolist()} == every
    assert completed.solutions_of(1).tolist() == [parse(FULL4)]
    generated = Sudoku(n=4, num_train=4, num_test=4, max_solutions=12, cache=None)
    assert generated.completed(generated.test["several"]) is generated.test["several"]  # these lists are complete


@pytest.mark.skipif(not DATA.is_dir(), reason="GRAM_DATA is not set and ../shared/data is not there")
@pytest.mark.parametrize(
    "file, count",
    [
        ("sudoku_extreme/train_1k.csv", 1000),
        ("sudoku_extreme/train_1k_b.csv", 1000),
        ("sudoku_extreme/test_4k.csv.xz", 4000),
        ("sudoku_classic/top95.csv", 95),
        ("sudoku_classic/easy50.csv", 50),
        ("sudoku_classic/hardest.csv", 11),
        ("sudoku_multi/serg_le50_allsols.jsonl.xz", 1698),
        ("sudoku_multi/extreme_train_minus1.jsonl.xz", 275),
    ],
)
def test_real_files(file, count, monkeypatch):
    monkeypatch.setenv("GRAM_DATA", str(DATA))
    puzzles = read_puzzles(file)
    assert puzzles.num_puzzles == count and puzzles.x.shape == (count, 81)
    for i in range(0, count, count // 10):
        assert len(Geometry(9).solve(puzzles.x[i].tolist(), 51)) == puzzles.num_solutions[i]
