# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the sample application ends, and what it does with what comes over the wire."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.bookinfo import LAB, command, upstreams

# The end


def test_sigterm_finishes_what_is_in_flight_and_refuses_what_is_new(start) -> None:
    details = start("details", DRAIN_SECONDS="0")
    with ThreadPoolExecutor() as pool:
        slow = [pool.submit(details.get, "/details/0", x_fault_delay_ms="600") for _turn in range(5)]
        time.sleep(0.3)
        details.process.send_signal(signal.SIGTERM)
        time.sleep(0.15)
        with pytest.raises(ConnectionRefusedError):
            details.connect()
        answers = [future.result() for future in slow]
    assert {(answer.status, answer.headers.get("connection")) for answer in answers} == {(200, "close")}
    assert details.process.wait(timeout=5) == 0


def test_sigterm_answers_a_kept_alive_connection_once_more(start) -> None:
    details = start("details", DRAIN_SECONDS="5")
    connection = http.client.HTTPConnection("127.0.0.1", details.port, timeout=10)
    connection.request("GET", "/details/0")
    assert connection.getresponse().read()
    details.process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    connection.request("GET", "/details/0")
    last = connection.getresponse()
    assert (last.status, last.headers["connection"]) == (200, "close")
    last.read()
    assert details.process.wait(timeout=3) == 0


# The wire


def test_requests_in_one_segment_are_answered_in_order(start) -> None:
    details = start("details")
    with details.connect() as connection:
        connection.sendall(
            b"GET /details/1 HTTP/1.1\r\nx-fault-delay-ms: 100\r\n\r\n"
            b"GET /details/2 HTTP/1.1\r\n\r\nGET /details/3 HTTP/1.1\r\nconnection: close\r\n\r\n"
        )
        data = b"".join(iter(lambda: connection.recv(65536), b""))
    assert [data.find(b'{"id": %d' % n) for n in (1, 2, 3)] == sorted(data.find(b'{"id": %d' % n) for n in (1, 2, 3))
    assert data.count(b"HTTP/1.1 200 OK") == 3


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"POST /login HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400),
        (b"POST /login HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", 411),
        (b"POST /login HTTP/1.1\r\ncontent-length: 9999999\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 70_000, 431),
    ],
)
def test_what_is_not_understood_is_refused(start, sent: bytes, status: int) -> None:
    with start("details").connect() as connection:
        connection.sendall(sent)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 %d " % status)


def test_head_has_no_body_and_a_request_may_come_in_pieces(start) -> None:
    details = start("details")
    with details.connect() as connection:
        for byte in b"HEAD /details/0 HTTP/1.0\r\n\r\n":
            connection.sendall(bytes([byte]))
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.endswith(b"\r\n\r\n")
    assert b"content-length: " in answer


def test_answer_in_chunks_is_put_together(start, recorder) -> None:
    page = start("productpage", **upstreams(reviews=recorder.server_port))
    answer = page.get("/api/v1/products/0/reviews")
    assert (answer.status, answer.json()) == (200, {})


def test_upstream_that_hangs_up_on_a_kept_alive_connection_is_asked_again(start) -> None:
    """A request can cross the server's goodbye on the wire; it goes out once more, on a new connection."""
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
    assert len(requests) == 3, "one answered, one hung up on, one answered"


def test_closed_upstream_connection_is_replaced_without_an_error(start) -> None:
    """The upstream ends each kept-alive connection after its drain; no caller sees it."""
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
