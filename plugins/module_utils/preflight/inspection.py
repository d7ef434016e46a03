# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything that is wrong with a service's canary, or would be after a change. Pure.

One function for each thing that can be wrong, in the files `preflight_*.py`; this one calls them. What was not
read is not guessed: the finding NOT_CHECKED says which lists were missing, and none of the findings that
need them is given.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from ..findings import Finding
from ..gateway_api.grants import needs_grants, routes_of_namespace
from ..istio import find
from ..istio.find import Scope
from ..objects import endpoints, pods
from ..objects.snapshot import PLURALS
from . import (
    ambient,
    ownership,
    permissions,
    pod_capacity,
    pod_health,
    pod_shutdown,
    route_claims,
    route_status,
    version_services,
    visibility,
)
from .request_shares import described, largest, raised

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..objects.hosts import ServiceRef
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot
    from .permissions import Right


EVERYTHING: t.Final = Scope()


@dataclass(frozen=True)
class Evidence:
    """What was learnt besides the snapshot's lists. None: not requested.

    access: what the API server said to each right (SelfSubjectAccessReview).
    webhooks: the ValidatingWebhookConfigurations of the cluster.
    applications: those of Argo CD, where it applies one of the service's routing objects; else nobody needs them.
    """

    access: Mapping[Right, bool] | None = None
    webhooks: Sequence[Object] | None = None
    applications: Sequence[Object] | None = None


def inspect(
    snapshot: Snapshot,
    service: ServiceRef,
    *,
    planned: Snapshot | None = None,
    evidence: Evidence | None = None,
    scope: Scope = EVERYTHING,
    route_api: str = "auto",
) -> list[Finding]:
    """Return what is wrong, errors first, each thing once.

    planned: the snapshot as it will be after a change. With it, versions are judged by what they would get, and only
    those that get more than now: taking traffic off a broken version is never refused. Without it, all are judged by
    the routes as they are.
    evidence: what was learnt besides; without it rights and webhooks are not spoken of at all.
    scope, route_api: what the change is limited to; who names one of two claimants has chosen.
    """
    now = described(snapshot, service, scope, route_api)
    later = described(planned, service, scope, route_api) if planned is not None else None
    more = raised(now, later)
    versions = largest(more)
    services = frozenset((later or now or {}).get("services") or ())
    found = [
        *route_claims.inspect(planned or snapshot, service, later or now, versions, scope),
        *visibility.inspect(snapshot, planned or snapshot, service, versions, services),
        *route_status.inspect(snapshot, planned or snapshot, service, versions),
        *visibility.endpoint_choice(planned or snapshot, service, versions, later or now),
        *pod_health.inspect(planned or snapshot, service, versions, services),
        *ambient.inspect(planned or snapshot, service, later or now, adds_requests=planned is None or bool(versions)),
        *version_services.inspect(planned or snapshot, service, more, later or now),
        *pod_capacity.inspect(snapshot, service, now, more if planned else {}, later),
        *pod_shutdown.of_versions(snapshot, service, later or now, _newly_serving(now, versions, planned)),
        *ownership.inspect(snapshot, service, evidence.applications if evidence else None),
        *(permissions.inspect(evidence.access, evidence.webhooks) if evidence else ()),
        *_not_checked(snapshot, evidence, argo=ownership.argo_applies(snapshot, service)),
    ]
    rank = {"error": 0, "warning": 1, "note": 2}
    return sorted(dict.fromkeys(found), key=lambda finding: rank[finding.severity])


def _newly_serving(
    now: Mapping[str, t.Any] | None, versions: Mapping[str, float], planned: Snapshot | None
) -> list[str]:
    """Return the versions that get their first requests by the change; without a change, those that serve.

    Not again at each step of a rollout, which changes nothing about how their pods end.
    """
    serving = (now or {}).get("weights") or {}
    return [one for one in versions if planned is None or not serving.get(one)]


def further_lists(snapshot: Snapshot, service: ServiceRef) -> list[str]:
    """Return the lists that `inspect` needs besides those that every service has: objects that few services have.

    snapshot: as it will be after a change.
    """
    backends = [one for one in snapshot.http_routes or () if routes_of_namespace(one, service.namespace)]
    names = {name for one in backends for name in routes_of_namespace(one, service.namespace)} | {service.name}
    names.update((described(snapshot, service) or {}).get("services") or ())
    refs = [replace(service, name=name) for name in sorted(names)]
    found = []
    if any(endpoints.selects_no_pods(snapshot, one) and not endpoints.is_dns_name(snapshot, one) for one in refs):
        found.append("endpoint_slices")
    of_host = [one for one in refs if one.is_outside]
    if of_host or (snapshot.services is not None and endpoints.service_object(snapshot, service) is None):
        found.append("service_entries")
    if of_host or _lacks_pods(snapshot, service):
        found.append("workload_entries")
    if any(needs_grants(one, service.namespace) for one in backends):
        found.append("reference_grants")
    return found


def _lacks_pods(snapshot: Snapshot, service: ServiceRef) -> bool:
    """Return whether a subset has no ready pod: then it may run on machines outside the cluster."""
    if snapshot.destination_rules is None or not pods.selector_of(snapshot, service):
        return False
    selected = (pods.of_service(snapshot, service, one) for one in find.subsets(snapshot, service).values())
    return any(one is not None and not pods.count_ready(one) for one in selected)


_NEEDED_FOR: t.Final = {
    "virtual_services": "claims of the host, and weights of the versions",
    "destination_rules": "subsets, and rules in other namespaces that hide them",
    "http_routes": "whether HTTPRoutes claim the service too",
    "services": "port names and selectors",
    "pods": "ready pods of each version, and callers without a sidecar",
    "deployments": "desired pods and CPU requests",
    "hpas": "autoscaling and capacity",
    "namespaces": "sidecar injection and ambient mode",
}


def _not_checked(snapshot: Snapshot, evidence: Evidence | None, *, argo: bool) -> list[Finding]:
    """Return a note for every list that was not read; gateways serve planning only."""
    missing = {
        kind: _NEEDED_FOR[plural]
        for kind, plural in PLURALS.items()
        if plural in _NEEDED_FOR and getattr(snapshot, plural) is None
    }
    if evidence and evidence.access is None:
        missing["SelfSubjectAccessReview"] = "the rights of the user"
    if evidence and evidence.webhooks is None:
        missing["ValidatingWebhookConfiguration"] = "Istio's validation webhook"
    if evidence and argo and evidence.applications is None:
        missing["Application"] = "whether Argo CD reverts changes"
    return [
        Finding("NOT_CHECKED", kind, f"Not read, so this was not checked: {what}.") for kind, what in missing.items()
    ]
