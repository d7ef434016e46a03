# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The product page: its content, its errors, and the headers it passes on."""

from __future__ import annotations

import socket

from support.bookinfo import upstreams


def test_page_shows_details_stars_and_the_reviews_pod(start) -> None:
    ratings, details = start("ratings"), start("details")
    reviews = start("reviews", SERVICE_VERSION="v3", HOSTNAME="reviews-v3-<x>", **upstreams(ratings=ratings.port))
    page = start("productpage", **upstreams(details=details.port, reviews=reviews.port)).get("/productpage")
    assert page.status == 200
    assert "The Comedy of Errors" in page.text
    assert "123-1234567890" in page.text
    assert page.text.count('data-color="red"') == 2
    assert "★★★★☆" in page.text
    assert "reviews-v3-&lt;x&gt;" in page.text


def test_page_shows_errors_of_unavailable_services(start) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed_port = unused.getsockname()[1]
        product = start("productpage", **upstreams(details=closed_port, reviews=closed_port))
        page = product.get("/productpage")
        assert page.status == 200
        assert "Error fetching product reviews" in page.text
        assert "Error fetching product details" in page.text
        assert product.get("/api/v1/products/0/reviews").status == 503


def test_trace_headers_are_passed_through_all_services(start, recorder) -> None:
    reviews = start("reviews", SERVICE_VERSION="v2", **upstreams(ratings=recorder.server_port))
    page = start("productpage", **upstreams(details=recorder.server_port, reviews=reviews.port))
    sent = {"x-request-id": "42", "b3": "0", "x-b3-traceid": "7", "traceparent": "00-1-2-01", "x-fault-cpu-ms": "0"}
    page.get("/api/v1/products/0/reviews", **sent)
    assert {name: recorder.received[-1].get(name) for name in sent} == {**sent, "x-fault-cpu-ms": None}
