# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Services of the sample application, and a server that records its requests."""

from __future__ import annotations

import os
import subprocess
import threading
import typing as t
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from support.bookinfo import LAB, Running, command


@pytest.fixture
def start() -> t.Iterator[t.Callable[..., Running]]:
    """Starts a service on a free port with the given environment; all are stopped after the test."""
    running = []

    def start(role: str, **environment: str) -> Running:
        env = {"PATH": os.environ["PATH"], "HOSTNAME": f"{role}-pod", **environment}
        process = subprocess.Popen(command(role, "0"), cwd=LAB, env=env, stdout=subprocess.PIPE, text=True)
        running.append(process)
        line = process.stdout.readline() if process.stdout else ""
        assert "listens on port" in line, line
        return Running(process, int(line.split()[-1]))

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def recorder() -> t.Iterator[ThreadingHTTPServer]:
    """A server in place of a service: it answers `{}` in chunks and records the headers of every request."""
    received: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            received.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n")

        def log_message(self, *_arguments: t.Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.received = received  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()
