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
from dataclasses import dataclass

from ..findings import Finding
from . import (
    preflight_access,
    preflight_capacity,
    preflight_owners,
    preflight_pods,
    preflight_routes,
    preflight_visibility,
)
from .find import Scope
from .preflight_shares import described, largest, raised
from .snapshot import PLURALS

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .hosts import ServiceRef
    from .preflight_access import Right
    from .snapshot import Object, Snapshot


EVERYTHING: t.Final = Scope()


@dataclass(frozen=True)
class Evidence:
    """What was learnt besides the snapshot's lists. None: not asked.

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
    weights: Mapping[str, float] | None = None,
    planned: Snapshot | None = None,
    evidence: Evidence | None = None,
    scope: Scope = EVERYTHING,
) -> list[Finding]:
    """Return what is wrong, errors first, each thing once.

    weights: version -> percent that a change would give; planned: the snapshot as it will be after the change, which
    says more. With either, versions are judged by what they would get, and only those that get more than now: taking
    traffic off a broken version is never refused. With neither, all are judged by the routes as they are.
    evidence: what was learnt besides; without it rights and webhooks are not spoken of at all.
    scope: what the change is limited to; who names one of two claimants has chosen.
    """
    now = described(snapshot, service)
    later = described(planned, service) if planned is not None else None
    more = raised(now, later, weights)
    versions = largest(more)
    api = (later or now or {}).get("route_api")
    found = [
        *preflight_routes.inspect(planned or snapshot, service, later or now, versions, scope),
        *preflight_visibility.inspect(snapshot, planned or snapshot, service, versions, api),
        *preflight_pods.inspect(planned or snapshot, service, versions, api),
        *preflight_capacity.inspect(snapshot, service, now, more if planned or weights else {}),
        *preflight_owners.inspect(snapshot, service, evidence.applications if evidence else None),
        *(preflight_access.inspect(evidence.access, evidence.webhooks) if evidence else ()),
        *_not_checked(snapshot, evidence, argo=preflight_owners.argo_applies(snapshot, service)),
    ]
    rank = {"error": 0, "warning": 1, "note": 2}
    return sorted(dict.fromkeys(found), key=lambda finding: rank[finding.severity])


_NEEDED_FOR: t.Final = {
    "virtual_services": "who claims the host, and which versions get requests",
    "destination_rules": "subsets, and rules elsewhere that hide them",
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
        missing["Application"] = "whether Argo CD puts its own version back by itself"
    return [Finding("NOT_CHECKED", kind, f"Not read, so not checked: {what}.") for kind, what in missing.items()]
