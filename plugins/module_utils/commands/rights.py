# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rights the collection uses, each with what for, and asking the API server for them."""

from __future__ import annotations

import typing as t

from .. import cluster_resources as kinds
from ..errors import ApiError
from ..proxies import in_parallel
from ..routes.preflight import Evidence
from ..routes.preflight_access import Right

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..cluster import Cluster
    from ..cluster_resources import Resource

READ: t.Final = "see who gets which share"
WRITE: t.Final = "change the routes"
RECORD: t.Final = "keep the record of a rollout (canary_rollout)"
LOCK: t.Final = "keep the lock of a rollout (canary_rollout)"
DEAD_MAN: t.Final = "make and remove the Job that watches a rollout (canary_rollout, dead_man)"


class Need(t.NamedTuple):
    """One verb on one resource. where: `service` and `istio` are namespaces, `cluster` is all of them."""

    verb: str
    resource: Resource
    purpose: str
    subresource: str = ""
    where: str = "service"
    optional: bool = False


NEEDS: t.Final = (
    Need("list", kinds.VIRTUAL_SERVICE, READ),
    Need("list", kinds.DESTINATION_RULE, READ),
    Need("list", kinds.SERVICE, READ),
    Need("list", kinds.POD, "see which versions are ready"),
    Need("list", kinds.DEPLOYMENT, "see which pods are wanted"),
    Need("list", kinds.HPA, "see whether capacity follows"),
    Need("get", kinds.NAMESPACE, "see whether sidecars are injected"),
    Need("patch", kinds.VIRTUAL_SERVICE, WRITE),
    Need("create", kinds.VIRTUAL_SERVICE, "create the first route (canary_routing)", optional=True),
    Need("delete", kinds.VIRTUAL_SERVICE, "remove the first route (canary_routing)", optional=True),
    Need("create", kinds.DESTINATION_RULE, "create subsets (canary_routing)", optional=True),
    Need("patch", kinds.DESTINATION_RULE, "add and remove subsets (canary_routing)", optional=True),
    Need("delete", kinds.DESTINATION_RULE, "remove subsets (canary_routing)", optional=True),
    Need("list", kinds.HTTP_ROUTE, "see HTTPRoutes", optional=True),
    Need("patch", kinds.HTTP_ROUTE, "change HTTPRoutes", optional=True),
    Need("get", kinds.POD, "count requests at the proxies", "proxy", optional=True),
    Need("get", kinds.POD, "read what sidecars hold", "portforward", optional=True),
    Need("create", kinds.POD, "read what sidecars hold (Kubernetes 1.35)", "portforward", optional=True),
    Need("get", kinds.POD, "ask istiod for its proxies, and read gateways", "portforward", "istio", optional=True),
    Need("create", kinds.POD, "ask istiod for its proxies (Kubernetes 1.35)", "portforward", "istio", optional=True),
    Need("list", kinds.POD, "find istiod and the gateways", where="istio", optional=True),
    *(Need(verb, kinds.CONFIG_MAP, RECORD, optional=True) for verb in ("get", "create", "patch")),
    *(Need(verb, kinds.LEASE, LOCK, optional=True) for verb in ("get", "create", "patch")),
    Need("get", kinds.SERVICE, "write Events on it, and read approvals of a gate", optional=True),
    Need("create", kinds.EVENT, "tell what a rollout does (canary_rollout)", optional=True),
    *(Need(verb, kinds.JOB, DEAD_MAN, optional=True) for verb in ("get", "create", "patch", "delete")),
    *(
        Need("create", resource, DEAD_MAN, optional=True)
        for resource in (kinds.SERVICE_ACCOUNT, kinds.ROLE, kinds.ROLE_BINDING)
    ),
    Need("list", kinds.VIRTUAL_SERVICE, "see who else claims the host", where="cluster", optional=True),
    Need("list", kinds.DESTINATION_RULE, "see who hides the subsets", where="cluster", optional=True),
    Need("list", kinds.VALIDATING_WEBHOOKS, "see Istio's validation webhook", where="cluster", optional=True),
)


def ask(cluster: Cluster, namespace: str, istio_namespace: str) -> Evidence:
    """Return what the user may do, and the validation webhooks; None for what the API server would not say."""
    places = {"service": namespace, "istio": istio_namespace, "cluster": ""}
    asked = [(_right(need, places[need.where]), need.resource) for need in NEEDS]

    def allowed(item: tuple[Right, Resource]) -> bool:
        right, resource = item
        return cluster.access_review(right.verb, resource, right.namespace or None, subresource=right.subresource)

    answers = [(right, answer) for (right, _resource), answer in in_parallel(allowed, asked)]
    known = {right: answer for right, answer in answers if not isinstance(answer, ApiError)}
    return Evidence(access=known or None, webhooks=_webhooks(cluster))


def rules() -> Iterator[tuple[str, Need]]:
    """Yield each need with the resource as a Role writes it, for the documentation."""
    for need in NEEDS:
        yield f"{need.resource.plural}/{need.subresource}" if need.subresource else need.resource.plural, need


def _right(need: Need, namespace: str) -> Right:
    resource = need.resource
    return Right(need.verb, resource.group, resource.plural, namespace, need.subresource, need.optional, need.purpose)


def _webhooks(cluster: Cluster) -> list[dict[str, t.Any]] | None:
    try:
        return cluster.list(kinds.VALIDATING_WEBHOOKS)
    except ApiError as error:
        if error.status != 403:
            raise
        return None
