# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page as a real browser shows it: headless Chromium, through the ingress gateway."""

from __future__ import annotations

import re
import subprocess
import typing as t
import urllib.parse

import pytest
from support.browser import OPTIONS, program

from .conftest import FORCE

if t.TYPE_CHECKING:
    from pathlib import Path

    from support.direct import Direct

    from .conftest import Shop

pytestmark = pytest.mark.mesh

MILLISECONDS_OF_PAGE_TIME = 4000
SIGN_IN = """<form id=f method=post action="{url}/login">
<input name=username value={user}><input name=passwd value=x></form>
<script>document.getElementById("f").submit()</script>"""


@pytest.fixture(scope="module")
def browser() -> str:
    return program()


def see(shop: Shop, browser: str, folder: Path, user: str = "") -> list[str]:
    """Return the colors of the stars on the page, one for each review. user: signs in first."""
    ingress = urllib.parse.urlsplit(shop.ingress_url)
    url = f"http://{shop.host}:{ingress.port or 80}"
    start = f"{url}/productpage"
    if user:
        folder.mkdir()
        page = folder / "sign-in.html"
        page.write_text(SIGN_IN.format(url=url, user=user), encoding="utf-8")
        start = page.as_uri()
    own = (
        f"--user-data-dir={folder / 'profile'}",
        f"--host-resolver-rules=MAP {shop.host} {ingress.hostname}",
        f"--virtual-time-budget={MILLISECONDS_OF_PAGE_TIME}",
        "--dump-dom",
    )
    done = subprocess.run([browser, *OPTIONS, *own, start], capture_output=True, text=True, timeout=90, check=False)
    page_text = done.stdout
    assert "Book Reviews" in page_text, f"the browser shows no reviews:\n{page_text[-3000:]}\n{done.stderr[-2000:]}"
    signed_in = re.search(r'id="user">(\w+)', page_text)
    assert (signed_in.group(1) if signed_in else "") == user
    assert page_text.count("<blockquote") == 2
    return re.findall(r'<div class="stars"[^>]*data-color="(\w+)"', page_text)


def test_v2_shows_black_stars(all_on_v1: Shop, direct: Direct, browser: str, tmp_path: Path) -> None:
    direct("weight", weights={"v2": 100}, force=FORCE)
    assert see(all_on_v1, browser, tmp_path) == ["black", "black"]


def test_testuser_sees_red_stars_and_others_see_v1_without_stars(
    all_on_v1: Shop, direct: Direct, browser: str, tmp_path: Path
) -> None:
    direct("header_route", headers={"end-user": "testuser"}, weights={"v3": 100})
    assert see(all_on_v1, browser, tmp_path / "testuser", "testuser") == ["red", "red"]
    assert see(all_on_v1, browser, tmp_path / "others") == []
