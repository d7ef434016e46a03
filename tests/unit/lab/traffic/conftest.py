# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An HTTP server on this machine that answers like Bookinfo."""

from __future__ import annotations

import dataclasses
import http.server
import itertools
import socket
import threading
import time
import typing as t

import pytest

if t.TYPE_CHECKING:
    from collections.abc import Iterator

NO_STARS = '{"id": "0", "podname": "reviews-v1-6d8f7cb5b7-x2x7q", "reviews": [{"reviewer": "Reviewer1"}]}'


@dataclasses.dataclass
class Bookshop:
    """The answers of the server, in order, and the requests it has received."""

    url: str = ""
    answers: t.Iterator[tuple[int, str]] = dataclasses.field(default_factory=lambda: itertools.repeat((200, NO_STARS)))
    delay: float = 0.0
    hang_up_every: int = 0
    requests: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    connections: set[t.Any] = dataclasses.field(default_factory=set)
    hosts: set[str] = dataclasses.field(default_factory=set)
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    shop: Bookshop

    def do_GET(self) -> None:
        with self.shop.lock:
            self.shop.requests.append((self.path, self.headers.get("Cookie") or self.headers.get("end-user") or ""))
            self.shop.connections.add(self.client_address)
            self.shop.hosts.add(self.headers["Host"])
            number = len(self.shop.requests)
            status, body = next(self.shop.answers)
        time.sleep(self.shop.delay)
        if self.shop.hang_up_every and number % self.shop.hang_up_every == 0:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._answer(status, body)

    def do_POST(self) -> None:
        form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        user = form.split("username=")[1].split("&")[0]
        self._answer(302, "", {"Set-Cookie": f"session={user}; HttpOnly; Path=/", "Location": self.headers["Referer"]})

    def _answer(self, status: int, body: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())
        self.wfile.flush()

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def shop() -> Iterator[Bookshop]:
    shop = Bookshop()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("ShopHandler", (Handler,), {"shop": shop}))
    shop.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield shop
    server.shutdown()
    server.server_close()
    thread.join()
