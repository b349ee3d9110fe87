"""N-Queens with excluded diagonals, from an archive: what is read, and the sentence for everything that cannot be."""

import gzip
import io
import itertools
import json
import logging
import tarfile

import pytest
import torch
from data_folder import DATA, needs
from plain_queens import board_of, brute, sets

from gram_pyro.tasks.nqueens.rules import Board
from gram_pyro.tasks.nqueens.task import NQueens, read_excluded

needs_data = needs("nqueens")


def pack(folder, *texts):
    """An archive of instances."""
    path = folder / "diagonals.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for number, text in enumerate(texts, 1):
            info = tarfile.TarInfo(f"diag/{number}.param")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return path


def test_excluded_by_brute_force(tmp_path, caplog):
    lists = ([[3, 0], [7, 1]], [[0, 1]], [[5, 0], [0, 1], [10, 1], [2, 0], [6, 1]], [[5, 0]])
    texts = [f"n =  6\nnumdiags =  {len(d)}\ndiags =  {json.dumps(d)}\n" for d in lists]
    with caplog.at_level(logging.WARNING):
        puzzles = read_excluded(pack(tmp_path, *texts), Board(6))
    expected, unsolvable = {}, set()
    for diagonals, length in ((d, length) for d in lists for length in range(1, len(d) + 1)):
        closed = {
            (r, c)
            for r, c in itertools.product(range(6), repeat=2)
            if any(d == (r + c if kind else r - c + 5) for d, kind in diagonals[:length])
        }
        x = tuple(int((r, c) in closed) for r, c in itertools.product(range(6), repeat=2))
        solutions = {tuple(board_of(p)) for p in brute(6) if closed.isdisjoint(enumerate(p))}
        if solutions:
            expected[x] = solutions
        else:
            unsolvable.add(x)
    assert sets(puzzles) == expected and puzzles.num_puzzles == len(expected) and unsolvable
    total = len(expected) + len(unsolvable)
    assert f"{len(unsolvable)} of {total} puzzles of " in caplog.text and "no solution and are left out" in caplog.text


@needs_data
def test_excluded_of_the_file(monkeypatch, caplog):
    monkeypatch.setenv("GRAM_DATA", str(DATA))
    task = NQueens(excluded="nqueens/diag-8.tar.gz")
    with caplog.at_level(logging.WARNING):
        assert list(task.test) == ["completions", "excluded_diagonals"]
    puzzles = task.test["excluded_diagonals"]
    assert "4604 of 6983 puzzles of " in caplog.text and puzzles.num_puzzles == 2379
    assert len(puzzles.x.unique(dim=0)) == 2379 and puzzles.x.unique().tolist() == [0, 1]
    solutions = brute(8)
    for i in range(0, 2379, 40):
        closed = {divmod(cell, 8) for cell in puzzles.x[i].nonzero().flatten().tolist()}
        expected = [board_of(p) for p in solutions if closed.isdisjoint(enumerate(p))]
        assert puzzles.solutions_of(i).tolist() == expected
    owner = torch.repeat_interleave(torch.arange(2379), puzzles.num_solutions)
    assert task.is_solved(puzzles.x[owner], puzzles.solutions).all()


GOOD = "n =  6\nnumdiags =  1\ndiags =  [[5, 0]]\n"


@pytest.mark.parametrize(
    "texts, message",
    [
        ((GOOD, GOOD.replace("6", "8", 1)), "2.param: got a board of n=8; expected the n=6 of this task"),
        ((GOOD.replace("numdiags", "number"),), "1.param: got 'n = .*; expected the form n = 8 numdiags = 2 diags ="),
        ((GOOD.replace("[[5, 0]]", "[[5, 0]"),), "1.param: got .*; expected the form n = 8"),
        ((GOOD.replace("[5, 0]", "[5]"),), "1.param: got .*; expected the form n = 8"),
        ((GOOD.replace("1", "2"),), r"got numdiags=2, diags=\[\[5, 0\]\]; expected so many pairs \[0 .. 10, 0 or 1\]"),
        ((GOOD.replace("5", "11"),), r"diags=\[\[11, 0\]\]; expected so many pairs"),
        ((GOOD.replace("0", "2"),), r"diags=\[\[5, 2\]\]; expected so many pairs"),
        ((), "holds no file; expected at least one instance"),
    ],
)
def test_excluded_errors(tmp_path, texts, message):
    with pytest.raises(ValueError, match=message):
        read_excluded(pack(tmp_path, *texts), Board(6))


def test_damaged_archives(tmp_path):
    whole = pack(tmp_path, *[GOOD] * 20).read_bytes()
    places = range(30, len(whole), 7)  # the name in front is not protected by the sum
    damaged = [whole[:i] + bytes([whole[i] ^ 255]) + whole[i + 1 :] for i in places]
    for content in (b"no archive", whole[: len(whole) // 2], gzip.compress(b"no archive"), b"", *damaged):
        (tmp_path / "bad.tar.gz").write_bytes(content)
        with pytest.raises(ValueError, match="bad.tar.gz is damaged"):
            read_excluded(tmp_path / "bad.tar.gz", Board(6))
    with pytest.raises(FileNotFoundError, match="none.tar.gz is not there"):
        _ = NQueens(6, (3, 4), excluded="none.tar.gz").test
