"""Fuzzing of everything that reads: a right answer or the declared error, for some thousands of inputs.

Inputs are drawn by hypothesis, always the same ones. Right is what can be told without the reader: that the text comes
back, or that the rules hold.
"""

import gzip
import io
import json
import lzma
import tarfile
from itertools import combinations

import networkx as nx
import pytest
import torch
from fuzzing import fuzz, fuzz_reader
from hypothesis import strategies as st
from plain_graphs import brute_force, graph_of
from scripts import ROOT

from gram_pyro.app import puzzle, reading
from gram_pyro.harness import checkpoint
from gram_pyro.tasks.colouring import files as graph_files
from gram_pyro.tasks.files import PuzzleFileError
from gram_pyro.tasks.nqueens import task as nqueens
from gram_pyro.tasks.nqueens.rules import EMPTY, Board
from gram_pyro.tasks.planning import grids
from gram_pyro.tasks.sudoku import files as sudoku_files


def mostly(symbols, lengths):
    """Text of a likely length and alphabet, and now and then any text at all."""
    likely = st.sampled_from(lengths).flatmap(lambda n: st.binary(min_size=n, max_size=n))
    likely = likely.map(lambda draw: "".join(symbols[value % len(symbols)] for value in draw))  # faster than st.text
    return st.one_of(likely, likely, likely, st.text(max_size=90))


def damaged(data, edits=3):
    """A file with some bytes changed, and cut or prolonged now and then."""
    place = st.integers(0, len(data) - 1)
    changes = st.lists(st.tuples(place, st.integers(0, 255)), max_size=edits)
    return st.builds(_damage, st.just(data), changes, st.one_of(st.none(), st.none(), place), st.binary(max_size=4))


def _damage(data, changes, cut, tail):
    data = bytearray(data)
    for place, value in changes:
        data[place] = value
    return bytes(data[:cut]) + (tail if cut is None else b"")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """file(name, content): a file of that content."""
    folder = tmp_path_factory.mktemp("fuzz")

    def write(name, content):
        path = folder / name
        path.write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
        return path

    return write


def tidied(text):
    """Without what may stand between symbols, blanks as dots."""
    between = lambda c: c.isspace() or c == "|" or "\u2500" <= c <= "\u257f"  # noqa: E731
    return "".join("." if c in "_*x-" else c.upper() if c.isascii() else c for c in text if not between(c))


SUDOKU_TEXT = mostly("..00123456789", [16, 36, 81])
QUEENS_TEXT = mostly("." * 12 + "01234567", [4, 5, 8, 10, 3, 11])


@fuzz_reader(1000, read=0.1, text=SUDOKU_TEXT)
def test_a_sudoku_comes_back_or_is_refused(text):
    try:
        read = puzzle.read_sudoku(text)
    except ValueError as problem:
        assert "Sudoku" in str(problem)
        return False
    assert puzzle.as_text(read, read.x) == tidied(text).replace("0", ".") and read.n**2 == len(tidied(text))
    return True


@fuzz_reader(1000, read=0.05, text=QUEENS_TEXT)
def test_queens_come_back_or_are_refused(text):
    try:
        read = puzzle.read_queens(text)
    except ValueError as problem:
        assert "board" in str(problem) or "queens" in str(problem)
        return False
    assert puzzle.as_text(read, read.x) == tidied(text)
    queens = [(row, int(column)) for row, column in enumerate(tidied(text)) if column != "."]
    assert all(c != d and abs(c - d) != abs(r - s) for (r, c), (s, d) in combinations(queens, 2))
    return True


@fuzz_reader(
    500,
    read=0.05,
    kind=st.sampled_from(list(puzzle.READERS)),
    content=st.one_of(st.binary(max_size=60), SUDOKU_TEXT, QUEENS_TEXT),
)
def test_a_file_of_puzzles_is_read_or_refused(file, kind, content):
    path = file("puzzles.txt", content)
    try:
        read = reading.read_file(kind, str(path))
    except ValueError as problem:
        assert str(problem).startswith(str(path))
        return False
    boards = [line for line in path.read_text("utf-8").splitlines() if not line.lstrip().startswith("#")]
    text = "".join(map(tidied, boards))
    assert "".join(puzzle.as_text(one, one.x) for one in read) == (text.replace("0", ".") if kind == "sudoku" else text)
    return True


SYMBOLS_TEXT = st.one_of(mostly("01234.", [16]), mostly("0123456789ABCD.", [16, 36, 81, 144, 196, 1, 4]))


@fuzz_reader(1000, read=0.1, text=SYMBOLS_TEXT, n=st.one_of(st.none(), st.none(), st.just(4), st.integers(-5, 40)))
def test_a_board_of_symbols_is_parsed_or_refused(text, n):
    try:
        board = sudoku_files.parse(text, n)
    except ValueError:
        return False
    text = tidied(text)
    side = n or round(len(text) ** 0.5)
    assert len(board) == side**2 and all(0 <= value <= side for value in board)
    assert all(value == int(symbol, 36) for value, symbol in zip(board, text.replace(".", "0"), strict=True))
    return True


BOARD = "1234341221434321"
CSV = f"question,answer\n{BOARD[:12]}....,{BOARD}\n{BOARD[:8]}........,{BOARD}\n".encode()
BARE = f"rating,question\n1,{BOARD[:12]}....\n2,{BOARD[:8]}........\n".encode()
JSONL = "".join(
    json.dumps({"question": BOARD[:n] + "." * (16 - n), "solutions": [BOARD]}) + "\n" for n in (12, 8)
).encode()
NAMES = {
    ".csv": (CSV, BARE),
    ".jsonl": (JSONL,),
    ".csv.gz": (gzip.compress(CSV, mtime=0),),
    ".csv.xz": (lzma.compress(CSV),),
}
SUDOKU_FILES = [(name, data) for name, contents in NAMES.items() for data in contents]


@fuzz_reader(
    500,
    read=0.01,
    made=st.sampled_from(SUDOKU_FILES).flatmap(lambda f: st.tuples(st.just(f[0]), damaged(f[1]))),
)
def test_sudoku_files_are_solved_or_refused(file, made):
    path = file(f"boards{made[0]}", made[1])
    try:
        puzzles = sudoku_files.read_puzzles(path, max_solutions=20)
    except PuzzleFileError as problem:
        assert str(problem).startswith(str(path))
        return False
    geometry = sudoku_files.Geometry(round(puzzles.x.shape[1] ** 0.5))
    owner = torch.repeat_interleave(torch.arange(puzzles.num_puzzles), puzzles.num_solutions)
    assert geometry.is_solved(puzzles.x[owner], puzzles.solutions).all() and (puzzles.num_solutions > 0).all()
    return True


@fuzz(300, name=st.sampled_from(list(NAMES)), content=st.one_of(st.binary(max_size=200), st.text(max_size=200)))
def test_what_is_no_sudoku_file_is_refused(file, name, content):
    with pytest.raises(PuzzleFileError):
        sudoku_files.read_puzzles(file(f"boards{name}", content))


def archive(text):
    """A .tar of one instance."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        part = tarfile.TarInfo("diag/one")
        part.size = len(text)
        tar.addfile(part, io.BytesIO(text))
    return whole.getvalue()


DIAGONALS = b"n = 4 numdiags = 2 diags = [[5, 0], [4, 1]]"
TAR = archive(DIAGONALS)[:2048]  # without the padding of tar to 10240
BOARD_OF_FOUR = Board(4)


@fuzz_reader(
    400,
    read=0.02,  # 3 to 8 %: hypothesis also draws constants of the modules that are loaded, so it depends on other tests
    packed=damaged(gzip.compress(TAR, mtime=0)),
    tar=damaged(TAR, edits=6),
    inside=st.booleans(),
)
def test_an_archive_of_diagonals_is_read_or_refused(file, packed, tar, inside):
    path = file("diag.tar.gz", gzip.compress(tar, 1, mtime=0) if inside else packed)
    return check_diagonals(path)


NUMBER = st.one_of(st.integers(0, 8), st.integers(), st.just(10**5000)).map(
    lambda n: f"{n:d}" if n < 10**9 else "9" * 5000
)


@fuzz_reader(
    300,
    read=0.03,
    n=st.one_of(st.just("4"), st.just("4"), NUMBER),
    count=st.one_of(st.none(), st.none(), NUMBER),  # None: of the pairs that follow
    pairs=st.lists(st.tuples(st.one_of(st.integers(0, 6).map(str), NUMBER), st.sampled_from("01")), max_size=3),
    noise=st.one_of(st.just(""), st.text(max_size=5)),
)
def test_lists_of_diagonals_are_read_or_refused(file, n, count, pairs, noise):
    count = len(pairs) if count is None else count
    text = f"n = {n} numdiags = {count} diags = [{', '.join(f'[{d}, {kind}]' for d, kind in pairs)}]{noise.strip()}"
    path = file("diag.tar.gz", gzip.compress(archive(text.encode("utf-8", "replace")), 1, mtime=0))
    return check_diagonals(path)


def check_diagonals(path):
    try:
        puzzles = nqueens.read_excluded(path, BOARD_OF_FOUR)
    except PuzzleFileError as problem:
        assert str(problem).startswith(str(path))
        return False
    owner = torch.repeat_interleave(torch.arange(puzzles.num_puzzles), puzzles.num_solutions)
    assert (BOARD_OF_FOUR.violations(puzzles.x[owner], puzzles.solutions) == 0).all()
    assert ((puzzles.x == EMPTY) | (puzzles.x == 0)).all() and (puzzles.num_solutions > 0).all()
    return True


CYCLE = nx.to_graph6_bytes(nx.cycle_graph(6), header=False).decode().strip()
GRAPH_FILES = {
    ".g6": f"{CYCLE}\n>>graph6<<{CYCLE}\n".encode(),
    ".csv": f"name,graph6\na,{CYCLE}\n".encode(),
    ".col": b"c a path\np edge 6 2\ne 1 2\ne 2 3\n",
}


@fuzz_reader(
    400,
    read=0.02,
    made=st.sampled_from(list(GRAPH_FILES)).flatmap(lambda n: st.tuples(st.just(n), damaged(GRAPH_FILES[n]))),
)
def test_files_of_graphs_are_coloured_or_refused(file, made):
    return check_graphs(file(f"graphs{made[0]}", made[1]))


WORD = st.one_of(
    st.sampled_from(["p", "e", "c", "edge", "col", "6", "1", "2", "3", str(10**12), "9" * 5000]),
    st.integers().map(str),
    st.text(max_size=3),
)


HEADERS = ["p edge 6 {}", "p col 6 {}", "p edge 6 1", "p edge 7 0", "p edge 1000000000000 0", "c"]
EDGES = st.sampled_from([f"e {a} {b}" for a, b in combinations(range(1, 7), 2)])
LINE = st.one_of(EDGES, EDGES, EDGES, st.lists(WORD, max_size=4).map(" ".join))


@fuzz_reader(400, read=0.05, lines=st.lists(LINE, max_size=6), header=st.sampled_from(HEADERS))
def test_lines_of_dimacs_are_coloured_or_refused(file, lines, header):
    header = header.format(sum(line.startswith("e ") for line in lines))
    return check_graphs(file("graphs.col", "\n".join([header, *lines])))


BYTES = st.lists(st.integers(63, 126), min_size=3, max_size=3)  # of a graph on 6 vertices, of which 3 bits are padding
GRAPH6 = BYTES.map(lambda row: "E" + "".join(map(chr, [*row[:2], 63 + (row[2] - 63 & ~7)])))


@fuzz_reader(
    400,
    read=0.1,
    name=st.sampled_from(["graphs.g6", "graphs.csv"]),
    text=st.one_of(GRAPH6, st.text(st.characters(max_codepoint=130), max_size=20)),
)
def test_lines_of_graph6_are_coloured_or_refused(file, name, text):
    return check_graphs(file(name, "graph6\n" * name.endswith("csv") + text))


def check_graphs(path):
    try:
        puzzles = graph_files.read_graphs(path, 6, 3, 200)
    except PuzzleFileError as problem:
        assert str(problem).startswith(str(path))
        return False
    joined, colours = puzzles.solutions[:, :15] == 2, puzzles.solutions[:, 15:]
    for row, (a, b) in enumerate(combinations(range(6), 2)):
        assert not (joined[:, row] & (colours[:, a] == colours[:, b])).any()
    for x, count in zip(puzzles.x.tolist(), puzzles.num_solutions.tolist(), strict=True):
        assert count == len(brute_force(graph_of(6, x), 3)) > 0
    return True


GRIDS = {shape: grids.Grid(*shape) for shape in ((2, 2), (3, 3), (2, 4))}


@fuzz_reader(
    300,
    read=0.2,
    shape=st.sampled_from(list(GRIDS)),
    symbols=st.lists(st.integers(0, grids.NUM_SYMBOLS - 1), min_size=18, max_size=18),
    ends=st.one_of(st.none(), st.permutations(range(4))),
)
def test_any_map_and_answer_are_judged(shape, symbols, ends):
    """An answer is faultless iff it is a plan; maps may lack a start or a goal, or hold several."""
    grid = GRIDS[shape]
    if ends is not None:  # a map, of one start and one goal
        symbols = [min(symbol, grids.WALL) for symbol in symbols[:9]] + symbols[9:]
        symbols[ends[0]], symbols[ends[1]] = grids.START, grids.GOAL
    x, y = torch.tensor(symbols[: grid.num_cells]), torch.tensor(symbols[9 : 9 + grid.num_cells])
    faults = grid.faults(x, y)
    assert faults.shape == x.shape and (faults >= 0).all()
    is_map = bool((x == grids.START).sum() == (x == grids.GOAL).sum() == 1 and (x < grids.PATH).all())
    if is_map:
        plans = grid.plans(x[None]).solutions
        assert (faults == 0).all() == (plans == y).all(1).any()
        assert (grid.faults(x, plans) == 0).all()
    return is_map


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "run.safetensors"
    checkpoint.write(path, TENSORS, {"config": {"dim": 8}, "updates": 4})
    return path


TENSORS = {"w": torch.arange(6.0).view(2, 3), "flag": torch.tensor([True, False]), "n": torch.tensor(3)}


@fuzz_reader(400, read=0.005, data=st.data())
def test_a_checkpoint_is_whole_or_refused(saved, file, data):
    content = saved.read_bytes()
    content = data.draw(damaged(content) if data.draw(st.integers(0, 9)) else st.binary(max_size=40))
    try:
        tensors, description = checkpoint.read(file("other.safetensors", content))
    except ValueError:
        return False
    assert content == saved.read_bytes() and description == {"config": {"dim": 8}, "updates": 4}
    assert tensors.keys() == TENSORS.keys() and all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)
    return True


def test_nothing_is_left_in_the_tree():
    assert not (ROOT / ".hypothesis").exists()
