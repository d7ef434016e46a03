# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Login: a signed cookie decides who the user is."""

from __future__ import annotations

import pytest
from support.bookinfo import upstreams


def test_only_a_login_sets_the_header_end_user(start, recorder) -> None:
    page = start("productpage", **upstreams(details=recorder.server_port, reviews=recorder.server_port))
    page.get("/api/v1/products/0/reviews", end_user="mallory")
    assert "end-user" not in recorder.received[-1]

    form = {"content-type": "application/x-www-form-urlencoded"}
    login = page.request("POST", "/login", "username=testuser&passwd=any", form)
    assert login.status == 302
    assert login.headers["location"] == "/productpage"
    cookie = login.headers["set-cookie"].split(";")[0]
    shown = page.get("/productpage", cookie=f"other=1; {cookie}")
    assert ">testuser " in shown.text
    assert recorder.received[-1]["end-user"] == "testuser"

    out = page.get("/logout", cookie=cookie)
    assert "Max-Age=0" in out.headers["set-cookie"]


@pytest.mark.parametrize(
    "cookie", ["session=dGVzdHVzZXI.0123456789abcdef0123456789abcdef", "session=dGVzdHVzZXI", "session=", "session=é"]
)
def test_forged_session_has_no_user(start, recorder, cookie: str) -> None:
    page = start("productpage", **upstreams(details=recorder.server_port, reviews=recorder.server_port))
    assert page.get("/productpage", cookie=cookie).status == 200
    assert "end-user" not in recorder.received[-1]


def test_user_name_that_is_not_a_valid_header_is_rejected(start) -> None:
    page = start("productpage")
    for name in ("", "a%0D%0Aevil:+1", "%C3%A9", "x" * 65):
        assert page.request("POST", "/login", f"username={name}").status == 400
