# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the cluster to a Snapshot: which lists, in which namespaces, and what could not be read."""

from __future__ import annotations

import typing as t

from .. import cluster_resources as kinds
from ..errors import ApiError
from ..proxies import in_parallel
from ..routes.find import Scope
from ..routes.hosts import ServiceRef
from ..routes.snapshot import NotRead, Snapshot, identity

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..cluster import Cluster

    Object = dict[str, t.Any]

R = t.TypeVar("R")

FEW_LISTS: t.Final = 3
"""So many are read over the connection that is open in the time that another one takes to be greeted."""

RESOURCES: t.Final[dict[str, tuple[kinds.Resource, ...]]] = {
    "virtual_services": (kinds.VIRTUAL_SERVICE,),
    "destination_rules": (kinds.DESTINATION_RULE,),
    "http_routes": (kinds.HTTP_ROUTE,),
    "gateways": (kinds.ISTIO_GATEWAY, kinds.API_GATEWAY),
    "services": (kinds.SERVICE,),
    "pods": (kinds.POD,),
    "deployments": (kinds.DEPLOYMENT,),
    "hpas": (kinds.HPA,),
    "namespaces": (kinds.NAMESPACE,),
}
# Objects of other namespaces can claim the service's host or hide its subsets.
_CLUSTER_WIDE: t.Final = frozenset({"virtual_services", "destination_rules", "http_routes", "gateways"})
_ROUTING: t.Final = frozenset({"virtual_services", "destination_rules", "http_routes", "gateways"})


def service_of(params: Mapping[str, t.Any]) -> ServiceRef:
    """Return the service a task names."""
    return ServiceRef(params["service"], params["namespace"], params["cluster_domain"], params["istio_namespace"])


def scope_of(params: Mapping[str, t.Any]) -> Scope:
    """Return the objects and routes a task is limited to."""
    return Scope(tuple(params.get("virtual_services") or ()), tuple(params.get("routes") or ()))


class Reader:
    """Reads the lists a decision needs, each once.

    wide: look in all namespaces where others can meddle with the service, if allowed to. also: further namespaces.
    notes: what could not be read and what that means. Raises ApiError where reading fails for another reason.
    """

    def __init__(self, cluster: Cluster, service: ServiceRef, *, wide: bool, also: Iterable[str] = ()) -> None:
        self._cluster = cluster
        self._service = service
        self._wide = wide
        self._namespaces = list(dict.fromkeys((service.namespace, *also)))
        self._lists: dict[str, tuple[Object, ...]] = {}
        self.missing_apis: set[str] = set()
        self.notes: list[str] = []

    def snapshot(self, plurals: Iterable[str] = (), *, if_allowed: bool = False) -> Snapshot:
        """Return a snapshot with at least these lists; what was read before is not read again.

        if_allowed: a list we have no right to read is left out (None: not looked) instead of raising.
        """
        wanted = [plural for plural in plurals if plural not in self._lists]
        for plural, found in in_parallel(self._read, wanted, 1 if len(wanted) <= FEW_LISTS else 2):
            if not isinstance(found, ApiError):
                self._lists[plural] = found
            elif not (if_allowed and found.status == 403):
                raise found
        return Snapshot(**self._lists)

    def decide(self, decision: Callable[[Snapshot], R], plurals: Iterable[str]) -> tuple[Snapshot, R]:
        """Return the decision and the snapshot it was made from; lists it turns out to need are read."""
        snapshot = self.snapshot(plurals)
        while True:
            try:
                return snapshot, decision(snapshot)
            except NotRead as need:
                if need.plural in self._lists:
                    raise
                snapshot = self.snapshot([need.plural])

    def _read(self, plural: str) -> tuple[Object, ...]:
        found: dict[tuple[str, str, str], Object] = {}
        for resource in RESOURCES[plural]:
            for obj in self._read_kind(resource, plural):
                found.setdefault((obj["apiVersion"], *identity(obj)), obj)
        return tuple(found.values())

    def _read_kind(self, resource: kinds.Resource, plural: str) -> list[Object]:
        try:
            if resource is kinds.NAMESPACE:
                found = (self._cluster.get(resource, None, name) for name in self._namespaces)
                return [{"apiVersion": "v1", "kind": "Namespace", **one} for one in found if one]
            if self._wide and plural in _CLUSTER_WIDE:
                return self._everywhere(resource)
            return self._where_named(resource)
        except ApiError as error:
            if plural in _ROUTING and error.status == 404:
                self.missing_apis.add(resource.qualified)
                return []
            raise

    def _everywhere(self, resource: kinds.Resource) -> list[Object]:
        try:
            return self._cluster.list(resource)
        except ApiError as error:
            if error.status != 403:
                raise
        self.notes.append(
            f"Not allowed to list {resource.qualified} in all namespaces: what others declare elsewhere for "
            f"{self._service.fqdn} was not looked at."
        )
        return self._where_named(resource)

    def _where_named(self, resource: kinds.Resource) -> list[Object]:
        return [obj for namespace in self._namespaces for obj in self._cluster.list(resource, namespace)]
