"""The demo page: type a puzzle, and watch K trajectories fill its board side by side.

    python experiments/demo.py                                     # then open the address it prints
    python experiments/demo.py port=0 weights=[runs/.../GRAM.safetensors]

    GET /boards   -> the boards with weights, the samplers and the limits
    POST /read    {"text": "5 . | . 3 ..."} -> {"kind": "sudoku", "n": 6, "text": one line}, from any pasted form; of a
                  puzzle that states its rules (YAML) the same text and "spec": cells, symbols, grid, clues
    POST /solve   {"kind": "sudoku", "text": "5..3.6...", "sampler": "hot_start", "temperature": 2.0,
                   "num_particles": 12, "num_segments": 10, "seed": 0}
                  -> lines of JSON: {"done": 0, "of": 10} when its turn begins, another after every segment, and last
                     the trajectories after every segment, distinct solutions with votes, entropy of every cell in nats

A wrong request is answered with status 400, or 413 if it is too large, and {"error": sentence}. One puzzle is solved at
a time; at most `queue` others wait. Requests whose client has left are dropped. Only names of this machine are accepted
(more: hosts=[NAME]), and only posts of the page itself or of a program.
"""

import json
import socket
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import uvicorn
from omegaconf import DictConfig, OmegaConf
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from gram_pyro.app.door import Queue, door, forget
from gram_pyro.app.lines import Lines, Note
from gram_pyro.app.puzzle import (
    ANY_RULES,
    COLOURS,
    TASKS,
    Board,
    Puzzle,
    as_text,
    best_weights,
    board_of,
    check_puzzle,
    no_weights,
    one_of,
)
from gram_pyro.app.reading import reader
from gram_pyro.app.shown import describe, spec
from gram_pyro.app.solver import open_weights, think
from gram_pyro.harness.build import build_sampler, build_task
from gram_pyro.harness.command import experiment
from gram_pyro.harness.load import Program, serves_every_size, stored_config
from gram_pyro.tasks.base import Task
from gram_pyro.tasks.candidates.written import WrittenPuzzle

PAGE = Path(__file__).parent / "page"
MOST_BYTES = 32768  # of a request
MOST_SEED = 2**32 - 1
FIELDS = {"kind", "text", "sampler", "num_particles", "num_segments", "seed"}

Boards = dict[Board, tuple[Task, Program]]


class Wish(NamedTuple):
    """A puzzle to solve, and the sampler; temperature is None for a sampler without one."""

    puzzle: Puzzle
    sampler: str
    temperature: float | None
    num_particles: int
    num_segments: int
    seed: int


def open_boards(offered: list[Board], weights: list[str], trust: bool = False) -> Boards:
    """The task and program for every offered board with shipped weights, and for the boards of `weights`, which take
    precedence."""
    names = {board: name for board in offered if (name := best_weights(board))}
    for name in weights:
        config = stored_config(name, trust)
        task = build_task(config, {})
        own = board_of(task)
        others = [b for b in offered if own and b.kind == own.kind and serves_every_size(config)]
        names |= dict.fromkeys([*others, own] if own else [], name)
    order = sorted(names, key=lambda board: (list(TASKS).index(board.kind), board.n))
    return {board: open_weights(names[board], board, trust) for board in order}


def read_wish(body: bytes, config: DictConfig, boards: Boards) -> Wish:
    """A request to solve.  Raises: ValueError unless all fields are there, known and within the limits."""
    fields = read_fields(body)
    sampler = choice(fields, "sampler", config.samplers)
    has_temperature = "temperature" in config.samplers[sampler]
    expected = FIELDS | ({"temperature"} if has_temperature else set())
    if odd := sorted(expected ^ fields.keys()):
        raise ValueError(f"the fields with sampler={sampler} are {', '.join(sorted(expected))}; check {', '.join(odd)}")
    puzzle = read_puzzle(fields)
    if puzzle.board not in boards:
        raise ValueError(no_weights(puzzle.board, boards))
    check_puzzle(puzzle, boards[puzzle.board][0])
    spec(puzzle)
    temperature = number(fields, "temperature", 0, config.limits.temperature, (int, float)) if has_temperature else None
    num_particles = number(fields, "num_particles", 1, config.limits.particles)
    num_segments = number(fields, "num_segments", 1, config.limits.segments)
    return Wish(puzzle, sampler, temperature, num_particles, num_segments, number(fields, "seed", 0, MOST_SEED))


def read_fields(body: bytes) -> dict[str, Any]:
    """The JSON object of a request.  Raises: ValueError if it is not one."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise ValueError('the request is no JSON object; write {"kind": "sudoku", "text": "...", ...}')
    return fields


def read_puzzle(fields: dict[str, Any]) -> Puzzle:
    """The puzzle of the fields kind and text.  Raises: ValueError if it is not one."""
    kind, text = choice(fields, "kind", TASKS), text_of(fields)
    return reader(kind, text, COLOURS)(text)


def text_of(fields: dict[str, Any]) -> str:
    """The field text.  Raises: ValueError if it is not a string."""
    text = fields.get("text")
    if not isinstance(text, str):
        raise ValueError(f"text is {shown(text)}; write the puzzle as a string")
    return text


def choice(fields: dict[str, Any], name: str, choices: Any) -> str:
    """A field that is one of the keys of `choices`.  Raises: ValueError if it is not."""
    value = fields.get(name)
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} is {shown(value)}; write {one_of(choices)}")
    return value


def number(fields: dict[str, Any], name: str, low: int, high: float, types: tuple[type, ...] = (int,)) -> Any:
    """A field that is a number from low to high, both included.  Raises: ValueError if it is not."""
    value = fields[name]
    if type(value) not in types or not low <= value <= high:
        what = "a number" if float in types else "a whole number"
        raise ValueError(f"{name} is {shown(value)}; write {what} from {low} to {high}")
    return value


def shown(value: Any) -> str:
    """A value as text, shortened."""
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def answer(wish: Wish, config: DictConfig, boards: Boards, note: Note) -> dict[str, Any]:
    """Solve, calling `note` after every segment.  Returns: what the page shows."""
    start = time.monotonic()
    task, program = boards[wish.puzzle.board]
    if wish.puzzle.rules:
        task = WrittenPuzzle(wish.puzzle.rules)
    sampler = build_sampler(config.samplers[wish.sampler], task, program.heads)
    if wish.temperature is not None:
        sampler = partial(sampler, temperature=wish.temperature)
    x = wish.puzzle.x
    size = (wish.num_particles, wish.num_segments)
    outcome, thoughts = think(task, program, x, sampler, *size, seed=wish.seed, note=note)
    return describe(wish.puzzle, task, outcome, thoughts) | {"seconds": round(time.monotonic() - start, 3)}


def catalogue(config: DictConfig, boards: Boards) -> dict[str, Any]:
    """The boards, samplers and limits of the page."""
    return {
        "boards": [
            {
                "kind": board.kind,
                "n": board.n,
                "name": name,
                "title": str(board),
                "colours": board.colours,
                "box": task.geometry.box if board.kind == "sudoku" else None,
                "examples": dict(config.examples.get(name, {})),
            }
            for board, (task, _) in boards.items()
            for name in [f"{board.kind}_{board.n}"]
        ],
        "samplers": [
            {"name": name, "about": about, "temperature": config.samplers[name].get("temperature")}
            for name, about in config.about.items()
        ],
        "limits": OmegaConf.to_container(config.limits),
        "start": OmegaConf.to_container(config.start),
    }


async def read_body(request: Request) -> bytes:
    """The body of a request. It is read to the end, so that the client gets the answer, but not all of it is kept.

    Raises: HTTPException 413 if the body is larger than MOST_BYTES.
    """
    body, size = b"", 0
    async for part in request.stream():
        size += len(part)
        body += part if size <= MOST_BYTES else b""
    if size > MOST_BYTES:
        raise HTTPException(413, f"the request has {size} bytes; write at most {MOST_BYTES}")
    return body


def build_app(config: DictConfig) -> Starlette:
    """The page and its three addresses."""
    colours = {"graph": COLOURS}
    offered = [Board(kind, n, colours.get(kind, 0)) for kind, sides in config.boards.items() for n in sides]
    offered.append(ANY_RULES)
    boards = open_boards(offered, list(config.weights), config.trust)
    queue = Queue(config.queue)

    async def show_boards(request: Request) -> Response:
        return JSONResponse(catalogue(config, boards))

    async def solve(request: Request) -> Response:
        wish = read_wish(await read_body(request), config, boards)
        return Lines(request, queue, partial(answer, wish, config, boards), wish.num_segments)

    async def read(request: Request) -> Response:
        text = text_of(read_fields(await read_body(request)))
        puzzle = reader(None, text, COLOURS)(text)
        tidy = text if puzzle.rules else as_text(puzzle, puzzle.x)
        return JSONResponse({"kind": puzzle.kind, "n": puzzle.n, "text": tidy, "spec": spec(puzzle)})

    def refuse(request: Request, problem: ValueError) -> Response:
        return JSONResponse({"error": str(problem)}, 400)

    def explain(request: Request, problem: HTTPException) -> Response:
        return JSONResponse({"error": problem.detail}, problem.status_code, problem.headers)

    routes = [
        Route("/boards", show_boards),
        Route("/solve", solve, methods=["POST"]),
        Route("/read", read, methods=["POST"]),
        Mount("/", StaticFiles(directory=PAGE, html=True)),
    ]
    handlers = {ValueError: refuse, HTTPException: explain, ClientDisconnect: forget}
    return Starlette(routes=routes, exception_handlers=handlers, middleware=door(config.host, config.hosts))


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.  Raises: ValueError if the address is taken or another machine's, or the port is invalid."""
    if type(port) is not int or not 0 <= port < 2**16:
        raise ValueError(f"got port={port}; write a whole number from 0, any free one, to {2**16 - 1}")
    try:
        return socket.create_server((host, port))
    except OSError as problem:
        raise ValueError(
            f"host={host} port={port} cannot be listened on ({problem}); port=0 takes a free one"
        ) from None


@experiment
def main(config: DictConfig) -> None:
    app = build_app(config)
    listening = listen(config.host, config.port)
    print(f"http://{config.host}:{listening.getsockname()[1]} - Ctrl-C stops", flush=True)
    with suppress(KeyboardInterrupt):  # uvicorn raises it again after its shutdown
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])


if __name__ == "__main__":
    main()
