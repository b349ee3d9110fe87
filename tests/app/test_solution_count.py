"""The number of solutions there are, which solve.py says beside those it found."""

import pytest
from plain_rules import queens_solutions

from gram_pyro.app import solution_count
from gram_pyro.app.puzzle import read_queens, read_sudoku
from gram_pyro.app.solution_count import count_solutions, in_words
from gram_pyro.tasks.nqueens.task import NQueens
from gram_pyro.tasks.sudoku.task import Sudoku

HARD = "8..........36......7..9.2...5...7.......457.....1...3...1....68..85...1..9....4.."


@pytest.mark.parametrize(
    "text, count, words",
    [
        ("1.3..4..2......1", 1, "1"),
        ("123........4....", 0, "none"),
        ("." * 16, 288, "288"),
        ("5..3.6..3..........1........14..2...", 21, "21"),
        ("1234.....5.6........................", 0, "none"),
        ("." * 36, 1001, "more than 1000"),
        ("." * 81, 1001, "more than 1000"),
        (HARD, 1, "1"),
    ],
)
def test_sudokus_are_counted(text, count, words):
    puzzle = read_sudoku(text)
    assert count_solutions(puzzle, Sudoku(puzzle.n, cache=None)) == count and in_words(count) == words


@pytest.mark.parametrize("text", ["........", "2.1.....", "0.3.7...", "0......1"])
def test_queens_are_counted(text):
    puzzle = read_queens(text)
    assert count_solutions(puzzle, NQueens(n=8)) == len(queens_solutions(text))


def test_a_search_that_takes_long_is_given_up(monkeypatch):
    monkeypatch.setattr(solution_count, "MOST_GUESSES", 2)
    assert count_solutions(read_sudoku("." * 81), Sudoku(9, cache=None)) is None and in_words(None) == "unknown"
