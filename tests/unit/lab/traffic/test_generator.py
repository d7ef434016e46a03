# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The load generator against a real HTTP server on this machine that answers like Bookinfo."""

from __future__ import annotations

import itertools
import socket
import time
import typing as t

import pytest

from lab.traffic import GatewayClient, Load
from lab.traffic.generator import STARS, VERSION

from .conftest import NO_STARS

if t.TYPE_CHECKING:
    from .conftest import Bookshop

BLACK = '{"podname": "reviews-v2-5d99885bc9-abcde", "reviews": [{"rating": {"stars": 5, "color": "black"}}]}'
RED = '<i>reviews-v3-745cf8f7b4-klmno</i><div class="stars" data-color="red">*****</div>'
UNAVAILABLE = "<p>Sorry, product reviews are currently unavailable for this book.</p>"


def test_requests_versions_and_stars_are_counted_exactly(shop: Bookshop) -> None:
    shop.answers = itertools.cycle([(200, NO_STARS), (200, BLACK), (200, RED), (200, RED)])
    result = GatewayClient(shop.url).measure(Load(requests=400))
    assert len(shop.requests) == 400
    assert result.requests == 400
    assert result.failed == 0
    assert result.ended_by == "requests"
    assert result.counts == {"v1": 100, "v2": 100, "v3": 200}
    assert result.stars == {"none": 100, "black": 100, "red": 200}
    assert result.share("v3") == 50.0
    assert {path for path, _user in shop.requests} == {"/productpage"}


def test_connections_are_kept_alive(shop: Bookshop) -> None:
    GatewayClient(shop.url).measure(Load(requests=100, connections=3))
    assert len(shop.connections) == 3


def test_times_are_measured(shop: Bookshop) -> None:
    shop.delay = 0.05
    before = time.time()
    result = GatewayClient(shop.url).measure(Load(requests=20, connections=2))
    assert before <= result.first_sent["v1"] < result.last_sent["v1"] <= time.time()
    assert (result.latency_ms["p50"] or 0) >= 50
    assert result.ended - result.began >= 10 * shop.delay
    assert sum(second["counts"]["v1"] for second in result.timeline) == 20


def test_failures_are_counted_by_reason(shop: Bookshop) -> None:
    shop.answers = itertools.cycle([(200, NO_STARS), (503, "no healthy upstream"), (200, UNAVAILABLE)])
    result = GatewayClient(shop.url).measure(Load(requests=30, connections=1))
    assert result.counts == {"v1": 10}
    assert result.failed == 20
    assert result.reasons == {
        "status 503: no healthy upstream": 10,
        "status 200, but no version in the answer": 10,
    }
    assert result.examples[0]["reason"] == "status 503: no healthy upstream"


def test_connection_closed_without_an_answer_is_one_failure(shop: Bookshop) -> None:
    shop.hang_up_every = 5
    result = GatewayClient(shop.url).measure(Load(requests=20, connections=1))
    assert (result.requests, result.failed, result.counts) == (20, 4, {"v1": 16})
    assert "RemoteDisconnected" in " ".join(result.reasons)


def test_answer_after_the_timeout_is_a_failure(shop: Bookshop) -> None:
    shop.delay = 0.6
    result = GatewayClient(shop.url).measure(Load(requests=2, connections=1, timeout=0.2))
    assert result.reasons == {"no answer within 0.2 s": 2}
    assert result.latency_ms["p50"] is None


def test_refused_connection_is_a_failure() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        result = GatewayClient(url).measure(Load(requests=3))
    assert result.failed == 3
    assert "ConnectionRefused" in " ".join(result.reasons)


def test_user_signs_in_once_per_connection(shop: Bookshop) -> None:
    GatewayClient(shop.url).measure(Load(requests=10, connections=1, user="testuser"))
    assert {user for _path, user in shop.requests} == {"session=testuser"}
    assert len(shop.requests) == 10


def test_rate_is_not_exceeded(shop: Bookshop) -> None:
    result = GatewayClient(shop.url).measure(Load(seconds=1.0, rate=50))
    assert 30 <= result.requests <= 51
    assert result.ended_by == "seconds"


def test_load_ends_after_its_time_limit(shop: Bookshop) -> None:
    result = GatewayClient(shop.url).measure(Load(requests=10**6, rate=50, limit=0.5))
    assert result.ended_by == "limit"
    assert result.requests <= 26


@pytest.mark.parametrize(
    ("text", "version", "color"),
    [
        ("Reviews served by: <u>reviews-v1-7d4db5bb6-abc12</u>", "v1", None),
        ('{"podname": "reviews-v2-7d4db5bb6-abc12", "color": "black"}', "v2", "black"),
        ('<font color="red"><span class="glyphicon"></span></font> reviews-v3-7d4db5bb6-abc12', "v3", "red"),
        ('<div class="flex gap-x-1 text-red-500"> reviews-v3-7d4db5bb6-abc12', "v3", "red"),
        ('<p class="text-red-500">Ratings service is currently unavailable</p> reviews-v2-7d4db5bb6-abc12', "v2", None),
    ],
)
def test_versions_and_colors_are_found_in_both_bookinfos(text: str, version: str, color: str | None) -> None:
    found = VERSION.search(text)
    stars = STARS.search(text)
    assert found
    assert found.group(1) == version
    assert (next(filter(None, stars.groups())) if stars else None) == color
