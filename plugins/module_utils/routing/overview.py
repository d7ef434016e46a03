# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One service at a glance: its versions with weight, pods, autoscaling and measured share. Pure."""

from __future__ import annotations

import typing as t

from ..analysis.traffic import NO_VERSION
from ..istio import find, waypoints
from ..objects import pods, service_entries, workloads
from ..objects.metadata import identity
from ..objects.weights import natural_key
from .kinds import ROUTE_KINDS

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..objects.hosts import ServiceRef
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot

    Description = Mapping[str, t.Any]
    Place = tuple[ServiceRef, Mapping[str, str]]


def is_routed(snapshot: Snapshot, service: ServiceRef) -> bool:
    """Return whether the service has a route or a subset."""
    has_subsets = snapshot.destination_rules is not None and bool(find.subsets(snapshot, service))
    return has_subsets or bool(_routes(snapshot, service))


def routing_objects(snapshot: Snapshot, service: ServiceRef) -> list[Object]:
    """Return the objects that route the service: those of every kind of route, and DestinationRules."""
    rules = [] if snapshot.destination_rules is None else find.destination_rules(snapshot, service)
    return [*_routes(snapshot, service), *rules]


def _routes(snapshot: Snapshot, service: ServiceRef) -> list[Object]:
    return [
        one for kind in ROUTE_KINDS for one in getattr(snapshot, kind.plural) or () if kind.claims_service(one, service)
    ]


def unknown_description(snapshot: Snapshot, service: ServiceRef) -> dict[str, t.Any]:
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
        "services": [],
        "objects": [],
    }


def ambient_notes(snapshot: Snapshot, service: ServiceRef) -> list[str]:
    """Return a note if the requests of some callers are not counted by version: in ambient mode a waypoint does it."""
    if waypoints.is_used_by_gateways(snapshot, service):
        return [
            f"Gateways send requests for {service.name} through its waypoint. In Prometheus only the counters of the "
            "waypoint are read, so requests of callers with a sidecar are not judged there."
        ]
    if not waypoints.is_ambient(snapshot, service):
        return []
    trouble = waypoints.trouble(snapshot, service)
    if trouble is None:
        return []
    return [
        f"Service {service.name} is in ambient mode and {trouble.what}: requests of callers in ambient mode are not "
        "counted by version and not judged. Those of gateways and sidecars are."
    ]


def versions(
    snapshot: Snapshot, service: ServiceRef, description: Description, measured: Mapping[str, t.Any] | None
) -> list[dict[str, t.Any]]:
    """Return an entry for each version, in natural order; what was not read or not measured is None.

    Requests whose version their counter does not name, such as those canceled before an answer, have an entry of
    their own at the end, with version NO_VERSION. A route without a subset has NO_VERSION for all pods instead.
    """
    known = all_versions(description)
    counted = (measured or {}).get("by_version") or {}
    found = sorted(known | {one for one in counted if counted[one]["requests"]}, key=natural_key)
    if NO_VERSION in found and NO_VERSION not in known:
        found = [*found[1:], NO_VERSION]
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
        for version in found
    ]


def all_versions(description: Description) -> set[str]:
    """Return the versions that have a subset, a Service, a weight, a share of a cohort or a mirror."""
    cohorts = (cohort["weights"] for cohort in description["cohorts"].values())
    found = {*description["subsets"], *description["services"], *description["weights"], *description["mirrors"]}
    return found.union(*cohorts)


def places(service: ServiceRef, description: Description) -> dict[str, Place]:
    """Return version -> the Service and the labels that select its pods.

    A subset narrows what the service selects; a version that is a Service has a selector of its own.
    """
    subsets = {version: (service, labels) for version, labels in description["subsets"].items()}
    return {**subsets, **{name: (service.sibling(name), {}) for name in description["services"]}}


_UNKNOWN_CAPACITY: t.Final = dict.fromkeys(("ready", "pods", "desired", "deployments", "images", "since", "hpa"))


def _capacity(snapshot: Snapshot, service: ServiceRef, description: Description, version: str) -> dict[str, t.Any]:
    """Return pods, desired and hpa of a version; all None for a version without labels.

    Of a host that is no Service only the ready endpoints are known.
    """
    owner, labels = places(service, description).get(version, (service, None))
    if owner.is_outside:
        found = None if labels is None else service_entries.endpoints_of(snapshot, owner, labels)
        return {**_UNKNOWN_CAPACITY, "ready": None if found is None else found.ready}
    if version in description["services"]:
        labels = pods.selector_of(snapshot, owner)
    elif version == NO_VERSION and version in description["weights"]:
        labels = {}
    if labels is None:
        return dict(_UNKNOWN_CAPACITY)
    selected = pods.of_service(snapshot, owner, labels)
    deployments = workloads.deployments_of(snapshot, owner, labels)
    scaled = [workloads.hpa_of(snapshot, one) for one in deployments or ()]
    hpas = [dict(workloads.scaling(one)._asdict()) for one in scaled if one is not None]
    return {
        "ready": None if selected is None else pods.count_ready(selected),
        "pods": None if selected is None else len(selected),
        "desired": None if deployments is None else sum(map(workloads.desired, deployments)),
        "deployments": None if deployments is None else [identity(one)[1] for one in deployments],
        "images": None if deployments is None else _images(deployments),
        "since": min(map(_created, filter(pods.is_alive, selected or ())), default=None) or None,
        "hpa": hpas[0] if hpas else None,
    }


def _images(deployments: Sequence[Object]) -> list[str]:
    """Return the images of the Deployments' containers, without the proxy's."""
    found = (one for deployment in deployments for one in pods.containers((deployment.get("spec") or {})["template"]))
    return list(dict.fromkeys(str(one.get("image") or "") for one in found if one.get("name") != pods.PROXY))


def _created(obj: Object) -> str:
    return str((obj.get("metadata") or {}).get("creationTimestamp") or "")


def _measured(
    measured: Mapping[str, t.Any] | None, counted: Mapping[str, t.Any], version: str
) -> dict[str, t.Any] | None:
    """Return requests, errors and share; share None without any request."""
    if measured is None:
        return None
    nothing = {"requests": 0, "errors": 0, "share": 0.0 if measured["requests"] else None}
    return dict(counted.get(version, nothing))
