# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The routes istiod makes of a VirtualService for one proxy. Pure.

Follows BuildHTTPRoutesForVirtualService and mergeHTTPRoute (pilot/pkg/networking/core/route/route.go,
pilot/pkg/model/virtualservice.go).
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from fractions import Fraction

from ..istio.delegation import merged_match
from ..istio.destinations import entry_shares
from ..istio.find import mesh_claimants, roots_of
from ..istio.waypoints import may_apply
from ..objects.hosts import MESH, by_precedence, expand, gateways_of, is_for_mesh, resolve_gateway
from ..objects.matches import match_text
from ..objects.metadata import full_name, identity

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..objects.hosts import ServiceRef
    from ..objects.matches import Block
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot

Shares = dict[tuple[str, str], Fraction]


@dataclass(frozen=True)
class RoutedService:
    """A service and the objects that route it, as proxies should apply them. objects: of one kind, all in snapshot."""

    service: ServiceRef
    snapshot: Snapshot
    objects: Sequence[Object] = ()


@dataclass(frozen=True)
class ProxyAttributes:
    """The attributes of a proxy on which its routes depend. None is "not known".

    namespace, labels: of its pod. gateways: for a gateway the Gateways (`namespace/name`) it serves; () for a sidecar
    and a waypoint.
    """

    namespace: str | None = None
    labels: Mapping[str, str] | None = None
    gateways: tuple[str, ...] | None = ()
    is_waypoint: bool = False

    @property
    def is_for_mesh(self) -> bool:
        """Return whether the proxy serves no Gateway: a sidecar, or a waypoint."""
        return self.gateways == ()


@dataclass(frozen=True)
class Expected:
    """A route the proxy should have. optional: it depends on an unknown attribute of the proxy."""

    name: str
    conditions: frozenset[tuple[str, ...]]
    shares: Shares
    words: str
    optional: bool


def is_expected(owner: Object, service: ServiceRef, snapshot: Snapshot, proxy: ProxyAttributes) -> bool:
    """Return whether the proxy should have routes of the VirtualService (one with hosts, see `owners`)."""
    if proxy.gateways:
        return bool(set(proxy.gateways) & set(gateways_of(owner)))
    if not is_for_mesh(owner):
        return False
    if proxy.is_waypoint:  # it applies every VirtualService of the host, one after the other
        return _is_of_host(owner, service) and may_apply(owner, service, proxy.namespace or service.namespace)
    claimants = mesh_claimants(snapshot.need("virtual_services"), service)
    if owner not in claimants or proxy.namespace is None:
        return True
    return by_precedence(claimants, proxy.namespace)[:1] == [owner]


def _is_of_host(owner: Object, service: ServiceRef) -> bool:
    """Return whether one of the hosts is the service, also by a wildcard."""
    namespace, _name = identity(owner)
    return any(service.covered_by(str(host), namespace) for host in (owner.get("spec") or {}).get("hosts") or ())


def owners(obj: Object, snapshot: Snapshot) -> list[Object]:
    """Return the VirtualServices whose routes istiod marks with their name: itself, or a delegate's roots."""
    if (obj.get("spec") or {}).get("hosts"):
        return [obj]
    return roots_of(obj, snapshot)


def expected_routes(obj: Object, snapshot: Snapshot, proxy: ProxyAttributes, domain: str) -> Iterator[Expected]:
    """Yield the routes istiod sends, in order, up to the first that takes every request."""
    for namespace, route in _with_delegates(obj, snapshot):
        shares = _shares(route, namespace, domain, full_name(obj))
        for block in route.get("match") or [{}]:
            fits = _fits(block or {}, identity(obj)[0], proxy)
            if fits is False:
                continue
            name = str(route.get("name") or "")
            if (block or {}).get("name"):
                name = f"{name}.{block['name']}"
            conditions = frozenset(_conditions(block or {}))
            yield Expected(name, conditions, shares, match_text([block or {}]), optional=fits is None)
            if fits and not conditions - {("path", "regex", ".*")}:
                return


def _with_delegates(obj: Object, snapshot: Snapshot) -> Iterator[tuple[str, Object]]:
    own, _name = identity(obj)
    for route in (obj.get("spec") or {}).get("http") or ():
        target = route.get("delegate") or {}
        if not target.get("name"):
            yield own, route
            continue
        delegate_id = (str(target.get("namespace") or own), str(target["name"]))
        for delegate in snapshot.need("virtual_services"):
            if identity(delegate) == delegate_id:
                merged = (_merged(route, inner) for inner in (delegate.get("spec") or {}).get("http") or ())
                yield from ((delegate_id[0], one) for one in merged if one is not None)


def _merged(root: Object, inner: Object) -> Object | None:
    match = merged_match(root.get("match") or [], inner.get("match") or [])
    name = "-".join(str(one["name"]) for one in (root, inner) if one.get("name"))
    return None if match is None else {**inner, "name": name, "match": match}


def _shares(route: Object, namespace: str, domain: str, where: str) -> Shares:
    entries = route.get("route") or []
    shares: Shares = {}
    for entry, share in zip(entries, entry_shares(entries, where), strict=True):
        destination = entry.get("destination") or {}
        key = (expand(str(destination.get("host") or ""), namespace, domain), str(destination.get("subset") or ""))
        if share:
            shares[key] = shares.get(key, Fraction(0)) + share
    return shares


def _fits(block: Block, namespace: str, proxy: ProxyAttributes) -> bool | None:
    """Return whether istiod sends the block to the proxy, None if that depends on an unknown attribute."""
    known: bool | None = None if block.get("port") else True
    if block.get("gateways"):
        if proxy.gateways is None:
            return None
        listed = {resolve_gateway(str(one), namespace) for one in block["gateways"]}
        return known if listed & set(proxy.gateways or (MESH,)) else False
    if block.get("sourceLabels") and proxy.is_waypoint:
        return False
    for name, value in (block.get("sourceLabels") or {}).items():
        if proxy.labels is None:
            known = None
        elif proxy.labels.get(name) != value:
            return False
    if block.get("sourceNamespace"):
        if proxy.namespace is None:
            known = None
        elif proxy.namespace != block["sourceNamespace"]:
            return False
    return known


def _conditions(block: Block) -> Iterator[tuple[str, ...]]:
    for kind, value in (block.get("uri") or {}).items():
        if (kind, value) != ("prefix", "/"):
            yield ("path", kind, str(value))
    for field in ("method", "authority", "scheme"):
        if block.get(field):
            yield ("header", f":{field}", *_matcher(block[field]), "")
    for name, condition in (block.get("headers") or {}).items():
        if not name.startswith("@"):
            yield ("header", name.lower(), *_matcher(condition), "")
    for name, condition in (block.get("withoutHeaders") or {}).items():
        if not name.startswith("@"):
            yield ("header", name.lower(), *_matcher(condition), "not")
    for name, condition in (block.get("queryParams") or {}).items():
        yield ("query", name, *_matcher(condition))


def _matcher(condition: Block | None) -> tuple[str, str]:
    for kind in ("exact", "prefix", "regex"):
        if kind in (condition or {}):
            value = str((condition or {})[kind])
            return ("present", "") if (kind, value) == ("regex", "*") else (kind, value)
    return "present", ""


def expected_l4(obj: Object, domain: str) -> list[Shares]:
    """Return the shares of the tcp and tls routes."""
    namespace, _name = identity(obj)
    spec = obj.get("spec") or {}
    return [
        _shares(route, namespace, domain, full_name(obj))
        for protocol in ("tcp", "tls")
        for route in spec.get(protocol) or ()
    ]
