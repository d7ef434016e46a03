# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`productpage`: the service for browsers. It calls details and reviews in parallel and passes headers on."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from . import page, session
from .client import CallError, Service
from .messages import Request, Response, html_response, json_response, not_found

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from .settings import Settings

TIMEOUT_SECONDS = 3.0
API = "/api/v1/products"


class ProductPage:
    def __init__(self, settings: Settings, details: Service, reviews: Service, ratings: Service) -> None:
        self.settings = settings
        self.services = {"details": details, "reviews": reviews, "ratings": ratings}

    def __call__(self, request: Request) -> Response | Awaitable[Response]:
        if request.path == "/productpage":
            return self.product_page(request)
        if request.path in ("/", "/index.html"):
            return html_response(200, page.index())
        if request.path == "/login":
            return self.login(request)
        if request.path == "/logout":
            return _redirect_to_page(session.logout_cookie())
        if request.path == API or request.path.startswith(API + "/"):
            return self.api(request)
        return not_found(request)

    async def product_page(self, request: Request) -> Response:
        user, headers = self.caller(request)
        details, reviews = await asyncio.gather(self.call("details", 0, headers), self.call("reviews", 0, headers))
        return html_response(200, page.product_page(user, details, reviews))

    def login(self, request: Request) -> Response:
        if request.method != "POST":
            return json_response(405, {"error": "POST username and passwd as a form"})
        form = parse_qs(request.body.decode("utf-8", "replace"))
        try:
            user = session.validated_name(form.get("username", [""])[0])
        except session.UserNameError as error:
            return json_response(400, {"error": str(error)})
        return _redirect_to_page(session.login_cookie(user, self.settings.session_key))

    def api(self, request: Request) -> Response | Awaitable[Response]:
        """/api/v1/products, /api/v1/products/N, /api/v1/products/N/reviews and /ratings."""
        number, _slash, name = request.path.removeprefix(API).strip("/").partition("/")
        if not number:
            return json_response(200, [page.PRODUCT])
        if number != str(page.PRODUCT["id"]):
            return not_found(request)
        if name in ("reviews", "ratings"):
            return self.pass_through(name, request)
        return self.pass_through("details", request) if not name else not_found(request)

    async def pass_through(self, name: str, request: Request) -> Response:
        _user, headers = self.caller(request)
        return json_response(*await self.call(name, 0, headers))

    def caller(self, request: Request) -> tuple[str | None, dict[str, str]]:
        """Return the signed-in user and the headers of the calls for this request.

        `end-user` comes only from the signed session: a browser cannot set it.
        """
        user = session.user_of(request.headers.get("cookie", ""), self.settings.session_key)
        headers = request.headers_to_pass_on()
        if user is not None:
            headers["end-user"] = user
        return user, headers

    async def call(self, name: str, number: int, headers: dict[str, str]) -> tuple[int, Any]:
        """Return status and JSON of the answer of a service; 503 or 502 with an error if there is none."""
        try:
            status, body = await self.services[name].get(f"/{name}/{number}", headers, TIMEOUT_SECONDS)
        except CallError as error:
            return 503, {"error": str(error)}
        try:
            return status, json.loads(body)
        except ValueError:
            text = body.decode("utf-8", "replace")[:200]
            return (502 if status == 200 else status), {"error": f"{name}: not JSON: {text}"}


def _redirect_to_page(cookie: str) -> Response:
    return Response(302, b"", "text/html; charset=utf-8", (("location", "/productpage"), ("set-cookie", cookie)))
