# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the sample application shows, whom it believes, and its switches for tests."""

from __future__ import annotations

import os
import socket
import subprocess
import time

import pytest
from support.bookinfo import LAB, command, upstreams

# What the versions show


@pytest.mark.parametrize(("version", "color"), [("v1", None), ("v2", "black"), ("v3", "red")])
def test_each_version_of_reviews_has_its_stars(start, version: str, color: str | None) -> None:
    ratings = start("ratings")
    pod = f"reviews-{version}-x"
    reviews = start("reviews", SERVICE_VERSION=version, HOSTNAME=pod, **upstreams(ratings=ratings.port))
    answer = reviews.get("/reviews/0").json()
    assert answer["id"] == "0"
    assert answer["podname"] == pod
    found = [review.get("rating") for review in answer["reviews"]]
    assert found == ([None, None] if color is None else [{"stars": n, "color": color} for n in (5, 4)])


def test_environment_names_of_the_published_images_win_over_the_version(start) -> None:
    ratings = start("ratings")
    env = {"SERVICE_VERSION": "v1", "ENABLE_RATINGS": "true", "STAR_COLOR": "green"}
    reviews = start("reviews", **env, **upstreams(ratings=ratings.port))
    assert reviews.get("/reviews/0").json()["reviews"][0]["rating"] == {"stars": 5, "color": "green"}


def test_reviews_without_ratings_says_so_and_recovers(start) -> None:
    ratings = start("ratings")
    reviews = start("reviews", SERVICE_VERSION="v2", **upstreams(ratings=ratings.port))
    assert "stars" in reviews.get("/reviews/0").text
    ratings.process.kill()
    ratings.process.wait()
    broken = reviews.get("/reviews/0")
    assert broken.status == 200
    assert broken.json()["reviews"][0]["rating"] == {"error": "Ratings service is currently unavailable"}


def test_page_shows_details_stars_and_the_pod_that_served_them(start) -> None:
    ratings, details = start("ratings"), start("details")
    reviews = start("reviews", SERVICE_VERSION="v3", HOSTNAME="reviews-v3-<x>", **upstreams(ratings=ratings.port))
    page = start("productpage", **upstreams(details=details.port, reviews=reviews.port)).get("/productpage")
    assert page.status == 200
    assert "The Comedy of Errors" in page.text
    assert "123-1234567890" in page.text
    assert page.text.count('data-color="red"') == 2
    assert "★★★★☆" in page.text
    assert "reviews-v3-&lt;x&gt;" in page.text


def test_page_survives_services_that_are_not_there(start) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = unused.getsockname()[1]
        product = start("productpage", **upstreams(details=nobody, reviews=nobody))
        page = product.get("/productpage")
        assert page.status == 200
        assert "Error fetching product reviews" in page.text
        assert "Error fetching product details" in page.text
        assert product.get("/api/v1/products/0/reviews").status == 503


def test_ratings_keeps_what_is_posted_and_refuses_nonsense(start) -> None:
    ratings = start("ratings")
    assert ratings.request("POST", "/ratings/7", '{"Reviewer1": 1}').json() == {"id": 7, "ratings": {"Reviewer1": 1}}
    assert ratings.get("/ratings/7").json()["ratings"] == {"Reviewer1": 1}
    assert ratings.get("/ratings/0").json()["ratings"] == {"Reviewer1": 5, "Reviewer2": 4}
    for body in ('{"Reviewer1": 6}', '{"Reviewer1": true}', "[1]", "{"):
        assert ratings.request("POST", "/ratings/7", body).status == 400


# Who is asking


def test_login_sends_end_user_and_only_login_does(start, recorder) -> None:
    page = start("productpage", **upstreams(details=recorder.server_port, reviews=recorder.server_port))
    page.get("/api/v1/products/0/reviews", end_user="mallory")
    assert "end-user" not in recorder.seen[-1]

    form = {"content-type": "application/x-www-form-urlencoded"}
    login = page.request("POST", "/login", "username=testuser&passwd=any", form)
    assert login.status == 302
    assert login.headers["location"] == "/productpage"
    cookie = login.headers["set-cookie"].split(";")[0]
    shown = page.get("/productpage", cookie=f"other=1; {cookie}")
    assert ">testuser " in shown.text
    assert recorder.seen[-1]["end-user"] == "testuser"

    out = page.get("/logout", cookie=cookie)
    assert "Max-Age=0" in out.headers["set-cookie"]


@pytest.mark.parametrize(
    "cookie", ["session=dGVzdHVzZXI.0123456789abcdef0123456789abcdef", "session=dGVzdHVzZXI", "session=", "session=é"]
)
def test_forged_session_is_nobody(start, recorder, cookie: str) -> None:
    page = start("productpage", **upstreams(details=recorder.server_port, reviews=recorder.server_port))
    assert page.get("/productpage", cookie=cookie).status == 200
    assert "end-user" not in recorder.seen[-1]


def test_name_that_cannot_be_a_header_is_refused(start) -> None:
    page = start("productpage")
    for name in ("", "a%0D%0Aevil:+1", "%C3%A9", "x" * 65):
        assert page.request("POST", "/login", f"username={name}").status == 400


def test_trace_headers_go_all_the_way(start, recorder) -> None:
    reviews = start("reviews", SERVICE_VERSION="v2", **upstreams(ratings=recorder.server_port))
    page = start("productpage", **upstreams(details=recorder.server_port, reviews=reviews.port))
    sent = {"x-request-id": "42", "b3": "0", "x-b3-traceid": "7", "traceparent": "00-1-2-01", "x-fault-cpu-ms": "0"}
    page.get("/api/v1/products/0/reviews", **sent)
    assert {name: recorder.seen[-1].get(name) for name in sent} == {**sent, "x-fault-cpu-ms": None}


# Switches for tests


def test_faults_by_environment_and_by_header(start) -> None:
    failing = start("details", FAULT_ERROR_RATE="1")
    assert failing.get("/details/0").status == 500
    assert failing.get("/details/0", x_fault_error_rate="0").status == 200
    assert failing.get("/health").status == 200


def test_error_rate_is_a_share(start) -> None:
    statuses = [start("details", FAULT_ERROR_RATE="0.5")] * 200
    failed = sum(service.get("/details/0").status == 500 for service in statuses)
    assert 50 < failed < 150


def test_delay_and_burn_take_their_time(start) -> None:
    details = start("details")
    for header in ("x-fault-delay-ms", "x-fault-cpu-ms"):
        began = time.monotonic()
        assert details.get("/details/0", **{header: "120"}).status == 200
        assert time.monotonic() - began >= 0.12


@pytest.mark.parametrize("header", ["x-fault-delay-ms", "x-fault-error-rate", "x-fault-cpu-ms"])
@pytest.mark.parametrize("value", ["much", "-1", "nan", "1e9"])
def test_fault_that_is_no_number_is_named(start, header: str, value: str) -> None:
    answer = start("details").get("/details/0", **{header: value})
    assert answer.status == 400
    assert header in answer.json()["error"]


def test_slow_start_is_not_ready_until_its_time(start) -> None:
    details = start("details", START_DELAY_SECONDS="0.6")
    assert details.get("/health").status == 503
    assert details.get("/details/0").status == 503
    deadline = time.monotonic() + 5
    while details.get("/health").status != 200 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert details.get("/details/0").status == 200


@pytest.mark.parametrize(
    ("arguments", "environment", "status", "said"),
    [
        (["reviews", "0"], {"CRASH_ON_START": "true"}, 1, "CRASH_ON_START"),
        (["reviews", "0"], {"FAULT_DELAY_MS": "soon"}, 2, "FAULT_DELAY_MS"),
        (["reviews", "0"], {"START_DELAY_SECONDS": "-1"}, 2, "START_DELAY_SECONDS"),
        (["reviews", "0"], {"ENABLE_RATINGS": "perhaps"}, 2, "ENABLE_RATINGS"),
        (["reviews", "70000"], {}, 2, "PORT"),
        (["cellar"], {}, 2, "cellar"),
        ([], {"BOOKINFO_ROLE": "attic"}, 2, "attic"),
    ],
)
def test_a_start_that_fails_says_why(arguments, environment, status: int, said: str) -> None:
    env = {"PATH": os.environ["PATH"], **environment}
    done = subprocess.run(
        command(*arguments), cwd=LAB, env=env, capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == status
    assert said in done.stderr
    assert "Traceback" not in done.stderr
