# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Converts a VirtualService whose versions are Services to one with subsets, and back. Pure.

`host: web-canary` becomes `host: web, subset: web-canary`, so one planner serves both. `short` keeps how the host was
written. Destinations that are subsets of the service already are not touched; neither is any other field.
"""

from __future__ import annotations

import copy
import functools
import typing as t
from dataclasses import dataclass

from ..objects import managed_state
from ..objects.hosts import ServiceRef, expand, is_host_of_service, is_outside, version_name
from ..objects.metadata import identity
from .route_keys import PROTOCOLS, is_managed

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from ..objects.managed_state import State
    from ..objects.metadata import Object
    from .route_keys import Route

    Destination = dict[str, t.Any]
    Convert = Callable[[Destination], Destination]

VERSIONS: t.Final = "versions"
"""The key of a service's state that lists its versions that are Services."""
SHORT: t.Final = "short"
"""The key of a converted destination that tells whether its host was a short name."""
EVERY_ROUTE: t.Final = "every_route"
"""The key of a service's state that is set where a command named the object, which has not the service's own host."""


@dataclass(frozen=True)
class ServiceVersions:
    """Which Services are versions of which service, in one VirtualService.

    owners: host of a version's Service -> host of the service. namespace: of the object, for short host names.
    whole: the services of which every route to a version is: the object has their own host, or a command names it.
    Of the others only routes that share requests among versions are: a route to one version may be its preview.
    named: those of them that a command names.
    """

    namespace: str
    domain: str
    owners: Mapping[str, str]
    whole: frozenset[str]
    named: frozenset[str] = frozenset()

    def read(self, virtual_service: Object) -> Object:
        """Return the VirtualService with subsets."""
        result = copy.deepcopy(virtual_service)
        spec = result.get("spec") or {}
        for protocol in PROTOCOLS:
            for route in spec.get(protocol) or ():
                _convert_route(route, functools.partial(self._to_subset, self._owners_in(route)))
        self._convert_state(result, functools.partial(self._to_subset, set(self.owners.values())))
        return result

    def write(self, virtual_service: Object) -> Object:
        """Return the VirtualService with Services as versions: the inverse of `read`."""
        result = copy.deepcopy(virtual_service)
        spec = result.get("spec") or {}
        for protocol in PROTOCOLS:
            for route in spec.get(protocol) or ():
                _convert_route(route, self._to_service)
        self._convert_state(result, self._to_service)
        state = managed_state.read(result)
        if state["services"]:
            services = {fqdn: self._to_keep(fqdn, service_state) for fqdn, service_state in state["services"].items()}
            managed_state.write(result, {**state, "services": services})
        return result

    def versions_of(self, fqdn: str) -> list[str]:
        """Return what is recorded of a service's versions: a Service's name, full where the service is outside."""
        hosts = (host for host, owner in self.owners.items() if owner == fqdn)
        return sorted(version_name(host) if is_host_of_service(fqdn) else host for host in hosts)

    def _to_keep(self, fqdn: str, service_state: State) -> State:
        """Return a service's state with what is needed to read the object again; {} for an empty state."""
        kept = {key: value for key, value in service_state.items() if key not in (VERSIONS, EVERY_ROUTE)}
        versions = self.versions_of(fqdn)
        if not kept or not versions:
            return kept
        return {**kept, VERSIONS: versions, **({EVERY_ROUTE: True} if fqdn in self.named else {})}

    def _owners_in(self, route: Route) -> set[str]:
        """Return the services whose versions the route's destinations are."""
        if is_managed(route):
            return set(self.owners.values())
        hosts = {self._host(one) for one in (*destinations_of(route), *mirrors_of(route))}
        found: dict[str, set[str]] = {}
        for host in hosts & self.owners.keys():
            found.setdefault(self.owners[host], set()).add(host)
        return {
            owner for owner, versions in found.items() if owner in self.whole or owner in hosts or len(versions) > 1
        }

    def _host(self, destination: Destination) -> str:
        return expand(str(destination.get("host") or ""), self.namespace, self.domain)

    def _to_subset(self, hosts: set[str], destination: Destination) -> Destination:
        """Return the destination as a subset of its service, if that is one of `hosts`."""
        host = self._host(destination)
        owner = self.owners.get(host)
        if owner is None or owner not in hosts or destination.get("subset"):
            return destination
        rest = {key: value for key, value in destination.items() if key not in ("host", "subset")}
        return {
            "host": owner,
            "subset": version_name(host),
            SHORT: "." not in str(destination["host"]),
            **rest,
        }

    def _to_service(self, destination: Destination) -> Destination:
        """Write a version's Service in the manner of the destination that was its model: short or full, same port."""
        host = self._host(destination)
        name = str(destination.get("subset") or "")
        known = (one for one, owner in self.owners.items() if owner == host and version_name(one) == name)
        version = next(known, "")
        is_service = bool(version)
        if not is_service and SHORT not in destination:
            return destination
        rest = {key: value for key, value in destination.items() if key not in ("host", "subset", SHORT)}
        short = destination.get(SHORT, "." not in str(destination["host"]))
        target = version if is_service else host
        named = {"host": version_name(target) if short else target}
        return {**named, **({} if is_service else {"subset": name}), **rest}

    def _convert_state(self, virtual_service: Object, convert: Convert) -> None:
        if not has_state(virtual_service):
            return
        state = managed_state.read(virtual_service)
        for record in state["routes"].values():
            for side in record.values():
                _convert_route(side, convert)
        managed_state.write(virtual_service, state)


def has_state(virtual_service: Object) -> bool:
    """Return whether an earlier command wrote to the object, for whatever service."""
    return managed_state.ANNOTATION in ((virtual_service.get("metadata") or {}).get("annotations") or {})


def _convert_route(route: Route, convert: Convert) -> None:
    for entry in [*(route.get("route") or ()), *(route.get("mirrors") or ())]:
        if entry.get("destination"):
            entry["destination"] = convert(entry["destination"])
    if route.get("mirror"):
        route["mirror"] = convert(route["mirror"])


def destinations_of(route: Route) -> list[Destination]:
    """Return the destinations of a route, whatever their weight, without those of its mirrors."""
    return [entry["destination"] for entry in route.get("route") or () if entry.get("destination")]


def mirrors_of(route: Route) -> list[Destination]:
    """Return the destinations of a route's mirrors, whatever their percentage."""
    listed = [one["destination"] for one in route.get("mirrors") or () if one.get("destination")]
    return [*listed, route["mirror"]] if route.get("mirror") else listed


def all_destinations(virtual_service: Object) -> Iterator[Destination]:
    """Yield every destination of the object's routes, and of their mirrors."""
    spec = virtual_service.get("spec") or {}
    for route in (one for protocol in PROTOCOLS for one in spec.get(protocol) or ()):
        yield from (*destinations_of(route), *mirrors_of(route))


def recorded_for(virtual_service: Object, service: ServiceRef) -> frozenset[str]:
    """Return the service's versions that are Services, as the object's state lists them.

    The state of other services is not parsed: an unreadable one must not block changes of this service.
    """
    if not managed_state.has_state_for(virtual_service, service.fqdn):
        return frozenset()
    names = managed_state.read(virtual_service)["services"][service.fqdn].get(VERSIONS, ())
    return frozenset(map(version_name, names))


def recorded(virtual_service: Object) -> dict[str, frozenset[str]]:
    """Return service -> its versions that are Services or other hosts, as the object's state lists them."""
    if not has_state(virtual_service):
        return {}
    services = managed_state.read(virtual_service)["services"]
    return {
        fqdn: frozenset(map(version_name, state[VERSIONS])) for fqdn, state in services.items() if state.get(VERSIONS)
    }


def services_in(
    destinations: Iterable[Destination], service: ServiceRef, namespace: str, named: Collection[str] = ()
) -> frozenset[str]:
    """Return the Services of the service's namespace that are destinations as a whole, without a subset.

    Other hosts are versions where the service is such a host itself, and where they are named.
    """
    found = set()
    for one in destinations:
        name = service.version_of_host(expand(str(one.get("host") or ""), namespace, service.domain))
        if name and not one.get("subset") and (not is_outside(name) or service.is_outside or name in named):
            found.add(name)
    return frozenset(found)


def subsets_in(destinations: Iterable[Destination], service: ServiceRef, namespace: str) -> frozenset[str]:
    """Return the subsets of the service that are destinations."""
    return frozenset(
        str(one["subset"])
        for one in destinations
        if one.get("subset") and service.is_host(str(one.get("host") or ""), namespace)
    )


def takes_all_requests(route: Route) -> bool:
    """Return whether the route takes every request of a port or a gateway: it is the service's own."""
    for block in route.get("match") or [{}]:
        tests = {key: value for key, value in (block or {}).items() if key not in ("name", "port", "gateways")}
        if tests in ({}, {"uri": {"prefix": "/"}}, {"uri": {"regex": ".*"}}):
            return True
        if tests.keys() <= {"sniHosts", "destinationSubnets"}:
            return True
    return False


def versions_among(routes: Iterable[tuple[frozenset[str], bool]], named: frozenset[str]) -> frozenset[str]:
    """Return the Services that are versions: those named, and what a route for all requests sends to.

    routes: the Services that each sends to, and whether it takes all requests. Such a route is the service's own, so
    its destinations are versions, unless it sends to none of those named and another route does.
    """
    listed = list(routes)
    is_named = any(services & named for services, _all in listed)
    return named.union(*(services for services, every in listed if every and (services & named or not is_named)))


def object_versions(
    virtual_service: Object, service: ServiceRef, names: frozenset[str], *, own_host: bool, named: bool
) -> ServiceVersions:
    """Return the converter for a command about `service` whose versions are the Services `names`.

    own_host: whether the object has the service's own host, or is a delegate of one that has. named: whether a command
    names the object.
    """
    states = managed_state.read(virtual_service)["services"] if has_state(virtual_service) else {}
    owners: dict[str, str] = {}
    for fqdn, state in states.items():
        if fqdn != service.fqdn:
            owner = ServiceRef.from_fqdn(fqdn)
            owners.update({owner.sibling(name).fqdn: fqdn for name in state.get(VERSIONS, ())})
    owners.update({service.sibling(name).fqdn: service.fqdn for name in names})
    every = {fqdn for fqdn, state in states.items() if state.get(EVERY_ROUTE)} | ({service.fqdn} if named else set())
    namespace, _name = identity(virtual_service)
    hosts = {
        expand(str(one), namespace, service.domain) for one in (virtual_service.get("spec") or {}).get("hosts") or ()
    }
    whole = every | (hosts & set(owners.values())) | ({service.fqdn} if own_host else set())
    return ServiceVersions(namespace, service.domain, owners, frozenset(whole), frozenset(every))
