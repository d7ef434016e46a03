# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an error names where no object routes the service; each remedy is executed."""

from __future__ import annotations

import copy
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput, NoRoutes
from ansible_collections.meshops.canary.plugins.module_utils.istio.find import Scope
from ansible_collections.meshops.canary.plugins.module_utils.objects import intents
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.routing import plan
from support import http_routes as hr
from support import reviews

REVIEWS = ServiceRef("reviews", "bookinfo")
HALVES = intents.SetWeights({"v1": 50, "v2": 50})


def refusal(lists: t.Any, intent: t.Any = HALVES, **given: t.Any) -> str:
    with pytest.raises(NoRoutes) as caught:
        plan.plan(Snapshot(**lists), REVIEWS, intent, **given)
    assert caught.value.msg == str(caught.value)
    return caught.value.msg


def test_where_nothing_is_near_the_first_route_is_advised() -> None:
    lists = {**reviews.healthy(), "virtual_services": []}
    assert refusal(lists).endswith("role meshops.canary.routing, or check service and namespace.")


def test_a_virtual_service_of_the_host_that_sends_to_other_services() -> None:
    lists = reviews.healthy()
    entries = [reviews.destination(None, 50, host) for host in ("reviews-stable", "reviews-canary")]
    lists["virtual_services"] = [reviews.virtual_service(http=[{"route": entries}])]
    text = refusal(lists)
    assert "VirtualService bookinfo/reviews has this host and sends to reviews-canary.bookinfo" in text
    assert "role meshops.canary.routing" not in text, "that one refuses too"
    lists["virtual_services"] = [reviews.virtual_service(weights={"v1": 100})]
    assert plan.plan(Snapshot(**lists), REVIEWS, HALVES).changes


@pytest.mark.parametrize("host", ["reviews.bookinfo", "reviews.bookinfo.svc"])
def test_a_host_that_istio_does_not_complete(host: str) -> None:
    lists = reviews.healthy()
    route = [{"route": [reviews.destination("v1", host=REVIEWS.fqdn)]}]
    lists["virtual_services"] = [reviews.virtual_service(hosts=[host], http=route)]
    text = refusal(lists)
    assert f"VirtualService bookinfo/reviews has the host {host}, which Istio does not complete" in text
    lists["virtual_services"][0]["spec"]["hosts"] = [text.split("Write ")[1].split(" ")[0]]
    assert plan.plan(Snapshot(**lists), REVIEWS, HALVES).changes


def test_a_destination_that_istio_does_not_complete() -> None:
    lists = reviews.healthy()
    route = [{"route": [reviews.destination("v1", host="reviews.bookinfo")]}]
    lists["virtual_services"] = [reviews.virtual_service(http=route)]
    text = refusal(lists)
    assert "VirtualService bookinfo/reviews has this host and sends to reviews.bookinfo, which Istio does not" in text
    route[0]["route"] = [reviews.destination("v1", host=text.split("Write ")[1].split(" ")[0])]
    assert plan.plan(Snapshot(**lists), REVIEWS, HALVES).changes


@pytest.mark.parametrize("host", ["reviews.prod", "reviews.bookinfo.example.com", "ratings.bookinfo"])
def test_other_literal_hosts_are_other_hosts(host: str) -> None:
    lists = reviews.healthy()
    lists["virtual_services"] = [reviews.virtual_service(hosts=[host])]
    assert "does not complete" not in refusal(lists)


def test_an_object_of_a_revision_that_does_not_run() -> None:
    lists = reviews.healthy()
    labeled = reviews.changed(lists["virtual_services"].pop(), metadata={"labels": {"istio.io/rev": "1-29-0"}})
    text = refusal({**lists, "ignored": (labeled,)})
    assert "VirtualService bookinfo/reviews is labeled istio.io/rev=1-29-0, a revision that no istiod here has" in text


def test_a_wildcard_is_replaced_by_the_role_that_is_advised() -> None:
    lists = reviews.healthy()
    lists["virtual_services"] = [reviews.virtual_service(name="all", hosts=["*.bookinfo.svc.cluster.local"])]
    lists["virtual_services"][0]["spec"]["http"][0]["route"] = [reviews.destination("v1")]
    text = refusal(lists)
    assert "The role meshops.canary.routing creates one for this host alone, with the same routes." in text
    install = intents.InstallRouting({"v1": {"version": "v1"}, "v2": {"version": "v2"}}, "v1")
    snapshot = Snapshot(**lists)
    ready = snapshot.after(plan.plan(snapshot, REVIEWS, install).changes)
    assert plan.plan(ready, REVIEWS, HALVES).changes


COHORT = intents.SetCohort("testers", hr.TESTERS, {"reviews-v2": 100})


def test_a_cohort_as_the_first_step_on_a_gateways_http_route() -> None:
    start = hr.snapshot(hr.http_route(hr.rule(hr.ref("reviews-v1")), parents=hr.GATEWAY, name="shop"))
    text = refusal({"virtual_services": (), "http_routes": start.http_routes, "services": start.services}, COHORT)
    assert "HTTPRoute bookinfo/shop sends to reviews-v1. Versions are known by their names" in text
    assert "(reviews-v1: 0)" in text
    both = intents.SetCohort("testers", hr.TESTERS, {"reviews-v1": 0, "reviews-v2": 100})
    planned = plan.plan(start, REVIEWS, both)
    assert [hr.shares(one) for one in hr.rules(start.after(planned.changes))] == [
        {"reviews-v2": 100},
        {"reviews-v1": 1},
    ]


def test_the_named_http_route_says_what_it_sends_to() -> None:
    start = hr.snapshot(hr.http_route(hr.rule(hr.ref("reviews-v1")), parents=hr.GATEWAY, name="shop"))
    with pytest.raises(InvalidInput, match=r"It sends to reviews-v1\. .*\(reviews-v1: 0\)"):
        plan.plan(start, REVIEWS, COHORT, scope=Scope(("shop",)), api="gateway")


def test_http_routes_of_other_services_are_not_named() -> None:
    start = hr.snapshot(hr.http_route(hr.rule(hr.ref("page")), parents=hr.GATEWAY, name="shop"))
    services = copy.deepcopy(start.services or ())
    text = refusal({"virtual_services": (), "http_routes": start.http_routes, "services": services}, COHORT)
    assert "HTTPRoute" not in text
