"""Every single-byte damage of every kind of file: refused, read as the same data, or beyond what the format can tell.

What a format cannot tell is listed by each test; the docstrings of the readers say the same. Tried are some values at
some places, and all values at all places under the marker slow.
"""

import gzip
import json
import logging
import lzma
import tarfile
from io import BytesIO

import damage
import networkx as nx
import numpy as np
import pytest
import torch
from damage import damages, survivors
from omegaconf import OmegaConf

from gram_pyro.harness import checkpoint
from gram_pyro.harness.run_folder import read_config
from gram_pyro.tasks.arc.files import read_tasks
from gram_pyro.tasks.base import Puzzles
from gram_pyro.tasks.cache import cached
from gram_pyro.tasks.candidates.text import read_file
from gram_pyro.tasks.colouring.files import graphs_in, read_graphs
from gram_pyro.tasks.files import PuzzleFileError
from gram_pyro.tasks.images import read_images, read_labels
from gram_pyro.tasks.nqueens.rules import Board
from gram_pyro.tasks.nqueens.task import read_excluded
from gram_pyro.tasks.sudoku.files import read_puzzles

BOARD = "1234341221434321"
CLUES = "1.3..4..2......1"
UTF16 = f"question,answer\n{CLUES},{BOARD}\n".encode("utf-16")


@pytest.fixture(params=["some", pytest.param("all", marks=pytest.mark.slow)], autouse=True)
def number_of_damages(request, monkeypatch):
    if request.param == "all":
        monkeypatch.setattr(damage, "VALUES", range(256))
        monkeypatch.setattr(damage, "MOST", 10_000)


def lists(puzzles):
    return [part.tolist() for part in puzzles]


def boards(path):
    return lists(read_puzzles(path, max_solutions=20))


CSV = f"question,answer\n{CLUES},{BOARD}\n{BOARD[:14]}..,{BOARD}\n".encode()
JSONL = f'{{"question": "{CLUES}", "solutions": ["{BOARD}"]}}\n'.encode()
WITH_ANSWERS = {"plain.csv": CSV, "lines.jsonl": JSONL, "utf16.csv": UTF16, "mark.csv": b"\xef\xbb\xbf" + CSV}


@pytest.mark.parametrize("name", WITH_ANSWERS)
def test_puzzles_with_answers(tmp_path, name):
    """Not told: a clue that became a blank, and a blank that became the clue of the answer."""
    content = WITH_ANSWERS[name]
    for place, byte in survivors(tmp_path / name, content, boards, PuzzleFileError):
        assert (
            chr(content[place]) in "1234"
            and chr(byte) in "0.-*_x"
            or chr(content[place]) == "."
            and chr(byte) in "1234"
        )


def test_puzzles_without_answers(tmp_path):
    """Not told: a cell that became another one, if there still is a solution; a line that became a comment."""
    content = f"1 2 | 3 4\n3 4 | 1 2\n----+----\n2 1 | 4 3\n4 3 | . .\n\n{CLUES}\n".encode()
    second = content.index(CLUES.encode())
    for place, byte in survivors(tmp_path / "a.txt", content, boards, PuzzleFileError):
        commented = place in (second - 1, second) and chr(byte) == "#"
        assert commented or (chr(content[place]) in "1234." and chr(byte) in "1234.0-*_xX")


def test_packed_files_are_refused_or_the_same(tmp_path):
    """Both carry a checksum."""
    for suffix, pack in ((".gz", lambda data: gzip.compress(data, mtime=0)), (".xz", lzma.compress)):
        assert survivors(tmp_path / f"a.csv{suffix}", pack(CSV), boards, PuzzleFileError) == []


def graphs(path):
    return lists(read_graphs(path, 6, 3, 500))


CYCLE, PATH = (nx.to_graph6_bytes(graph, header=False).strip() for graph in (nx.cycle_graph(6), nx.path_graph(6)))


def test_graph6(tmp_path):
    """Not told: a byte of edges that became another byte of edges.  None outside of '?' to '~' is read."""
    content = b">>graph6<<" + CYCLE + b"\n" + PATH + b"\n"
    for place, byte in survivors(tmp_path / "a.g6", content, graphs, PuzzleFileError):
        assert 63 <= content[place] <= 126 and 63 <= byte <= 126 and content[place - 1] != ord("\n")


def test_sparse6(tmp_path):
    content = nx.to_sparse6_bytes(nx.cycle_graph(6), header=False)
    for place, byte in survivors(tmp_path / "a.s6", content, graphs, PuzzleFileError):
        assert place > 1 and 63 <= byte <= 126


def test_dimacs(tmp_path):
    """Not told: an end of an edge that became another vertex."""
    content = b"c a path\np edge 6 4\nn 1 2\ne 1 2\ne 2 3\ne 3 4\ne 4 5\n"
    for place, byte in survivors(tmp_path / "a.col", content, graphs, PuzzleFileError):
        assert content.rindex(b"\n", 0, place) + 1 == content.rindex(b"e ", 0, place) and chr(byte) in "123456"
        assert chr(content[place]).isdigit()


def test_tables_of_graphs(tmp_path):
    """Not told: as graph6; a header in another case, or with quotes."""
    content = b"graph6,name\n" + CYCLE + b",a\n" + PATH + b",b\n"
    for place, byte in survivors(tmp_path / "a.csv", content, graphs, PuzzleFileError):
        assert 63 <= content[place] <= 126 and 63 <= byte <= 126 and content[place - 1] != ord("\n")


def test_edges(tmp_path):
    """Not told: a name that became another one, or two; what became a comment, or a vertex of its own."""
    content = b"1 2\n2 3\n3 4 # a square\n4 1\n"
    read = lambda path: [sorted(map(sorted, graph.edges)) for graph in graphs_in(path)]  # noqa: E731
    survivors(tmp_path / "a.edges", content, read, PuzzleFileError)


RULES = {
    "latin.yaml": b"grid: 2x2\nsymbols: 1..2\ngiven: |\n  1.\n  ..\nrules: [rows, columns]\n",
    "talks.yaml": b"cells: [ma, ph]\nsymbols: [mo, tu]\nexcluded: {ph: mo}\nrules:\n - at most one: [[ma=tu, ph=tu]]\n",
    "queens.yaml": b"queens: 5\ngiven: {row1: a}\n",
    "latin.json": b'{"grid": "2x2", "symbols": ["1", "2"], "rules": ["rows", "columns"]}',
}


@pytest.mark.parametrize("name", RULES)
def test_puzzles_that_state_their_rules(tmp_path, name):
    """Not told: a name or a number that became another one; what became a comment, which JSON has not."""
    content = RULES[name]

    def read(path):
        puzzle = read_file(path)
        return puzzle._replace(groups=sorted(puzzle.groups))

    for place, byte in survivors(tmp_path / name, content, read, PuzzleFileError, bits=(1,)):
        commented = chr(byte) == "#" and not name.endswith("json")
        assert commented or (chr(content[place]).isalnum() or chr(content[place]) in ". ") and chr(byte) > " ", place


def test_archives(tmp_path):
    """Not told: a number that became another one. A header that is damaged, or a cut, is."""
    texts = [b"n =  4\nnumdiags =  1\ndiags =  [[%d, 0]]\n" % number for number in (0, 1, 2)]
    packed = BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for number, text in enumerate(texts):
            member = tarfile.TarInfo(f"{number}.param")
            member.size = len(text)
            archive.addfile(member, BytesIO(text))
    content, path = packed.getvalue(), tmp_path / "a.tar"
    for length in range(0, 8 * 512, 512):
        path.write_bytes(content[:length])
        with pytest.raises(PuzzleFileError, match=r"a.tar is damaged or no .tar.gz of text files"):
            read_excluded(path, Board(4))
    for header in range(0, 3 * 1024, 1024):
        for place in range(header, header + 157, 3):
            path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
            with pytest.raises(PuzzleFileError, match="a.tar is damaged"):
                read_excluded(path, Board(4))
    path.write_bytes(content)
    assert read_excluded(path, Board(4)).num_puzzles > 0


def test_labels(tmp_path):
    """Not told: a label that became another one."""
    content = b"\0\0\x08\x01\0\0\0\x05\0\1\2\3\4"
    assert all(
        p >= 8 for p, _ in survivors(tmp_path / "a", content, lambda p: read_labels(p).tolist(), PuzzleFileError)
    )
    packed = gzip.compress(content, mtime=0)
    assert survivors(tmp_path / "a.gz", packed, lambda path: read_labels(path).tolist(), PuzzleFileError) == []


def test_images(tmp_path):
    """Not told: a pixel; the bits after the last pixel are."""
    content = np.packbits(np.random.default_rng(0).random((4, 12)) < 0.5, axis=1).tobytes()
    found = survivors(tmp_path / "a", content, lambda path: read_images(path, 12).tolist(), PuzzleFileError)
    assert all(place % 2 == 0 or byte & 0b1111 == 0 for place, byte in found)
    packed = lzma.compress(content)
    assert survivors(tmp_path / "a.xz", packed, lambda path: read_images(path, 12).tolist(), PuzzleFileError) == []


@pytest.mark.parametrize("pixels", [(2, 2), (3, 4)])  # packed, their 16 bytes before the pixels are images too
def test_images_in_idx(tmp_path, pixels):
    """Not told: a pixel."""
    content = b"\0\0\x08\3" + b"".join(n.to_bytes(4, "big") for n in (4, *pixels)) + bytes(range(0, 256, 16)) * 3
    content = content[: 16 + 4 * pixels[0] * pixels[1]]
    read = lambda path: read_images(path, pixels[0] * pixels[1]).tolist()  # noqa: E731
    assert all(place >= 16 for place, _ in survivors(tmp_path / "a-idx3-ubyte", content, read, PuzzleFileError))
    packed = gzip.compress(content, mtime=0)
    assert survivors(tmp_path / "a-idx3-ubyte.gz", packed, read, PuzzleFileError) == []


def test_arc(tmp_path):
    """Not told: a colour or a name that became another one."""
    pair = {"input": [[0, 1], [2, 3]], "output": [[4]]}
    content = json.dumps({"one": {"train": [pair], "test": [pair]}, "two": {"train": [pair], "test": [pair]}}).encode()
    names = {place + i for name in (b'"one"', b'"two"') for place in [content.index(name)] for i in range(1, 4)}
    for place, byte in survivors(tmp_path / "a.json", content, lambda path: read_tasks(path), PuzzleFileError):
        assert chr(content[place]).isdigit() and chr(byte).isdigit() or place in names


PUZZLES = {"train": Puzzles(torch.tensor([[1, 0]]), torch.tensor([[1, 2]]), torch.tensor([0, 1]))}


def test_a_cache_is_right_or_made_again(tmp_path, caplog):
    def read():
        return {name: lists(part) for name, part in cached(tmp_path, "two", {"n": 2}, lambda: PUZZLES).items()}

    expected = read()
    (path,) = tmp_path.iterdir()
    silent = 0
    with caplog.at_level(logging.WARNING):
        for place, damaged in damages(path.read_bytes(), bits=(0, 5, 7)):
            path.write_bytes(damaged)
            caplog.clear()
            assert read() == expected, place
            silent += not caplog.messages
            assert (path.read_bytes() == damaged) == (not caplog.messages)
    assert silent < 20  # white space of the header


def test_a_checkpoint(tmp_path):
    tensors = {"w": torch.arange(6.0).view(2, 3), "flag": torch.tensor([True]), "n": torch.tensor(3)}
    path = tmp_path / "run.safetensors"
    checkpoint.write(path, tensors, {"config": {"dim": 8}, "updates": 4})

    def read(path):
        found, description = checkpoint.read(path)
        return {name: (str(t.dtype), t.tolist()) for name, t in found.items()}, description

    assert survivors(path, path.read_bytes(), read, ValueError, bits=(0, 5, 7)) == []


def test_a_configuration(tmp_path):
    """Not told: a key or a value that became another one.  YAML has no sum; the checkpoint beside it has one."""
    content = OmegaConf.to_yaml(
        OmegaConf.create({"dim": 8, "task": {"n": 4, "files": ["a", "b"]}, "start": None})
    ).encode()
    survivors(tmp_path / "config.yaml", content, lambda path: OmegaConf.to_container(read_config(path)), ValueError)
