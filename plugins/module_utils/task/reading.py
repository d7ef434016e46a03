# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the cluster into a Snapshot: which lists, from which namespaces, and what could not be read."""

from __future__ import annotations

import re
import typing as t

from ..errors import ApiError, InvalidInput, NoRoutes
from ..istio.find import Scope
from ..kube import resources as kinds
from ..mesh.proxies import in_parallel
from ..objects.hosts import ServiceRef, is_host_of_service
from ..objects.metadata import REVISION, identity
from ..objects.pods import is_alive, labels_of
from ..objects.snapshot import NotRead, Snapshot

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..kube.client import Cluster

    Object = dict[str, t.Any]

R = t.TypeVar("R")

MAX_HOST_CHARS: t.Final = 200
"""Records and locks have the host in their names, of 253 characters at most."""
_HOST: t.Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+")

FEW_LISTS: t.Final = 3
"""Up to this many lists are read one after the other: a second connection would take longer to open."""

RESOURCES: t.Final[dict[str, tuple[kinds.Resource, ...]]] = {
    "virtual_services": (kinds.VIRTUAL_SERVICE,),
    "destination_rules": (kinds.DESTINATION_RULE,),
    "http_routes": (kinds.HTTP_ROUTE, kinds.GRPC_ROUTE),
    "gateways": (kinds.ISTIO_GATEWAY, kinds.API_GATEWAY),
    "services": (kinds.SERVICE,),
    "pods": (kinds.POD,),
    "deployments": (kinds.DEPLOYMENT,),
    "hpas": (kinds.HPA,),
    "namespaces": (kinds.NAMESPACE,),
    "endpoint_slices": (kinds.ENDPOINT_SLICE,),
    "service_entries": (kinds.SERVICE_ENTRY,),
    "workload_entries": (kinds.WORKLOAD_ENTRY,),
    "reference_grants": (kinds.REFERENCE_GRANT,),
}
ROUTES: t.Final = ("virtual_services", "destination_rules", "http_routes")
"""The lists by which the routes of a service are described."""
# Objects of other namespaces can claim the service's host or hide its subsets.
_CLUSTER_WIDE: t.Final = frozenset(
    {"virtual_services", "destination_rules", "http_routes", "gateways", "service_entries"}
)
_OF_OTHER_APIS: t.Final = _CLUSTER_WIDE | {"endpoint_slices", "reference_grants", "workload_entries"}


def service_of(params: Mapping[str, t.Any]) -> ServiceRef:
    """Return the service a task names: a Service, or the host of a ServiceEntry, which has dots.

    Raises InvalidInput for what is neither.
    """
    service = ServiceRef(params["service"], params["namespace"], params["cluster_domain"], params["istio_namespace"])
    if service.is_outside:
        _require_host(service)
    return service


def _require_host(service: ServiceRef) -> None:
    """Raise InvalidInput for a name with dots that is no host, or the full name of a Service."""
    name, _dot, rest = service.name.partition(".")
    if is_host_of_service(service.name):
        raise InvalidInput(
            f"service: {service.name} is the full name of a Service. Write service: {name} and namespace: "
            f"{rest.partition('.')[0]}; names with dots are hosts of ServiceEntries."
        )
    if not _HOST.fullmatch(service.name) or len(service.name) > MAX_HOST_CHARS:
        raise InvalidInput(
            f"service: {service.name!r} is neither the name of a Service nor a host such as api.example.com (lower "
            f"case, no wildcard, at most {MAX_HOST_CHARS} characters)."
        )


def scope_of(params: Mapping[str, t.Any]) -> Scope:
    """Return the objects and routes a task is limited to."""
    kind = next((kind for option, (_api, kind) in _OBJECT_OPTIONS.items() if params.get(option)), "")
    return Scope(named_objects(params), tuple(params.get("routes") or ()), kind)


def named_objects(params: Mapping[str, t.Any]) -> tuple[str, ...]:
    """Return the routing objects that a task names, of one kind."""
    return tuple(next((params[option] for option in _OBJECT_OPTIONS if params.get(option)), ()))


def api_of(params: Mapping[str, t.Any]) -> str:
    """Return the task's route_api; an object that is named has one, whatever else routes the service.

    Raises InvalidInput for names that contradict each other or route_api.
    """
    api = str(params.get("route_api") or "auto")
    named = [option for option in _OBJECT_OPTIONS if params.get(option)]
    if len(named) > 1:
        raise InvalidInput(
            f"{' and '.join(named)} cannot be used together: with names a task edits one kind of object."
        )
    for option in named:
        known, _kind = _OBJECT_OPTIONS[option]
        if api not in ("auto", known):
            raise InvalidInput(f"{option} names objects of route_api: {known}, not of {api}. Leave one of them out.")
        return known
    return api


def api_of_routes(route_api: str) -> str:
    """Return the route_api by which a rollout's routes are read; by pods, those there may be besides."""
    return "auto" if route_api == "replicas" else route_api


_OBJECT_OPTIONS: t.Final = {
    "virtual_services": ("istio", ""),
    "http_routes": ("gateway", "HTTPRoute"),
    "grpc_routes": ("gateway", "GRPCRoute"),
}
"""Option that names objects -> their routing API, and their kind where the API has several."""


def missing(cluster: Cluster, service: ServiceRef) -> str:
    """Return a sentence if the namespace or the Service does not exist; empty if it does, or if that is not known."""
    if service.is_outside:
        return ""  # a VirtualService may have any host; its destinations are looked up
    try:
        if cluster.get(kinds.SERVICE, service.namespace, service.name) is not None:
            return ""
    except ApiError:
        return ""
    try:
        if cluster.get(kinds.NAMESPACE, None, service.namespace) is None:
            return f"There is no namespace {service.namespace}. Check with: kubectl get namespaces."
    except ApiError:  # such as a missing right to read namespaces
        pass
    return (
        f"There is no Service {service.name} in namespace {service.namespace}. "
        f"Check with: kubectl -n {service.namespace} get services."
    )


class Reader:
    """Reads the lists a decision needs, each once.

    wide: read all namespaces where objects can affect the service, if allowed. also: further namespaces.
    notes: what could not be read and what that means. Raises ApiError where reading fails for another reason.
    """

    def __init__(self, cluster: Cluster, service: ServiceRef, *, wide: bool, also: Iterable[str] = ()) -> None:
        self._cluster = cluster
        self._service = service
        self._wide = wide
        self._namespaces = list(dict.fromkeys((service.namespace, *also)))
        self._lists: dict[str, tuple[Object, ...]] = {}
        self._ignored: dict[str, tuple[Object, ...]] = {}
        self._known_revisions: frozenset[str] | None = None
        self.missing_apis: set[str] = set()
        self.notes: list[str] = []

    def snapshot(self, plurals: Iterable[str] = (), *, if_allowed: bool = False) -> Snapshot:
        """Return a snapshot with at least these lists; what was read before is not read again.

        if_allowed: a list that the user may not read is left out (None: not read) instead of raising.
        """
        wanted = [plural for plural in dict.fromkeys(plurals) if plural not in self._lists]
        for plural, found in in_parallel(self._read, wanted, 1 if len(wanted) <= FEW_LISTS else 2):
            if not isinstance(found, ApiError):
                self._lists[plural] = found
            elif not (if_allowed and found.status == 403):
                raise found
        return Snapshot(**self._lists, ignored=tuple(one for found in self._ignored.values() for one in found))

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
            except NoRoutes as error:
                error.msg = " ".join(part for part in (missing(self._cluster, self._service), error.msg) if part)
                raise

    def _read(self, plural: str) -> tuple[Object, ...]:
        found: dict[tuple[str, ...], Object] = {}
        for resource in RESOURCES[plural]:
            for obj in self._read_kind(resource, plural):
                found.setdefault((resource.qualified, *identity(obj)), obj)
        objects = tuple(found.values())
        if plural not in _CLUSTER_WIDE or not any(REVISION in labels_of(one) for one in objects):
            return objects
        running = self._revisions()
        read = tuple(one for one in objects if not running or labels_of(one).get(REVISION, "") in {"", *running})
        self._ignored[plural] = tuple(one for one in objects if one not in read)
        return read

    def _revisions(self) -> frozenset[str]:
        """Return the revisions of the istiods that run; empty where that is not known: then nothing is left out.

        An istiod compares the label with its own revision, literally (pkg/config/model.go, LabelsInRevision).
        """
        if self._known_revisions is None:
            unknown = f"Whether istiod reads objects labeled {REVISION} is not known: "
            try:
                pods = self._cluster.list(kinds.POD, self._service.root_namespace, label_selector="app=istiod")
            except ApiError as error:
                pods = []
                self.notes.append(f"{unknown}{error.msg}")
            revisions = {labels_of(pod).get(REVISION, "") for pod in pods if is_alive(pod)}
            self._known_revisions = frozenset() if "" in revisions else frozenset(revisions)
        return self._known_revisions

    def _read_kind(self, resource: kinds.Resource, plural: str) -> list[Object]:
        try:
            if resource is kinds.NAMESPACE:
                found = (self._cluster.get(resource, None, name) for name in self._namespaces)
                return [{"apiVersion": "v1", "kind": "Namespace", **one} for one in found if one]
            if self._wide and plural in _CLUSTER_WIDE:
                return self._everywhere(resource)
            return self._where_named(resource)
        except ApiError as error:
            if plural in _OF_OTHER_APIS and error.status == 404:
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
            f"Not allowed to list {resource.qualified} in all namespaces: those of other namespaces for "
            f"{self._service.fqdn} were not read."
        )
        return self._where_named(resource)

    def _where_named(self, resource: kinds.Resource) -> list[Object]:
        return [obj for namespace in self._namespaces for obj in self._cluster.list(resource, namespace)]
