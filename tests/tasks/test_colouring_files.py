"""Graphs from files: what is read, and the sentence for everything that cannot be."""

import logging

import networkx as nx
import pytest
from data_folder import ALL8, needs
from plain_graphs import graph_of, hashes_of

from gram_pyro.tasks.colouring.files import read_graphs
from gram_pyro.tasks.colouring.task import Colouring
from gram_pyro.tasks.files import PuzzleFileError

needs_data = needs("graphs")
SQUARE, PATH3, K4 = "Cl", "Bg", "C~"  # graph6


def write(folder, name, text):
    file = folder / name
    file.write_text(text)
    return file


def test_files(tmp_path, monkeypatch, caplog):
    g6 = write(tmp_path, "a.g6", f">>graph6<<{SQUARE}\nC?\n")
    table = write(tmp_path, "b.csv", f"edges,graph6\n4,{SQUARE}\n0,C?\n")
    col = write(tmp_path, "c.col", "c a square\n\np edge 4 4\ne 1 2\ne 2 1\ne 2 3\ne 3 4\ne 1 4\n")
    task = Colouring(n=4, num_train=0, test={"lines": g6, "table": table, "square": col})
    assert list(task.test) == ["lines", "table", "square"]
    for puzzles in task.test.values():
        assert nx.is_isomorphic(graph_of(4, puzzles.x[0].tolist()), nx.cycle_graph(4))
    assert task.test["square"].x.tolist() == [[2, 1, 2, 2, 1, 2, 0, 0, 0, 0]]
    assert task.test["square"].num_solutions.tolist() == [3]  # one diagonal alike, or the other, or both
    assert task.test["lines"].num_solutions.tolist() == task.test["table"].num_solutions.tolist() == [3, 14]
    monkeypatch.setenv("GRAM_DATA", str(tmp_path))
    assert Colouring(n=4, num_train=0, test="a.g6").test["a.g6"].num_puzzles == 2
    with pytest.raises(ValueError, match="got num_train=0; expected puzzles to train on"):
        _ = task.train


@needs_data
def test_files_that_share_classes_with_train(caplog):
    with caplog.at_level(logging.WARNING):
        task = Colouring(num_train=200, test=ALL8, cache=None)
        (puzzles,) = task.test.values()
    seen = set(hashes_of(8, task.train))
    assert puzzles.num_puzzles == 6024 - len(seen) and seen.isdisjoint(hashes_of(8, puzzles))
    assert f"{len(seen)} of 6024 graphs of" in caplog.text and "share an isomorphism class with train" in caplog.text


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("a.txt", "", "a.txt is neither .g6, .s6, .csv, .col nor .edges"),
        ("a.g6", "", "a.g6 holds no graph"),
        ("a.g6", f"{SQUARE}\n{PATH3}", "a.g6, row 2: got a graph on 3 vertices; expected n=4; give n=3"),
        ("a.g6", f"{SQUARE}\nC", "a.g6, row 2: 'C' is not graph6"),
        ("a.g6", f"{SQUARE}\n&C?", "a.g6, row 2: '&C.' is not graph6 .that is digraph6"),
        ("a.g6", "Ch!", "a.g6, row 1: 'Ch!' is not graph6 .byte 3 is '!', and its bytes are"),
        ("a.g6", ":~~~~~~~~", "row 1: ':~~~~~~~~' is not sparse6 .it claims 68719476735 vertices"),
        ("a.s6", ":Cdb", "row 1: ':Cdb' is not sparse6 .it has a loop or an edge twice"),
        ("a.g6", "Bh", "row 1: 'Bh' is not graph6 .it has bits that no graph is written with"),
        ("a.csv", f"Graph6;edges\n{SQUARE};4\nC;4", "a.csv, row 2: 'C' is not graph6"),
        ("a.g6", "C\u00e9", "row 1: .* is not graph6"),
        ("a.g6", f"{SQUARE}\n{K4}", "a.g6, row 2: the graph has no colouring with 3 colours; give more colours"),
        ("a.csv", f"graph\n{SQUARE}", r"a.csv has columns \['graph'\]; expected graph6"),
        ("a.csv", f"edges,graph6\n4,{SQUARE}\n4", "a.csv, row 2: got 1 fields; expected 2"),
        ("a.col", "c nothing", "a.col holds no graph"),
        ("a.col", "e 1 2", "a.col, row 1: got 'e 1 2'; expected 'p edge VERTICES EDGES' once"),
        ("a.col", "p edge 4 1\np edge 4 1", "a.col, row 2: got 'p edge"),
        ("a.col", "p edge 4 1\ne 1 5", "a.col, row 2: got 'e 1 5'"),
        ("a.col", "p edge 4 1\ne 0 1", "row 2: got 'e 0 1'"),
        ("a.col", "p edge 4 1\ne 2 2", "row 2: got 'e 2 2'"),
        ("a.col", "p edge 4 1\ne 2 x", "row 2: got 'e 2 x'"),
        ("a.col", "p edge 0 0", "row 1: got 'p edge 0 0'"),
    ],
)
def test_file_errors(tmp_path, name, text, message):
    with pytest.raises(PuzzleFileError, match=message):
        read_graphs(write(tmp_path, name, text), 4, 3, 100)


def test_misuse(tmp_path):
    wrong = {"n": 1, "edge_probability": 1.1, "colours": 0, "num_train": -1, "num_test": -1, "seed": -1}
    for name, value in wrong.items():
        with pytest.raises(ValueError, match=f"got .*{name}={value}.*; expected n >= 2, 0 <= edge_probability <= 1"):
            Colouring(**{name: value})
    with pytest.raises(ValueError, match="edge_probability=1.0; expected .* with 3 colours"):
        _ = Colouring(n=5, edge_probability=1.0, cache=None).train
    with pytest.raises(ValueError, match="more than max_solutions=20 .* 3 colours; write a larger max_solutions"):
        _ = Colouring(edge_probability=0.1, max_solutions=20, cache=None).train
    with pytest.raises(PuzzleFileError, match="a.g6, row 1: a graph on 4 vertices has more than max_solutions=13"):
        _ = Colouring(n=4, num_train=0, max_solutions=13, test=write(tmp_path, "a.g6", "C?")).test
    with pytest.raises(FileNotFoundError, match="nowhere.g6 is not there"):
        _ = Colouring(num_train=0, test="nowhere.g6").test
    with pytest.raises(PuzzleFileError, match="b.g6 is damaged"):
        (tmp_path / "b.g6").write_bytes(b"\xff\xff")
        _ = Colouring(n=4, num_train=0, test=tmp_path / "b.g6").test
    assert Colouring(num_train=5, num_test=0, cache=None).test == {}
