# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The listener that a real istiod generated for a waypoint, against the routes it was made of.

Recorded on the lab with a second istiod (1.31, PILOT_ENABLE_AMBIENT=true) that reads real/waypoint_objects.yaml: a
client of its port 15010 asked for clusters and listeners as the node
`waypoint~ADDRESS~waypoint-1.wp-proto~wp-proto.svc.cluster.local`, and istiod's /debug/config_dump of that client was
kept, with Envoy's names of fields. Of the filters only type, routes and clusters were kept.
"""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.envoy import (
    config_dump,
    missing_http_routes,
    missing_routes,
)
from ansible_collections.meshops.canary.plugins.module_utils.envoy.expected_routes import ProxyAttributes, RoutedService
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot

Json = dict[str, t.Any]

REVIEWS = ServiceRef("reviews", "wp-proto")
WAYPOINT = ProxyAttributes("wp-proto", is_waypoint=True)


@pytest.fixture
def dump() -> Json:
    path = Path(__file__).parent / "real" / "waypoint_listeners.json"
    return t.cast("Json", json.loads(path.read_text()))


def to(subset: str, weight: int = 0) -> Json:
    return {"destination": {"host": "reviews", "subset": subset}, **({"weight": weight} if weight else {})}


def virtual_service(v2: int = 10, namespace: str = "wp-proto", **spec: t.Any) -> Json:
    test = {
        "name": "test",
        "match": [
            {"headers": {"end-user": {"exact": "testuser"}}},
            {"sourceLabels": {"app": "x"}, "uri": {"prefix": "/x"}},
            {"sourceNamespace": "elsewhere", "uri": {"prefix": "/y"}},
        ],
        "route": [to("v2")],
    }
    rest = {"name": "rest", "route": [to("v1", 100 - v2), to("v2", v2)]}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "reviews", "namespace": namespace},
        "spec": {"hosts": [REVIEWS.fqdn], "http": [test, rest], **spec},
    }


def routed(obj: Json) -> RoutedService:
    return RoutedService(REVIEWS, Snapshot(virtual_services=(obj,)), (obj,))


def test_a_waypoint_has_the_routes_without_matches_of_callers(dump: Json) -> None:
    assert missing_routes.missing_routes(dump, routed(virtual_service()), WAYPOINT) == []
    config_dump.check(dump, "dynamic_listeners")


def test_other_weights_and_matches_are_missing(dump: Json) -> None:
    missing = missing_routes.missing_routes(dump, routed(virtual_service(20)), WAYPOINT)
    assert any("does not have rest" in one and "v2 20%" in one for one in missing), missing
    sidecar = missing_routes.missing_routes(dump, routed(virtual_service()), ProxyAttributes("elsewhere", {"app": "x"}))
    assert any("/x" in one for one in sidecar), "a sidecar has the matches of its own labels"


def test_which_services_a_waypoint_handles(dump: Json) -> None:
    assert config_dump.waypoint_hosts(dump) == {REVIEWS.fqdn, REVIEWS.sibling("reviews-v1").fqdn}
    chains = dump["configs"][0]["active_state"]["listener"]["filter_chains"]
    chains[:] = [one for one in chains if not one["name"].startswith("direct-")]
    assert config_dump.waypoint_hosts(dump) == frozenset(), "an east-west gateway applies no routes"


@pytest.mark.parametrize(
    ("obj", "applies"),
    [
        (virtual_service(), True),
        (virtual_service(namespace="third"), False),
        (virtual_service(exportTo=["third"]), False),
        (virtual_service(hosts=["*.wp-proto.svc.cluster.local"]), True),
        (virtual_service(hosts=["other.example.com"]), False),
        (virtual_service(gateways=["wp-proto/public"]), False),
    ],
)
def test_which_virtual_services_a_waypoint_applies(obj: Json, applies: bool) -> None:
    assert missing_routes.applies(routed(obj), WAYPOINT) is applies


@pytest.mark.parametrize(("namespace", "applies"), [("wp-proto", True), ("infra", True), ("third", False)])
def test_which_http_routes_a_waypoint_applies(namespace: str, applies: bool) -> None:
    parent = {"group": "", "kind": "Service", "name": "reviews", "namespace": "wp-proto"}
    metadata = {"name": "reviews", "namespace": namespace}
    obj = {"kind": "HTTPRoute", "metadata": metadata, "spec": {"parentRefs": [parent], "rules": []}}
    known = RoutedService(REVIEWS, Snapshot(http_routes=(obj,)), (obj,))
    assert missing_http_routes.applies(known, ProxyAttributes("infra", is_waypoint=True)) is applies
    assert missing_http_routes.applies(known, ProxyAttributes("infra"))


def test_clusters_of_a_waypoint_name_the_subset_behind_the_protocol() -> None:
    names = ("inbound-vip|9080|http|reviews.shop", "inbound-vip|9080|http/v2|reviews.shop", "inbound|9080||x", "encap")
    clusters = {"configs": [{"cluster": {"name": name, "type": "EDS"}} for name in names]}
    assert config_dump.known_clusters(clusters) == {("reviews.shop", ""): True, ("reviews.shop", "v2"): True}
