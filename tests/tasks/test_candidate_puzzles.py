"""Puzzles as text: what shorthands mean, that what is written is read again, mistakes with their lines."""

import json
from itertools import combinations

import networkx as nx
import pytest
from plain_sudoku import units_of

from gram_pyro.tasks.candidates.importers import colouring, read_puzzles, sudoku
from gram_pyro.tasks.candidates.marked import Misplaced
from gram_pyro.tasks.candidates.puzzle import BLANK, IN, OUT, Group, make_puzzle
from gram_pyro.tasks.candidates.search import Search
from gram_pyro.tasks.candidates.shorthands import cell_names, queens
from gram_pyro.tasks.candidates.text import read_file, read_text, write_text
from gram_pyro.tasks.files import PuzzleFileError

SUDOKU = """
grid: 4x4
symbols: 1..4
given: |
  1 . | . 3
  . 4 | . .
  2 . | . .
  . . | . 1
rules: [rows, columns, boxes: 2x2]
"""
TIMETABLE = """
name: three talks          # what is not needed may be left out
cells: [maths, physics, art]
symbols: [monday nine, monday ten, tuesday]
excluded: {art: [monday nine, monday ten]}
rules:
  - edges: [[maths, physics]]
  - at most one: [[maths=tuesday, art=tuesday]]
"""
GRAPHS = {"path": nx.path_graph(4), "wheel": nx.wheel_graph(6), "lonely": nx.empty_graph(3)}


def pairs(puzzle):
    """Which two candidates are never in together."""
    return {pair for group in puzzle.all_groups for pair in combinations(group.candidates, 2)}


def same(one, other):
    return one._replace(groups=()) == other._replace(groups=()) and set(one.groups) == set(other.groups)


# ---- what is meant


def test_a_sudoku_by_hand():
    puzzle = read_text(SUDOKU)
    expected = {
        Group(True, tuple(sorted(4 * cell + digit for cell in unit))) for unit in units_of(4) for digit in range(4)
    }
    assert set(puzzle.groups) == expected and len(puzzle.all_groups) == len(puzzle.groups) + 16
    assert puzzle.roles[:8] == (IN, OUT, OUT, OUT, BLANK, BLANK, BLANK, BLANK)
    assert same(sudoku([1, 0, 0, 3, 0, 4, 0, 0, 2, 0, 0, 0, 0, 0, 0, 1]), puzzle)


def test_a_timetable_by_hand():
    puzzle = read_text(TIMETABLE)
    physics, art = 1, 2
    clash = [Group(False, (slot, 3 + slot)) for slot in range(3)]
    assert set(puzzle.groups) == {*clash, Group(False, (2, 8))}
    assert puzzle.roles[3 * art :] == (OUT, OUT, BLANK)
    found = {tuple(c % 3 for c, role in enumerate(y) if role == IN) for y in Search.of(puzzle).solutions(puzzle.roles)}
    assert found == {(m, p, 2) for m in (0, 1) for p in (0, 1, 2) if m != p}
    assert puzzle.name(3 * physics) == "physics=monday nine"


@pytest.mark.parametrize(
    "rule, sets",
    [
        ("rows", ["a1 b1 c1", "a2 b2 c2", "a3 b3 c3"]),
        ("columns", ["a1 a2 a3", "b1 b2 b3", "c1 c2 c3"]),
        ("diagonals", ["a1 b2 c3", "c1 b2 a3"]),
        ("regions: |\n      aab\n      a.b\n      ccb", ["a1 b1 a2", "c1 c2 c3", "a3 b3"]),
        ("boxes: 1x3", ["a1 b1 c1", "a2 b2 c2", "a3 b3 c3"]),
        ("knights", ["a1 c2", "a1 b3", "b1 a3", "b1 c3", "c1 a2", "c1 b3", "a2 c3", "c2 a3"]),
        ("different: [[a1, c3], [b2, a1, c1]]", ["a1 c3", "b2 a1 c1"]),
        ("edges: [[a1, c3]]", ["a1 c3"]),
    ],
)
def test_shorthands(rule, sets):
    puzzle = read_text(f"grid: 3x3\nsymbols: [x, y, z]\nrules:\n  - {rule}")
    place = {name: cell for cell, name in enumerate(cell_names((3, 3)))}
    cells = [[place[name] for name in group.split()] for group in sets]
    expected = {Group(len(s) == 3, tuple(sorted(3 * cell + c for cell in s))) for s in cells for c in range(3)}
    assert set(puzzle.groups) == expected


def test_kings_touch():
    puzzle = read_text("grid: 3x3\nsymbols: 1..9\nrules: [kings]")
    near = {tuple(sorted((a, b))) for a in range(9) for b in range(9) if a != b and touch(a, b)}
    assert {tuple(c // 9 for c in group.candidates) for group in puzzle.groups} == near


def touch(a, b):
    return max(abs(a // 3 - b // 3), abs(a % 3 - b % 3)) == 1


def test_cells_are_named_as_in_a_spreadsheet():
    names = cell_names((2, 53))
    assert names[:2] == ("a1", "b1") and names[25:28] == ("z1", "aa1", "ab1") and names[52:54] == ("ba1", "a2")


@pytest.mark.parametrize("n", [1, 4, 5])
def test_queens_by_hand(n):
    squares = [(row, column) for row in range(n) for column in range(n)]
    attack = {
        (i, j)
        for (i, (r, c)), (j, (s, d)) in combinations(enumerate(squares), 2)
        if r == s or c == d or abs(r - s) == abs(c - d)
    }
    assert pairs(queens(n)) == attack and same(read_text(f"queens: {n}"), queens(n))


# ---- there and back


PUZZLES = {
    "sudoku": read_text(SUDOKU),
    "timetable": read_text(TIMETABLE),
    "queens": queens(6, [1] + [0] * 6 + [0, 2] + [0] * 27),
    "latin": read_text("grid: 3x3\nsymbols: [n, yes, 010]\nrules: [rows, columns]"),
    "colouring": colouring(nx.petersen_graph(), 3),
    "no rule": read_text("cells: ['a: b', '#']\nsymbols: ['null', '-', '{']"),
    "only candidates": make_puzzle("ab", "xyz", [Group(True, (0, 4)), Group(False, (1, 2, 3))], {1: 2}),
}


@pytest.mark.parametrize("name", PUZZLES)
def test_what_is_written_is_read_again(name):
    puzzle = PUZZLES[name]
    assert same(read_text(write_text(puzzle)), puzzle)


def test_json_is_a_subset():
    text = {"grid": "2x2", "symbols": ["1", "2"], "given": {"a1": 1}, "rules": ["rows", {"different": [["a1", "a2"]]}]}
    puzzle = read_text(json.dumps(text, indent=1))
    assert same(puzzle, read_text("grid: 2x2\nsymbols: 1..2\ngiven: {a1: 1}\nrules: [rows, edges: [[a1, a2]]]"))


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_of_every_format(tmp_path, name):
    graph = GRAPHS[name]
    edges = "".join(f"e {a + 1} {b + 1}\n" for a, b in graph.edges)
    vertices = "".join(f"{v + 1}\n" for v in graph)
    listed = "".join(f"{a + 1} {b + 1} # an edge\n" for a, b in graph.edges)
    texts = {
        "g6": nx.to_graph6_bytes(graph, header=False).decode(),
        "s6": nx.to_sparse6_bytes(graph, header=False).decode(),
        "col": f"c {name}\np edge {len(graph)} {graph.number_of_edges()}\n{edges}",
        "edges": vertices + listed,
    }
    for suffix, text in texts.items():
        (tmp_path / f"a.{suffix}").write_text(text)
        (puzzle,) = read_puzzles(tmp_path / f"a.{suffix}", num_colours=3)
        assert puzzle.cells == tuple(str(v + 1) for v in graph)
        found = {(g.candidates[0] // 3, g.candidates[1] // 3) for g in puzzle.groups}
        assert found == {tuple(sorted(edge)) for edge in graph.edges}


def test_files_of_every_kind(tmp_path):
    (tmp_path / "a.yaml").write_text(SUDOKU)
    (tmp_path / "a.txt").write_text("# one a line\n1..3.4..2......1\n................\n")
    (puzzle,), (one, blank) = read_puzzles(tmp_path / "a.yaml"), read_puzzles(tmp_path / "a.txt")
    assert same(one, puzzle) and set(blank.roles) == {BLANK}


# ---- mistakes


@pytest.mark.parametrize(
    "text, line, sentence",
    [
        ("", 1, "got nothing; expected a puzzle"),
        ("- a", 1, "got a list for the puzzle; expected KEY: VALUE"),
        ("grid: [3", 1, "this is not YAML: "),
        ("grid: 3x3\ncells: *g", 2, r"got an alias \(\*name\); expected what it stands for"),
        ("grid: &g 3x3\nsymbols: 1..3", 1, r"got a tag \(!name\) or an anchor \(&name\); leave it out"),
        ("grid: 3x3\nsymbols: 1..3\nrules: [rows,!columns, boxes: 3x3]", 3, r"got a tag \(!name\) or an anchor"),
        ("grid: 3x3\nsymbols: !!python/name:os.system 1..3", 2, r"got a tag \(!name\) or an anchor"),
        ("grid: 90x90\nsymbols: 1..90\nrules: [kings]", 3, "got groups of 5735160 members or more; expected 1000000"),
        ("[" * 30, 1, "got more than 20 lists within each other"),
        ("grid: 2x2\ngird: 3", 2, "got the key 'gird'; expected one of name, grid, "),
        ("grid: 2x2\ngrid: 3x3", 2, "got 'grid' twice in the puzzle; write it once"),
        ("grid: 2x2\ncells: [a]", 1, "got grid and cells; expected one of grid, cells and queens"),
        ("symbols: 1..2", 1, "got neither; expected one of grid, cells and queens"),
        ("grid: 2x2", 1, r"got no symbols; expected symbols: 1\.\.9"),
        ("grid: 2", 1, "got '2' for grid; expected ROWSxCOLUMNS, as in 3x3"),
        ("grid: 9999x9999\nsymbols: 1..9", 1, "got 99980001 cells and 9 symbols; expected 1 to 1000000 candidates"),
        ("grid: 2x2\nsymbols: 9..1", 2, "got the range '9..1' for symbols; expected 1 to 10000 numbers, the least"),
        ("cells: [a, a]\nsymbols: 1..2", 1, "got the name 'a' twice in cells; write another"),
        ("cells: [a, b=c]\nsymbols: 1..2", 1, "got the name 'b=c' with a '=' in it in cells; write another"),
        ("queens: many", 1, "got 'many' for queens; expected a whole number, 1 to 200"),
        ("queens: 4\nsymbols: 1..4", 2, "got symbols beside queens, whose symbols are the columns"),
    ],
)
def test_a_mistake_of_the_board(text, line, sentence):
    refused(text, line, sentence)


@pytest.mark.parametrize(
    "rest, line, sentence",
    [
        ("rules:\n  - row", 4, "got the rule 'row'; expected one of rows, columns, diagonals, knights, kings, boxes, "),
        ("rules:\n  - boxes", 4, "got the rule 'boxes' alone; expected boxes: and what it is of"),
        ("rules:\n  - rows: 3", 4, "got the rule 'rows'; expected"),
        ("rules:\n  - {boxes: 2x2, edges: []}", 4, "got the rules boxes, edges as one; begin each with '-'"),
        ("rules:\n  - {}", 4, "got the rule 'nothing'; expected one of"),
        ("rules:\n  - boxes: 2x3", 4, "got boxes 2x3 on a grid of 4x4; expected some that tile it"),
        ("rules: []", 3, "got an empty list for rules; expected at least one member; leave rules out"),
        ("rules:\n - different:\n    - []", 5, "got an empty list for a group of different"),
        ("rules:\n - different:\n    - [a1, b1]\n    - [a1, e9]", 6, "got cell 'e9' in different; expected one of the"),
        ("rules:\n - different:\n    - [a1, a1]", 5, "got a cell twice in one group; write it once"),
        ("rules:\n - different: [[a1, a2, a3, a4, b1]]", 4, "got 5 cells that have to differ, and 4 symbols; expected"),
        ("rules:\n - edges: [[a1, a2, a3]]", 4, r"got an edge of 3 cells; expected 2, as in \[a, b\]"),
        ("rules:\n - exactly one: [[a1=1, a1]]", 4, "got 'a1' in exactly one; expected CELL=SYMBOL, as in a1=3"),
        ("rules:\n - exactly one: [[a1=7]]", 4, "got 'a1=7' in exactly one, and there is no such cell or no such sy"),
        ("rules:\n - at most one: [[a1=1, a1=1]]", 4, "got a candidate twice in one group of 'at most one'"),
        ("rules:\n - regions: aabb", 4, "got a drawing of 4 cells for regions; expected 4 rows of 4"),
        ("given: {a1: 5}", 3, "got symbol '5' in given; expected one of the symbols 1 .. 4"),
        ("given:\n  z1: 1", 4, "got cell 'z1' in given; expected one of the cells a1 .. d4"),
        ("given: |\n  1234\n  ....\n  ..x.\n  ....", 3, "got 'x' in given; expected a symbol, or '.' for a blank"),
        ("given: [a1]", 3, "got a list for given; expected KEY: VALUE"),
        ("given:\n  a1: 1\n  c1: 1\nrules: [rows]", 5, "a1=1 and c1=1 are given, and at most one of them can be"),
        ("given:\n  a1: 1\nexcluded:\n  a1: 1", 6, "a1=1 is given and excluded; write one of the two"),
        ("excluded:\n  a1: [1, 2,\n    3, 4]", 5, "one of a1=1, a1=2, a1=3, a1=4 has to be, and the clues leave none"),
    ],
)
def test_a_mistake_of_rules_and_clues(rest, line, sentence):
    refused(f"grid: 4x4\nsymbols: 1..4\n{rest}", line, sentence)


def test_a_grid_is_needed():
    for rest in ("rules: [rows]", "given: ab"):
        refused(f"cells: [a, b]\nsymbols: 1..2\n{rest}", 3, "without a grid; expected grid: ROWSxCOLUMNS")
    refused("grid: 2x3\nsymbols: 1..6\nrules: [diagonals]", 3, "got diagonals on a grid of 2x3; expected a square")


def refused(text, line, sentence):
    with pytest.raises(Misplaced, match=sentence) as problem:
        read_text(text)
    assert problem.value.line == line


def test_a_file_names_itself(tmp_path):
    (tmp_path / "a.yaml").write_text("grid: 2x2\nsymbols: 1..2\nrules: [row]")
    with pytest.raises(PuzzleFileError, match="a.yaml, line 3: got the rule 'row'; expected one of"):
        read_file(tmp_path / "a.yaml")
    (tmp_path / "a.edges").write_text("a b\nb b\n")
    with pytest.raises(PuzzleFileError, match="a.edges, row 2: got 'b b'; expected 'U V', two different vertices"):
        read_puzzles(tmp_path / "a.edges", num_colours=3)
    (tmp_path / "a.txt").write_text("11..............\n")
    with pytest.raises(PuzzleFileError, match="a.txt, line 1: clues contradict: 1 stands at row 1, column 1"):
        read_puzzles(tmp_path / "a.txt")


def test_what_is_missing_is_asked_for(tmp_path):
    with pytest.raises(ValueError, match=r"graphs, and no number of colours; write num_colours=3, say"):
        read_puzzles("a.g6")
    with pytest.raises(ValueError, match=r"boards of queens, and not their side; write n=8, say"):
        read_puzzles("a.tar.gz")
    with pytest.raises(PuzzleFileError, match=r"a.pdf is of no kind that is read; expected one of \.yaml"):
        read_puzzles("a.pdf")
    with pytest.raises(ValueError, match="got 1 colour for a graph with edges; expected 2 or more"):
        colouring(nx.path_graph(2), 1)
    with pytest.raises(ValueError, match="got 2 queens in 1 rows; expected one in a row; take one off"):
        queens(4, [2, 2] + [0] * 14)
