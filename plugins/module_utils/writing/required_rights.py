# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every right the collection uses: the table that preflight checks and docs/rights.md is generated from."""

from __future__ import annotations

import typing as t

from ..kube import resources as kinds

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..kube.resources import Resource

ROLES: t.Final[dict[str, str]] = {
    "read": "reading: `canary_info`, `canary_verify`, the playbooks `preflight` and `status`",
    "shift": "shifting requests: `canary_weight`, `canary_header_route`, `canary_mirror`, `canary_sticky`",
    "routing": "the first routes and subsets: `canary_routing`, the role `routing`",
    "rollout": "whole rollouts: `canary_rollout`, `canary_release`, the roles `rollout` and `release`, the playbooks "
    "`promote` and `rollback`",
    "replicas": "canaries without a mesh: `canary_replicas`, the role `replica_canary`, `rolling_update`",
}
_ROUTES: t.Final = ("read", "shift", "routing", "rollout")
_EVERY: t.Final = tuple(ROLES)
RECORD: t.Final = "keep the record of a rollout or a release"
LOCK: t.Final = "keep the lock of a rollout"
DRIFT: t.Final = "see whether somebody else has changed the routes"
WATCHDOG: t.Final = "make and remove the Job that watches a rollout (watchdog)"
CAPACITY: t.Final = "give a version pods before its share, and take them back"
PODS: t.Final = "roll out the pods of canary and stable"


class Need(t.NamedTuple):
    """One verb on one resource.

    what: what for. roles: keys of ROLES that cannot do without it; none where it only adds evidence or an option.
    where: `service` and `istio` are namespaces, `cluster` is all of them.
    """

    verb: str
    resource: Resource
    what: str
    roles: tuple[str, ...] = ()
    subresource: str = ""
    where: str = "service"

    @property
    def optional(self) -> bool:
        """Return whether weights can be shifted without it."""
        return "shift" not in self.roles

    @property
    def name(self) -> str:
        """Return the resource as a Role writes it: `pods/log`."""
        return f"{self.resource.plural}/{self.subresource}" if self.subresource else self.resource.plural


def _each(verbs: str, resource: Resource, what: str, roles: tuple[str, ...] = (), **more: str) -> Iterator[Need]:
    return (Need(verb, resource, what, roles, **more) for verb in verbs.split())


NEEDS: t.Final = (
    Need("list", kinds.VIRTUAL_SERVICE, "see who gets which share", _ROUTES),
    Need("list", kinds.DESTINATION_RULE, "see which subsets there are", _ROUTES),
    Need("list", kinds.SERVICE, "see ports and selectors", _EVERY),
    Need("list", kinds.POD, "see which versions are ready", _EVERY),
    Need("list", kinds.DEPLOYMENT, "see which pods are wanted", _EVERY),
    Need("list", kinds.HPA, "see whether capacity follows", _EVERY),
    Need("get", kinds.NAMESPACE, "see whether sidecars are injected", _ROUTES),
    Need("patch", kinds.VIRTUAL_SERVICE, "change the routes", ("shift", "routing", "rollout")),
    Need("get", kinds.VIRTUAL_SERVICE, DRIFT, ("rollout",)),
    *_each("create delete", kinds.VIRTUAL_SERVICE, "create and remove the first route", ("routing",)),
    *_each("create patch delete", kinds.DESTINATION_RULE, "add and remove subsets", ("routing",)),
    *_each("get create patch", kinds.CONFIG_MAP, RECORD, ("rollout",)),
    *_each("get create patch", kinds.LEASE, LOCK, ("rollout",)),
    Need("get", kinds.SERVICE, "write Events on it, and read approvals of a gate", ("rollout",)),
    Need("create", kinds.EVENT, "write Events about a rollout", ("rollout",)),
    Need("patch", kinds.HPA, CAPACITY, ("rollout",)),
    Need("get", kinds.DEPLOYMENT, CAPACITY, ("rollout", "replicas")),
    Need("patch", kinds.DEPLOYMENT, CAPACITY, ("rollout",), "scale"),
    *_each("create patch delete", kinds.DEPLOYMENT, PODS, ("replicas",)),
    Need("list", kinds.REPLICA_SET, "roll back an update that a killed run has left", ("replicas",)),
    Need("list", kinds.EVENT, "say why pods do not become ready", ("replicas",)),
    Need("get", kinds.POD, "say why pods do not become ready", ("replicas",), "log"),
    Need("list", kinds.HTTP_ROUTE, "see HTTPRoutes", ("rollout",)),
    Need("get", kinds.HTTP_ROUTE, f"{DRIFT}, and whether gateways accept a changed HTTPRoute", ("rollout",)),
    Need("patch", kinds.HTTP_ROUTE, "change HTTPRoutes"),
    Need("list", kinds.GRPC_ROUTE, "see GRPCRoutes", ("rollout",)),
    Need("get", kinds.GRPC_ROUTE, f"{DRIFT}, and whether gateways accept a changed GRPCRoute", ("rollout",)),
    Need("patch", kinds.GRPC_ROUTE, "change GRPCRoutes"),
    Need("list", kinds.ISTIO_GATEWAY, "find the gateway proxies of a route"),
    Need("list", kinds.API_GATEWAY, "see gateways and waypoints of the Gateway API"),
    Need("get", kinds.POD, "count requests at the proxies", ("rollout",), "proxy"),
    Need("get", kinds.POD, "distinguish a terminating proxy from one that is behind"),
    Need("get", kinds.POD, "read the routes of sidecars, and requests in flight", subresource="portforward"),
    Need(
        "create",
        kinds.POD,
        "read the routes of sidecars, and requests in flight (Kubernetes 1.35)",
        subresource="portforward",
    ),
    *_each("get create", kinds.POD, "send probes from a pod (canary_verify)", subresource="exec"),
    *_each("get create patch delete", kinds.JOB, WATCHDOG),
    *(Need("create", one, WATCHDOG) for one in (kinds.SERVICE_ACCOUNT, kinds.ROLE, kinds.ROLE_BINDING)),
    Need("list", kinds.POD, "find istiod and the gateways", where="istio"),
    *_each(
        "get create",
        kinds.POD,
        "list the proxies of istiod, and read gateways",
        (),
        subresource="portforward",
        where="istio",
    ),
    Need("list", kinds.VIRTUAL_SERVICE, "find other objects that claim the host", where="cluster"),
    Need("list", kinds.DESTINATION_RULE, "find objects that hide the subsets", where="cluster"),
    Need("list", kinds.HTTP_ROUTE, "see HTTPRoutes of callers' namespaces", where="cluster"),
    Need("list", kinds.GRPC_ROUTE, "see GRPCRoutes of callers' namespaces", where="cluster"),
    Need("list", kinds.ISTIO_GATEWAY, "see gateways of other namespaces", where="cluster"),
    Need("list", kinds.API_GATEWAY, "see gateways of other namespaces", where="cluster"),
    Need("list", kinds.ENDPOINT_SLICE, "see endpoints of Services without selector"),
    Need("list", kinds.REFERENCE_GRANT, "see whether gateways may send to versions in this namespace"),
    Need("list", kinds.SERVICE_ENTRY, "see hosts that are no Services"),
    Need("list", kinds.WORKLOAD_ENTRY, "see versions on machines outside the cluster"),
    Need("list", kinds.SERVICE_ENTRY, "see hosts that are no Services", where="cluster"),
    Need("list", kinds.VALIDATING_WEBHOOKS, "see Istio's validation webhook", where="cluster"),
)


def of_role(role: str) -> list[Need]:
    """Return the rights of one of ROLES: exactly the rules of its Role."""
    return [need for need in NEEDS if role in need.roles]
