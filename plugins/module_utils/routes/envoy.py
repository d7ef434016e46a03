# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a proxy holds, read from Envoy's config dump, against what it should hold. Pure.

istiod marks every route with the object it was made of (metadata istio.config), so a proxy's routes can be compared
with the routes istiod makes of that object: pilot/pkg/networking/core/route/route.go is followed here.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass
from fractions import Fraction

from .expected import Expected, Proxy, Shares, expected_l4, expected_routes, is_expected, owners
from .find import Scope, targets
from .snapshot import identity, label

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .hosts import ServiceRef
    from .snapshot import Object, Snapshot

__all__ = ["Held", "Proxy", "healthy_endpoints", "holds", "resources_needed", "route_names", "routes_of"]

Dump = t.Mapping[str, t.Any]
_HEALTHY: t.Final = ("HEALTHY", "DEGRADED", "UNKNOWN")
_OWNER: t.Final = re.compile(r"/namespaces/([^/]+)/virtual-service/([^/]+)$")


@dataclass(frozen=True)
class Held:
    """One route of a proxy. shares: (host, subset) -> share; empty for redirects and the like."""

    domain: str
    name: str
    conditions: frozenset[tuple[str, ...]]
    shares: Shares
    owner: tuple[str, str] | None


def resources_needed(snapshot: Snapshot, service: ServiceRef) -> list[str]:
    """Return which parts of the config dump `holds` wants: `resource=` values of /config_dump."""
    spoken = [
        protocol
        for obj in targets(snapshot, service, Scope(), strict=False)
        for protocol in ("tcp", "tls")
        if obj["spec"].get(protocol)
    ]
    return ["dynamic_route_configs", "dynamic_listeners"] if spoken else ["dynamic_route_configs"]


def holds(dump: Dump, service: ServiceRef, snapshot: Snapshot, proxy: Proxy | None = None) -> list[str]:
    """Return what the proxy is still missing of the service's routes, a sentence each; empty when converged.

    dump: /config_dump, whole or with resource=dynamic_route_configs (see `resources_needed`).
    snapshot: the routing objects as they are now. proxy: whose dump it is; what is not known of it does not count.
    A route is compared by its place, its conditions and the share of every destination; routes that should be
    gone count as missing the change. A dump without any route configuration is never taken for converged.
    """
    held = list(routes_of(dump))
    if not held and not route_names(dump):
        return ["The proxy's routes could not be read: its config dump has none."]
    proxy = proxy or Proxy()
    missing: list[str] = []
    speaking: dict[tuple[str, str], Object] = {}
    for obj in targets(snapshot, service, Scope(), strict=False):
        # A root and its delegates are one set of routes under the root's name.
        for owner in owners(obj, snapshot):
            if is_expected(owner, service, snapshot, proxy):
                speaking[identity(owner)] = owner
    for owner in speaking.values():
        missing += _compare(owner, held, service, snapshot, proxy)
        missing += _compare_l4(owner, dump, service)
    return missing + list(_leftovers(held, service, snapshot))


def _compare(
    owner: Object, held: Sequence[Held], service: ServiceRef, snapshot: Snapshot, proxy: Proxy
) -> Iterator[str]:
    wanted = [one for one in expected_routes(owner, snapshot, proxy, service.domain) if _concerns(one.shares, service)]
    mine: dict[str, list[Held]] = {}
    for route in held:
        if route.owner == identity(owner):
            mine.setdefault(route.domain, []).append(route)
    if not mine and any(not one.optional for one in wanted):
        yield f"{label(owner)}: the proxy has no route of it yet"
    for domain, routes in mine.items():
        for problem in _differences(wanted, [route for route in routes if _concerns(route.shares, service)]):
            yield f"{label(owner)} on {domain}: {problem}"


def _differences(wanted: Sequence[Expected], found: Sequence[Held]) -> Iterator[str]:
    place = 0
    seen: set[int] = set()
    for route in found:
        match = next((i for i in range(place, len(wanted)) if _is(wanted[i], route)), None)
        if match is None:
            yield f"still has {route.name or 'a route'} with {_shown(route.shares)}"
            continue
        seen.add(match)
        place = match + 1
    for index, one in enumerate(wanted):
        if index not in seen and not one.optional:
            yield f"does not have {one.name or 'the route'} for {one.words} with {_shown(one.shares)} yet"


def _is(wanted: Expected, held: Held) -> bool:
    return wanted.name == held.name and wanted.shares == held.shares and wanted.conditions == held.conditions


def _concerns(shares: Shares, service: ServiceRef) -> bool:
    return any(host == service.fqdn for host, _subset in shares)


def _shown(shares: Shares) -> str:
    return ", ".join(f"{subset or host} {float(share) * 100:g}%" for (host, subset), share in sorted(shares.items()))


def _leftovers(held: Sequence[Held], service: ServiceRef, snapshot: Snapshot) -> Iterator[str]:
    """Yield what a proxy obeys although it was deleted; what lies in namespaces nobody read is none of our business."""
    known = {identity(one) for one in snapshot.need("virtual_services")}
    read = {service.namespace, *(namespace for namespace, _name in known)}
    obeyed = {route.owner for route in held if route.owner and _concerns(route.shares, service)}
    for namespace, name in sorted(obeyed - known):
        if namespace in read:
            yield f"VirtualService {namespace}/{name}: the proxy still obeys it, although it is gone"


def _compare_l4(obj: Object, dump: Dump, service: ServiceRef) -> Iterator[str]:
    wanted = expected_l4(obj, service)
    if not wanted:
        return
    found = [shares for shares in _tcp_proxies(dump) if _concerns(shares, service)]
    for shares in wanted:
        if shares not in found:
            yield f"{label(obj)}: no TCP listener with {_shown(shares)} yet"
    for shares in found:
        if shares not in wanted and any(subset for _host, subset in shares):
            yield f"{label(obj)}: a TCP listener still has {_shown(shares)}"


def routes_of(dump: Dump) -> Iterator[Held]:
    """Yield every route of the dump, in the order the proxy tries them."""
    for config in _route_configs(dump):
        for virtual_host in config.get("virtual_hosts") or ():
            domain = str((virtual_host.get("domains") or [virtual_host.get("name")])[0])
            for route in virtual_host.get("routes") or ():
                yield Held(
                    domain=f"{config.get('name')}/{domain}",
                    name=str(route.get("name") or ""),
                    conditions=frozenset(_conditions(route.get("match") or {})),
                    shares=_shares(route.get("route") or {}),
                    owner=_owner(route),
                )


def route_names(dump: Dump) -> list[str]:
    """Return the names of the route configurations in the dump, as /config_dump lists them."""
    return [str(config.get("name")) for config in _route_configs(dump)]


def _route_configs(dump: Dump) -> Iterator[Mapping[str, t.Any]]:
    for config in dump.get("configs") or ():
        if "route_config" in config:
            yield config["route_config"]
        for entry in config.get("dynamic_route_configs") or ():
            if entry.get("route_config"):
                yield entry["route_config"]


def _owner(route: Mapping[str, t.Any]) -> tuple[str, str] | None:
    istio = ((route.get("metadata") or {}).get("filter_metadata") or {}).get("istio") or {}
    found = _OWNER.search(str(istio.get("config") or ""))
    return (found[1], found[2]) if found else None


def _shares(action: Mapping[str, t.Any]) -> Shares:
    """Return the shares of the destinations of a route action or of a TCP proxy."""
    if action.get("cluster"):
        return {_destination(action["cluster"]): Fraction(1)}
    clusters = (action.get("weighted_clusters") or {}).get("clusters") or ()
    total = sum(int(cluster.get("weight") or 0) for cluster in clusters)
    shares: Shares = {}
    for cluster in clusters:
        key = _destination(cluster["name"])
        share = Fraction(int(cluster.get("weight") or 0), total) if total else Fraction(0)
        shares[key] = shares.get(key, Fraction(0)) + share
    return shares


def _destination(cluster: str) -> tuple[str, str]:
    parts = cluster.split("|")
    return (parts[3], parts[2]) if len(parts) == 4 else (cluster, "")


def _conditions(match: Mapping[str, t.Any]) -> Iterator[tuple[str, ...]]:
    for key, kind in (("path", "exact"), ("prefix", "prefix"), ("path_separated_prefix", "prefix")):
        if key in match and (key, match[key]) != ("prefix", "/"):
            yield ("path", kind, str(match[key]))
    if "safe_regex" in match:
        yield ("path", "regex", str(match["safe_regex"].get("regex")))
    for header in match.get("headers") or ():
        yield ("header", str(header["name"]).lower(), *_matcher(header), "not" if header.get("invert_match") else "")
    for parameter in match.get("query_parameters") or ():
        yield ("query", str(parameter["name"]), *_matcher(parameter))


def _matcher(matcher: Mapping[str, t.Any]) -> tuple[str, str]:
    for kind in ("exact", "prefix"):
        if kind in (matcher.get("string_match") or {}):
            return kind, str(matcher["string_match"][kind])
        if f"{kind}_match" in matcher:
            return kind, str(matcher[f"{kind}_match"])
    regex = (matcher.get("string_match") or {}).get("safe_regex") or matcher.get("safe_regex_match")
    if regex:
        return "regex", str(regex.get("regex"))
    # protobuf leaves an empty string out of its JSON.
    return ("exact", "") if "string_match" in matcher and "present_match" not in matcher else ("present", "")


def _tcp_proxies(dump: Dump) -> Iterator[Shares]:
    for config in dump.get("configs") or ():
        for listener in (config, *(config.get("dynamic_listeners") or ())):
            body = (listener.get("active_state") or {}).get("listener") or {}
            chains = [*(body.get("filter_chains") or ()), body.get("default_filter_chain") or {}]
            for chain in chains:
                for network_filter in chain.get("filters") or ():
                    typed = network_filter.get("typed_config") or {}
                    if str(typed.get("@type", "")).endswith("TcpProxy"):
                        yield _shares(typed)


def healthy_endpoints(dump: Dump) -> dict[tuple[str, str], int]:
    """Return (host, subset) -> healthy endpoints the proxy knows. dump: /config_dump of dynamic_endpoint_configs."""
    found: dict[tuple[str, str], int] = {}
    for assigned in (config["endpoint_config"] for config in dump.get("configs") or () if "endpoint_config" in config):
        place = _destination(str(assigned.get("cluster_name")))
        endpoints = [one for group in assigned.get("endpoints") or () for one in group.get("lb_endpoints") or ()]
        healthy = sum(one.get("health_status", "UNKNOWN") in _HEALTHY for one in endpoints)
        found[place] = max(found.get(place, 0), healthy)
    return found


def known_places(dump: Dump) -> dict[tuple[str, str], bool]:
    """Return (host, subset) -> whether istiod tells the proxy its endpoints, else it finds them by other ways (DNS).

    dump: /config_dump of dynamic_active_clusters.
    """
    clusters = [config.get("cluster") or {} for config in dump.get("configs") or ()]
    named = [one for one in clusters if str(one.get("name")).startswith("outbound|")]
    return {_destination(one["name"]): one.get("type") == "EDS" for one in named}
