# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTPRoutes and the Services behind them, in a few words, and what a plan makes of them."""

from __future__ import annotations

import typing as t

import jsonpatch
from ansible_collections.meshops.canary.plugins.module_utils.objects import intents
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.routing import plan

if t.TYPE_CHECKING:
    from ansible_collections.meshops.canary.plugins.module_utils.objects.change import Plan

Json = dict[str, t.Any]

REVIEWS = ServiceRef("reviews", "bookinfo")
RATINGS = ServiceRef("ratings", "bookinfo")
MESH = [{"group": "", "kind": "Service", "name": "reviews", "port": 9080}]
GATEWAY = [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public"}]
TESTERS = {"headers": {"end-user": "testuser"}}


def ref(name: str, weight: int = 1, **more: t.Any) -> Json:
    return {"group": "", "kind": "Service", "name": name, "port": 9080, "weight": weight, **more}


def path(value: str = "/", kind: str = "PathPrefix") -> Json:
    return {"path": {"type": kind, "value": value}}


def header(name: str, value: str, kind: str = "Exact") -> Json:
    return {"type": kind, "name": name, "value": value}


def rule(*refs: Json, matches: list[Json] | None = None, **more: t.Any) -> Json:
    return {"matches": matches or [path()], "backendRefs": list(refs), **more}


def http_route(*rules: Json, parents: list[Json] | None = None, name: str = "reviews") -> Json:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "bookinfo", "resourceVersion": "7"},
        "spec": {"parentRefs": parents or MESH, "rules": list(rules)},
    }


def service(name: str, port: int = 9080) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "bookinfo"},
        "spec": {"ports": [{"name": "http", "port": port}]},
    }


SERVICES = tuple(service(name) for name in ("reviews", "reviews-v1", "reviews-v2", "reviews-v3", "ratings", "page"))


def snapshot(*routes: Json, services: tuple[Json, ...] = SERVICES) -> Snapshot:
    return Snapshot(virtual_services=(), http_routes=routes, services=services)


def rules(state: Snapshot) -> list[Json]:
    assert state.http_routes is not None
    return t.cast("list[Json]", state.http_routes[0]["spec"]["rules"])


def write(state: Snapshot, planned: Plan) -> Snapshot:
    for change in planned.changes:
        assert jsonpatch.apply_patch(change.before, list(change.patch)) == change.after
    return state.after(planned.changes)


def weigh(state: Snapshot, **percents: t.Any) -> Snapshot:
    wanted = {name.replace("_", "-"): percent for name, percent in percents.items()}
    return write(state, plan.plan(state, REVIEWS, intents.SetWeights(wanted), api="gateway"))


def shares(one: Json) -> dict[str, int]:
    return {backend["name"]: backend["weight"] for backend in one["backendRefs"]}
