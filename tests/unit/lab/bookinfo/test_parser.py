# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP requests that the parser rejects."""

from __future__ import annotations

import pytest


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
def test_malformed_request_is_rejected_with_its_status(start, sent: bytes, status: int) -> None:
    with start("details").connect() as connection:
        connection.sendall(sent)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 %d " % status)
