# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Subsets and the first VirtualService: created, extended, and taken back."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput, Refused
from ansible_collections.meshops.canary.plugins.module_utils.routes import plan
from ansible_collections.meshops.canary.plugins.module_utils.routes.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.routes.snapshot import Snapshot

if t.TYPE_CHECKING:
    from support import route_strategies as rs

REVIEWS = ServiceRef("reviews", "bookinfo")
FQDN = REVIEWS.fqdn
TWO = {"v1": {"version": "v1"}, "v2": {"version": "v2"}}


def rule(host: str, *subsets: str, namespace: str = "bookinfo", **spec: t.Any) -> rs.Json:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "theirs", "namespace": namespace, "resourceVersion": "1"},
        "spec": {"host": host, "subsets": [{"name": one, "labels": {"version": one}} for one in subsets], **spec},
    }


def service(*ports: rs.Json) -> rs.Json:
    return {"kind": "Service", "metadata": {"name": "reviews", "namespace": "bookinfo"}, "spec": {"ports": list(ports)}}


def empty(**lists: t.Any) -> Snapshot:
    return Snapshot(**{"virtual_services": (), "destination_rules": (), "services": (), **lists})


def test_the_subset_comes_before_the_route() -> None:
    planned = plan.plan_routing(empty(), REVIEWS, TWO, "v1")
    assert [(change.verb, change.kind) for change in planned.changes] == [
        ("create", "DestinationRule"),
        ("create", "VirtualService"),
    ]
    assert planned.changes[1].after is not None
    assert planned.changes[1].after["spec"] == {
        "hosts": [FQDN],
        "http": [{"route": [{"destination": {"host": FQDN, "subset": "v1"}}]}],
    }
    assert planned.weights_after == {"v1": 100}


def test_created_extended_and_taken_back() -> None:
    first = empty().after(plan.plan_routing(empty(), REVIEWS, TWO, "v1").changes)
    assert not plan.plan_routing(first, REVIEWS, TWO, "v1").changes
    three = {**TWO, "v3": {"version": "v3"}}
    wider = plan.plan_routing(first, REVIEWS, three, "v1")
    assert [operation["path"] for operation in wider.changes[0].patch if operation["op"] == "add"] == [
        "/spec/subsets/2"
    ]
    second = first.after(wider.changes)
    back = plan.plan_routing_absent(second, REVIEWS)
    assert [(change.verb, change.kind) for change in back.changes] == [
        ("delete", "VirtualService"),
        ("delete", "DestinationRule"),
    ]
    assert second.after(back.changes) == empty()


def test_an_existing_split_is_never_reset() -> None:
    ready = empty().after(plan.plan_routing(empty(), REVIEWS, TWO, "v1").changes)
    split = ready.after(plan.plan_weights(ready, REVIEWS, {"v1": 90, "v2": 10}).changes)
    assert not plan.plan_routing(split, REVIEWS, TWO, "v1").changes
    assert not plan.plan_routing(split, REVIEWS, TWO, "v2").changes


@pytest.mark.parametrize("host", ["reviews", FQDN])
def test_somebodys_rule_is_extended_and_given_back(host: str) -> None:
    theirs = rule(host, "v1", trafficPolicy={"tls": {"mode": "ISTIO_MUTUAL"}}, exportTo=["*"])
    start = empty(destination_rules=(theirs,))
    after = start.after(plan.plan_routing(start, REVIEWS, TWO, "v1").changes)
    assert after.destination_rules is not None
    assert [one["name"] for one in after.destination_rules[0]["spec"]["subsets"]] == ["v1", "v2"]
    assert not plan.plan_routing(after, REVIEWS, TWO, "v1").changes
    assert after.after(plan.plan_routing_absent(after, REVIEWS).changes) == start


def test_argo_rollouts_drops_foreign_subsets_we_do_not() -> None:
    theirs = rule("reviews", "v1", "v2", "blue", "green")
    start = empty(destination_rules=(theirs,))
    after = start.after(plan.plan_routing(start, REVIEWS, {**TWO, "v3": {"version": "v3"}}, "v1").changes)
    assert after.destination_rules is not None
    assert [one["name"] for one in after.destination_rules[0]["spec"]["subsets"]] == ["v1", "v2", "blue", "green", "v3"]


def test_a_subset_that_selects_other_pods_is_refused() -> None:
    theirs = rule("reviews", "v1")
    theirs["spec"]["subsets"][0]["labels"] = {"release": "old"}
    with pytest.raises(Refused, match="release=old") as refusal:
        plan.plan_routing(empty(destination_rules=(theirs,)), REVIEWS, TWO, "v1")
    assert [found.code for found in refusal.value.findings] == ["SUBSET_LABELS_DIFFER"]


@pytest.mark.parametrize(
    ("host", "namespace"), [("*.bookinfo.svc.cluster.local", "bookinfo"), ("*.local", "istio-system")]
)
def test_a_new_rule_says_what_the_wildcard_it_hides_said(host: str, namespace: str) -> None:
    wildcard = rule(host, namespace=namespace, trafficPolicy={"tls": {"mode": "DISABLE"}})
    planned = plan.plan_routing(empty(destination_rules=(wildcard,)), REVIEWS, TWO, "v1")
    assert planned.changes[0].verb == "create"
    assert planned.changes[0].after is not None
    assert planned.changes[0].after["spec"]["trafficPolicy"] == {"tls": {"mode": "DISABLE"}}


def test_a_wildcard_virtual_service_is_not_pushed_aside() -> None:
    wildcard = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "all", "namespace": "bookinfo"},
        "spec": {"hosts": ["*.bookinfo.svc.cluster.local"], "http": []},
    }
    with pytest.raises(Refused, match="wildcard"):
        plan.plan_routing(empty(virtual_services=(wildcard,)), REVIEWS, TWO, "v1")


def test_a_subset_that_a_route_names_stays() -> None:
    ready = empty().after(plan.plan_routing(empty(), REVIEWS, TWO, "v1").changes)
    split = ready.after(plan.plan_weights(ready, REVIEWS, {"v1": 90, "v2": 10}).changes)
    with pytest.raises(Refused) as refusal:
        plan.plan_routing_absent(split, REVIEWS, ["v2"])
    assert [found.code for found in refusal.value.findings] == ["SUBSET_IN_USE"]
    back = split.after(plan.plan_weights(split, REVIEWS, {"v1": 100}).changes)
    assert [change.verb for change in plan.plan_routing_absent(back, REVIEWS, ["v2"]).changes] == ["patch"]


def test_a_mirror_uses_a_subset_too() -> None:
    ready = empty().after(plan.plan_routing(empty(), REVIEWS, TWO, "v1").changes)
    mirrored = ready.after(plan.plan_mirror(ready, REVIEWS, "v2", 10).changes)
    with pytest.raises(Refused, match="Subset v2"):
        plan.plan_routing_absent(mirrored, REVIEWS, ["v2"])


def test_promoted_and_settled_the_old_subset_can_go() -> None:
    ready = empty().after(plan.plan_routing(empty(), REVIEWS, TWO, "v1").changes)
    promoted = ready.after(plan.plan_weights(ready, REVIEWS, {"v2": 100}).changes)
    with pytest.raises(Refused, match="Subset v1"):
        plan.plan_routing_absent(promoted, REVIEWS, ["v1"])
    settled = promoted.after(plan.plan_weights(promoted, REVIEWS, {"v2": 100}, settle=True).changes)
    assert [change.verb for change in plan.plan_routing_absent(settled, REVIEWS, ["v1"]).changes] == ["patch"]


@pytest.mark.parametrize(
    ("ports", "port", "routes"),
    [
        ([{"port": 9080, "name": "http"}], None, {"http": [{}]}),
        (
            [{"port": 9080, "name": "http-web"}, {"port": 9090, "name": "grpc"}],
            None,
            {"http": [{"port": 9080}, {"port": 9090}]},
        ),
        (
            [{"port": 9080, "name": "http"}, {"port": 5432, "name": "tcp-db"}],
            None,
            {"http": [{"port": 9080}], "tcp": [{"port": 5432}]},
        ),
        ([{"port": 5432, "name": "tcp"}], None, {"tcp": [{}]}),
        ([{"port": 6379, "appProtocol": "redis"}], None, {"tcp": [{}]}),
        ([{"port": 9080, "name": "http"}, {"port": 9090, "name": "grpc"}], 9090, {"http": [{"port": 9090}]}),
    ],
)
def test_every_port_of_the_service_is_routed(ports: list[rs.Json], port: int | None, routes: rs.Json) -> None:
    planned = plan.plan_routing(empty(services=(service(*ports),)), REVIEWS, TWO, "v1", port=port)
    created = planned.changes[1].after
    assert created is not None
    shown = {
        protocol: [(one.get("match") or [{}])[0] for one in created["spec"][protocol]]
        for protocol in ("http", "tcp")
        if protocol in created["spec"]
    }
    assert shown == routes
    for protocol in shown:
        for one in created["spec"][protocol]:
            number = one["route"][0]["destination"].get("port", {}).get("number")
            assert number == (one.get("match") or [{}])[0].get("port")


def test_ingress_routes_are_created_once_and_taken_back() -> None:
    ingress = [{"gateway": "infra/public", "hosts": ["shop.example.com"], "paths": ["/reviews", {"exact": "/r"}]}]
    first = empty().after(plan.plan_routing(empty(), REVIEWS, TWO, "v1", ingress=ingress).changes)
    assert first.virtual_services is not None
    public = first.virtual_services[1]
    assert public["metadata"]["name"] == "reviews-public"
    assert public["spec"]["http"][0]["match"] == [{"uri": {"prefix": "/reviews"}}, {"uri": {"exact": "/r"}}]
    assert not plan.plan_routing(first, REVIEWS, TWO, "v1", ingress=ingress).changes
    assert first.after(plan.plan_routing_absent(first, REVIEWS).changes) == empty()


def test_an_object_others_added_routes_to_is_not_deleted() -> None:
    first = empty().after(plan.plan_routing(empty(), REVIEWS, TWO, "v1").changes)
    assert first.virtual_services is not None
    first.virtual_services[0]["spec"]["http"].insert(
        0, {"match": [{"uri": {"prefix": "/x"}}], "route": [{"destination": {"host": "ratings"}}]}
    )
    with pytest.raises(Refused, match="ratings"):
        plan.plan_routing_absent(first, REVIEWS)


@pytest.mark.parametrize(
    ("versions", "stable"),
    [
        ({"v1": {"version": "v1"}}, "v2"),
        ({}, "v1"),
        ({"V1": {"version": "1"}}, "V1"),
        ({"v1": {}}, "v1"),
        ({"v.1": {"a": "b"}}, "v.1"),
    ],
)
def test_versions_that_can_never_work(versions: dict[str, dict[str, str]], stable: str) -> None:
    with pytest.raises(InvalidInput):
        plan.plan_routing(empty(), REVIEWS, versions, stable)


@pytest.mark.parametrize("ingress", [{"hosts": ["a"]}, {"gateway": "public"}])
def test_an_ingress_without_gateway_or_hosts(ingress: rs.Json) -> None:
    with pytest.raises(InvalidInput, match="ingress"):
        plan.plan_routing(empty(), REVIEWS, TWO, "v1", ingress=[ingress])


def test_two_claims_are_refused_here_too() -> None:
    created = plan.plan_routing(empty(), REVIEWS, TWO, "v1").changes[1].after
    assert created is not None
    other = {**created, "metadata": {**created["metadata"], "name": "typo"}}
    with pytest.raises(Refused) as refusal:
        plan.plan_routing(empty(virtual_services=(created, other)), REVIEWS, TWO, "v1")
    assert {found.code for found in refusal.value.findings} == {"HOST_CLAIMED_TWICE"}
