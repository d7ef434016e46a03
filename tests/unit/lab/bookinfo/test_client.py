# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Calls to another service over connections that are kept alive."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading

from support.bookinfo import LAB, command, upstreams


def test_chunked_answer_is_joined(start, recorder) -> None:
    page = start("productpage", **upstreams(reviews=recorder.server_port))
    answer = page.get("/api/v1/products/0/reviews")
    assert (answer.status, answer.json()) == (200, {})


def test_request_is_repeated_when_an_idle_connection_was_closed(start) -> None:
    """The server may close an idle connection while a request is on its way; the request is sent again on a new one."""
    body = b'{"ratings": {"Reviewer1": 3, "Reviewer2": 2}}'
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    requests = []

    def serve(listener: socket.socket) -> None:
        for answers in (1, 1):
            connection, _address = listener.accept()
            with connection:
                for number in range(answers + 1):
                    requests.append(connection.recv(65536))
                    if number < answers:
                        connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        reviews = start("reviews", SERVICE_VERSION="v2", **upstreams(ratings=listener.getsockname()[1]))
        for _time in range(2):
            assert reviews.get("/reviews/0").json()["reviews"][0]["rating"] == {"stars": 3, "color": "black"}
    assert len(requests) == 3, "one answered, one without an answer, one answered"


def test_restart_of_the_upstream_causes_no_error(start) -> None:
    """The upstream closes its connections when it stops; the caller opens a new one without an error."""
    ratings = start("ratings", DRAIN_SECONDS="0")
    reviews = start("reviews", SERVICE_VERSION="v2", **upstreams(ratings=ratings.port))
    assert "stars" in reviews.get("/reviews/0").text
    ratings.process.send_signal(signal.SIGTERM)
    assert ratings.process.wait(timeout=5) == 0
    env = {"PATH": os.environ["PATH"]}
    again = subprocess.Popen(command("ratings", str(ratings.port)), cwd=LAB, env=env, stdout=subprocess.PIPE, text=True)
    try:
        assert again.stdout is not None
        assert "listens" in again.stdout.readline()
        assert "stars" in reviews.get("/reviews/0").text
    finally:
        again.kill()
        again.communicate()
