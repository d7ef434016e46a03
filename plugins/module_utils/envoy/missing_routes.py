# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compares a proxy's routes, read from Envoy's config dump, with the expected ones of VirtualServices. Pure.

istiod marks every route with the object it was made of, so a proxy's routes are compared with those that istiod makes
of that object (pilot/pkg/networking/core/route/route.go).
"""

from __future__ import annotations

import typing as t

from ..istio.service_version_planner import find_objects, version_hosts
from ..objects.hosts import MESH, gateways_of, is_for_mesh
from ..objects.metadata import full_name, identity
from .config_dump import route_names, routes_of, tcp_proxies
from .expected_routes import Expected, ProxyAttributes, Shares, expected_l4, expected_routes, is_expected, owners

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from ..objects.hosts import ServiceRef
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot
    from .config_dump import Dump, EnvoyRoute
    from .expected_routes import RoutedService


def dump_resources(routed: RoutedService) -> list[str]:
    """Return which parts of the config dump `missing_routes` needs: `resource=` values of /config_dump."""
    has_l4 = any(obj["spec"].get(protocol) for obj in _objects(routed) for protocol in ("tcp", "tls"))
    return ["dynamic_route_configs", "dynamic_listeners"] if has_l4 else ["dynamic_route_configs"]


def bound_gateways(routed: RoutedService) -> set[str]:
    """Return the Gateways (`namespace/name`) through which the service's routes are reached."""
    return {gateway for root in _roots(routed) for gateway in gateways_of(root)} - {MESH}


def reaches_sidecars(routed: RoutedService) -> bool:
    """Return whether sidecars may have the routes; True also where there are none yet, or no more."""
    roots = _roots(routed)
    return not roots or any(map(is_for_mesh, roots))


def applies(routed: RoutedService, proxy: ProxyAttributes) -> bool:
    """Return whether the proxy should have a route of the objects: another object may claim the host for it."""
    roots = _roots(routed)
    return not roots or any(is_expected(one, routed.service, routed.snapshot, proxy) for one in roots)


def _objects(routed: RoutedService) -> list[Object]:
    """Return the objects that the task is about; where it is not limited to some, all that route the service."""
    return list(routed.objects) or find_objects(routed.snapshot, routed.service)


def hosts(routed: RoutedService) -> frozenset[str]:
    """Return the hosts of the service and of its versions that are Services."""
    return version_hosts(routed.service, [*_objects(routed), *_roots(routed)])


def _roots(routed: RoutedService) -> list[Object]:
    return [root for one in _objects(routed) for root in owners(one, routed.snapshot)]


def missing_routes(dump: Dump, routed: RoutedService, proxy: ProxyAttributes | None = None) -> list[str]:
    """Return what the proxy still lacks of the service's routes, a sentence each; empty when converged.

    dump: /config_dump, whole or with the parts of `dump_resources`. proxy: unknown attributes do not count.
    A route is compared by its position, its conditions and the share of every destination; routes that should
    be gone count as missing. A dump without any route configuration is never taken for converged.
    """
    service, snapshot = routed.service, routed.snapshot
    found = list(routes_of(dump))
    if not found and not route_names(dump):
        return ["The proxy's routes could not be read: its config dump has none."]
    proxy = proxy or ProxyAttributes()
    missing: list[str] = []
    expected_owners: dict[tuple[str, str], Object] = {}
    for obj in _objects(routed):
        # A root and its delegates are one set of routes under the root's name.
        for owner in owners(obj, snapshot):
            if is_expected(owner, service, snapshot, proxy):
                expected_owners[identity(owner)] = owner
    wanted = hosts(routed)
    for owner in expected_owners.values():
        missing += _compare(owner, found, routed, wanted, proxy)
        missing += _compare_l4(owner, dump, routed, wanted)
    return missing + list(_stale_routes(found, service, snapshot))


def _compare(
    owner: Object,
    found: Sequence[EnvoyRoute],
    routed: RoutedService,
    wanted: frozenset[str],
    proxy: ProxyAttributes,
) -> Iterator[str]:
    expected = [
        one
        for one in expected_routes(owner, routed.snapshot, proxy, routed.service.domain)
        if _sends_to(one.shares, wanted)
    ]
    by_domain: dict[str, list[EnvoyRoute]] = {}
    for route in found:
        if route.owner == identity(owner):
            by_domain.setdefault(route.domain, []).append(route)
    if not by_domain and any(not one.optional for one in expected):
        yield f"{full_name(owner)}: the proxy has no route of it yet"
    for domain, routes in by_domain.items():
        for problem in _differences(expected, [route for route in routes if _sends_to(route.shares, wanted)]):
            yield f"{full_name(owner)} on {domain}: {problem}"


def _differences(expected: Sequence[Expected], found: Sequence[EnvoyRoute]) -> Iterator[str]:
    position = 0
    seen: set[int] = set()
    for route in found:
        match = next((i for i in range(position, len(expected)) if _is_equal(expected[i], route)), None)
        if match is None:
            yield f"still has {route.name or 'a route'} with {_shares_text(route.shares)}"
            continue
        seen.add(match)
        position = match + 1
    for index, one in enumerate(expected):
        if index not in seen and not one.optional:
            yield f"does not have {one.name or 'the route'} for {one.words} with {_shares_text(one.shares)} yet"


def _is_equal(expected: Expected, found: EnvoyRoute) -> bool:
    return expected.name == found.name and expected.shares == found.shares and expected.conditions == found.conditions


def _sends_to(shares: Shares, hosts: Collection[str]) -> bool:
    return any(host in hosts for host, _subset in shares)


def _shares_text(shares: Shares) -> str:
    return ", ".join(f"{subset or host} {float(share) * 100:g}%" for (host, subset), share in sorted(shares.items()))


def _stale_routes(found: Sequence[EnvoyRoute], service: ServiceRef, snapshot: Snapshot) -> Iterator[str]:
    """Yield the routes of deleted objects. Namespaces that were not read are left out."""
    known = {identity(one) for one in snapshot.need("virtual_services")}
    read = {service.namespace, *(namespace for namespace, _name in known)}
    owners_found = {route.owner for route in found if route.owner and _sends_to(route.shares, {service.fqdn})}
    for namespace, name in sorted(owners_found - known):
        if namespace in read:
            yield f"VirtualService {namespace}/{name}: the proxy still has its routes, although it was deleted"


def _compare_l4(obj: Object, dump: Dump, routed: RoutedService, wanted: frozenset[str]) -> Iterator[str]:
    expected = [shares for shares in expected_l4(obj, routed.service.domain) if _sends_to(shares, wanted)]
    if not expected:
        return
    found = [shares for shares in tcp_proxies(dump) if _sends_to(shares, wanted)]
    for shares in expected:
        if shares not in found:
            yield f"{full_name(obj)}: no TCP listener with {_shares_text(shares)} yet"
    for shares in found:
        if shares not in expected and any(subset for _host, subset in shares):
            yield f"{full_name(obj)}: a TCP listener still has {_shares_text(shares)}"
