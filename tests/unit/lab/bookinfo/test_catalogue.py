# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The services that call no other service."""

from __future__ import annotations


def test_posted_ratings_are_stored_and_invalid_ones_rejected(start) -> None:
    ratings = start("ratings")
    assert ratings.request("POST", "/ratings/7", '{"Reviewer1": 1}').json() == {"id": 7, "ratings": {"Reviewer1": 1}}
    assert ratings.get("/ratings/7").json()["ratings"] == {"Reviewer1": 1}
    assert ratings.get("/ratings/0").json()["ratings"] == {"Reviewer1": 5, "Reviewer2": 4}
    for body in ('{"Reviewer1": 6}', '{"Reviewer1": true}', "[1]", "{"):
        assert ratings.request("POST", "/ratings/7", body).status == 400
