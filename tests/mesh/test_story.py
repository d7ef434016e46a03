# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The story of Bookinfo through the playbooks, told by requests: from the productpage pod and as a browser would."""

from __future__ import annotations

import typing as t

import pytest

from .conftest import assert_split, measure

if t.TYPE_CHECKING:
    from .conftest import Shop

pytestmark = pytest.mark.mesh

USER = "testuser"
FROM = {"sidecar": 2000, "gateway": 600}


def assert_everywhere(shop: Shop, weights: dict[str, int], user: str = "") -> None:
    for place in shop.places:
        assert_split(measure(place, FROM[place.name], user), weights, f"{user or 'everybody'} from the {place.name}")


def test_after_the_deployment_all_requests_go_to_v1(everybody_on_v1: Shop) -> None:
    assert_everywhere(everybody_on_v1, {"v1": 100})


@pytest.mark.parametrize(
    "weights", [{"v1": 90, "v2": 10}, {"v1": 50, "v2": 50}, {"v1": 34, "v2": 33, "v3": 33}], ids=str
)
def test_requests_follow_the_weights_from_both_places(everybody_on_v1: Shop, weights: dict[str, int]) -> None:
    everybody_on_v1.shift(**weights)
    assert_everywhere(everybody_on_v1, weights)


def test_setting_the_same_weights_again_changes_nothing(everybody_on_v1: Shop) -> None:
    assert everybody_on_v1.shift(v1=70, v2=30).changed == 1
    assert everybody_on_v1.shift(v1=70, v2=30).changed == 0
    assert everybody_on_v1.play("header_test").changed == 1
    assert everybody_on_v1.play("header_test").changed == 0


def test_check_mode_moves_no_request(everybody_on_v1: Shop) -> None:
    shop = everybody_on_v1
    played = shop.player(
        "meshops.canary.shift", "--check", service="reviews", ns=shop.namespace, weights={"v1": 0, "v2": 100}
    )
    assert played.changed == 1
    assert_everywhere(shop, {"v1": 100})


def test_only_the_cohort_sees_the_new_versions(everybody_on_v1: Shop) -> None:
    shop = everybody_on_v1
    shop.cohort(v2=10, v3=90)
    assert_everywhere(shop, {"v2": 10, "v3": 90}, USER)
    assert_everywhere(shop, {"v1": 100})
    for somebody in ("jason", "TestUser", "testuser2"):
        assert_split(measure(shop.sidecar, 300, somebody), {"v1": 100}, somebody)
    assert_split(measure(shop.gateway, 100, "jason"), {"v1": 100}, "jason, signed in")


def test_the_cohort_keeps_its_split_while_everybody_else_ramps(everybody_on_v1: Shop) -> None:
    shop = everybody_on_v1
    shop.cohort(v2=10, v3=90)
    for canary in (25, 75):
        shop.shift(v1=100 - canary, v2=canary)
        assert_everywhere(shop, {"v1": 100 - canary, "v2": canary})
        assert_everywhere(shop, {"v2": 10, "v3": 90}, USER)
    shop.cohort()
    assert_everywhere(shop, {"v1": 25, "v2": 75}, USER)
