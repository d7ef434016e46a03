# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bookinfo through the playbooks shift and header_test, by requests of the productpage pod and of a browser."""

from __future__ import annotations

import typing as t

import pytest

from .conftest import assert_split, measure

if t.TYPE_CHECKING:
    from .conftest import Shop

pytestmark = pytest.mark.mesh

USER = "testuser"
# The gateway's requests pass the same sidecar; they show that browsers and signed-in users get the same shares.
SPLIT = {"sidecar": 2000, "gateway": 250}
ALL = {"sidecar": 200, "gateway": 100}


def assert_everywhere(shop: Shop, weights: dict[str, int], user: str = "") -> None:
    number = ALL if len(weights) == 1 else SPLIT
    for place in shop.places:
        seen = measure(place, number[place.name], user)
        assert_split(seen, weights, f"{user or 'everybody'} from the {place.name}")


@pytest.mark.parametrize("weights", [{"v1": 90, "v2": 10}, {"v1": 34, "v2": 33, "v3": 33}], ids=str)
def test_requests_follow_the_weights_from_both_places(all_on_v1: Shop, weights: dict[str, int]) -> None:
    assert_split(measure(all_on_v1.sidecar, 200), {"v1": 100}, "before")
    all_on_v1.shift(**weights)
    assert_everywhere(all_on_v1, weights)


def test_the_cohort_keeps_its_split_while_the_weights_of_all_others_change(all_on_v1: Shop) -> None:
    shop = all_on_v1
    shop.cohort(v2=10, v3=90)
    assert_everywhere(shop, {"v1": 100})
    for other in ("jason", "TestUser", "testuser2"):
        assert_split(measure(shop.sidecar, 200, other), {"v1": 100}, other)
    assert_split(measure(shop.gateway, 100, "jason"), {"v1": 100}, "jason, signed in")
    shop.shift(v1=25, v2=75)
    assert_everywhere(shop, {"v1": 25, "v2": 75})
    assert_everywhere(shop, {"v2": 10, "v3": 90}, USER)
    shop.cohort()
    assert_everywhere(shop, {"v1": 25, "v2": 75}, USER)
