# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The status codes of gRPC, and which of them are failures of the server. Pure.

gRPC answers with HTTP status 200 and its own status in a trailer, so the HTTP status of a failed call is no failure.
"""

from __future__ import annotations

import re
import typing as t

from ..errors import InvalidInput

if t.TYPE_CHECKING:
    from collections.abc import Iterable

OK: t.Final = "0"
NUMBERS: t.Final = {
    "OK": OK,
    "CANCELLED": "1",
    "UNKNOWN": "2",
    "INVALID_ARGUMENT": "3",
    "DEADLINE_EXCEEDED": "4",
    "NOT_FOUND": "5",
    "ALREADY_EXISTS": "6",
    "PERMISSION_DENIED": "7",
    "RESOURCE_EXHAUSTED": "8",
    "FAILED_PRECONDITION": "9",
    "ABORTED": "10",
    "OUT_OF_RANGE": "11",
    "UNIMPLEMENTED": "12",
    "INTERNAL": "13",
    "UNAVAILABLE": "14",
    "DATA_LOSS": "15",
    "UNAUTHENTICATED": "16",
}
"""Name -> number, as the header grpc-status has it (source: gRPC, statuscodes.md)."""
FAILURE_NAMES: t.Final = ("UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS")
"""The failures by default: those that are a server's fault (source: OpenTelemetry, semantic conventions for gRPC).

RESOURCE_EXHAUSTED is none of them, as 429 is no failure of HTTP: it is what a quota or a rate limit answers.
"""
FAILURES: t.Final = frozenset(NUMBERS[name] for name in FAILURE_NAMES)
_BY_HTTP: t.Final = {"400": "13", "401": "16", "403": "7", "404": "12", "429": "14", "502": "14", "503": "14"}


def failures(statuses: Iterable[str]) -> frozenset[str]:
    """Return the numbers of the statuses that are failures. statuses: names or numbers of the option `grpc_failures`.

    Raises InvalidInput for what is no status of gRPC, and for OK.
    """
    found = set()
    for one in statuses:
        text = str(one).strip()
        number = text if text in NUMBERS.values() else NUMBERS.get(re.sub(r"[\s-]", "_", text.upper()))
        if number is None or number == OK:
            listed = ", ".join(f"{name} ({value})" for name, value in NUMBERS.items() if value != OK)
            problem = "is no failure" if number == OK else "is no status code of gRPC"
            raise InvalidInput(f"grpc_failures: {text!r} {problem}. There are: {listed}.")
        found.add(number)
    return frozenset(found)


def name_of(number: str) -> str:
    """Return the name of a status, the number itself if it has none."""
    return next((name for name, value in NUMBERS.items() if value == number), number)


def of_http(code: str) -> frozenset[str]:
    """Return the gRPC statuses that a proxy may answer in place of an HTTP status of its own.

    Source: gRPC, http-grpc-status-mapping.md; a timeout is UNAVAILABLE or DEADLINE_EXCEEDED.
    """
    return frozenset(("14", "4")) if code == "504" else frozenset((_BY_HTTP.get(code, "2"),))
