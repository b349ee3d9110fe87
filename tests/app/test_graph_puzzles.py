"""Graphs on the command line: read in every spelling, counted, coloured, drawn."""

import csv
import gzip
import re
from itertools import product

import networkx as nx
import pytest
from PIL import Image
from scripts import script

from gram_pyro.app import puzzle as puzzle_module
from gram_pyro.app.graph import as_puzzle, is_graph, read_graph
from gram_pyro.app.puzzle import as_text, check_puzzle, shipped_weights
from gram_pyro.app.reading import read_puzzles
from gram_pyro.app.solution_count import count_solutions
from gram_pyro.app.solver import open_weights
from gram_pyro.tasks.colouring import graphs

TRIANGLE = nx.complete_graph(3)
PETERSEN = nx.petersen_graph()
MYCIEL3 = nx.mycielskian(nx.cycle_graph(5))  # 11 vertices, 4 colours


def dimacs(graph):
    lines = [f"p edge {len(graph)} {graph.number_of_edges()}"] + [f"e {a + 1} {b + 1}" for a, b in graph.edges]
    return "\n".join(lines) + "\n"


def graph6(graph):
    return nx.to_graph6_bytes(graph, header=False).decode().strip()


def typed(graph):
    return ",".join(f"{a + 1}-{b + 1}" for a, b in graph.edges)


def colourings(graph, k):
    """All of them, by trying everything: vertices -> colours numbered by first appearance."""
    found = set()
    for colours in product(range(k), repeat=len(graph)):
        if all(colours[a] != colours[b] for a, b in graph.edges):
            names = {}
            found.add("".join(str(names.setdefault(c, len(names) + 1)) for c in colours))
    return found


@pytest.mark.parametrize("graph", [TRIANGLE, PETERSEN, MYCIEL3, nx.path_graph(2)])
def test_a_graph_is_read_in_every_spelling(tmp_path, graph):
    expected = as_puzzle(graph, 3)
    files = {"a.g6": graph6(graph), "a.col": dimacs(graph), "A.CSV": f"name,graph6\nx,{graph6(graph)}\n"}
    files |= {"a.edges": typed(graph).replace("-", " ").replace(",", "\n"), "a.txt": graph6(graph)}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    files["b.csv.gz"] = (tmp_path / "b.csv.gz").write_bytes(gzip.compress(files["A.CSV"].encode()))
    spellings = [graph6(graph), typed(graph), typed(graph).replace(",", " , "), *(str(tmp_path / n) for n in files)]
    for spelling in spellings:
        (puzzle,) = read_puzzles(spelling, "graph")
        assert puzzle.board == expected.board and puzzle.x.equal(expected.x)
        assert as_text(puzzle, puzzle.x) == graph6(graph)
        if not spelling.endswith((".CSV", ".csv.gz", ".txt")):  # which may hold anything
            assert [str(p) for p in read_puzzles(spelling)] == [f"graph of {len(graph)} vertices in 3 colours"]


@pytest.mark.parametrize(
    "text", ["." * 36, "_" * 16, "____", "xxxxxx", "1.3..4..2......1", "2-1-....", "1-3. .4-- 2--- ---1"]
)
def test_a_board_is_no_graph(text):
    assert not is_graph(text) and read_puzzles(text)[0].kind in ("sudoku", "queens")


@pytest.mark.parametrize(
    ("text", "colours", "sentence"),
    [
        ("1-2,2-2", 3, "got the edge 2-2; expected two different vertices from 1 to 10000"),
        ("1-2,0-2", 3, "got the edge 0-2; expected"),
        ("GGG", 3, "graph: 'GGG' is not graph6"),
        ("@", 3, "got a graph on 1 vertices; expected 2 to 100"),
        ("1-101", 3, "got a graph on 101 vertices; expected 2 to 100"),
        (nx.to_sparse6_bytes(nx.path_graph(10_000), header=False).decode(), 3, "got a graph on 10000 vertices"),
        ("1-2", 0, "got colours=0; write a whole number from 1 to 35"),
        ("1-2", True, "got colours=True"),
    ],
)
def test_what_is_no_graph_is_refused(text, colours, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        read_graph(text, colours)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("1 2\n1 2 3\n", "a.edges, row 2: got '1 2 3'"), ("# none\n", "a.edges is empty"), ("7", "a graph on 1 vertices")],
)
def test_a_bad_file_of_edges_is_refused(tmp_path, text, sentence):
    (tmp_path / "a.edges").write_text(text)
    with pytest.raises(ValueError, match=re.escape(sentence)):
        read_puzzles(str(tmp_path / "a.edges"))


def test_names_that_are_numbers_are_put_in_order(tmp_path):
    (tmp_path / "a.edges").write_text("10 2\n2 9\n")
    (tmp_path / "b.edges").write_text("c a\na b\n")
    numbers, words = (read_puzzles(str(tmp_path / name))[0] for name in ("a.edges", "b.edges"))
    assert numbers.x.equal(read_graph("1-2,1-3", 3).x)  # 2, 9, 10
    assert words.x.equal(read_graph("1-2,2-3", 3).x)  # c, a, b


@pytest.mark.parametrize("graph", [TRIANGLE, nx.cycle_graph(7), nx.path_graph(2), nx.star_graph(4)])
@pytest.mark.parametrize("colours", [2, 3])
def test_colourings_are_counted_up_to_names(graph, colours):
    assert count_solutions(as_puzzle(graph, colours), None) == len(colourings(graph, colours))


def test_many_are_counted_up_to_a_thousand_and_a_long_search_is_given_up(monkeypatch):
    assert count_solutions(as_puzzle(nx.empty_graph(12), 3), None) == 1001
    assert count_solutions(as_puzzle(MYCIEL3, 3), None) == 0
    monkeypatch.setattr(graphs, "MAX_STEPS", 5)
    assert count_solutions(as_puzzle(MYCIEL3, 3), None) is None


def test_weights_of_8_vertices_serve_every_graph_in_as_many_colours():
    for graph in (TRIANGLE, PETERSEN):
        puzzle = as_puzzle(graph, 3)
        task, _ = open_weights(shipped_weights(puzzle), puzzle.board)
        check_puzzle(puzzle, task)


def test_weights_of_every_kind_serve_other_numbers_of_colours(monkeypatch):
    assert shipped_weights(as_puzzle(MYCIEL3, 4)) == "constraints"
    monkeypatch.setattr(puzzle_module, "released", lambda: ["colouring_8"])
    with pytest.raises(
        ValueError,
        match="there are no weights for a graph of 11 vertices in 4 colours, but for: "
        "graph of 8 vertices in 3 colours; to train some, run gram-pyro train colouring task.n=11 task.c",
    ):
        shipped_weights(as_puzzle(MYCIEL3, 4))


def test_a_graph_is_coloured_and_drawn(tmp_path):
    graph, picture = nx.cycle_graph(5), tmp_path / "answers.png"
    done = script("solve", f"graph={typed(graph)}", "num_particles=8", f"save={picture}")
    count = int(re.search(r"(\d+) distinct solutions? of 5, ", done.stdout)[1])
    assert 1 <= count <= len(colourings(graph, 3)) == 5 and "1: 2 5   colour 1" in done.stdout
    with Image.open(picture) as drawn:
        assert drawn.width > drawn.height > 100


def test_a_file_of_graphs_gets_a_table(tmp_path):
    (tmp_path / "a.g6").write_text(f"{graph6(nx.cycle_graph(5))}\n{graph6(MYCIEL3)}\n")
    done = script("solve", f"puzzle={tmp_path / 'a.g6'}", "num_particles=8", f"run_dir={tmp_path}", check=False)
    assert done.returncode == 1 and "1 of 2 puzzles solved" in done.stdout
    with (tmp_path / "solve.csv").open(newline="") as file:
        *solved, unsolved = csv.DictReader(file)
    assert {row["solution"] for row in solved} <= colourings(nx.cycle_graph(5), 3) and solved
    assert unsolved["exist"] == "none" and unsolved["puzzle"] == graph6(MYCIEL3)


def test_a_picture_has_a_name_that_tells(tmp_path):
    done = script("solve", "graph=1-2", "num_particles=2", f"save={tmp_path / 'a.txt'}", check=False)
    assert "error: got save=" in done.stderr and "ends in .png, or in .gif" in done.stderr
