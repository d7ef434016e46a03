# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Calls to another service over a pool of open connections."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from .parser import MessageError, body_length, split_head, take_chunks

if TYPE_CHECKING:
    from collections.abc import Mapping


class CallError(Exception):
    """A service did not answer; the text names it and the reason."""


class StaleConnectionError(CallError):
    """An open connection was closed before the answer: the request can be sent again on a new connection."""


class _Exchange(asyncio.Protocol):
    """One connection, with one request at a time."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.transport: asyncio.Transport | None = None
        self.waiter: asyncio.Future[tuple[int, bytes]] | None = None
        self.used = False
        self.open = True
        self.reusable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        if self.waiter is not None and not self.waiter.done():
            stale = self.used and not self.buffer
            reason = f"connection closed before the answer was complete{f' ({exc})' if exc else ''}"
            self.waiter.set_exception(StaleConnectionError(reason) if stale else CallError(reason))

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.waiter is None or self.waiter.done():
            self.close()
            return
        try:
            answer = self.take_answer()
        except MessageError as error:
            self.waiter.set_exception(CallError(str(error)))
            self.close()
            return
        if answer is not None:
            self.waiter.set_result(answer)

    def take_answer(self) -> tuple[int, bytes] | None:
        parts = split_head(self.buffer)
        if parts is None:
            return None
        first, headers, start = parts
        words = first.split(" ", 2)
        if len(words) < 2 or not words[1].isdecimal():
            raise MessageError(502, f"not a status line: {first!r}")
        if headers.get("transfer-encoding", "").lower() == "chunked":
            chunks = take_chunks(self.buffer, start)
            if chunks is None:
                return None
            body, end = chunks
        else:
            end = start + body_length(headers)
            if len(self.buffer) < end:
                return None
            body = bytes(self.buffer[start:end])
        del self.buffer[:end]
        self.reusable = headers.get("connection", "").lower() != "close"
        return int(words[1]), body

    def send(self, block: bytes) -> asyncio.Future[tuple[int, bytes]]:
        self.waiter = asyncio.get_running_loop().create_future()
        if self.transport is None or not self.open:
            kind = StaleConnectionError if self.used else CallError
            self.waiter.set_exception(kind("connection closed before the request was sent"))
        else:
            self.transport.write(block)
        return self.waiter

    def close(self) -> None:
        self.open = False
        if self.transport is not None:
            self.transport.close()


class Service:
    """Another service, by host and port.

    keep_alive: False opens one connection per call, so that a plain Kubernetes Service, which balances connections
    instead of requests, distributes the calls over its pods.
    """

    def __init__(self, name: str, host: str, port: int, *, keep_alive: bool = True) -> None:
        self.name = name
        self.host = host
        self.port = port
        self.keep_alive = keep_alive
        self._idle: list[_Exchange] = []

    async def get(self, path: str, headers: Mapping[str, str], timeout: float) -> tuple[int, bytes]:
        """Return status and body of the answer to GET `path`; `timeout` in seconds. Raises CallError."""
        lines = [f"GET {path} HTTP/1.1", f"host: {self.host}:{self.port}", *(f"{n}: {v}" for n, v in headers.items())]
        if not self.keep_alive:
            lines.append("connection: close")
        block = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        try:
            return await asyncio.wait_for(self._exchange(block), timeout)
        except asyncio.TimeoutError:
            raise CallError(f"{self.name}: no answer within {timeout:g} s") from None
        except (OSError, CallError) as error:
            raise CallError(f"{self.name}: {error}") from None

    async def _exchange(self, block: bytes) -> tuple[int, bytes]:
        while True:
            exchange = await self._connection()
            try:
                answer = await exchange.send(block)
            except StaleConnectionError:
                continue
            except BaseException:
                exchange.close()
                raise
            exchange.used = True
            if self.keep_alive and exchange.reusable and exchange.open:
                self._idle.append(exchange)
            else:
                exchange.close()
            return answer

    async def _connection(self) -> _Exchange:
        while self._idle:
            exchange = self._idle.pop()
            if exchange.open:
                return exchange
        loop = asyncio.get_running_loop()
        _transport, exchange = await loop.create_connection(_Exchange, self.host, self.port)
        return exchange
