"""A response in lines of JSON while the work goes on: {"done": 0, "of": N}, ..., {"done": N, "of": N}, outcome.

If the client leaves, the work and its turn end at its next step. Source: ours.
"""

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gram_pyro.app.door import GONE, Queue

Note = Callable[[int], None]


class Left(Exception):
    """The client has left."""


class Lines(Response):
    """Runs `work(note)` in a thread, one at a time. The work calls `note` with the number of steps done, of `steps`.

    Raises: HTTPException 503 if too many wait already.
    """

    media_type = "application/x-ndjson"

    def __init__(self, request: Request, queue: Queue, work: Callable[[Note], Any], steps: int) -> None:
        super().__init__()
        del self.headers["content-length"]  # not known yet
        self.request, self.queue, self.work, self.steps = request, queue, work, steps

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self.queue.turn():
            if await self.request.is_disconnected():
                return await Response(status_code=GONE)(scope, receive, send)
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            write = partial(self._write, send)
            await write({"done": 0, "of": self.steps}, more=True)
            outcome = await self._outcome(write)
            if outcome is not None:
                await write(outcome, more=False)

    async def _outcome(self, write: Callable) -> Any:
        """The outcome of the work; its steps are written meanwhile. None if the client has left."""
        loop, steps, left = asyncio.get_running_loop(), asyncio.Queue(), False

        def note(done: int) -> None:
            if left:
                raise Left
            loop.call_soon_threadsafe(steps.put_nowait, done)

        future = loop.run_in_executor(None, self.work, note)
        future.add_done_callback(lambda _: steps.put_nowait(None))
        while (done := await steps.get()) is not None:
            left = left or await self.request.is_disconnected()
            await write({"done": done, "of": self.steps}, more=True)
        try:
            return await future
        except Left:
            return None

    async def _write(self, send: Send, line: Any, more: bool) -> None:
        await send({"type": "http.response.body", "body": json.dumps(line).encode() + b"\n", "more_body": more})
