# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which labels of the proxies' counters identify a service's versions. Pure.

A subset may select its pods by any label. Istio's metrics have three labels of a pod: its label `version`, its workload
and its canonical revision; so these are read from the pods, and from the templates of the Deployments.
"""

from __future__ import annotations

import typing as t

from ..analysis.traffic import SOURCE, UNKNOWN, WAYPOINT, Names
from ..istio import waypoints
from ..objects import pods
from ..objects.metadata import identity

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..objects.hosts import ServiceRef
    from ..objects.snapshot import Snapshot

    Labels = Mapping[str, str]

REVISION_LABELS: t.Final = ("service.istio.io/canonical-revision", "app.kubernetes.io/version", "version")
"""The pod's canonical revision is the first of these it has (source: Istio, documentation of its standard metrics)."""
NO_REVISION: t.Final = "latest"
"""The canonical revision of a pod without any of these labels, and of unknown pods."""
WORKLOAD_LABEL: t.Final = "service.istio.io/workload-name"


def names(snapshot: Snapshot, service: ServiceRef, description: Mapping[str, t.Any]) -> Names:
    """Return which labels of the proxies' counters identify the service's versions. description: see `plan.describe`.

    Without the pods and the Deployments only the subsets' own labels are known.
    """
    hosts: dict[str, str | None] = {service.fqdn: None}
    hosts.update({service.sibling(one).fqdn: one for one in description["services"]})
    subsets: Mapping[str, Labels] = description["subsets"]
    labels_by_version = [
        *((version, labels, "") for version, labels in subsets.items()),
        *_of_pods(snapshot, service, subsets),
    ]
    return Names(
        hosts,
        _unique((labels.get("version"), version) for version, labels, _workload in labels_by_version),
        _unique((workload, version) for version, _labels, workload in labels_by_version),
        _unique((_revision(labels), version) for version, labels, _workload in labels_by_version),
        reporters=frozenset({SOURCE, WAYPOINT} if waypoints.working(snapshot, service) else {SOURCE}),
        gateways_use_waypoint=waypoints.is_used_by_gateways(snapshot, service),
    )


def _of_pods(
    snapshot: Snapshot, service: ServiceRef, subsets: Mapping[str, Labels]
) -> Iterator[tuple[str, Labels, str]]:
    """Yield version, labels and workload of each pod of the service, and of each Deployment's pod template."""
    selector = pods.selector_of(snapshot, service) or {}
    wanted = {
        version: {**selector, **labels}
        for version, labels in subsets.items()
        if (selector or labels) and not pods.contradictions(snapshot, service, labels)
    }
    for pod in pods.select(snapshot.pods or (), service.namespace):
        labels = pods.labels_of(pod)
        for version in _most_specific(labels, wanted):
            yield version, labels, _workload(service, labels, pods.owner_of(pod))
    for one in snapshot.deployments or ():
        namespace, name = identity(one)
        labels = pods.labels_of((one.get("spec") or {}).get("template") or {})
        for version in _most_specific(labels, wanted) if namespace == service.namespace else ():
            yield version, labels, _workload(service, labels, name)


def _most_specific(labels: Labels, wanted: Mapping[str, Labels]) -> list[str]:
    """Return the versions whose subset selects the labels; of two nested subsets only the narrower one."""
    matching = [version for version, one in wanted.items() if pods.matches(labels, one)]
    return [
        version
        for version in matching
        if not any(wanted[version].items() < wanted[other].items() for other in matching)
    ]


def _workload(service: ServiceRef, labels: Labels, name: str) -> str:
    return f"{service.namespace}/{labels.get(WORKLOAD_LABEL, name)}"


def _revision(labels: Labels) -> str | None:
    revision = next((labels[name] for name in REVISION_LABELS if name in labels), None)
    return None if revision == NO_REVISION else revision


def _unique(pairs: t.Iterable[tuple[str | None, str]]) -> dict[str, str]:
    """Return value -> version, for the values that identify one version only."""
    found: dict[str, set[str]] = {}
    for value, version in pairs:
        if value and value != UNKNOWN:
            found.setdefault(value, set()).add(version)
    return {value: min(versions) for value, versions in found.items() if len(versions) == 1}
