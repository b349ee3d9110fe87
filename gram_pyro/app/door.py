"""Who may ask a page that runs on this machine, and how many at once.

Host    a name of this machine, or one that the user adds: another name that leads here may be an attacker's
Origin  of what is posted, the page itself: a browser says so when a page of another site sends something here
queue   one is served at a time, and so many may wait; the next is told so, with status 503
gone    a client that leaves before its request is whole is forgotten, without a traceback
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

GONE = 499  # nobody reads it
EVERYWHERE = ("", "0.0.0.0")


def door(host: str, more: Iterable[str] = ()) -> list[Middleware]:
    """What stands before a page that listens on `host`; `more` are names it is asked by beside those of this machine.

    Raises: ValueError if `more` is no list of names.
    """
    if isinstance(more, str) or not all(isinstance(name, str) and "*" not in name for name in more):
        raise ValueError(f"hosts={more} came; write a list of names, as in hosts=[box.example.org]")
    names = {"localhost", "127.0.0.1", socket.gethostname() if host in EVERYWHERE else host, *more}
    return [Middleware(TrustedHostMiddleware, allowed_hosts=sorted(names)), Middleware(SameOrigin)]


class SameOrigin:
    """Refuses, with status 403, what a page of another site sends. Programs send no Origin and are let through."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is None or scope["method"] in ("GET", "HEAD") or urlsplit(origin).netloc == headers.get("host"):
            return await self.app(scope, receive, send)
        problem = f"a page of {origin} sent this; open http://{headers.get('host')} and ask there"
        await JSONResponse({"error": problem}, 403)(scope, receive, send)


class Queue:
    """Turns, one at a time in the order of asking; `most` may have one or wait for it.

    Raises: ValueError if that is no number of clients.
    """

    def __init__(self, most: int) -> None:
        if type(most) is not int or most < 1:
            raise ValueError(f"queue={most} came; write a whole number, 1 or more")
        self.most, self.waiting, self.lock = most, 0, asyncio.Lock()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn.  Raises: HTTPException 503 if too many do so already."""
        if self.waiting >= self.most:
            raise HTTPException(503, f"{self.waiting} others came before; ask again later", {"Retry-After": "10"})
        self.waiting += 1
        try:
            async with self.lock:
                yield
        finally:
            self.waiting -= 1


def forget(request: Request, problem: ClientDisconnect) -> Response:
    """What is answered to a client that has left."""
    return Response(status_code=GONE)
