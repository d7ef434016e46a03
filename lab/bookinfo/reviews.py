# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`reviews`: v1 without stars, v2 with black and v3 with red stars from `ratings`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .catalogue import book_number
from .client import CallError, Service
from .messages import Request, Response, json_response, not_found

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from .settings import Settings

TEXTS = {
    "Reviewer1": "Two pairs of twins and one city that cannot tell them apart: I laughed from the first act on.",
    "Reviewer2": "Quick, loud and short. Not his deepest play, but hard to put down.",
}
TIMEOUT_SECONDS = {"black": 10.0, "red": 2.5}
NO_RATINGS = {"error": "Ratings service is currently unavailable"}


class Reviews:
    def __init__(self, settings: Settings, ratings: Service) -> None:
        self.settings = settings
        self.ratings = ratings

    def __call__(self, request: Request) -> Response | Awaitable[Response]:
        number = book_number(request, "reviews")
        if number is None:
            return not_found(request)
        if self.settings.star_color is None:
            return self.answer(number, dict.fromkeys(TEXTS))
        return self.with_stars(number, request, self.settings.star_color)

    async def with_stars(self, number: int, request: Request, color: str) -> Response:
        timeout = TIMEOUT_SECONDS.get(color, 2.5)
        try:
            status, body = await self.ratings.get(f"/ratings/{number}", request.headers_to_pass_on("end-user"), timeout)
            stars = json.loads(body)["ratings"] if status == 200 else None
        except (CallError, ValueError, KeyError, TypeError) as error:
            print(f"ratings: {error}", flush=True)
            stars = None
        if not isinstance(stars, dict):
            return self.answer(number, dict.fromkeys(TEXTS, NO_RATINGS))
        return self.answer(number, {r: {"stars": stars.get(r, -1), "color": color} for r in TEXTS})

    def answer(self, number: int, ratings: dict[str, object]) -> Response:
        reviews = []
        for reviewer, text in TEXTS.items():
            review: dict[str, object] = {"reviewer": reviewer, "text": text}
            if ratings[reviewer] is not None:
                review["rating"] = ratings[reviewer]
            reviews.append(review)
        return json_response(
            200,
            {
                "id": str(number),
                "podname": self.settings.pod,
                "clustername": self.settings.cluster,
                "reviews": reviews,
            },
        )
