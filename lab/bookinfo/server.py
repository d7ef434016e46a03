# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An HTTP/1.1 server on asyncio protocols: keep-alive, one write per answer, graceful shutdown.

http.server of the standard library serves some hundred requests per second; load tests of a mesh need thousands.
"""

from __future__ import annotations

import asyncio
import inspect
import signal
from collections.abc import Awaitable, Callable
from typing import cast

from .faults import FaultError, Faults
from .messages import Request, Response, json_response
from .parser import MessageError, take_request

NO_FAULTS = Faults()
Handler = Callable[[Request], "Response | Awaitable[Response]"]


class Connection(asyncio.Protocol):
    """The connection of one client; its requests are answered in order."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.buffer = bytearray()
        self.transport: asyncio.Transport | None = None
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.server.connections.add(self)

    def connection_lost(self, _exc: Exception | None) -> None:
        self.server.connections.discard(self)
        if self.task is not None:
            self.task.cancel()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.task is None:
            self.serve()

    @property
    def busy(self) -> bool:
        return self.task is not None or bool(self.buffer)

    def serve(self) -> None:
        """Answer the requests in the buffer, until a handler has to wait."""
        while self.buffer and self.transport is not None and not self.transport.is_closing():
            try:
                request = take_request(self.buffer)
            except MessageError as error:
                self.transport.write(json_response(error.status, {"error": str(error)}).encode(close=True))
                self.transport.close()
                return
            if request is None:
                return
            answer = self.server.answer(request)
            if isinstance(answer, Response):
                self.write(request, answer)
            else:
                self.task = asyncio.get_running_loop().create_task(self.finish(request, answer))
                return

    async def finish(self, request: Request, answer: Awaitable[Response]) -> None:
        response = await answer_or_error(answer)
        self.task = None
        self.write(request, response)
        self.serve()

    def write(self, request: Request, response: Response) -> None:
        if self.transport is None or self.transport.is_closing():
            return
        close = self.server.stopping or request.headers.get("connection", "").lower() == "close"
        self.transport.write(response.encode(close=close, head_only=request.method == "HEAD"))
        if close:
            self.transport.close()


class Server:
    """Serves `handler` with faults; `/health` reports whether the service is ready."""

    def __init__(self, handler: Handler, *, faults: Faults = NO_FAULTS, name: str = "service") -> None:
        self.handler = handler
        self.faults = faults
        self.name = name
        self.ready = True
        self.stopping = False
        self.connections: set[Connection] = set()

    def answer(self, request: Request) -> Response | Awaitable[Response]:
        if request.path == "/health":
            return self.health()
        if not self.ready:
            return json_response(503, {"error": f"{self.name} is still starting"})
        try:
            faults = self.faults.for_request(request.headers)
        except FaultError as error:
            return json_response(400, {"error": str(error)})
        if faults:
            return self.answer_with(faults, request)
        try:
            return self.handler(request)
        except Exception as error:
            return error_response(error)

    async def answer_with(self, faults: Faults, request: Request) -> Response:
        failure = await faults.inject()
        if failure is not None:
            return failure
        answer = self.handler(request)
        return await answer if inspect.isawaitable(answer) else answer

    def health(self) -> Response:
        if self.ready and not self.stopping:
            return json_response(200, {"status": f"{self.name} is healthy"})
        return json_response(503, {"status": f"{self.name} is {'stopping' if self.stopping else 'starting'}"})

    async def run(self, host: str, port: int, *, start_delay: float = 0.0, grace: float = 2.0) -> None:
        """Serve until SIGTERM or SIGINT.

        start_delay: seconds in which every request is answered with 503.
        grace: seconds that an idle connection stays open after the signal. Its next request is answered with
        `connection: close`; if it were closed at once, a request on its way would fail.
        """
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        listener = await loop.create_server(lambda: Connection(self), host, port, backlog=1024)
        print(f"{self.name} listens on port {listener.sockets[0].getsockname()[1]}", flush=True)
        if start_delay:
            self.ready = False
            loop.call_later(start_delay, lambda: setattr(self, "ready", True))
        await stop.wait()
        await self.drain(listener, grace)

    async def drain(self, listener: asyncio.Server, grace: float) -> None:
        """Accept no connections; return when every open one has its last answer, idle ones after `grace` seconds."""
        self.stopping = True
        listener.close()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace
        while self.connections and (loop.time() < deadline or any(c.busy for c in self.connections)):
            await asyncio.sleep(0.02)
        print(f"{self.name} exits, all requests are answered", flush=True)


async def answer_or_error(answer: Awaitable[Response]) -> Response:
    try:
        return await answer
    except Exception as error:
        return error_response(error)


def error_response(error: Exception) -> Response:
    print(f"error: {type(error).__name__}: {error}", flush=True)
    return json_response(500, {"error": f"{type(error).__name__}: {error}"})
