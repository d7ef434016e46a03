# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTPRoutes in a proxy's config dump: converged only when every rule has its shares, and no other rule is left."""

from __future__ import annotations

import copy
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.envoy import missing_http_routes
from ansible_collections.meshops.canary.plugins.module_utils.envoy.expected_routes import RoutedService
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from support.http_routes import REVIEWS, TESTERS, http_route, path, ref, rule

WANTED = http_route(
    rule(ref("reviews-v2", 10), ref("reviews-v3", 90), matches=[{**path(), **TESTERS}], name="testers"),
    rule(ref("reviews-v1", 90), ref("reviews-v2", 10), ref("reviews-v3", 0)),
)


def held(name: str, **weights: int) -> dict[str, t.Any]:
    """A route as istiod makes it of a rule (Istio 1.31, shortened); weights: version -> weight."""
    clusters = [
        {"name": f"outbound|9080||reviews-{version}.bookinfo.svc.cluster.local", "weight": weight}
        for version, weight in weights.items()
    ]
    action = {"weighted_clusters": {"clusters": clusters}} if len(clusters) > 1 else {"cluster": clusters[0]["name"]}
    owner = "/apis/networking.istio.io/v1/namespaces/bookinfo/virtual-service/bookinfo~9080~reviews"
    return {"name": name, "route": action, "metadata": {"filter_metadata": {"istio": {"config": owner}}}}


def dump(*routes: dict[str, t.Any]) -> dict[str, t.Any]:
    virtual_host = {"name": "reviews", "domains": ["reviews.bookinfo.svc.cluster.local"], "routes": list(routes)}
    return {"configs": [{"route_config": {"name": "9080", "virtual_hosts": [virtual_host]}}]}


def missing_routes(dump: dict[str, t.Any]) -> list[str]:
    return missing_http_routes.missing_routes(dump, RoutedService(REVIEWS, Snapshot(), [WANTED]))


TESTERS_HELD = held("testers", v2=10, v3=90)
REST_HELD = held("bookinfo.reviews.1", v1=90, v2=10)


@pytest.mark.parametrize(
    "routes",
    [
        (TESTERS_HELD, REST_HELD),
        (TESTERS_HELD, TESTERS_HELD, REST_HELD),
        (TESTERS_HELD, held("bookinfo.reviews.1", v1=900, v2=100)),
        (TESTERS_HELD, held("bookinfo.reviews.1", v1=90, v2=10, v3=0)),
        (TESTERS_HELD, REST_HELD, held("bookinfo.ratings.0", v1=1)),
    ],
    ids=["as written", "a rule with two matches", "the same shares", "a backend at 0", "beside another HTTPRoute's"],
)
def test_routes_with_the_expected_shares_are_converged(routes: tuple[dict[str, t.Any], ...]) -> None:
    assert missing_routes(dump(*routes)) == []


@pytest.mark.parametrize(
    ("routes", "said"),
    [
        ((held("bookinfo.reviews.0", v1=100),), "still has bookinfo.reviews.0 with reviews-v1 100%"),
        ((TESTERS_HELD,), "does not have bookinfo.reviews.1 with reviews-v1 90%, reviews-v2 10% yet"),
        (
            (TESTERS_HELD, held("bookinfo.reviews.1", v1=80, v2=20)),
            "bookinfo.reviews.1 has reviews-v1 80%, reviews-v2 20%, not reviews-v1 90%, reviews-v2 10% yet",
        ),
        ((TESTERS_HELD, REST_HELD, held("bookinfo.reviews.2", v1=1)), "still has bookinfo.reviews.2"),
        ((held("bookinfo.ratings.0", v1=1),), "the proxy has no route of it yet"),
    ],
)
def test_each_difference_is_reported(routes: tuple[dict[str, t.Any], ...], said: str) -> None:
    missing = missing_routes(dump(*routes))
    assert any(said in one for one in missing), missing


def test_a_dump_without_routes_is_never_converged() -> None:
    assert missing_routes({"configs": []})
    assert not missing_http_routes.holds({"configs": []}, WANTED)


def test_a_rule_of_another_http_route_with_the_same_name_is_ignored() -> None:
    theirs = copy.deepcopy(held("testers", v2=50, v9=50))
    assert missing_routes(dump(theirs, TESTERS_HELD, REST_HELD)) == []
    assert not missing_http_routes.holds(dump(theirs), WANTED)


def test_a_route_of_a_virtual_service_is_not_one_of_an_http_route() -> None:
    own = held("bookinfo.reviews.1", v1=1)
    own["metadata"]["filter_metadata"]["istio"]["config"] = "/apis/x/v1/namespaces/bookinfo/virtual-service/reviews"
    assert not missing_http_routes.holds(dump(own), WANTED)
