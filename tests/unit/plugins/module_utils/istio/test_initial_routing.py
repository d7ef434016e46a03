# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Subsets and the first VirtualService: created, extended, and taken back."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput, Refused
from ansible_collections.meshops.canary.plugins.module_utils.objects import intents
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.routing import plan

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
    planned = plan.plan(empty(), REVIEWS, intents.InstallRouting(TWO, "v1"))
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


def test_routing_is_created_extended_and_uninstalled() -> None:
    first = empty().after(plan.plan(empty(), REVIEWS, intents.InstallRouting(TWO, "v1")).changes)
    assert not plan.plan(first, REVIEWS, intents.InstallRouting(TWO, "v1")).changes
    three = {**TWO, "v3": {"version": "v3"}}
    wider = plan.plan(first, REVIEWS, intents.InstallRouting(three, "v1"))
    assert [operation["path"] for operation in wider.changes[0].patch if operation["op"] == "add"] == [
        "/spec/subsets/2"
    ]
    second = first.after(wider.changes)
    back = plan.plan(second, REVIEWS, intents.UninstallRouting())
    assert [(change.verb, change.kind) for change in back.changes] == [
        ("delete", "VirtualService"),
        ("delete", "DestinationRule"),
    ]
    assert second.after(back.changes) == empty()


def test_an_existing_split_is_never_reset() -> None:
    ready = empty().after(plan.plan(empty(), REVIEWS, intents.InstallRouting(TWO, "v1")).changes)
    split = ready.after(plan.plan(ready, REVIEWS, intents.SetWeights({"v1": 90, "v2": 10})).changes)
    assert not plan.plan(split, REVIEWS, intents.InstallRouting(TWO, "v1")).changes
    assert not plan.plan(split, REVIEWS, intents.InstallRouting(TWO, "v2")).changes


@pytest.mark.parametrize("host", ["reviews", FQDN])
def test_a_rule_of_others_is_extended_and_restored(host: str) -> None:
    theirs = rule(host, "v1", trafficPolicy={"tls": {"mode": "ISTIO_MUTUAL"}}, exportTo=["*"])
    start = empty(destination_rules=(theirs,))
    after = start.after(plan.plan(start, REVIEWS, intents.InstallRouting(TWO, "v1")).changes)
    assert after.destination_rules is not None
    assert [one["name"] for one in after.destination_rules[0]["spec"]["subsets"]] == ["v1", "v2"]
    assert not plan.plan(after, REVIEWS, intents.InstallRouting(TWO, "v1")).changes
    assert after.after(plan.plan(after, REVIEWS, intents.UninstallRouting()).changes) == start


def test_foreign_subsets_are_kept() -> None:
    theirs = rule("reviews", "v1", "v2", "blue", "green")
    start = empty(destination_rules=(theirs,))
    after = start.after(
        plan.plan(start, REVIEWS, intents.InstallRouting({**TWO, "v3": {"version": "v3"}}, "v1")).changes
    )
    assert after.destination_rules is not None
    assert [one["name"] for one in after.destination_rules[0]["spec"]["subsets"]] == ["v1", "v2", "blue", "green", "v3"]


def test_a_subset_that_selects_other_pods_is_refused() -> None:
    theirs = rule("reviews", "v1")
    theirs["spec"]["subsets"][0]["labels"] = {"release": "old"}
    with pytest.raises(Refused, match="release=old") as refusal:
        plan.plan(empty(destination_rules=(theirs,)), REVIEWS, intents.InstallRouting(TWO, "v1"))
    assert [found.code for found in refusal.value.findings] == ["SUBSET_LABELS_DIFFER"]


@pytest.mark.parametrize(
    ("host", "namespace"), [("*.bookinfo.svc.cluster.local", "bookinfo"), ("*.local", "istio-system")]
)
def test_a_new_rule_repeats_the_policy_of_the_wildcard_rule_it_hides(host: str, namespace: str) -> None:
    wildcard = rule(host, namespace=namespace, trafficPolicy={"tls": {"mode": "DISABLE"}})
    planned = plan.plan(empty(destination_rules=(wildcard,)), REVIEWS, intents.InstallRouting(TWO, "v1"))
    assert planned.changes[0].verb == "create"
    assert planned.changes[0].after is not None
    assert planned.changes[0].after["spec"]["trafficPolicy"] == {"tls": {"mode": "DISABLE"}}


def test_a_wildcard_virtual_service_is_not_overridden() -> None:
    wildcard = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "all", "namespace": "bookinfo"},
        "spec": {"hosts": ["*.bookinfo.svc.cluster.local"], "http": []},
    }
    with pytest.raises(Refused, match="wildcard"):
        plan.plan(empty(virtual_services=(wildcard,)), REVIEWS, intents.InstallRouting(TWO, "v1"))


def test_a_subset_in_use_is_not_removed() -> None:
    ready = empty().after(plan.plan(empty(), REVIEWS, intents.InstallRouting(TWO, "v1")).changes)
    split = ready.after(plan.plan(ready, REVIEWS, intents.SetWeights({"v1": 90, "v2": 10})).changes)
    with pytest.raises(Refused) as refusal:
        plan.plan(split, REVIEWS, intents.UninstallRouting(["v2"]))
    assert [found.code for found in refusal.value.findings] == ["SUBSET_IN_USE"]
    back = split.after(plan.plan(split, REVIEWS, intents.SetWeights({"v1": 100})).changes)
    assert [change.verb for change in plan.plan(back, REVIEWS, intents.UninstallRouting(["v2"])).changes] == ["patch"]


def test_a_subset_used_by_a_mirror_is_not_removed() -> None:
    ready = empty().after(plan.plan(empty(), REVIEWS, intents.InstallRouting(TWO, "v1")).changes)
    mirrored = ready.after(plan.plan(ready, REVIEWS, intents.SetMirror("v2", 10)).changes)
    with pytest.raises(Refused, match="Subset v2"):
        plan.plan(mirrored, REVIEWS, intents.UninstallRouting(["v2"]))


def test_the_old_subset_can_be_removed_after_a_finalized_promotion() -> None:
    ready = empty().after(plan.plan(empty(), REVIEWS, intents.InstallRouting(TWO, "v1")).changes)
    promoted = ready.after(plan.plan(ready, REVIEWS, intents.SetWeights({"v2": 100})).changes)
    with pytest.raises(Refused, match="Subset v1"):
        plan.plan(promoted, REVIEWS, intents.UninstallRouting(["v1"]))
    settled = promoted.after(plan.plan(promoted, REVIEWS, intents.SetWeights({"v2": 100}, finalize=True)).changes)
    assert [change.verb for change in plan.plan(settled, REVIEWS, intents.UninstallRouting(["v1"])).changes] == [
        "patch"
    ]


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
    planned = plan.plan(empty(services=(service(*ports),)), REVIEWS, intents.InstallRouting(TWO, "v1", port=port))
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


def test_ingress_routes_are_created_once_and_uninstalled() -> None:
    ingress = [{"gateway": "infra/public", "hosts": ["shop.example.com"], "paths": ["/reviews", {"exact": "/r"}]}]
    first = empty().after(plan.plan(empty(), REVIEWS, intents.InstallRouting(TWO, "v1", ingress=ingress)).changes)
    assert first.virtual_services is not None
    public = first.virtual_services[1]
    assert public["metadata"]["name"] == "reviews-public"
    assert public["spec"]["http"][0]["match"] == [{"uri": {"prefix": "/reviews"}}, {"uri": {"exact": "/r"}}]
    assert not plan.plan(first, REVIEWS, intents.InstallRouting(TWO, "v1", ingress=ingress)).changes
    assert first.after(plan.plan(first, REVIEWS, intents.UninstallRouting()).changes) == empty()


def test_an_object_with_routes_of_others_is_not_deleted() -> None:
    first = empty().after(plan.plan(empty(), REVIEWS, intents.InstallRouting(TWO, "v1")).changes)
    assert first.virtual_services is not None
    first.virtual_services[0]["spec"]["http"].insert(
        0, {"match": [{"uri": {"prefix": "/x"}}], "route": [{"destination": {"host": "ratings"}}]}
    )
    with pytest.raises(Refused, match="ratings"):
        plan.plan(first, REVIEWS, intents.UninstallRouting())


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
def test_invalid_versions_are_refused(versions: dict[str, dict[str, str]], stable: str) -> None:
    with pytest.raises(InvalidInput):
        plan.plan(empty(), REVIEWS, intents.InstallRouting(versions, stable))


@pytest.mark.parametrize("ingress", [{"hosts": ["a"]}, {"gateway": "public"}])
def test_an_ingress_without_gateway_or_hosts_is_refused(ingress: rs.Json) -> None:
    with pytest.raises(InvalidInput, match="ingress"):
        plan.plan(empty(), REVIEWS, intents.InstallRouting(TWO, "v1", ingress=[ingress]))


def test_two_claimants_are_refused() -> None:
    created = plan.plan(empty(), REVIEWS, intents.InstallRouting(TWO, "v1")).changes[1].after
    assert created is not None
    other = {**created, "metadata": {**created["metadata"], "name": "typo"}}
    with pytest.raises(Refused) as refusal:
        plan.plan(empty(virtual_services=(created, other)), REVIEWS, intents.InstallRouting(TWO, "v1"))
    assert {found.code for found in refusal.value.findings} == {"HOST_CLAIMED_TWICE"}


def ports(*declared: tuple[str, int, str]) -> Snapshot:
    return empty(services=[service(*({"name": a, "port": b, "protocol": c} for a, b, c in declared))])


def first_spec(snapshot: Snapshot) -> rs.Json:
    created = plan.plan(snapshot, REVIEWS, intents.InstallRouting(TWO, "v1")).changes[1].after
    assert created is not None
    return t.cast("rs.Json", created["spec"])


def test_a_port_of_datagrams_gets_no_route() -> None:
    spec = first_spec(ports(("http", 8080, "TCP"), ("dns", 53, "UDP")))
    assert spec["http"] == [{"route": [{"destination": {"host": FQDN, "subset": "v1", "port": {"number": 8080}}}]}]
    assert "tcp" not in spec


def test_each_port_gets_a_route_of_what_it_speaks() -> None:
    spec = first_spec(
        ports(("http", 8080, "TCP"), ("http-monitor", 9090, "TCP"), ("dns", 53, "UDP"), ("dns-tcp", 53, "TCP"))
    )
    assert [one["match"] for one in spec["http"]] == [[{"port": 8080}], [{"port": 9090}]]
    assert [one["match"] for one in spec["tcp"]] == [[{"port": 53}]]


def test_a_service_of_datagrams_alone_is_refused() -> None:
    with pytest.raises(Refused, match=r"only ports that Istio does not route \(53/UDP\)"):
        first_spec(ports(("dns", 53, "UDP")))


def taken(kind: str, *names: str) -> list[rs.Json]:
    spec: rs.Json = {"hosts": ["shop.example.com"], "gateways": ["edge"], "host": "other", "http": [{"route": []}]}
    return [
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": kind,
            "metadata": {"name": one, "namespace": "bookinfo"},
            "spec": spec,
        }
        for one in names
    ]


@pytest.mark.parametrize(
    ("names", "free"),
    [
        ((), "reviews"),
        (("page",), "reviews"),
        (("reviews",), "reviews-mesh"),
        (("reviews", "reviews-mesh"), "reviews-mesh-2"),
    ],
)
def test_a_name_that_is_taken_is_left_to_its_owner(names: tuple[str, ...], free: str) -> None:
    snapshot = empty(
        virtual_services=taken("VirtualService", *names), destination_rules=taken("DestinationRule", *names)
    )
    planned = plan.plan(snapshot, REVIEWS, intents.InstallRouting(TWO, "v1"))
    assert [change.name for change in planned.changes] == [free, free]
    ready = snapshot.after(planned.changes)
    assert not plan.plan(ready, REVIEWS, intents.InstallRouting(TWO, "v1")).changes
    back = plan.plan(ready, REVIEWS, intents.UninstallRouting())
    assert [(change.verb, change.name) for change in back.changes] == [("delete", free), ("delete", free)]


def test_a_name_in_another_namespace_is_free() -> None:
    others = [{**one, "metadata": {"name": "reviews", "namespace": "shop"}} for one in taken("VirtualService", "a")]
    planned = plan.plan(empty(virtual_services=others), REVIEWS, intents.InstallRouting(TWO, "v1"))
    assert [change.name for change in planned.changes] == ["reviews", "reviews"]


def test_a_name_taken_by_an_object_that_no_proxy_uses_is_taken() -> None:
    snapshot = empty(ignored=taken("VirtualService", "reviews"))
    planned = plan.plan(snapshot, REVIEWS, intents.InstallRouting(TWO, "v1"))
    assert [change.name for change in planned.changes] == ["reviews", "reviews-mesh"]


def wildcard(*http: rs.Json, host: str = "*.bookinfo.svc.cluster.local", **spec: t.Any) -> rs.Json:
    (one,) = taken("VirtualService", "defaults")
    return {**one, "spec": {"hosts": [host], "http": list(http), **spec}}


def test_the_first_route_of_a_host_has_the_routes_of_the_wildcard_it_replaces() -> None:
    api = {"match": [{"uri": {"prefix": "/api"}}], "timeout": "7s", "route": [{"destination": {"host": "reviews"}}]}
    rest = {"route": [{"destination": {"host": "page", "subset": "v9"}}]}
    snapshot = empty(virtual_services=[wildcard(api, rest, exportTo=["."])])
    planned = plan.plan(snapshot, REVIEWS, intents.InstallRouting(TWO, "v1"))
    created = planned.changes[1].after
    assert created is not None
    assert created["spec"] == {
        "hosts": [FQDN],
        "http": [
            {**api, "route": [{"destination": {"host": FQDN, "subset": "v1"}}]},
            {"route": [{"destination": {"host": "page.bookinfo.svc.cluster.local", "subset": "v9"}}]},
        ],
        "exportTo": ["bookinfo"],
    }
    ready = snapshot.after(planned.changes)
    assert plan.plan(ready, REVIEWS, intents.SetWeights({"v1": 90, "v2": 10})).changes
    back = plan.plan(ready, REVIEWS, intents.UninstallRouting())
    assert [(change.verb, change.kind) for change in back.changes] == [
        ("delete", "VirtualService"),
        ("delete", "DestinationRule"),
    ]


def test_a_wildcard_that_sends_the_service_nothing_is_not_replaced() -> None:
    rest = {"route": [{"destination": {"host": "page"}}]}
    with pytest.raises(Refused, match="sends no request to it"):
        plan.plan(empty(virtual_services=[wildcard(rest)]), REVIEWS, intents.InstallRouting(TWO, "v1"))


def test_a_host_whose_object_sends_elsewhere_is_named_with_where_it_sends() -> None:
    other = {"route": [{"destination": {"host": "reviews-stable"}}, {"destination": {"host": "reviews-canary"}}]}
    snapshot = empty(virtual_services=[wildcard(other, host="reviews")])
    with pytest.raises(Refused, match=r"reviews-canary\.bookinfo\.svc\.cluster\.local, .*which are other Services"):
        plan.plan(snapshot, REVIEWS, intents.InstallRouting(TWO, "v1"))
