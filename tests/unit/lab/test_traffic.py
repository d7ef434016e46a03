# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The measuring client against a real HTTP server on this machine that answers as Bookinfo does."""

from __future__ import annotations

import dataclasses
import http.server
import itertools
import socket
import threading
import time
import typing as t

import pytest

from lab.traffic import Gateway, Load, TrafficError
from lab.traffic.client import STARS, VERSION

if t.TYPE_CHECKING:
    from collections.abc import Iterator

NO_STARS = '{"id": "0", "podname": "reviews-v1-6d8f7cb5b7-x2x7q", "reviews": [{"reviewer": "Reviewer1"}]}'
BLACK = '{"podname": "reviews-v2-5d99885bc9-abcde", "reviews": [{"rating": {"stars": 5, "color": "black"}}]}'
RED = '<i>reviews-v3-745cf8f7b4-klmno</i><div class="stars" data-color="red">*****</div>'
UNAVAILABLE = "<p>Sorry, product reviews are currently unavailable for this book.</p>"


@dataclasses.dataclass
class Bookshop:
    """What the server answers, in turn, and what it has seen."""

    url: str = ""
    answers: t.Iterator[tuple[int, str]] = dataclasses.field(default_factory=lambda: itertools.repeat((200, NO_STARS)))
    delay: float = 0.0
    hang_up_every: int = 0
    requests: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    connections: set[t.Any] = dataclasses.field(default_factory=set)
    hosts: set[str] = dataclasses.field(default_factory=set)
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    shop: Bookshop

    def do_GET(self) -> None:
        with self.shop.lock:
            self.shop.requests.append((self.path, self.headers.get("Cookie") or self.headers.get("end-user") or ""))
            self.shop.connections.add(self.client_address)
            self.shop.hosts.add(self.headers["Host"])
            number = len(self.shop.requests)
            status, body = next(self.shop.answers)
        time.sleep(self.shop.delay)
        if self.shop.hang_up_every and number % self.shop.hang_up_every == 0:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._answer(status, body)

    def do_POST(self) -> None:
        form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        user = form.split("username=")[1].split("&")[0]
        self._answer(302, "", {"Set-Cookie": f"session={user}; HttpOnly; Path=/", "Location": self.headers["Referer"]})

    def _answer(self, status: int, body: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())
        self.wfile.flush()

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def shop() -> Iterator[Bookshop]:
    shop = Bookshop()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("ShopHandler", (Handler,), {"shop": shop}))
    shop.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield shop
    server.shutdown()
    server.server_close()
    thread.join()


def wait_until(condition: t.Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_it_sends_exactly_the_requests_asked_for_and_counts_versions_and_stars(shop: Bookshop) -> None:
    shop.answers = itertools.cycle([(200, NO_STARS), (200, BLACK), (200, RED), (200, RED)])
    seen = Gateway(shop.url).measure(Load(requests=400))
    assert len(shop.requests) == 400
    assert seen.requests == 400
    assert seen.failed == 0
    assert seen.ended_by == "requests"
    assert seen.counts == {"v1": 100, "v2": 100, "v3": 200}
    assert seen.stars == {"none": 100, "black": 100, "red": 200}
    assert seen.share("v3") == 50.0
    assert {path for path, _user in shop.requests} == {"/productpage"}


def test_connections_are_kept_alive(shop: Bookshop) -> None:
    Gateway(shop.url).measure(Load(requests=100, connections=3))
    assert len(shop.connections) == 3


def test_times_are_real(shop: Bookshop) -> None:
    shop.delay = 0.05
    before = time.time()
    seen = Gateway(shop.url).measure(Load(requests=20, connections=2))
    assert before <= seen.first_sent["v1"] < seen.last_sent["v1"] <= time.time()
    assert (seen.latency_ms["p50"] or 0) >= 50
    assert seen.ended - seen.began >= 10 * shop.delay
    assert sum(second["counts"]["v1"] for second in seen.timeline) == 20


def test_every_kind_of_failure_is_counted_with_its_reason(shop: Bookshop) -> None:
    shop.answers = itertools.cycle([(200, NO_STARS), (503, "no healthy upstream"), (200, UNAVAILABLE)])
    seen = Gateway(shop.url).measure(Load(requests=30, connections=1))
    assert seen.counts == {"v1": 10}
    assert seen.failed == 20
    assert seen.reasons == {
        "status 503: no healthy upstream": 10,
        "status 200, but no version in the answer": 10,
    }
    assert seen.examples[0]["reason"] == "status 503: no healthy upstream"


def test_a_connection_closed_without_an_answer_is_a_failure_and_the_next_request_goes_on(shop: Bookshop) -> None:
    shop.hang_up_every = 5
    seen = Gateway(shop.url).measure(Load(requests=20, connections=1))
    assert (seen.requests, seen.failed, seen.counts) == (20, 4, {"v1": 16})
    assert "RemoteDisconnected" in " ".join(seen.reasons)


def test_an_answer_that_comes_too_late_is_a_failure(shop: Bookshop) -> None:
    shop.delay = 0.6
    seen = Gateway(shop.url).measure(Load(requests=2, connections=1, timeout=0.2))
    assert seen.reasons == {"no answer within 0.2 s": 2}
    assert seen.latency_ms["p50"] is None


def test_nobody_listening_is_a_failure_not_a_crash() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        seen = Gateway(url).measure(Load(requests=3))
    assert seen.failed == 3
    assert "ConnectionRefused" in " ".join(seen.reasons)


def test_a_user_is_signed_in_once_for_each_connection(shop: Bookshop) -> None:
    Gateway(shop.url).measure(Load(requests=10, connections=1, user="testuser"))
    assert {user for _path, user in shop.requests} == {"session=testuser"}
    assert len(shop.requests) == 10


def test_a_gateway_shared_by_several_hosts_is_asked_for_the_right_one(shop: Bookshop) -> None:
    Gateway(shop.url, host="shop.example").measure(Load(requests=5, user="testuser"))
    assert shop.hosts == {"shop.example"}


def test_the_rate_is_kept(shop: Bookshop) -> None:
    seen = Gateway(shop.url).measure(Load(seconds=1.0, rate=50))
    assert 30 <= seen.requests <= 51
    assert seen.ended_by == "seconds"


def test_leaving_the_block_ends_a_load_in_the_background(shop: Bookshop) -> None:
    with Gateway(shop.url).background(Load(seconds=60, rate=100)) as running:
        wait_until(lambda: len(shop.requests) > 10)
        left = time.monotonic()
    seen = running.result()
    assert time.monotonic() - left < 10
    assert seen.ended_by == "stop"
    assert seen.requests == len(shop.requests) > 10


def test_the_limit_ends_a_load_that_nobody_stops(shop: Bookshop) -> None:
    seen = Gateway(shop.url).measure(Load(requests=10**6, rate=50, limit=0.5))
    assert seen.ended_by == "limit"
    assert seen.requests <= 26


def test_a_load_without_an_end_is_refused() -> None:
    with pytest.raises(TrafficError, match="needs an end"):
        Load()


def test_a_client_that_crashes_says_why() -> None:
    with pytest.raises(TrafficError, match="without a result: ValueError: Port could not be cast"):
        Gateway("http://127.0.0.1:http").measure(Load(requests=1))


@pytest.mark.parametrize(
    ("text", "version", "colour"),
    [
        ("Reviews served by: <u>reviews-v1-7d4db5bb6-abc12</u>", "v1", None),
        ('{"podname": "reviews-v2-7d4db5bb6-abc12", "color": "black"}', "v2", "black"),
        ('<font color="red"><span class="glyphicon"></span></font> reviews-v3-7d4db5bb6-abc12', "v3", "red"),
        ('<div class="flex gap-x-1 text-red-500"> reviews-v3-7d4db5bb6-abc12', "v3", "red"),
        ('<p class="text-red-500">Ratings service is currently unavailable</p> reviews-v2-7d4db5bb6-abc12', "v2", None),
    ],
)
def test_versions_and_colours_are_read_from_both_bookinfos(text: str, version: str, colour: str | None) -> None:
    found = VERSION.search(text)
    stars = STARS.search(text)
    assert found
    assert found.group(1) == version
    assert (next(filter(None, stars.groups())) if stars else None) == colour
