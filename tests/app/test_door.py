"""Who the demo page answers: its own names, its own pages, a queue with an end; and a client that leaves."""

import http.client
import json
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest
from demo_server import CONFIG, FOUR, needs_weights, running
from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from gram_pyro.app.door import Queue, door

WISH = {"kind": "sudoku", "text": FOUR, "sampler": "ancestral", "num_particles": 2, "num_segments": 1, "seed": 0}
QUICK = json.dumps(WISH)
LONG = json.dumps(WISH | {"num_particles": 24, "num_segments": 24})
pytestmark = needs_weights


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return tmp_path_factory.mktemp("door") / "log"


@pytest.fixture(scope="module")
def server(log):
    with running(log, "queue=3", "hosts=[box.example.org]") as address:
        yield address.removeprefix("http://")


def ask(server, method, path, body=None, **headers):
    """Status, headers and text of an answer; headers such as host take the place of the usual ones."""
    connection = http.client.HTTPConnection(server, timeout=60)
    connection.request(method, path, body, {name.title(): value for name, value in headers.items()})
    reply = connection.getresponse()
    text = reply.read().decode()
    connection.close()
    return reply.status, reply.headers, text


@pytest.mark.parametrize("path", ["/", "/boards", "/solve", "/page.js"])
@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1@evil", ""])
def test_another_name_is_not_answered(server, host, path):
    """A page of evil.example, which its owner lets lead to this machine after the page was loaded."""
    method, body = ("POST", QUICK) if path == "/solve" else ("GET", None)
    status, _, text = ask(server, method, path, body, host=host)
    assert (status, text) == (400, "Invalid host header")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "box.example.org"])
def test_own_names_are_answered(server, host):
    assert ask(server, "GET", "/boards", host=host)[0] == 200
    assert ask(server, "POST", "/solve", QUICK, host=host, origin=f"http://{host}")[0] == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:1", "https://127.0.0.1", "file://"]
)
@pytest.mark.parametrize("path", ["/solve", "/read"])
def test_what_a_page_of_another_site_sends_is_refused(server, path, origin):
    """As a form, which a browser sends without asking first."""
    status, _, text = ask(server, "POST", path, QUICK, origin=origin, **{"content-type": "text/plain"})
    assert status == 403 and json.loads(text)["error"].startswith(f"a page of {origin} sent this; open http://{server}")


def test_a_program_sends_no_origin_and_is_answered(server):
    assert ask(server, "POST", "/solve", QUICK)[0] == 200


def test_no_page_of_another_site_reads_an_answer(server):
    _, headers, _ = ask(server, "GET", "/boards", origin="http://evil.example")
    assert not [name for name in headers if name.lower().startswith("access-control")]
    assert ask(server, "OPTIONS", "/solve", origin="http://evil.example")[0] == 403


def test_a_queue_that_is_full_says_so_and_the_page_goes_on(server):
    """While a long one is served: two of seven may wait, and what needs no turn is answered."""
    with ThreadPoolExecutor(8) as pool:
        replies = [pool.submit(ask, server, "POST", "/solve", LONG)]
        time.sleep(0.2)
        replies += [pool.submit(ask, server, "POST", "/solve", QUICK) for _ in range(7)]
        assert ask(server, "GET", "/boards")[0] == 200
        assert ask(server, "POST", "/read", QUICK)[0] == 200
        assert not replies[0].done()
        found = [reply.result() for reply in replies]
    assert sorted(status for status, _, _ in found) == [200] * 3 + [503] * 5
    for status, headers, text in found:
        if status == 503:
            assert json.loads(text) == {"error": "3 others came before; ask again later"}
            assert int(headers["retry-after"]) > 0
    assert ask(server, "POST", "/solve", QUICK)[0] == 200


REQUEST = f"POST /solve HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(QUICK)}\r\n\r\n{QUICK}".encode()


@pytest.mark.parametrize("sent", [20, 60, len(REQUEST) - 5, len(REQUEST)])
@pytest.mark.parametrize("abruptly", [False, True])
def test_a_client_that_leaves_costs_no_line(server, log, sent, abruptly):
    """In the head of its request, in the body, and while it waits for the answer; by a reset too."""
    host, port = server.split(":")
    before = log.read_text(encoding="utf-8")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(REQUEST[:sent])
        time.sleep(0.1)
        if abruptly:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert ask(server, "POST", "/solve", QUICK)[0] == 200  # after its turn
    assert log.read_text(encoding="utf-8") == before


@pytest.mark.parametrize("path", ["/read", "/solve"])
def test_a_short_text_of_a_large_puzzle_costs_nothing(server, path):
    """10,000 vertices are 50 million pairs: a minute, in which nobody else would be answered."""
    began = time.monotonic()
    status, _, text = ask(server, "POST", path, json.dumps(WISH | {"kind": "graph", "text": "1-10000"}))
    assert (status, json.loads(text)["error"]) == (400, "got a graph on 10000 vertices; expected 2 to 100")
    assert time.monotonic() - began < 5


def test_a_turn_ends_however_it_ends():
    async def wait():
        queue = Queue(1)
        with pytest.raises(KeyError):
            async with queue.turn():
                with pytest.raises(HTTPException, match="1 others came before"):
                    async with queue.turn():
                        pass
                raise KeyError
        async with queue.turn():
            assert queue.waiting == 1
        assert queue.waiting == 0

    anyio.run(wait)


@pytest.mark.parametrize("hosts", ["box", ["*"], ["*.org"], [1]])
def test_hosts_are_a_list_of_names(hosts):
    with pytest.raises(ValueError, match="got hosts=.*; write a list of names, as in"):
        door("127.0.0.1", hosts)


@pytest.mark.parametrize("most", [0, -1, True, 2.5, "3", None])
def test_a_queue_has_a_length(most):
    with pytest.raises(ValueError, match=f"got queue={most}; write a whole number, 1 or more"):
        Queue(most)


def test_on_every_address_the_name_of_the_machine_is_its_own():
    for host in ("0.0.0.0", ""):
        (names,) = [each.kwargs["allowed_hosts"] for each in door(host) if "allowed_hosts" in each.kwargs]
        assert socket.gethostname() in names and host not in names
    assert Starlette(middleware=door("box")) and CONFIG.host == "127.0.0.1"
