"""Access control of a page that runs on this machine.

Host    must be a name of this machine, or one that the user adds: another name may be an attacker's (DNS rebinding)
Origin  of a POST must be the page itself: a browser sends the origin of the page that posts
queue   one client is served at a time, and a number may wait; others get status 503
gone    a client that leaves before its request is complete is dropped without a traceback
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
    """The middleware of a page that listens on `host`; `more` are further names besides those of this machine.

    Raises: ValueError if `more` is not a list of names.
    """
    if isinstance(more, str) or not all(isinstance(name, str) and "*" not in name for name in more):
        raise ValueError(f"got hosts={more}; write a list of names, as in hosts=[box.example.org]")
    names = {"localhost", "127.0.0.1", socket.gethostname() if host in EVERYWHERE else host, *more}
    return [Middleware(TrustedHostMiddleware, allowed_hosts=sorted(names)), Middleware(SameOrigin)]


class SameOrigin:
    """Refuses requests from pages of other sites with status 403. Programs send no Origin and pass."""

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
    """Turns, one at a time in order of arrival; at most `most` clients have a turn or wait.

    Raises: ValueError unless `most` is a whole number, 1 or more.
    """

    def __init__(self, most: int) -> None:
        if type(most) is not int or most < 1:
            raise ValueError(f"got queue={most}; write a whole number, 1 or more")
        self.most, self.waiting, self.lock = most, 0, asyncio.Lock()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn.  Raises: HTTPException 503 if too many wait already."""
        if self.waiting >= self.most:
            raise HTTPException(503, f"{self.waiting} others came before; ask again later", {"Retry-After": "10"})
        self.waiting += 1
        try:
            async with self.lock:
                yield
        finally:
            self.waiting -= 1


def forget(request: Request, problem: ClientDisconnect) -> Response:
    """The answer to a client that has left."""
    return Response(status_code=GONE)
