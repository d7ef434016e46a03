# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The reviews service: the stars of each version, with and without ratings."""

from __future__ import annotations

import pytest
from support.bookinfo import upstreams


@pytest.mark.parametrize(("version", "color"), [("v1", None), ("v2", "black"), ("v3", "red")])
def test_each_version_shows_its_stars(start, version: str, color: str | None) -> None:
    ratings = start("ratings")
    pod = f"reviews-{version}-x"
    reviews = start("reviews", SERVICE_VERSION=version, HOSTNAME=pod, **upstreams(ratings=ratings.port))
    answer = reviews.get("/reviews/0").json()
    assert answer["id"] == "0"
    assert answer["podname"] == pod
    found = [review.get("rating") for review in answer["reviews"]]
    assert found == ([None, None] if color is None else [{"stars": n, "color": color} for n in (5, 4)])


def test_star_settings_override_the_version(start) -> None:
    ratings = start("ratings")
    env = {"SERVICE_VERSION": "v1", "ENABLE_RATINGS": "true", "STAR_COLOR": "green"}
    reviews = start("reviews", **env, **upstreams(ratings=ratings.port))
    assert reviews.get("/reviews/0").json()["reviews"][0]["rating"] == {"stars": 5, "color": "green"}


def test_unavailable_ratings_are_shown_as_an_error(start) -> None:
    ratings = start("ratings")
    reviews = start("reviews", SERVICE_VERSION="v2", **upstreams(ratings=ratings.port))
    assert "stars" in reviews.get("/reviews/0").text
    ratings.process.kill()
    ratings.process.wait()
    broken = reviews.get("/reviews/0")
    assert broken.status == 200
    assert broken.json()["reviews"][0]["rating"] == {"error": "Ratings service is currently unavailable"}
