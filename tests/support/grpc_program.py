# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server and a client of gRPC's protocol over HTTP/2 (RFC 9113), with the standard library only: it runs in pods.

    python3 grpc_program.py serve PORT VERSION STATUS
    python3 grpc_program.py call HOST PORT PATH CALLS RATE [NAME=VALUE ...]

Each call is answered with HTTP status 200, one message `VERSION STATUS`, and the trailer grpc-status. The client prints
one line of JSON: the calls by message, with the calls that got no message as "none". RATE: calls per second, 0 for as
fast as possible. Headers are written without compression and never read, so no state of HPACK is kept.
"""

from __future__ import annotations

import collections
import json
import socket
import struct
import sys
import threading
import time
import typing as t

PREFACE: t.Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS, PADDED = 1, 1, 4, 8
WINDOW: t.Final = 1 << 20
IN_FLIGHT: t.Final = 20
NO_TABLE: t.Final = struct.pack("!HI", 1, 0)
"""The setting that keeps the peer from using a dynamic table for compression."""


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return one frame."""
    return struct.pack("!I", len(payload))[1:] + bytes((kind, flags)) + struct.pack("!I", stream) + payload


def headers(fields: t.Iterable[tuple[str, str]]) -> bytes:
    """Return header fields as literals without indexing."""
    block = b""
    for name, value in fields:
        if max(len(name), len(value)) > 126:
            raise ValueError("a longer header needs a length of several bytes")
        block += b"\0" + bytes((len(name),)) + name.encode() + bytes((len(value),)) + value.encode()
    return block


class Connection:
    """One connection, of either side."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock, self._reader = sock, sock.makefile("rb")
        self._lock = threading.Lock()

    def begin(self, *, preface: bytes) -> None:
        """Send the first frames. preface: empty for a server."""
        self.send(preface + frame(SETTINGS, 0, 0, NO_TABLE) + frame(WINDOW_UPDATE, 0, 0, struct.pack("!I", WINDOW)))

    def send(self, data: bytes) -> None:
        """Send frames."""
        with self._lock:
            self._sock.sendall(data)

    def read(self, size: int) -> bytes:
        """Return exactly so many bytes. Raises EOFError."""
        found = self._reader.read(size)
        if len(found) < size:
            raise EOFError
        return found

    def frames(self) -> t.Iterator[tuple[int, int, int, bytes]]:
        """Yield kind, flags, stream and payload of each frame; settings, pings and windows are answered here."""
        while True:
            try:
                head = self.read(9)
                payload = self.read(int.from_bytes(head[:3], "big"))
            except (EOFError, OSError):
                return
            kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
            if kind == SETTINGS and not flags & ACK:
                self.send(frame(SETTINGS, ACK, 0))
            elif kind == PING and not flags & ACK:
                self.send(frame(PING, ACK, 0, payload))
            elif kind == DATA and payload:
                self.send(frame(WINDOW_UPDATE, 0, 0, struct.pack("!I", len(payload))))
            yield kind, flags, stream, payload


def serve(port: int, version: str, status: str) -> None:
    """Answer calls forever."""
    message = f"{version} {status}".encode()
    answer_headers = headers(((":status", "200"), ("content-type", "application/grpc")))
    body = b"\0" + struct.pack("!I", len(message)) + message
    trailers = headers((("grpc-status", status),))

    def handle(sock: socket.socket) -> None:
        connection = Connection(sock)
        if connection.read(len(PREFACE)) != PREFACE:
            return
        connection.begin(preface=b"")
        for kind, flags, stream, _payload in connection.frames():
            if kind in (DATA, HEADERS) and flags & END_STREAM:
                connection.send(
                    frame(HEADERS, END_HEADERS, stream, answer_headers)
                    + frame(DATA, 0, stream, body)
                    + frame(HEADERS, END_HEADERS | END_STREAM, stream, trailers)
                )

    with socket.create_server(("", port), backlog=64) as listener:
        while True:
            sock, _address = listener.accept()
            threading.Thread(target=handle, args=(sock,), daemon=True).start()


def call(host: str, port: int, path: str, calls: int, rate: float, own: t.Sequence[tuple[str, str]]) -> dict[str, int]:
    """Make calls on one connection and return how many had which message."""
    fields = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", f"{host}:{port}")]
    fields += [("content-type", "application/grpc"), ("te", "trailers"), *own]
    request = headers(fields)
    connection = Connection(socket.create_connection((host, port), 10))
    connection.begin(preface=PREFACE)
    free, counts, messages = threading.Semaphore(IN_FLIGHT), collections.Counter[str](), dict[int, str]()

    def send() -> None:
        started = time.monotonic()
        for number in range(calls):
            free.acquire()
            if rate:
                time.sleep(max(0.0, started + number / rate - time.monotonic()))
            stream = 2 * number + 1
            connection.send(frame(HEADERS, END_HEADERS, stream, request) + frame(DATA, END_STREAM, stream, bytes(5)))

    threading.Thread(target=send, daemon=True).start()
    for kind, flags, stream, payload in connection.frames():
        if kind == DATA:
            text = payload[1 : -payload[0]] if flags & PADDED else payload
            messages[stream] = messages.get(stream, "") + text[5:].decode()
        if (kind in (DATA, HEADERS) and flags & END_STREAM) or kind == RST_STREAM:
            counts[messages.pop(stream, "none")] += 1
            free.release()
            if counts.total() == calls:
                break
        if kind == GOAWAY:
            break
    counts["none"] += calls - counts.total()
    return {message: number for message, number in counts.items() if number}


def main(arguments: t.Sequence[str]) -> None:
    """Run one side."""
    if arguments[0] == "serve":
        serve(int(arguments[1]), arguments[2], arguments[3])
    host, port, path, calls, rate, *own = arguments[1:]
    pairs = [(name, value) for name, _equals, value in (one.partition("=") for one in own)]
    print(json.dumps(call(host, int(port), path, int(calls), float(rate), pairs)))


if __name__ == "__main__":
    main(sys.argv[1:])
