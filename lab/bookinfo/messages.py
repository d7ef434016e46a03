# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP messages as values: a request, a response, and the headers that a service passes on."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

TRACE_HEADERS = (
    "x-request-id",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "x-ot-span-context",
    "x-cloud-trace-context",
    "x-datadog-trace-id",
    "x-datadog-parent-id",
    "x-datadog-sampling-priority",
    "grpc-trace-bin",
    "traceparent",
    "tracestate",
    "sw8",
)
CALLER_HEADERS = ("user-agent", "cookie", "authorization", "jwt")
REASONS = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True)
class Request:
    """One request. headers: with lowercase names. path: without the query."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def headers_to_pass_on(self, *more: str) -> dict[str, str]:
        """Return the headers that a service passes on to the services it calls."""
        names = (*TRACE_HEADERS, *CALLER_HEADERS, *more)
        return {name: self.headers[name] for name in names if name in self.headers}


@dataclass(frozen=True)
class Response:
    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()

    def encode(self, *, close: bool, head_only: bool = False) -> bytes:
        """Return the answer as one block of bytes: two writes would cost 40 ms (Nagle and delayed ACK)."""
        lines = [
            f"HTTP/1.1 {self.status} {REASONS.get(self.status, 'Unknown')}",
            f"content-type: {self.content_type}",
            f"content-length: {len(self.body)}",
            *(f"{name}: {value}" for name, value in self.headers),
        ]
        if close:
            lines.append("connection: close")
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        return head if head_only else head + self.body


def json_response(status: int, value: object) -> Response:
    return Response(status, json.dumps(value).encode())


def html_response(status: int, text: str) -> Response:
    return Response(status, text.encode(), "text/html; charset=utf-8")


def not_found(request: Request) -> Response:
    return json_response(404, {"error": f"not found: {request.path}"})
