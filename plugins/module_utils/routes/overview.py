# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One service at a glance: its versions with weight, pods, autoscaling and measured share. Pure."""

from __future__ import annotations

import typing as t

from ..analysis.traffic import NO_VERSION
from . import find, pods, workloads
from .snapshot import identity
from .weights import natural

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from .hosts import ServiceRef
    from .snapshot import Object, Snapshot

    Description = Mapping[str, t.Any]


def is_routed(snapshot: Snapshot, service: ServiceRef) -> bool:
    """Return whether the service has a route or a subset."""
    rules = snapshot.destination_rules is not None and bool(find.subsets(snapshot, service))
    routes = any(
        find.claims(one, service) or find.has_routes_to(one, service) for one in snapshot.virtual_services or ()
    )
    return rules or routes or any(_is_mesh_parent(one, service) for one in snapshot.http_routes or ())


def routing_objects(snapshot: Snapshot, service: ServiceRef) -> list[Object]:
    """Return the objects that route the service: VirtualServices, DestinationRules, HTTPRoutes."""
    found = [
        one for one in snapshot.virtual_services or () if find.has_routes_to(one, service) or find.claims(one, service)
    ]
    if snapshot.destination_rules is not None:
        found += find.destination_rules(snapshot, service)
    return [*found, *(one for one in snapshot.http_routes or () if _is_mesh_parent(one, service))]


def _is_mesh_parent(route: Object, service: ServiceRef) -> bool:
    namespace, _name = identity(route)
    parents = (route.get("spec") or {}).get("parentRefs") or ()
    wanted = (service.namespace, service.name)
    return any(
        (one.get("namespace") or namespace, one.get("name")) == wanted
        for one in parents
        if one.get("kind") == "Service"
    )


def untold(snapshot: Snapshot, service: ServiceRef) -> dict[str, t.Any]:
    """Return a description without shares, for routes that contradict each other or could not be read."""
    known = snapshot.destination_rules is not None
    return {
        "route_api": None,
        "weights": {},
        "weights_differ": False,
        "routes": [],
        "cohorts": {},
        "sticky": None,
        "mirrors": {},
        "subsets": find.subsets(snapshot, service) if known else {},
        "objects": [],
    }


def unread(snapshot: Snapshot, service: ServiceRef) -> list[str]:
    """Return what to say of requests that are counted where nobody looks."""
    if not any(pods.is_ambient(pod) for pod in pods.of_service(snapshot, service, {}) or ()):
        return []
    return [
        f"Pods of {service.name} are in ambient mode. Requests that a waypoint sends them are counted there (reporter "
        "waypoint), which is not read: they are not judged. Those of gateways and sidecars are."
    ]


def versions(
    snapshot: Snapshot, service: ServiceRef, description: Description, measured: Mapping[str, t.Any] | None
) -> list[dict[str, t.Any]]:
    """Return an entry for each version, in natural order; what was not read or not measured is None."""
    known = all_versions(description)
    counted = (measured or {}).get("by_version") or {}
    return [
        {
            "version": version,
            "labels": description["subsets"].get(version),
            "weight": description["weights"].get(version, 0) if description["weights"] else None,
            "cohorts": {
                name: cohort["weights"][version]
                for name, cohort in description["cohorts"].items()
                if cohort["weights"].get(version)
            },
            "mirror": description["mirrors"].get(version),
            **_capacity(snapshot, service, description, version),
            "measured": _measured(measured, counted, version),
        }
        for version in sorted(known | {one for one in counted if counted[one]["requests"]}, key=natural)
    ]


def all_versions(description: Description) -> set[str]:
    """Return the versions that have a subset, a weight, a share of a cohort or a mirror."""
    cohorts = (cohort["weights"] for cohort in description["cohorts"].values())
    found = {*description["subsets"], *description["weights"], *description["mirrors"]}
    return found.union(*cohorts)


def _capacity(snapshot: Snapshot, service: ServiceRef, description: Description, version: str) -> dict[str, t.Any]:
    """Return pods, desired and hpa of a version; all None where the version has no labels to find them by."""
    labels = description["subsets"].get(version)
    owner = service
    if description["route_api"] == "gateway" and version:
        owner = type(service)(version, service.namespace, service.domain)
        labels = pods.selector_of(snapshot, owner) if labels is None else labels
    elif version == NO_VERSION:
        labels = {}
    if labels is None:
        return {"ready": None, "pods": None, "desired": None, "deployments": None, "hpa": None}
    selected = pods.of_service(snapshot, owner, labels)
    deployments = workloads.deployments_of(snapshot, owner, labels)
    scaled = [workloads.hpa_of(snapshot, one) for one in deployments or ()]
    hpas = [dict(workloads.scaling(one)._asdict()) for one in scaled if one is not None]
    return {
        "ready": None if selected is None else pods.ready(selected),
        "pods": None if selected is None else len(selected),
        "desired": None if deployments is None else sum(map(workloads.desired, deployments)),
        "deployments": None if deployments is None else [identity(one)[1] for one in deployments],
        "hpa": hpas[0] if hpas else None,
    }


def _measured(
    measured: Mapping[str, t.Any] | None, counted: Mapping[str, t.Any], version: str
) -> dict[str, t.Any] | None:
    """Return requests, errors and share; share None when nobody asked at all."""
    if measured is None:
        return None
    nothing = {"requests": 0, "errors": 0, "share": 0.0 if measured["requests"] else None}
    return dict(counted.get(version, nothing))
