# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HTTP server: start, order of answers, graceful shutdown."""

from __future__ import annotations

import http.client
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest


def test_service_is_not_ready_during_the_start_delay(start) -> None:
    details = start("details", START_DELAY_SECONDS="0.6")
    assert details.get("/health").status == 503
    assert details.get("/details/0").status == 503
    deadline = time.monotonic() + 5
    while details.get("/health").status != 200 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert details.get("/details/0").status == 200


def test_sigterm_finishes_requests_in_flight_and_refuses_connections(start) -> None:
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


def test_sigterm_answers_one_more_request_on_an_open_connection(start) -> None:
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


def test_pipelined_requests_are_answered_in_order(start) -> None:
    details = start("details")
    with details.connect() as connection:
        connection.sendall(
            b"GET /details/1 HTTP/1.1\r\nx-fault-delay-ms: 100\r\n\r\n"
            b"GET /details/2 HTTP/1.1\r\n\r\nGET /details/3 HTTP/1.1\r\nconnection: close\r\n\r\n"
        )
        data = b"".join(iter(lambda: connection.recv(65536), b""))
    assert [data.find(b'{"id": %d' % n) for n in (1, 2, 3)] == sorted(data.find(b'{"id": %d' % n) for n in (1, 2, 3))
    assert data.count(b"HTTP/1.1 200 OK") == 3


def test_head_in_single_bytes_is_answered_without_a_body(start) -> None:
    details = start("details")
    with details.connect() as connection:
        for byte in b"HEAD /details/0 HTTP/1.0\r\n\r\n":
            connection.sendall(bytes([byte]))
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.endswith(b"\r\n\r\n")
    assert b"content-length: " in answer
