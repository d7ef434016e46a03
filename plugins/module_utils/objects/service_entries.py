# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts that are no Service: the ServiceEntries that define them, their ports and endpoints. Pure.

Endpoints are listed in the ServiceEntry, or are the pods and WorkloadEntries that its workloadSelector selects; with
resolution DNS and neither, the host itself is the endpoint, which has no labels.
"""

from __future__ import annotations

import typing as t

from . import pods
from .hosts import exported_to
from .metadata import creation_order, identity

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from .hosts import ServiceRef
    from .metadata import Object
    from .snapshot import Snapshot

DNS: t.Final = frozenset({"DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"})


class Endpoints(t.NamedTuple):
    """How many endpoints there are, and how many of them are not known to be unready."""

    all: int
    ready: int


def entries_of(snapshot: Snapshot, service: ServiceRef) -> list[Object] | None:
    """Return the ServiceEntries with exactly this host that some namespace sees; None if they were not read."""
    if snapshot.service_entries is None:
        return None
    return [
        one
        for one in sorted(snapshot.service_entries, key=creation_order)
        if service.fqdn in map(str, (one.get("spec") or {}).get("hosts") or ()) and exported_to(one)
    ]


def ports_of(snapshot: Snapshot, service: ServiceRef) -> list[Object] | None:
    """Return the host's ports as a Service would declare them; None if ServiceEntries were not read."""
    found = entries_of(snapshot, service)
    if found is None:
        return None
    ports = (port for one in found for port in (one.get("spec") or {}).get("ports") or ())
    return [
        {"name": port.get("name"), "port": port.get("number"), "appProtocol": str(port.get("protocol") or "").lower()}
        for port in ports
    ]


def is_resolved_by_dns(snapshot: Snapshot, service: ServiceRef) -> bool:
    """Return whether the host's own name is resolved: then which endpoints it has, only the proxies know."""
    return any(_is_its_own_endpoint(one.get("spec") or {}) for one in entries_of(snapshot, service) or ())


def _is_its_own_endpoint(spec: Mapping[str, t.Any]) -> bool:
    return spec.get("resolution") in DNS and not spec.get("endpoints") and not spec.get("workloadSelector")


def selects_workloads(snapshot: Snapshot, service: ServiceRef) -> bool:
    """Return whether the host's endpoints are pods and WorkloadEntries that labels select."""
    return any((one.get("spec") or {}).get("workloadSelector") for one in entries_of(snapshot, service) or ())


def endpoints_of(snapshot: Snapshot, service: ServiceRef, labels: Mapping[str, str]) -> Endpoints | None:
    """Return the endpoints of the host that a subset with `labels` selects; None if a list of them was not read.

    A host that is its own endpoint counts as one that is ready, for no labels.
    """
    found = entries_of(snapshot, service)
    if found is None:
        return None
    total = ready = 0
    for entry in found:
        spec = entry.get("spec") or {}
        selector = (spec.get("workloadSelector") or {}).get("labels")
        listed = [one for one in spec.get("endpoints") or () if _fits(one.get("labels") or {}, labels)]
        total, ready = total + len(listed), ready + len(listed)
        if _is_its_own_endpoint(spec) and not labels:
            total, ready = total + 1, ready + 1
        if selector:
            workloads = workloads_of(snapshot, identity(entry)[0], selector, labels)
            if workloads is None:
                return None
            total, ready = total + workloads.all, ready + workloads.ready
    return Endpoints(total, ready)


def workloads_of(
    snapshot: Snapshot, namespace: str, selector: Mapping[str, str], labels: Mapping[str, str]
) -> Endpoints | None:
    """Return the pods and WorkloadEntries of a namespace that the selector and a subset select; None if not read."""
    if snapshot.pods is None or snapshot.workload_entries is None:
        return None
    own = [one for one in pods.select(snapshot.pods, namespace) if _selected(pods.labels_of(one), selector, labels)]
    machines = machines_of(snapshot, namespace, selector, labels) or Endpoints(0, 0)
    return Endpoints(len(own) + machines.all, pods.count_ready(own) + machines.ready)


def machines_of(
    snapshot: Snapshot, namespace: str, selector: Mapping[str, str], labels: Mapping[str, str]
) -> Endpoints | None:
    """Return the WorkloadEntries of a namespace that the selector and a subset select; None if they were not read."""
    if snapshot.workload_entries is None:
        return None
    found = [
        one
        for one in snapshot.workload_entries
        if identity(one)[0] == namespace and _selected((one.get("spec") or {}).get("labels") or {}, selector, labels)
    ]
    return Endpoints(len(found), sum(not _is_unhealthy(one) for one in found))


def _selected(own: Mapping[str, str], selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return pods.matches(own, selector) and _fits(own, labels)


def _fits(own: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Return whether an endpoint has the labels, apart from those that istiod may add to it."""
    unknown = pods.ADDED_BY_ISTIOD - own.keys()
    return pods.matches(own, {key: value for key, value in labels.items() if key not in unknown})


def _is_unhealthy(workload_entry: Object) -> bool:
    """Return whether the health checks of its WorkloadGroup fail; without any, istiod takes it for healthy."""
    conditions = (workload_entry.get("status") or {}).get("conditions") or ()
    return any((one.get("type"), one.get("status")) == ("Healthy", "False") for one in conditions)
