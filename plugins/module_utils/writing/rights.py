# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the user may do, and the other evidence that preflight needs besides the objects."""

from __future__ import annotations

import typing as t

from ..errors import ApiError
from ..kube import resources as kinds
from ..mesh.proxies import in_parallel
from ..preflight.inspection import Evidence
from ..preflight.ownership import argo_applies
from ..preflight.permissions import Right, inspect
from .required_rights import LOCK, NEEDS, RECORD, Need, of_role

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ..findings import Finding
    from ..kube.client import Cluster
    from ..kube.resources import Resource
    from ..objects.change import Change
    from ..objects.hosts import ServiceRef
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot


def review(cluster: Cluster, namespace: str, istio_namespace: str) -> dict[Right, bool] | None:
    """Return what the user may do; None if the API server does not answer."""
    places = {"service": namespace, "istio": istio_namespace, "cluster": ""}
    return _answers(cluster, ((_right(need, places[need.where]), need.resource) for need in NEEDS)) or None


def evidence(
    cluster: Cluster, snapshot: Snapshot, services: Iterable[ServiceRef], access: dict[Right, bool] | None
) -> Evidence:
    """Return what preflight needs besides the snapshot: one request, two where Argo CD applies the routes.

    access: what `review` returned; {} where it was not called.
    """
    argo = any(argo_applies(snapshot, service) for service in services)
    return Evidence(
        access=access,
        webhooks=_if_readable(cluster, kinds.VALIDATING_WEBHOOKS),
        applications=_if_readable(cluster, kinds.APPLICATION) if argo else None,
    )


def missing(cluster: Cluster, service: ServiceRef, changes: Iterable[Change]) -> list[Finding]:
    """Return a finding for each right that reading the routes and making these changes needs and the user lacks.

    The API server refuses one verb at a time; this names all of them at once.
    """
    wanted = {(need.verb, need.resource, need.subresource): need.what for need in of_role("read")}
    for change in changes:
        resource = kinds.of_object(change.api_version, change.kind)
        wanted.setdefault((change.verb, resource, change.subresource), f"{change.verb} {change.object}")
    reviews = [
        (_right(Need(verb, resource, what, ("shift",), subresource), service.namespace), resource)
        for (verb, resource, subresource), what in wanted.items()
    ]
    return list(inspect(_answers(cluster, reviews), None))


def missing_for_records(cluster: Cluster, namespaces: Iterable[str]) -> dict[str, list[str]]:
    """Return namespace -> what the user may not do there of what records, locks and Events of rollouts need."""
    kept = (RECORD, LOCK)
    needs = [need for need in of_role("rollout") if need.what in kept]
    reviews = [(_right(need, namespace), need.resource) for namespace in sorted(namespaces) for need in needs]
    found: dict[str, list[str]] = {}
    for right, allowed in _answers(cluster, reviews).items():
        if not allowed:
            sentence = f"you have no right to {right.verb} {right.resource} in {right.namespace}"
            found.setdefault(right.namespace, []).append(f"{sentence} ({right.purpose}). See docs/rights.md")
    return found


def _answers(cluster: Cluster, reviews: Iterable[tuple[Right, Resource]]) -> dict[Right, bool]:
    def allowed(item: tuple[Right, Resource]) -> bool:
        right, resource = item
        return cluster.access_review(right.verb, resource, right.namespace or None, subresource=right.subresource)

    answers = in_parallel(allowed, reviews)
    return {right: answer for (right, _resource), answer in answers if not isinstance(answer, ApiError)}


def _right(need: Need, namespace: str) -> Right:
    resource = need.resource
    return Right(need.verb, resource.group, resource.plural, namespace, need.subresource, need.optional, need.what)


def _if_readable(cluster: Cluster, resource: Resource) -> list[Object] | None:
    """Return all objects of a kind; None without the right to, or where the kind is not served."""
    try:
        return cluster.list(resource)
    except ApiError as error:
        if error.status not in (403, 404):
            raise
        return None
