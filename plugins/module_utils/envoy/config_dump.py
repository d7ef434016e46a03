# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a proxy has, read from Envoy's config dump: routes, TCP listeners, endpoints and clusters. Pure.

istiod marks every route with the object it was made of (metadata istio.config). A sidecar and a gateway have their
routes by name. A waypoint has those of a service in the listener main_internal, in a filter chain
`inbound-vip|PORT|http|HOST`; subset v2 is its cluster `inbound-vip|PORT|http/v2|HOST`.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass
from fractions import Fraction

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from .expected_routes import Shares

Dump = t.Mapping[str, t.Any]
_HEALTHY: t.Final = ("HEALTHY", "DEGRADED", "UNKNOWN")
_OF_WAYPOINT: t.Final = "inbound-vip|"
_DIRECT: t.Final = "direct-http"
"""The filter chain for requests to the address of a pod, which east-west gateways do not have."""
_OWNER: t.Final = re.compile(r"/namespaces/([^/]+)/virtual-service/([^/]+)$")


def check(dump: Dump, kind: str) -> None:
    """Read everything in the dump of one kind (`resource=`); what is not of Envoy's shape raises here and not later."""
    readers: dict[str, Callable[[Dump], t.Any]] = {
        "dynamic_route_configs": lambda dump: (list(routes_of(dump)), route_names(dump)),
        "dynamic_listeners": lambda dump: (list(tcp_proxies(dump)), list(routes_of(dump)), waypoint_hosts(dump)),
        "dynamic_endpoint_configs": healthy_endpoints,
        "dynamic_active_clusters": known_clusters,
    }
    if kind in readers:
        readers[kind](dump)


@dataclass(frozen=True)
class EnvoyRoute:
    """One route of a proxy. shares: (host, subset) -> share; empty for redirects and the like."""

    domain: str
    name: str
    conditions: frozenset[tuple[str, ...]]
    shares: Shares
    owner: tuple[str, str] | None


def routes_of(dump: Dump) -> Iterator[EnvoyRoute]:
    """Yield every route of the dump, in the order the proxy tries them."""
    for config in _route_configs(dump):
        for virtual_host in config.get("virtual_hosts") or ():
            domain = str((virtual_host.get("domains") or [virtual_host.get("name")])[0])
            for route in virtual_host.get("routes") or ():
                yield EnvoyRoute(
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
    for chain in _filter_chains(dump):
        if str(chain.get("name")).startswith(_OF_WAYPOINT):
            for typed in _typed_configs(chain, "HttpConnectionManager"):
                if typed.get("route_config"):
                    yield typed["route_config"]


def waypoint_hosts(dump: Dump) -> frozenset[str]:
    """Return the hosts of the services whose requests a waypoint handles; empty for other proxies.

    dump: /config_dump of dynamic_listeners.
    """
    names = [str(chain.get("name")) for chain in _filter_chains(dump)]
    served = (name.split("|") for name in names if name.startswith(_OF_WAYPOINT))
    return frozenset(parts[3] for parts in served if len(parts) == 4) if _DIRECT in names else frozenset()


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
    if len(parts) != 4:
        return cluster, ""
    subset = parts[2].partition("/")[2] if cluster.startswith(_OF_WAYPOINT) else parts[2]
    return parts[3], subset


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


def tcp_proxies(dump: Dump) -> Iterator[Shares]:
    """Yield the shares of every TCP proxy of the listeners in the dump."""
    for chain in _filter_chains(dump):
        for typed in _typed_configs(chain, "TcpProxy"):
            yield _shares(typed)


def _filter_chains(dump: Dump) -> Iterator[Mapping[str, t.Any]]:
    for config in dump.get("configs") or ():
        for listener in (config, *(config.get("dynamic_listeners") or ())):
            body = (listener.get("active_state") or {}).get("listener") or {}
            yield from (*(body.get("filter_chains") or ()), body.get("default_filter_chain") or {})


def _typed_configs(chain: Mapping[str, t.Any], kind: str) -> Iterator[Mapping[str, t.Any]]:
    """Yield the configurations of the chain's filters of one type."""
    for network_filter in chain.get("filters") or ():
        typed = network_filter.get("typed_config") or {}
        if str(typed.get("@type", "")).endswith(kind):
            yield typed


def healthy_endpoints(dump: Dump) -> dict[tuple[str, str], int]:
    """Return (host, subset) -> healthy endpoints the proxy knows. dump: /config_dump of dynamic_endpoint_configs."""
    found: dict[tuple[str, str], int] = {}
    for assigned in (config["endpoint_config"] for config in dump.get("configs") or () if "endpoint_config" in config):
        position = _destination(str(assigned.get("cluster_name")))
        endpoints = [one for group in assigned.get("endpoints") or () for one in group.get("lb_endpoints") or ()]
        healthy = sum(one.get("health_status", "UNKNOWN") in _HEALTHY for one in endpoints)
        found[position] = max(found.get(position, 0), healthy)
    return found


def known_clusters(dump: Dump) -> dict[tuple[str, str], bool]:
    """Return (host, subset) -> whether istiod tells the proxy its endpoints, else it finds them by other means (DNS).

    dump: /config_dump of dynamic_active_clusters.
    """
    return {_destination(one["name"]): one.get("type") == "EDS" for one in _outbound_clusters(dump)}


def passed_through(dump: Dump) -> set[tuple[str, str]]:
    """Return (host, subset) of the clusters whose requests go to the address that the caller has resolved.

    Weights choose among such clusters, and each of them sends the request to the same place. dump: see known_clusters.
    """
    return {_destination(one["name"]) for one in _outbound_clusters(dump) if one.get("type") == "ORIGINAL_DST"}


def _outbound_clusters(dump: Dump) -> list[Mapping[str, t.Any]]:
    clusters = [config.get("cluster") or {} for config in dump.get("configs") or ()]
    return [one for one in clusters if str(one.get("name")).startswith(("outbound|", _OF_WAYPOINT))]
