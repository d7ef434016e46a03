# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a proxy holds of HTTPRoutes, read from Envoy's config dump, against what it should hold. Pure.

istiod turns an HTTPRoute into routes that are called as the rule, or NAMESPACE.HTTPROUTE.INDEX if the rule has no name
(seen on Istio 1.31; pilot/pkg/config/kube/gateway/conversion.go). Compared are, for each name, the shares of the
backends: a rule with several matches is several routes of one name, and istiod sorts them itself.
"""

from __future__ import annotations

import re
import typing as t
from fractions import Fraction

from .envoy import route_names, routes_of
from .snapshot import identity, label

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .envoy import Dump
    from .expected import Shares
    from .snapshot import Object


def holds(dump: Dump, http_routes: Sequence[Object], domain: str = "cluster.local") -> list[str]:
    """Return what the proxy is still missing of these HTTPRoutes, a sentence each; empty when converged.

    dump: /config_dump with resource=dynamic_route_configs. A dump without any route configuration is never taken for
    converged, nor is a proxy without any route of one of them: ask `serves` first which proxies are concerned.
    """
    if not route_names(dump):
        return ["The proxy's routes could not be read: its config dump has none."]
    missing: list[str] = []
    for http_route in http_routes:
        missing += _missing(dump, http_route, domain)
    return missing


def serves(dump: Dump, http_route: Object) -> bool:
    """Return whether the proxy has any route of the HTTPRoute, whatever its shares."""
    return bool(_held(dump, http_route))


def _missing(dump: Dump, http_route: Object, domain: str) -> Iterator[str]:
    wanted = _wanted(http_route, domain)
    held = _held(dump, http_route)
    if not held and wanted:
        yield f"{label(http_route)}: the proxy has no route of it yet"
    for place, routes in held.items():
        seen = {name for name, _shares in routes}
        for name, shares in routes:
            if name not in wanted:
                yield f"{label(http_route)} on {place}: still has {name} with {_shown(shares)}"
            elif shares != wanted[name]:
                yield f"{label(http_route)} on {place}: {name} has {_shown(shares)}, not {_shown(wanted[name])} yet"
        for name in wanted.keys() - seen:
            yield f"{label(http_route)} on {place}: does not have {name} with {_shown(wanted[name])} yet"


def _wanted(http_route: Object, domain: str) -> dict[str, Shares]:
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


def _held(dump: Dump, http_route: Object) -> dict[str, list[tuple[str, Shares]]]:
    """Return domain -> (name, shares) of the routes made of the HTTPRoute, in the proxy's order."""
    namespace, name = identity(http_route)
    numbered = re.compile(rf"{re.escape(f'{namespace}.{name}.')}\d+")
    rules = (http_route.get("spec") or {}).get("rules") or ()
    named = {str(rule["name"]) for rule in rules if rule.get("name")}
    backends = {str(ref.get("name")) for rule in rules for ref in rule.get("backendRefs") or ()}
    found: dict[str, list[tuple[str, Shares]]] = {}
    for route in routes_of(dump):
        generated = route.owner is not None and "~" in route.owner[1]  # which no name of an object may have
        # Another HTTPRoute's rule may have the same name; it is ours if it sends to nobody else.
        ours = route.name in named and {host.split(".")[0] for host, _subset in route.shares} <= backends
        if generated and (numbered.fullmatch(route.name) or ours):
            shares = {key: share for key, share in route.shares.items() if share}
            found.setdefault(route.domain, []).append((route.name, shares))
    return found


def _shown(shares: Shares) -> str:
    parts = (f"{host.split('.')[0]} {float(share) * 100:g}%" for (host, _subset), share in sorted(shares.items()))
    return ", ".join(parts) or "no backend"
