# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The final state of a service as manifests should have it: the fields that a rollout writes, and no others. Pure.

What a manifest has besides, and fields that somebody has changed in Git since, stay. Lists keep the order of the file.
"""

from __future__ import annotations

import copy
import typing as t

from ..objects.metadata import full_name
from ..objects.patch import canonical_json

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..objects.metadata import Object

    Json = dict[str, t.Any]

KINDS: t.Final = {
    "VirtualService": "networking.istio.io",
    "DestinationRule": "networking.istio.io",
    "HTTPRoute": "gateway.networking.k8s.io",
    "GRPCRoute": "gateway.networking.k8s.io",
    "Deployment": "apps",
    "HorizontalPodAutoscaler": "autoscaling",
}
"""Kind -> API group of the manifests that are written."""
ROUTE_LISTS: t.Final = ("http", "tls", "tcp")
_BACKEND: t.Final = {"group": "", "kind": "Service", "weight": 1}
"""What the API server adds to a backendRef."""


class Wanted(t.NamedTuple):
    """The manifest as it should be. notes: what a person should look at."""

    value: Json
    notes: tuple[str, ...] = ()


def wanted(manifest: Json, live: Object, *, scaled: bool = False) -> Wanted:
    """Return the manifest with the fields of the object in the cluster.

    manifest: of the file, whole or a patch. scaled: whether an autoscaler owns the number of pods of a Deployment.
    """
    value = copy.deepcopy(manifest)
    spec = value.get("spec")
    if not isinstance(spec, dict):
        return Wanted(value, (f"{full_name(live)}: the manifest has no spec, so it was left alone.",))
    notes = _WRITERS[str(live["kind"])](spec, live.get("spec") or {}, scaled)
    return Wanted(value, tuple(f"{full_name(live)}: {one}" for one in notes))


def has_routes(manifest: Json, live: Object) -> bool:
    """Return whether a manifest of a routing object has the lists that say who gets which share."""
    names = ROUTE_LISTS if live["kind"] == "VirtualService" else ("rules",)
    spec = manifest.get("spec")
    return isinstance(spec, dict) and all(name in spec for name in names if (live.get("spec") or {}).get(name))


def identity(item: t.Any) -> str:
    """Return what pairs an item of a list in a file with one of the cluster."""
    if not isinstance(item, dict):
        return canonical_json(item)
    if "destination" in item:
        return canonical_json(item["destination"])
    if "backendRefs" in item:
        return canonical_json([item.get("name"), item.get("matches")])
    if "route" in item or "match" in item:
        return canonical_json([item.get("name"), item.get("match")])
    return canonical_json([item.get(key) for key in ("name", "namespace", "port")])


def _virtual_service(spec: Json, live: Json, _scaled: bool) -> list[str]:
    notes = []
    for name in ROUTE_LISTS:
        if name not in spec or spec.get(name) == live.get(name):
            continue
        here, there = spec[name] or [], live.get(name) or []
        if not isinstance(here, list) or [identity(one) for one in here] != [identity(one) for one in there]:
            notes.append(f"the file has other routes in {name} than the cluster, so the list was written anew.")
            spec[name] = copy.deepcopy(there)
            continue
        for route, now in zip(here, there, strict=True):
            if isinstance(route.get("route"), list) and isinstance(now.get("route"), list):
                route["route"] = _paired(route["route"], now["route"], _destination)
    return notes


def _destination(here: Json, now: Json) -> Json:
    return _with_weight(here, now.get("weight"))


def _destination_rule(spec: Json, live: Json, _scaled: bool) -> list[str]:
    if "subsets" in spec or live.get("subsets"):
        spec["subsets"] = _paired(spec.get("subsets") or [], live.get("subsets") or [], lambda here, _now: here)
    return []


def _route(spec: Json, live: Json, _scaled: bool) -> list[str]:
    here, there = spec.get("rules"), live.get("rules") or []
    if "rules" not in spec:
        return []
    names = [one.get("name") for one in there]
    if not isinstance(here, list) or len(here) != len(there) or [one.get("name") for one in here] != names:
        spec["rules"] = copy.deepcopy(there)
        return ["the file has other rules than the cluster, so the list was written anew."]
    for rule, now in zip(here, there, strict=True):
        if "backendRefs" in rule or "backendRefs" in now:
            rule["backendRefs"] = _paired(rule.get("backendRefs") or [], now.get("backendRefs") or [], _backend)
    return []


def _backend(here: Json, now: Json) -> Json:
    weight = now.get("weight", 1)
    return here if here.get("weight", 1) == weight else {**here, "weight": weight}


def _deployment(spec: Json, live: Json, scaled: bool) -> list[str]:
    if "replicas" in spec and not scaled and live.get("replicas") is not None:
        spec["replicas"] = live["replicas"]
    images = {one.get("name"): one.get("image") for one in _containers(live)}
    for one in _containers(spec):
        if "image" in one and images.get(one.get("name")):
            one["image"] = images[one["name"]]
    return []


def _containers(spec: Mapping[str, t.Any]) -> list[Json]:
    found: t.Any = spec
    for key in ("template", "spec", "containers"):
        found = found.get(key) if isinstance(found, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _autoscaler(spec: Json, live: Json, _scaled: bool) -> list[str]:
    minimum = live.get("minReplicas", 1)
    if spec.get("minReplicas", 1) != minimum:
        spec["minReplicas"] = minimum
    return []


def _with_weight(here: Json, weight: t.Any) -> Json:
    if here.get("weight") == weight:
        return here
    without = {key: value for key, value in here.items() if key != "weight"}
    return without if weight is None else {**without, "weight": weight}


def _paired(here: list[t.Any], there: list[t.Any], merge: Callable[[Json, Json], Json]) -> list[t.Any]:
    """Return the items of the cluster: those of the file in its order, then the others without defaults."""
    now = {identity(one): one for one in there}
    kept = [merge(one, now[identity(one)]) for one in here if identity(one) in now]
    known = {identity(one) for one in here}
    return [*kept, *(_without_defaults(one) for one in there if identity(one) not in known)]


def _without_defaults(item: t.Any) -> t.Any:
    """Return a copy of an item; of a backendRef without what the API server adds."""
    if not isinstance(item, dict) or "kind" not in item:
        return copy.deepcopy(item)
    return {key: copy.deepcopy(item[key]) for key in item if key == "weight" or _BACKEND.get(key, ...) != item[key]}


_WRITERS: t.Final[dict[str, Callable[[Json, Json, bool], list[str]]]] = {
    "VirtualService": _virtual_service,
    "DestinationRule": _destination_rule,
    "HTTPRoute": _route,
    "GRPCRoute": _route,
    "Deployment": _deployment,
    "HorizontalPodAutoscaler": _autoscaler,
}
