# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`details` and `ratings`: the services that call no other service."""

from __future__ import annotations

import json

from .messages import Request, Response, json_response, not_found

BOOK = {
    "author": "William Shakespeare",
    "year": 1595,
    "type": "paperback",
    "pages": 200,
    "publisher": "PublisherA",
    "language": "English",
    "ISBN-10": "1234567890",
    "ISBN-13": "123-1234567890",
}
DEFAULT_RATINGS = {"Reviewer1": 5, "Reviewer2": 4}


def book_number(request: Request, collection: str) -> int | None:
    """Return N of the path /collection/N, None for other paths."""
    prefix, _slash, number = request.path.rstrip("/").rpartition("/")
    return int(number) if prefix == f"/{collection}" and number.isdecimal() else None


def details(request: Request) -> Response:
    number = book_number(request, "details")
    return not_found(request) if number is None else json_response(200, {"id": number, **BOOK})


class Ratings:
    """GET and POST /ratings/N. Posted ratings are kept in memory."""

    def __init__(self) -> None:
        self.posted: dict[int, dict[str, int]] = {}

    def __call__(self, request: Request) -> Response:
        number = book_number(request, "ratings")
        if number is None:
            return not_found(request)
        if request.method == "POST":
            try:
                self.posted[number] = _stars(request.body)
            except ValueError as error:
                return json_response(400, {"error": str(error)})
        return json_response(200, {"id": number, "ratings": self.posted.get(number, DEFAULT_RATINGS)})


def _stars(body: bytes) -> dict[str, int]:
    """Return reviewer -> stars, 0 to 5, from a JSON object. Raises ValueError."""
    value = json.loads(body)
    if not isinstance(value, dict) or not all(type(n) is int and 0 <= n <= 5 for n in value.values()):
        raise ValueError('ratings must be a JSON object, reviewer to stars from 0 to 5: {"Reviewer1": 5}')
    return value
