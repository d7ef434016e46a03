# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small HTTP server of a test, on a port of its own."""

from __future__ import annotations

import contextlib
import http.server
import threading
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterator


class Answers(http.server.BaseHTTPRequestHandler):
    """The base of a test's handlers; logs no requests."""

    def answer(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words: t.Any) -> None:
        pass


@contextlib.contextmanager
def served(server: http.server.ThreadingHTTPServer) -> Iterator[str]:
    """Yield the server's address; stop it afterwards."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()
