# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compares a proxy's routes, read from Envoy's config dump, with the expected ones of HTTPRoutes. Pure.

istiod turns an HTTPRoute into routes named as the rule, or NAMESPACE.HTTPROUTE.INDEX if the rule has no name
(names_found on Istio 1.31; pilot/pkg/config/kube/gateway/conversion.go). For each name, the shares of the backends are
compared: a rule with several matches is several routes of one name, and istiod sorts them itself.
"""

from __future__ import annotations

import re
import typing as t
from fractions import Fraction

from ..gateway_api.parents import parent_gateways, parent_services
from ..istio.waypoints import may_apply
from ..objects.metadata import full_name, identity
from .config_dump import route_names, routes_of

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..objects.metadata import Object
    from .config_dump import Dump
    from .expected_routes import ProxyAttributes, RoutedService, Shares


def dump_resources(_routed: RoutedService) -> list[str]:
    """Return which parts of the config dump `missing_routes` needs: `resource=` values of /config_dump."""
    return ["dynamic_route_configs"]


def reaches_sidecars(routed: RoutedService) -> bool:
    """Return whether one of the HTTPRoutes is attached to a Service."""
    return any(parent_services(one) for one in routed.objects)


def attached_to_gateways(routed: RoutedService) -> list[Object]:
    """Return the HTTPRoutes that are attached to Gateways."""
    return [one for one in routed.objects if parent_gateways(one)]


def missing_routes(dump: Dump, routed: RoutedService, proxy: ProxyAttributes | None = None) -> list[str]:
    """Return what the proxy still lacks of the HTTPRoutes, a sentence each; empty when converged.

    dump: /config_dump with resource=dynamic_route_configs. A dump without any route configuration is never taken for
    converged, nor is a proxy without any route of one of them. A sidecar (or no proxy given) and a waypoint are
    compared with the routes attached to Services, a gateway with those attached to Gateways.
    """
    if not route_names(dump):
        return ["The proxy's routes could not be read: its config dump has none."]
    attached = parent_services if proxy is None or proxy.is_for_mesh else parent_gateways
    missing: list[str] = []
    for http_route in routed.objects:
        if attached(http_route) and _reaches(http_route, routed, proxy):
            missing += _missing(dump, http_route, routed.service.domain)
    return missing


def applies(routed: RoutedService, proxy: ProxyAttributes) -> bool:
    """Return whether the proxy should have a route of the objects; a waypoint ignores those of other namespaces."""
    return not routed.objects or any(_reaches(one, routed, proxy) for one in routed.objects)


def _reaches(http_route: Object, routed: RoutedService, proxy: ProxyAttributes | None) -> bool:
    if proxy is None or not proxy.is_waypoint:
        return True
    return may_apply(http_route, routed.service, proxy.namespace or routed.service.namespace)


def holds(dump: Dump, http_route: Object) -> bool:
    """Return whether the proxy has any route of the HTTPRoute, whatever its shares."""
    return bool(_routes_by_domain(dump, http_route))


def _missing(dump: Dump, http_route: Object, domain: str) -> Iterator[str]:
    expected = _expected_shares(http_route, domain)
    found_routes = _routes_by_domain(dump, http_route)
    if not found_routes and expected:
        yield f"{full_name(http_route)}: the proxy has no route of it yet"
    for domain_name, routes in found_routes.items():
        names_found = {name for name, _shares in routes}
        for name, shares in routes:
            if name not in expected:
                yield f"{full_name(http_route)} on {domain_name}: still has {name} with {_shares_text(shares)}"
            elif shares != expected[name]:
                wanted = _shares_text(expected[name])
                yield f"{full_name(http_route)} on {domain_name}: {name} has {_shares_text(shares)}, not {wanted} yet"
        for name in expected.keys() - names_found:
            wanted = _shares_text(expected[name])
            yield f"{full_name(http_route)} on {domain_name}: does not have {name} with {wanted} yet"


def _expected_shares(http_route: Object, domain: str) -> dict[str, Shares]:
    """Return name -> the shares of its backends, by rule."""
    namespace, name = identity(http_route)
    rules = (http_route.get("spec") or {}).get("rules") or ()
    return {
        str(rule.get("name") or f"{namespace}.{name}.{index}"): _shares(rule, namespace, domain)
        for index, rule in enumerate(rules)
    }


def _shares(rule: dict[str, t.Any], namespace: str, domain: str) -> Shares:
    refs = [(ref, 1 if ref.get("weight") is None else int(ref["weight"])) for ref in rule.get("backendRefs") or ()]
    total = sum(weight for _ref, weight in refs)
    shares: Shares = {}
    for ref, weight in refs:
        if weight:
            key = (f"{ref.get('name')}.{ref.get('namespace') or namespace}.svc.{domain}", "")
            shares[key] = shares.get(key, Fraction(0)) + Fraction(weight, total)
    return shares


def _routes_by_domain(dump: Dump, http_route: Object) -> dict[str, list[tuple[str, Shares]]]:
    """Return domain -> (name, shares) of the routes made of the HTTPRoute, in the proxy's order."""
    namespace, name = identity(http_route)
    numbered = re.compile(rf"{re.escape(f'{namespace}.{name}.')}\d+")
    rules = (http_route.get("spec") or {}).get("rules") or ()
    named = {str(rule["name"]) for rule in rules if rule.get("name")}
    backends = {str(ref.get("name")) for rule in rules for ref in rule.get("backendRefs") or ()}
    found: dict[str, list[tuple[str, Shares]]] = {}
    for route in routes_of(dump):
        generated = route.owner is not None and "~" in route.owner[1]  # which no name of an object may have
        # Another HTTPRoute's rule may have the same name; it is this one's if it has no other backends.
        ours = route.name in named and {host.split(".")[0] for host, _subset in route.shares} <= backends
        if generated and (numbered.fullmatch(route.name) or ours):
            shares = {key: share for key, share in route.shares.items() if share}
            found.setdefault(route.domain, []).append((route.name, shares))
    return found


def _shares_text(shares: Shares) -> str:
    parts = (f"{host.split('.')[0]} {float(share) * 100:g}%" for (host, _subset), share in sorted(shares.items()))
    return ", ".join(parts) or "no backend"
