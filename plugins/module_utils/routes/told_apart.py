# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the proxies' counters tell a service's versions apart. Pure.

A subset may select its pods by any label. Istio's metrics know three things of a pod: its label `version`, its workload
and its canonical revision; so these are looked up at the pods, and at the templates of the Deployments.
"""

from __future__ import annotations

import typing as t

from ..analysis.traffic import UNKNOWN, Names
from . import overview, pods
from .snapshot import identity

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .hosts import ServiceRef
    from .snapshot import Snapshot

    Labels = Mapping[str, str]

REVISION_LABELS: t.Final = ("service.istio.io/canonical-revision", "app.kubernetes.io/version", "version")
"""The pod's canonical revision is the first of these it has (source: Istio, documentation of its standard metrics)."""
NO_REVISION: t.Final = "latest"
"""The canonical revision of a pod without any; also what Istio says where it knows nothing of the pod."""
WORKLOAD_LABEL: t.Final = "service.istio.io/workload-name"


def names(snapshot: Snapshot, service: ServiceRef, description: Mapping[str, t.Any]) -> Names:
    """Return how the proxies' counters tell the service's versions apart. description: as `plan.describe` returns it.

    Without the pods and the Deployments only the subsets' own labels are known.
    """
    if description["route_api"] == "gateway":
        versions = (one for one in overview.all_versions(description) if one)
        backends = {f"{one}.{service.namespace}.svc.{service.domain}": one for one in versions}
        return Names({service.fqdn: None, **backends}, {})
    subsets: Mapping[str, Labels] = description["subsets"]
    told = [*((version, labels, "") for version, labels in subsets.items()), *_of_pods(snapshot, service, subsets)]
    return Names(
        {service.fqdn: None},
        _certain((labels.get("version"), version) for version, labels, _workload in told),
        _certain((workload, version) for version, _labels, workload in told),
        _certain((_revision(labels), version) for version, labels, _workload in told),
    )


def _of_pods(
    snapshot: Snapshot, service: ServiceRef, subsets: Mapping[str, Labels]
) -> Iterator[tuple[str, Labels, str]]:
    """Yield version, labels and workload of each pod of the service, and of each Deployment's pods to come."""
    selector = pods.selector_of(snapshot, service) or {}
    wanted = {version: {**selector, **labels} for version, labels in subsets.items() if selector or labels}
    for pod in pods.select(snapshot.pods or (), service.namespace):
        labels = pods.labels_of(pod)
        for version in _narrowest(labels, wanted):
            yield version, labels, _workload(service, labels, pods.owner_of(pod))
    for one in snapshot.deployments or ():
        namespace, name = identity(one)
        labels = pods.labels_of((one.get("spec") or {}).get("template") or {})
        for version in _narrowest(labels, wanted) if namespace == service.namespace else ():
            yield version, labels, _workload(service, labels, name)


def _narrowest(labels: Labels, wanted: Mapping[str, Labels]) -> list[str]:
    """Return the versions whose subset selects the labels; one that selects more than another says nothing."""
    fit = [version for version, one in wanted.items() if pods.matches(labels, one)]
    return [version for version in fit if not any(wanted[version].items() < wanted[other].items() for other in fit)]


def _workload(service: ServiceRef, labels: Labels, name: str) -> str:
    return f"{service.namespace}/{labels.get(WORKLOAD_LABEL, name)}"


def _revision(labels: Labels) -> str | None:
    revision = next((labels[name] for name in REVISION_LABELS if name in labels), None)
    return None if revision == NO_REVISION else revision


def _certain(pairs: t.Iterable[tuple[str | None, str]]) -> dict[str, str]:
    """Return value -> version, of the values that stand for one version alone."""
    found: dict[str, set[str]] = {}
    for value, version in pairs:
        if value and value != UNKNOWN:
            found.setdefault(value, set()).add(version)
    return {value: min(versions) for value, versions in found.items() if len(versions) == 1}
