# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parse HTTP/1.1 heads and bodies, as far as these services and Envoy use them."""

from __future__ import annotations

from .messages import Request

HEAD_LIMIT = 64 * 1024
BODY_LIMIT = 1024 * 1024


class MessageError(Exception):
    """The peer sent an invalid or unsupported message. status: of the answer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def split_head(data: bytes | bytearray) -> tuple[str, dict[str, str], int] | None:
    """Return first line, headers and index of the body; None if the head is incomplete. Repeated headers are joined."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        if len(data) > HEAD_LIMIT:
            raise MessageError(431, "head too large")
        return None
    first, *lines = data[:end].decode("latin-1").split("\r\n")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise MessageError(400, f"not a header: {line!r}")
        name, value = name.lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return first, headers, end + 4


def body_length(headers: dict[str, str]) -> int:
    """Return the content-length in bytes, 0 without that header."""
    text = headers.get("content-length", "0")
    if not text.isdecimal():
        raise MessageError(400, f"content-length {text!r}")
    if int(text) > BODY_LIMIT:
        raise MessageError(413, "body too large")
    return int(text)


def take_request(buffer: bytearray) -> Request | None:
    """Remove the first complete request from `buffer` and return it; None while it is incomplete."""
    parts = split_head(buffer)
    if parts is None:
        return None
    first, headers, start = parts
    if "transfer-encoding" in headers:
        raise MessageError(411, "a body needs a content-length")
    end = start + body_length(headers)
    if len(buffer) < end:
        return None
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise MessageError(400, f"not a request line: {first!r}")
    body = bytes(buffer[start:end])
    del buffer[:end]
    path, _question_mark, query = words[1].partition("?")
    if words[2] == "HTTP/1.0":
        headers.setdefault("connection", "close")
    return Request(words[0], path, query, headers, body)


def take_chunks(data: bytes | bytearray, start: int) -> tuple[bytes, int] | None:
    """Return the chunked body that begins at `start` and the index after it; None while it is incomplete."""
    body = bytearray()
    while True:
        line_end = data.find(b"\r\n", start)
        if line_end < 0:
            return None
        try:
            size = int(bytes(data[start:line_end]).split(b";")[0], 16)
        except ValueError as error:
            raise MessageError(502, "not a chunk size") from error
        chunk_end = line_end + 2 + size
        if len(data) < chunk_end + 2:
            return None
        if size == 0:
            # Trailers end with an empty line; without trailers, the line of the last chunk is followed by one.
            end = data.find(b"\r\n\r\n", line_end)
            return None if end < 0 else (bytes(body), end + 4)
        body += data[line_end + 2 : chunk_end]
        start = chunk_end + 2
