"""The demo page: a real server on a free port of this machine, asked over HTTP."""

import json
import math
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import networkx as nx
import pytest
from demo_server import CONFIG, FOUR, needs_weights, running
from plain_rules import queens_solutions, queens_text, sudoku_is_right
from scripts import ROOT, experiment

from gram_pyro.app.puzzle import read_sudoku
from gram_pyro.harness.load import released
from gram_pyro.tasks.candidates.puzzle import IN, OUT
from gram_pyro.tasks.candidates.text import read_text
from gram_pyro.tasks.sudoku.rules import Geometry

PAGE = ROOT / "experiments" / "page"
WISH = {
    "kind": "sudoku",
    "text": FOUR,
    "sampler": "hot_start",
    "temperature": 2.0,
    "num_particles": 6,
    "num_segments": 5,
    "seed": 0,
}
TEMPERED = ("hot_start", "tempered")
pytestmark = needs_weights


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("demo") / "log") as address:
        yield address


def post(server, wish, address="solve"):
    """Status and the last line of an answer."""
    body = wish if isinstance(wish, bytes) else json.dumps(wish).encode()
    try:
        with urlopen(Request(f"{server}/{address}", body), timeout=120) as reply:
            return reply.status, [json.loads(line) for line in reply][-1]
    except HTTPError as refusal:
        with refusal:
            return refusal.code, json.load(refusal)


def is_right(kind, text, board):
    if kind == "queens":
        return board.count("2") == len(text) and queens_text(board) in queens_solutions(text)
    return sudoku_is_right(text, board, 2, 3)


def test_the_page_is_served_whole_and_asks_nobody_else(server):
    for file in PAGE.iterdir():
        with urlopen(f"{server}/{file.name}") as reply:
            assert reply.read() == file.read_bytes()
    with urlopen(server) as reply:
        page = reply.read().decode()
    assert "default-src 'self'" in page and reply.headers["content-type"].startswith("text/html")
    assert all((PAGE / link).is_file() for link in re.findall(r'(?:src|href)="([^"]+)"', page))


def test_the_page_offers_what_is_shipped_within_limits(server):
    with urlopen(f"{server}/boards") as reply:
        offer = json.load(reply)
    boards = {(board["kind"], board["n"]): board for board in offer["boards"]}
    sides = CONFIG.boards.sudoku if "sudoku" in released() else (4, 6, 9)
    shipped = {("sudoku", n) for n in sides if {"sudoku", f"sudoku_{n}x{n}"} & set(released())}
    graphs = {("graph", n) for n in CONFIG.boards.graph if "colouring_8" in released()}
    rules = {("rules", 0) for name in released() if name == "constraints"}
    queens = {("queens", n) for n in range(4, 11) if f"nqueens_{n}" in released()}
    assert set(boards) == shipped | graphs | queens | rules
    assert boards["sudoku", 6]["box"] == [2, 3] and offer["boards"][0]["kind"] == "sudoku"
    assert [sampler["name"] for sampler in offer["samplers"]] == list(CONFIG.about)
    assert {s["name"] for s in offer["samplers"] if s["temperature"] is not None} == set(TEMPERED)
    for name in ("segments", "particles"):
        assert 1 <= offer["start"][name] <= offer["limits"][name]


@pytest.mark.parametrize(("board", "title"), [(b, t) for b, examples in CONFIG.examples.items() for t in examples])
def test_an_example_has_as_many_solutions_as_it_says(board, title):
    text = CONFIG.examples[board][title]
    n = int(board.split("_")[1])
    if board.startswith("queens"):
        count = len(queens_solutions(text))
    elif board.startswith("graph"):
        graph = nx.from_graph6_bytes(text.encode())
        assert len(graph) == n
        count = len(colourings(graph))
    elif board.startswith("rules"):
        count = len(rules_solutions(read_text(text)))
        if not title[0].isdigit():  # promises solutions, and no number of them
            assert count > 0
            return
    else:
        count = len(Geometry(n).solve(read_sudoku(text).x.tolist(), 100))
    word = re.match(r"\w+", title)[0]
    assert str(count) == {"one": "1", "none": "0"}.get(word, word)


def rules_solutions(puzzle):
    """All choices of a candidate per cell that no group has twice, and every exact group has once."""
    width = len(puzzle.symbols)
    groups = [(set(group.candidates), group.exact) for group in puzzle.groups]
    found = [()]
    for cell in range(len(puzzle.cells)):
        options = [c for c in range(cell * width, (cell + 1) * width) if puzzle.roles[c] != OUT]
        given = [c for c in options if puzzle.roles[c] == IN]
        found = [(*past, c) for past in found for c in given or options]
        found = [chosen for chosen in found if all(len(group.intersection(chosen)) < 2 for group, _ in groups)]
    return [chosen for chosen in found if all(group.intersection(chosen) for group, exact in groups if exact)]


def colourings(graph):
    """All colourings with 3 colours, as tuples; colours are numbered as they appear."""
    found = [()]
    for vertex in graph:
        near = [other for other in graph[vertex] if other < vertex]
        found = [
            (*past, colour)
            for past in found
            for colour in range(min(3, max(past, default=-1) + 2))
            if colour not in {past[other] for other in near}
        ]
    return set(found)


def test_a_graph_is_coloured_and_what_differs_in_names_alone_is_one(server):
    cube = CONFIG.examples.graph_8["19 solutions: a cube"]
    graph = nx.from_graph6_bytes(cube.encode())
    edges = ",".join(f"{a + 1}-{b + 1}" for a, b in graph.edges)
    assert post(server, {"text": edges}, "read") == (200, read("graph", 8, cube))
    status, reply = post(server, WISH | {"kind": "graph", "text": cube})
    assert status == 200
    assert without_time((200, reply)) == without_time(post(server, WISH | {"kind": "graph", "text": edges}))
    pairs = ["1" if (a, b) not in graph.edges else "2" for a, b in combinations(range(8), 2)]
    assert reply["clues"] == "".join(pairs) + "0" * 8
    last = [tuple(int(symbol) - 3 for symbol in answer[28:]) for answer in reply["answers"][-1]]
    right = [answer in colourings(graph) for answer in last]
    assert any(right) and reply["right"][-1] == right
    found = {tuple(int(c) - 1 for c in solution["text"]): solution["votes"] for solution in reply["solutions"]}
    assert found == Counter(answer for answer, good in zip(last, right, strict=True) if good)
    for cell, entropy in enumerate(reply["entropy"][28:]):
        counts = Counter(answer[cell] for answer in last).values()
        assert abs(entropy + sum(c / 6 * math.log(c / 6) for c in counts)) < 1e-4


@pytest.mark.parametrize("sampler", list(CONFIG.about))
def test_what_comes_back_is_judged_as_by_hand(server, sampler):
    wish = WISH | {"sampler": sampler}
    if sampler not in TEMPERED:
        del wish["temperature"]
    for question in (wish, wish | {"kind": "queens", "text": "2.1....."}):
        status, reply = post(server, question)
        assert status == 200
        kind, text, last = question["kind"], question["text"], reply["answers"][-1]
        assert [len(frame) for frame in reply["answers"]] == [6] * 5 == [len(frame) for frame in reply["halt"]]
        right = [[is_right(kind, text, board) for board in frame] for frame in reply["answers"]]
        assert reply["right"] == right
        found = {s["board"]: s["votes"] for s in reply["solutions"]}
        assert found == Counter(board for board, good in zip(last, right[-1], strict=True) if good)
        assert [s["votes"] for s in reply["solutions"]] == sorted(found.values(), reverse=True)
        for solution in reply["solutions"]:
            mine = [h for h, board in zip(reply["halt"][-1], last, strict=True) if board == solution["board"]]
            assert abs(solution["confidence"] - sum(mine) / len(mine)) < 2e-4  # both are rounded
            as_typed = queens_text(solution["board"]) if kind == "queens" else solution["board"]
            assert solution["text"] == as_typed
        if sampler != "smc":  # its trajectories have weights
            for cell, entropy in enumerate(reply["entropy"]):
                counts = Counter(board[cell] for board in last).values()
                assert abs(entropy + sum(c / 6 * math.log(c / 6) for c in counts)) < 1e-4


def test_every_segment_is_told_as_it_ends(server):
    with urlopen(Request(f"{server}/solve", json.dumps(WISH).encode()), timeout=120) as reply:
        *steps, outcome = [json.loads(line) for line in reply]
    assert steps == [{"done": segment, "of": 5} for segment in range(6)]
    assert len(outcome["answers"]) == 5


def without_time(reply):
    return {name: value for name, value in reply[1].items() if name != "seconds"}


def test_temperature_one_is_the_prior_and_zero_has_no_noise(server):
    plain = {name: value for name, value in WISH.items() if name != "temperature"} | {"sampler": "ancestral"}
    trained = without_time(post(server, plain))
    for sampler in TEMPERED:
        assert without_time(post(server, WISH | {"sampler": sampler, "temperature": 1})) == trained
        assert without_time(post(server, WISH | {"sampler": sampler, "temperature": 1.5})) != trained
    cold = post(server, WISH | {"sampler": "tempered", "temperature": 0})[1]
    assert all(len(set(frame)) == 1 for frame in cold["answers"]) and max(cold["entropy"]) == 0


def test_fifty_who_ask_at_once_get_what_each_would_get_alone(server):
    wishes = [WISH | {"num_particles": 2, "num_segments": 1 + i % 3, "seed": i % 5} for i in range(50)]
    alone = {(w["num_segments"], w["seed"]): without_time(post(server, w)) for w in wishes[:15]}
    with ThreadPoolExecutor(50) as pool:
        replies = list(pool.map(lambda wish: post(server, wish), wishes))
    assert [status for status, _ in replies] == [200] * 50
    for wish, reply in zip(wishes, replies, strict=True):
        assert without_time(reply) == alone[wish["num_segments"], wish["seed"]]
    assert alone[1, 0] != alone[1, 3]  # a seed matters


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        (b"", "no JSON object"),
        (b"{", "no JSON object"),
        (b"[1]", "no JSON object"),
        (b"[" * 4000, "no JSON object"),
        (b"\xff\xfe", "no JSON object"),
        (b"{}", "sampler is None; write hot_start, ancestral, tempered, sir or smc"),
        ({"num_particles": True}, "num_particles is True; write a whole number from 1 to 64"),
        ({"num_particles": 65}, "num_particles is 65"),
        ({"num_particles": 0}, "num_particles is 0"),
        ({"num_segments": 2.0}, "num_segments is 2.0; write a whole number from 1 to 32"),
        ({"num_segments": 33}, "num_segments is 33"),
        ({"temperature": math.nan}, "temperature is nan; write a number from 0 to 4.0"),
        ({"temperature": "2"}, "temperature is '2'"),
        ({"temperature": -0.1}, "temperature is -0.1"),
        ({"seed": 2**32}, "seed is 4294967296; write a whole number from 0 to 4294967295"),
        ({"seed": 10**400}, "seed is 1000000"),
        ({"seed": None}, "seed is None"),
        ({"depth": 3}, "check depth"),
        ({"sampler": "ancestral"}, "check temperature"),
        ({"sampler": ["sir"]}, "sampler is ['sir']"),
        ({"sampler": "ptrm"}, "sampler is 'ptrm'"),
        ({"kind": "chess"}, "kind is 'chess'; write sudoku, queens, graph or rules"),
        ({"kind": "graph", "text": "1-2,3-3"}, "got the edge 3-3; expected two different vertices"),
        ({"kind": "graph", "text": "1-2,2-50"}, "there are no weights for a graph of 50 vertices in 3 colours"),
        ({"text": 7}, "text is 7; write the puzzle as a string"),
        ({"text": "12"}, "got a Sudoku of 2 cells"),
        ({"text": "." * 35 + "7"}, "row 6, column 6 of the Sudoku is '7'; write 1 to 6"),
        ({"text": "11" + "." * 34}, "clues contradict: 1 stands at row 1, column 1 and at row 1, column 2, in one row"),
        ({"kind": "queens", "text": "....."}, "there are no weights for a 5x5 board of queens, but for: "),
        ({"kind": "queens", "text": "0......0"}, "the queens of rows 1 and 8 stand on one column"),
        ({"kind": "queens", "text": FOUR}, "a board of 36 rows"),
    ],
)
def test_a_wrong_request_gets_a_sentence(server, wish, sentence):
    status, reply = post(server, wish if isinstance(wish, bytes) else WISH | wish)
    assert status == 400 and set(reply) == {"error"} and sentence in reply["error"]


def read(kind, n, text):
    """What the page is told of a puzzle that was pasted."""
    return {"kind": kind, "n": n, "text": text, "spec": {}}


def test_a_pasted_puzzle_is_read(server):
    pasted = "1 _ | 3 _\n_ 4 | _ _\n----+----\n2 _ | _ _\r\n_ _ | _ 1\n"
    assert post(server, {"text": pasted}, "read") == (200, read("sudoku", 4, "1.3..4..2......1"))
    assert post(server, {"text": "2 - * 1"}, "read") == (200, read("queens", 4, "2..1"))
    grid = "\n".join("_________" for _ in range(9)).replace("_", "7", 1)
    assert post(server, {"text": grid}, "read") == (200, read("sudoku", 9, "7".ljust(81, ".")))
    path = str(ROOT / "README.md")  # no file of this machine is read
    for wish, sentence in (({}, "text is None"), ([], "no JSON object"), ({"text": path}, "got a Sudoku of")):
        status, reply = post(server, wish, "read")
        assert status == 400 and sentence in reply["error"]


@pytest.mark.parametrize("size", [32_769, 3_000_000])
def test_a_request_that_is_too_large_is_refused(server, size):
    status, reply = post(server, b" " * size)
    assert status == 413 and reply == {"error": f"the request has {size} bytes; write at most 32768"}
    assert post(server, json.dumps(WISH).encode().ljust(32_768))[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("DELETE", "/boards", 405), ("GET", "/%2e%2e/demo.py", 404), ("POST", "/boards", 405)],
)
def test_other_addresses_are_refused(server, method, path, status):
    with pytest.raises(HTTPError) as refusal:
        urlopen(Request(server + path, method=method))
    with refusal.value as reply:
        assert reply.code == status and json.load(reply)["error"]


def test_an_address_that_cannot_be_had_gets_one_sentence(server):
    port = int(server.rsplit(":", 1)[1])
    for host, number in (("127.0.0.1", port), ("192.0.2.1", 0)):
        with pytest.raises(
            ValueError, match=f"host={host} port={number} cannot be listened on .*; port=0 takes a free"
        ):
            experiment("demo").listen(host, number)
    for number in (70000, -1, "http", True):
        with pytest.raises(ValueError, match=f"got port={number}; write a whole number from 0, any free one, to 65535"):
            experiment("demo").listen("127.0.0.1", number)
    door = experiment("demo").listen("127.0.0.1", 0)
    with door:
        assert door.getsockname()[1] > 0
