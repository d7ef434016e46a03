# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Versions that are Services in VirtualServices: which names are versions, what is written, and what is refused."""

from __future__ import annotations

import copy
import typing as t

import jsonpatch
import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import NoRoutes, Refused, UnknownSubset
from ansible_collections.meshops.canary.plugins.module_utils.istio.find import Scope
from ansible_collections.meshops.canary.plugins.module_utils.objects import intents, patch
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import NotRead, Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.routing import plan
from support import reviews

Json = dict[str, t.Any]
WEB = ServiceRef("web", "shop")
FULL = "web-{}.shop.svc.cluster.local"
NAMES = ("web", "web-stable", "web-canary")
TEN: Json = {"web-stable": 90, "web-canary": 10}


def to(host: str, weight: int | None = None, **destination: t.Any) -> Json:
    entry: Json = {"destination": {"host": host, **destination}}
    return entry if weight is None else {**entry, "weight": weight}


def routed(*entries: Json, **route: t.Any) -> Json:
    return {**route, "route": list(entries)}


def virtual_service(*routes: Json, name: str = "web", namespace: str = "shop", **spec: t.Any) -> Json:
    frame = reviews.obj("networking.istio.io/v1", "VirtualService", name, namespace)
    return {**frame, "spec": {"hosts": ["web"], "http": list(routes), **spec}}


def on_gateway(*routes: Json, name: str = "shop", **spec: t.Any) -> Json:
    return virtual_service(*routes, name=name, hosts=["shop.example.com"], gateways=["infra/public"], **spec)


def service(name: str, namespace: str = "shop", ports: t.Sequence[int] = (80,)) -> Json:
    spec = {"selector": {"app": name}, "ports": [{"name": f"http-{port}", "port": port} for port in ports]}
    return {**reviews.obj("v1", "Service", name, namespace), "spec": spec}


def subsets(*versions: str) -> Json:
    return reviews.destination_rule("shop", versions, name="web", host="web")


def snapshot(*objects: Json, rules: t.Sequence[Json] = (), services: t.Sequence[Json] | None = None) -> Snapshot:
    there = tuple(map(service, NAMES)) if services is None else tuple(services)
    return Snapshot(virtual_services=objects, destination_rules=tuple(rules), http_routes=(), services=there)


def write(start: Snapshot, intent: intents.Intent, scope: Scope | None = None) -> Snapshot:
    """Write the plan, compare the objects with the patches, and see that a second run has nothing to do."""
    planned = plan.plan(start, WEB, intent, scope=scope or plan.EVERYTHING)
    for change in planned.changes:
        assert change.before is not None
        assert patch.json_equal(jsonpatch.apply_patch(change.before, list(change.patch)), change.after)
    after = start.after(planned.changes)
    assert not plan.plan(after, WEB, intent, scope=scope or plan.EVERYTHING).changes
    return after


def spec(found: Snapshot, index: int = 0) -> Json:
    assert found.virtual_services is not None
    return t.cast("Json", found.virtual_services[index]["spec"])


def shares(found: Snapshot, route: int = 0, index: int = 0) -> dict[str, int]:
    entries = spec(found, index)["http"][route]["route"]
    return {entry["destination"]["host"]: entry.get("weight", 100) for entry in entries}


@pytest.mark.parametrize(
    ("before", "weights", "after"),
    [
        pytest.param({"web-stable": 100, "web-canary": 0}, TEN, TEN, id="both-there"),
        pytest.param({"web-stable": 100}, TEN, TEN, id="canary-added"),
        pytest.param({"web": 100}, {"web": 95, "web-canary": 5}, {"web": 95, "web-canary": 5}, id="own-service"),
        pytest.param({"web": 100}, TEN, {"web": 0, **TEN}, id="own-service-replaced"),
        pytest.param({"web": 90, "web-canary": 10}, {"web": 100}, {"web": 100, "web-canary": 0}, id="back"),
        pytest.param(
            {FULL.format("stable"): 100},
            TEN,
            {FULL.format("stable"): 90, FULL.format("canary"): 10},
            id="full-names-stay-full",
        ),
        pytest.param(
            {"web-stable": 80, "other.example.com": 20},
            {"web-stable": 50, "web-canary": 50},
            {"web-stable": 40, "web-canary": 40, "other.example.com": 20},
            id="other-hosts-keep-their-share",
        ),
        pytest.param(
            {"web-stable": 80, "web-canary.other.svc.cluster.local": 20},
            {"web-stable": 50, "web-canary": 50},
            {"web-stable": 40, "web-canary": 40, "web-canary.other.svc.cluster.local": 20},
            id="a-service-of-another-namespace-is-foreign",
        ),
        pytest.param(
            {"web-stable": 90, "web-old": 10},
            TEN,
            {"web-stable": 90, "web-old": 0, "web-canary": 10},
            id="versions-are-a-closed-set",
        ),
    ],
)
def test_weights_are_set_and_restored(before: dict[str, int], weights: dict[str, int], after: dict[str, int]) -> None:
    entries = [to(host, weight) for host, weight in before.items()]
    start = snapshot(virtual_service(routed(*entries)), services=[*map(service, NAMES), service("web-old")])
    end = write(start, intents.SetWeights(weights))
    assert shares(end) == after
    known = plan.describe(end, WEB)
    assert {version: share for version, share in known["weights"].items() if share} == weights
    assert (known["subsets"], set(weights) <= set(known["services"])) == ({}, True)
    assert write(end, intents.RestoreWeights()).virtual_services == start.virtual_services


def test_every_other_field_of_the_object_stays_as_it_was() -> None:
    entry = {**to("web-stable", 100, port={"number": 80}), "headers": {"request": {"set": {"x": "1"}}}, "xFuture": [1]}
    start = snapshot(virtual_service(routed(entry, timeout="3s", retries={"attempts": 2}), exportTo=["."]))
    end = write(start, intents.SetWeights(TEN))
    assert spec(end)["http"] == [
        {
            "timeout": "3s",
            "retries": {"attempts": 2},
            "route": [{**entry, "weight": 90}, to("web-canary", 10, port={"number": 80})],
        }
    ]
    finalized = write(end, intents.SetWeights({"web-canary": 100}, finalize=True))
    assert shares(finalized) == {"web-canary": 100}
    assert "annotations" not in (finalized.virtual_services or ())[0]["metadata"]


@pytest.mark.parametrize(
    ("entries", "weights", "services"),
    [
        (
            [to("web-stable", 90), to("web-canary", 10)],
            {"web-stable": 90, "web-canary": 10},
            ["web-canary", "web-stable"],
        ),
        (
            [to("web-stable", 100), to("web-canary", 0)],
            {"web-canary": 0, "web-stable": 100},
            ["web-canary", "web-stable"],
        ),
        ([to("web", 90), to("web-canary", 10)], {"web": 90, "web-canary": 10}, ["web", "web-canary"]),
        ([to("web")], {"": 100}, []),
        ([to("web-v9")], {"web-v9": 100}, ["web-v9"]),
    ],
)
def test_versions_are_found_without_being_named(entries: list[Json], weights: Json, services: list[str]) -> None:
    known = plan.describe(snapshot(virtual_service(routed(*entries))), WEB)
    assert (known["weights"], known["services"]) == (weights, services)


def test_beside_subsets_a_service_that_is_not_named_keeps_its_share() -> None:
    start = snapshot(
        virtual_service(routed(to("web", 80, subset="v1"), to("web-canary", 20))), rules=[subsets("v1", "v2")]
    )
    assert plan.describe(start, WEB)["routes"][0]["foreign"] == {"web-canary": 20}
    end = write(start, intents.SetWeights({"v1": 50, "v2": 50}))
    assert [entry["weight"] for entry in spec(end)["http"][0]["route"]] == [40, 40, 20]


def test_subsets_and_services_share_one_route_when_both_are_named() -> None:
    start = snapshot(
        virtual_service(routed(to("web", 80, subset="v1"), to("web-canary", 20))), rules=[subsets("v1", "v2")]
    )
    end = write(start, intents.SetWeights({"v1": 60, "v2": 30, "web-canary": 10}))
    assert spec(end)["http"][0]["route"] == [
        to("web", 60, subset="v1"),
        to("web-canary", 10),
        to("web", 30, subset="v2"),
    ]
    known = plan.describe(end, WEB)
    assert (known["weights"], known["services"]) == ({"v1": 60, "v2": 30, "web-canary": 10}, ["web-canary"])
    assert set(known["subsets"]) == {"v1", "v2"}
    assert write(end, intents.RestoreWeights()).virtual_services == start.virtual_services


def test_a_destination_without_a_version_beside_defined_subsets_and_another_service_is_no_version() -> None:
    start = snapshot(virtual_service(routed(to("web", 95), to("legacy", 5))), rules=[subsets("v1", "v2")])
    assert plan.describe(start, WEB)["weights"] == {"": 100}
    end = write(start, intents.SetWeights({"v1": 100}))
    assert spec(end)["http"][0]["route"] == [to("web", 95, subset="v1"), to("legacy", 5)]


def test_left_over_subsets_do_not_hide_routes_that_send_to_services_alone() -> None:
    start = snapshot(virtual_service(routed(to("web-stable", 100), to("web-canary", 0))), rules=[subsets("v1")])
    assert plan.describe(start, WEB)["weights"] == {"web-stable": 100, "web-canary": 0}


def test_a_cohort_a_mirror_and_a_cookie_name_services() -> None:
    start = snapshot(virtual_service(routed(to("web-stable", 100), to("web-canary", 0))))
    end = write(start, intents.SetCohort("testers", {"headers": {"user": "ada"}}, {"web-canary": 100}))
    end = write(end, intents.SetMirror("web-canary", 5))
    end = write(end, intents.SetWeights(TEN))
    end = write(end, intents.SetSticky())
    cohort, *_sticky, general = spec(end)["http"]
    assert cohort["route"] == [to("web-canary", 100)]
    assert cohort["match"] == [{"headers": {"user": {"exact": "ada"}}}]
    assert (general["mirror"], general["mirrorPercentage"]) == ({"host": "web-canary"}, {"value": 5})
    names = [one["name"] for one in spec(end)["http"] if "name" in one]
    assert names == ["canary-cohort.testers", "canary-sticky.web-canary", "canary-sticky.web-stable"]
    cookies = [entry["headers"]["response"]["add"]["Set-Cookie"] for entry in general["route"]]
    assert [cookie.partition(".")[0] for cookie in cookies] == ["canary-web=web-stable", "canary-web=web-canary"]
    known = plan.describe(end, WEB)
    assert known["cohorts"]["testers"]["weights"] == {"web-canary": 100}
    assert known["mirrors"] == {"web-canary": 5}
    for undo in (intents.RemoveSticky(), intents.RestoreWeights(), intents.RemoveCohort("testers")):
        end = write(end, undo)
    assert write(end, intents.RemoveMirror()).virtual_services == start.virtual_services


def test_routes_by_path_are_split_if_they_send_to_a_named_version() -> None:
    admin, api = routed(to("web-admin"), match=[{"uri": {"prefix": "/admin"}}]), [{"uri": {"prefix": "/api"}}]
    start = snapshot(virtual_service(admin, routed(to("web-stable"), match=api), routed(to("web-stable"))))
    end = write(start, intents.SetWeights(TEN))
    assert spec(end)["http"][0] == admin
    assert shares(end, 1) == shares(end, 2) == TEN
    assert plan.describe(start, WEB)["weights"] == {"web-stable": 100}


def test_a_gateway_route_among_versions_is_split_and_a_preview_is_not() -> None:
    preview = on_gateway(routed(to("web-canary")), name="preview")
    mesh, shop = (
        virtual_service(routed(to("web-stable"))),
        on_gateway(routed(to("web-stable", 100), to("web-canary", 0))),
    )
    start = snapshot(mesh, shop, preview)
    planned = plan.plan(start, WEB, intents.SetWeights(TEN))
    assert sorted(change.name for change in planned.changes) == ["shop", "web"]
    assert planned.notes == (
        "VirtualService shop/preview sends requests of a gateway to web-canary and is not edited unless named "
        "(virtual_services)",
    )
    end = write(start, intents.SetWeights(TEN))
    assert shares(end, index=1) == TEN
    assert write(end, intents.RestoreWeights()).virtual_services == start.virtual_services


def test_a_gateways_route_keeps_two_versions_at_the_end_so_that_the_next_canary_finds_it() -> None:
    shop = on_gateway(routed(to("web-stable", 100), to("web-canary", 0), timeout="3s"))
    start = snapshot(virtual_service(routed(to("web-stable"))), shop)
    end = write(write(start, intents.SetWeights(TEN)), intents.SetWeights({"web-canary": 100}, finalize=True))
    assert shares(end, index=0) == {"web-canary": 100}
    assert shares(end, index=1) == {"web-canary": 100, "web-stable": 0}
    assert all("annotations" not in one["metadata"] for one in end.virtual_services or ())
    assert shares(write(end, intents.SetWeights(TEN)), index=1) == TEN


def test_a_named_object_of_a_gateway_is_edited_and_known_afterwards() -> None:
    front = on_gateway(routed(to("web-stable")))
    start, scope = snapshot(front), Scope(("shop",))
    with pytest.raises(NoRoutes):
        plan.plan(start, WEB, intents.SetWeights(TEN))
    end = write(start, intents.SetWeights(TEN), scope)
    end = write(end, intents.SetCohort("testers", {"headers": {"user": "ada"}}, {"web-canary": 100}), scope)
    assert plan.describe(end, WEB)["weights"] == TEN
    end = write(end, intents.RestoreWeights())
    assert [shares(end, route) for route in (0, 1)] == [{"web-canary": 100}, {"web-stable": 100}]
    assert write(end, intents.RemoveCohort("testers")).virtual_services == start.virtual_services


def test_the_delegate_of_the_services_host_is_edited() -> None:
    root = virtual_service({"delegate": {"name": "web-routes"}})
    routes = virtual_service(routed(to("web-stable")), name="web-routes")
    del routes["spec"]["hosts"]
    end = write(snapshot(root, routes), intents.SetWeights(TEN))
    assert shares(end, index=1) == TEN


def test_objects_in_another_namespace_have_full_names() -> None:
    full = FULL.format("stable")
    front = virtual_service(routed(to(full)), namespace="infra", hosts=[WEB.fqdn])
    end = write(snapshot(front), intents.SetWeights(TEN))
    assert shares(end) == {full: 90, FULL.format("canary"): 10}
    short = virtual_service(routed(to("web-stable")), namespace="infra", hosts=[WEB.fqdn])
    assert plan.describe(snapshot(short), WEB)["weights"] == {}


def test_tcp_and_tls_routes_are_split() -> None:
    obj = virtual_service(tcp=[routed(to("web-stable"))], tls=[routed(to("web-stable"), match=[{"sniHosts": ["web"]}])])
    del obj["spec"]["http"]
    end = write(snapshot(obj), intents.SetWeights(TEN))
    for protocol in ("tcp", "tls"):
        assert [entry["weight"] for entry in spec(end)[protocol][0]["route"]] == [90, 10]


@pytest.mark.parametrize(
    ("entries", "services", "message"),
    [
        ([to("web-stable")], [service("web"), service("web-stable")], "There is no Service shop/web-canary"),
        (
            [to("web-stable", port={"number": 80})],
            [service("web"), service("web-stable"), service("web-canary", ports=[8080])],
            "Service web-canary has no port 80, only 8080",
        ),
        (
            [to("web-stable")],
            [service("web", ports=[80]), service("web-stable"), service("web-canary", ports=[81, 82])],
            "requests to port 80 of web find no such port",
        ),
    ],
)
def test_a_service_that_cannot_answer_is_refused(entries: list[Json], services: list[Json], message: str) -> None:
    start = snapshot(virtual_service(routed(*entries)), services=services)
    with pytest.raises(UnknownSubset, match=message):
        plan.plan(start, WEB, intents.SetWeights(TEN))


@pytest.mark.parametrize("ports", [[81], [80, 81]])
def test_without_a_port_the_only_one_or_the_callers_is_taken(ports: list[int]) -> None:
    services = [service("web"), service("web-stable"), service("web-canary", ports=ports)]
    end = write(snapshot(virtual_service(routed(to("web-stable"))), services=services), intents.SetWeights(TEN))
    assert shares(end) == TEN


def test_where_routes_have_subsets_a_name_does_not_make_a_service_of_a_version() -> None:
    start = snapshot(virtual_service(routed(to("web", 100, subset="v1"))), rules=[subsets("v1", "v2")])
    with pytest.raises(UnknownSubset, match="To use a Service of its own as a version, add it to the route"):
        plan.plan(start, WEB, intents.SetWeights({"v1": 90, "web-canary": 10}))


def test_a_name_of_a_subset_and_of_a_service_is_refused() -> None:
    obj = virtual_service(routed(to("web", 50, subset="web-canary"), to("web-canary", 50)))
    with pytest.raises(Refused, match="the version web-canary is not clear"):
        plan.plan(snapshot(obj, rules=[subsets("web-canary")]), WEB, intents.SetWeights({"web-canary": 100}))


def test_a_version_that_is_split_by_subsets_of_its_own_is_refused() -> None:
    obj = virtual_service(routed(to("web-stable", 50), to("web-canary", 20), to("web-canary", 30, subset="blue")))
    with pytest.raises(Refused, match="sends to subset blue of Service web-canary"):
        plan.plan(snapshot(obj), WEB, intents.SetWeights(TEN))


def test_a_destination_that_was_foreign_does_not_become_a_version_in_the_middle() -> None:
    api = [{"uri": {"prefix": "/api"}}]
    obj = virtual_service(routed(to("web-stable", 50), to("web-other", 50), match=api), routed(to("web-stable")))
    start = snapshot(obj, services=[*map(service, NAMES), service("web-other")])
    end = write(start, intents.SetWeights(TEN))
    assert shares(end, 0) == {"web-stable": 45, "web-canary": 5, "web-other": 50}
    with pytest.raises(Refused, match="web-other is a destination there, but was not named as a version"):
        plan.plan(end, WEB, intents.SetWeights({"web-stable": 90, "web-other": 10}))


def test_a_service_that_is_a_version_of_another_is_refused() -> None:
    obj = virtual_service(routed(to("web-stable", 100), to("web-canary", 0)), hosts=["web", "web-stable"])
    end = write(snapshot(obj), intents.SetWeights(TEN))
    with pytest.raises(Refused, match="web-canary, web-stable belong to another service there"):
        plan.plan(end, ServiceRef("web-stable", "shop"), intents.SetWeights({"web-stable": 50, "web-canary": 50}))


def test_a_version_nobody_has_is_refused_with_what_there_is() -> None:
    with pytest.raises(UnknownSubset, match="web-canari"):
        plan.plan(
            snapshot(virtual_service(routed(to("web-stable", 100)))),
            WEB,
            intents.SetWeights({"web-stable": 90, "web-canari": 10}),
        )


def test_changes_of_weights_alone_need_the_virtual_services_only() -> None:
    start = snapshot(virtual_service(routed(to("web-stable", 90), to("web-canary", 10))))
    alone = Snapshot(virtual_services=start.virtual_services)
    planned = plan.plan(alone, WEB, intents.SetWeights({"web-stable": 80, "web-canary": 20}))
    assert planned.weights_after == {"web-stable": 80, "web-canary": 20}
    with pytest.raises(NotRead):
        plan.plan(alone, WEB, intents.SetWeights({"web-stable": 80, "web-new": 20}))


def test_routes_with_subsets_are_planned_from_the_same_lists_as_before() -> None:
    alone = Snapshot(
        virtual_services=(virtual_service(routed(to("web", 90, subset="v1"), to("web", 10, subset="v2"))),)
    )
    assert plan.plan(alone, WEB, intents.SetWeights({"v1": 80, "v2": 20})).changed
    assert plan.plan(alone, WEB, intents.RestoreWeights()).changes == ()


def test_two_services_of_one_object_have_versions_of_their_own() -> None:
    cart, carts = ServiceRef("cart", "shop"), {"cart-a": 50, "cart-b": 50}
    path = [{"uri": {"prefix": "/cart"}}]
    routes = (
        routed(to("cart-a", 100), to("cart-b", 0), match=path),
        routed(to("web-stable", 100), to("web-canary", 0)),
    )
    obj = virtual_service(*routes, hosts=["web", "cart"])
    start = snapshot(obj, services=[*map(service, NAMES), *map(service, ("cart", "cart-a", "cart-b"))])
    first = write(start, intents.SetWeights(TEN))
    both = first.after(plan.plan(first, cart, intents.SetWeights(carts)).changes)
    assert (shares(both, 0), shares(both, 1)) == ({"cart-a": 50, "cart-b": 50}, TEN)
    back = write(both, intents.RestoreWeights())
    assert (shares(back, 0), shares(back, 1)) == ({"cart-a": 50, "cart-b": 50}, {"web-stable": 100, "web-canary": 0})
    end = back.after(plan.plan(back, cart, intents.RestoreWeights()).changes)
    assert end.virtual_services == start.virtual_services


def test_what_others_add_to_a_route_survives_the_restoration() -> None:
    start = snapshot(virtual_service(routed(to("web-stable", 100), to("web-canary", 0))))
    end = write(start, intents.SetWeights(TEN))
    edited = copy.deepcopy((end.virtual_services or ())[0])
    edited["spec"]["http"][0]["timeout"] = "7s"
    left = snapshot(edited)
    restored = spec(write(left, intents.RestoreWeights()))
    assert restored["http"] == [routed(to("web-stable", 100), to("web-canary", 0), timeout="7s")]


def test_an_unreadable_state_of_another_service_blocks_nothing() -> None:
    cart = virtual_service(routed(to("cart")), name="cart", hosts=["cart"])
    cart["metadata"]["annotations"] = {"canary.meshops.io/state": "{broken, of cart.shop.svc.cluster.local"}
    end = write(snapshot(virtual_service(routed(to("web-stable"))), cart), intents.SetWeights(TEN))
    assert shares(end) == TEN
