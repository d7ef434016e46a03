# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asking the API server what the user may do, and what else preflight wants to know besides the objects."""

from __future__ import annotations

import typing as t

from .. import cluster_resources as kinds
from ..errors import ApiError
from ..proxies import in_parallel
from ..routes.preflight import Evidence
from ..routes.preflight_access import Right, inspect
from ..routes.preflight_owners import argo_applies
from .needs import NEEDS, Need, of_role

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ..cluster import Cluster
    from ..cluster_resources import Resource
    from ..findings import Finding
    from ..routes.change import Change
    from ..routes.hosts import ServiceRef
    from ..routes.snapshot import Object, Snapshot


def ask(cluster: Cluster, namespace: str, istio_namespace: str) -> dict[Right, bool] | None:
    """Return what the user may do; None if the API server would not say."""
    places = {"service": namespace, "istio": istio_namespace, "cluster": ""}
    return _answers(cluster, ((_right(need, places[need.where]), need.resource) for need in NEEDS)) or None


def evidence(
    cluster: Cluster, snapshot: Snapshot, services: Iterable[ServiceRef], access: dict[Right, bool] | None
) -> Evidence:
    """Return what preflight shall know besides the snapshot: one request, one more where Argo CD applies the routes.

    access: what `ask` said; {} where nobody asked.
    """
    argo = any(argo_applies(snapshot, service) for service in services)
    return Evidence(
        access=access,
        webhooks=_if_readable(cluster, kinds.VALIDATING_WEBHOOKS),
        applications=_if_readable(cluster, kinds.APPLICATION) if argo else None,
    )


def missing(cluster: Cluster, service: ServiceRef, changes: Iterable[Change]) -> list[Finding]:
    """Return a finding for each right that reading the routes and making these changes needs and the user lacks.

    For whoever was refused: one refusal names one verb, and the next attempt would name the next.
    """
    wanted = {(need.verb, need.resource, need.subresource): need.what for need in of_role("read")}
    for change in changes:
        resource = kinds.of_object(change.api_version, change.kind)
        wanted.setdefault((change.verb, resource, change.subresource), f"{change.verb} {change.object}")
    asked = [
        (_right(Need(verb, resource, what, ("shift",), subresource), service.namespace), resource)
        for (verb, resource, subresource), what in wanted.items()
    ]
    return list(inspect(_answers(cluster, asked), None))


def _answers(cluster: Cluster, asked: Iterable[tuple[Right, Resource]]) -> dict[Right, bool]:
    def allowed(item: tuple[Right, Resource]) -> bool:
        right, resource = item
        return cluster.access_review(right.verb, resource, right.namespace or None, subresource=right.subresource)

    answers = in_parallel(allowed, asked)
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
