# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Endpoints of Services that select no pods: they are in EndpointSlices alone. Pure.

Of a Service with a selector the pods tell more: why they are not ready. Of one without, its endpoints may be pods,
virtual machines or another cluster.
"""

from __future__ import annotations

import typing as t

from .metadata import identity

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .hosts import ServiceRef
    from .metadata import Object
    from .snapshot import Snapshot

SERVICE_NAME: t.Final = "kubernetes.io/service-name"


def service_object(snapshot: Snapshot, service: ServiceRef) -> Object | None:
    """Return the Service; None if it does not exist or was not read."""
    for one in snapshot.services or ():
        if identity(one) == (service.namespace, service.name):
            return one
    return None


def selects_no_pods(snapshot: Snapshot, service: ServiceRef) -> bool:
    """Return whether the Service exists and has no selector."""
    own = service_object(snapshot, service)
    return own is not None and not (own.get("spec") or {}).get("selector")


def is_dns_name(snapshot: Snapshot, service: ServiceRef) -> bool:
    """Return whether the Service is a DNS name (ExternalName), which has no endpoints in the cluster."""
    own = service_object(snapshot, service)
    return own is not None and (own.get("spec") or {}).get("type") == "ExternalName"


def _endpoints(snapshot: Snapshot, service: ServiceRef) -> Iterator[Object]:
    for one in snapshot.endpoint_slices or ():
        labels = (one.get("metadata") or {}).get("labels") or {}
        if identity(one)[0] == service.namespace and labels.get(SERVICE_NAME) == service.name:
            yield from one.get("endpoints") or ()


def count_ready_endpoints(snapshot: Snapshot, service: ServiceRef) -> int | None:
    """Return how many ready addresses the Service's EndpointSlices have; None if they were not read."""
    if snapshot.endpoint_slices is None:
        return None
    ready = [
        one for one in _endpoints(snapshot, service) if (one.get("conditions") or {}).get("ready", True) is not False
    ]
    return len({address for one in ready for address in one.get("addresses") or ()})


def pod_names(snapshot: Snapshot, service: ServiceRef) -> set[str] | None:
    """Return the pods that the Service's EndpointSlices refer to; None if they were not read."""
    if snapshot.endpoint_slices is None:
        return None
    targets = (one.get("targetRef") or {} for one in _endpoints(snapshot, service))
    return {str(one.get("name")) for one in targets if one.get("kind") == "Pod"}
