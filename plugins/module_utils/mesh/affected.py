# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which proxies can apply a service's routes: every sidecar, its waypoint's, and those of gateways it is bound to."""

from __future__ import annotations

import functools
import typing as t
from dataclasses import dataclass, field

from ..envoy.config_dump import waypoint_hosts
from ..envoy.expected_routes import ProxyAttributes
from ..errors import ApiError
from ..istio.waypoints import working
from ..kube.resources import ISTIO_GATEWAY, POD
from ..objects.metadata import full_name, identity
from ..objects.pods import is_waypoint
from ..routing.kinds import GatewaysBySelector
from .proxies import LISTENERS, WAYPOINT_LISTENER, Proxies, Proxy, in_parallel

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..envoy.expected_routes import RoutedService
    from ..kube.client import Cluster
    from ..objects.hosts import ServiceRef
    from ..objects.metadata import Object
    from ..routing.kinds import RouteKind

TRIES: t.Final = 3


@dataclass
class Affected:
    """The proxies to read, each with what is known of it, and what could not be found out."""

    proxies: dict[Proxy, ProxyAttributes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def find(cluster: Cluster, client: Proxies, kind: RouteKind, before: RoutedService, after: RoutedService) -> Affected:
    """Return the proxies that apply the service's routes of this kind, before or after a change.

    Asks istiod for them; without the right to, it takes the sidecars of the service's namespace.
    """
    found, routers, waypoints = _candidates(cluster, client, after.service)
    if kind.reaches_sidecars(after) or kind.reaches_sidecars(before):
        _add_waypoints(client, waypoints, after, found)
    else:
        found.proxies.clear()
    lookup = kind.gateway_proxies
    if isinstance(lookup, GatewaysBySelector):
        _add_selected(cluster, routers, lookup.bound(before) | lookup.bound(after), found)
    else:
        _add_holding(client, routers, lookup.attached(after), lookup.holds, found)
    return found


def _add_selected(cluster: Cluster, routers: list[Proxy], bound: set[str], found: Affected) -> None:
    """Add the gateway proxies that one of the Gateways `bound` selects."""
    if routers and bound:
        try:
            found.proxies.update(_gateways(cluster, routers, bound))
        except ApiError as error:
            found.notes.append(f"The gateways {', '.join(sorted(bound))} were not read: {error.msg}")


def _add_holding(
    client: Proxies,
    routers: list[Proxy],
    attached: list[Object],
    holds: Callable[[Mapping[str, t.Any], Object], bool],
    found: Affected,
) -> None:
    """Add the gateway proxies that hold a route of one of the objects."""
    dumps: dict[Proxy, dict[str, t.Any]] = {}
    for router, dump in in_parallel(client.config_dump, routers if attached else ()):
        if isinstance(dump, ApiError):
            found.notes.append(f"The gateway {router} was not read: {dump.msg}")
        else:
            dumps[router] = dump
    for obj in attached:
        holding = [router for router, dump in dumps.items() if holds(dump, obj)]
        if not holding:
            found.notes.append(f"No gateway proxy has routes of {full_name(obj)}.")
        found.proxies.update({router: ProxyAttributes(router.namespace, gateways=None) for router in holding})


def _add_waypoints(client: Proxies, waypoints: list[Proxy], after: RoutedService, found: Affected) -> None:
    """Add the waypoints that handle the service's requests, as their own configuration says.

    A waypoint that the service names without effect yet is no proxy of it; that is said if the objects are known.
    """
    serving = []
    read = functools.partial(client.config_dump, kinds=(LISTENERS,), name_pattern=WAYPOINT_LISTENER)
    for proxy, dump in in_parallel(read, waypoints):
        if isinstance(dump, ApiError):
            found.notes.append(f"The waypoint {proxy} was not read: {dump.msg}")
        elif after.service.fqdn in waypoint_hosts(dump):
            serving.append(proxy)
    found.proxies.update({proxy: ProxyAttributes(proxy.namespace, is_waypoint=True) for proxy in serving})
    named = working(after.snapshot, after.service)
    if named is not None and not serving:
        found.notes.append(f"No proxy of the waypoint {named} handles requests to {after.service.name}.")


def sample(proxies: Sequence[Proxy], size: int) -> list[Proxy]:
    """Return all gateways and waypoints, for they are few and carry much, and the first sidecars.

    size: how many in all, 0 for everybody.
    """
    if size <= 0 or len(proxies) <= size:
        return list(proxies)
    shared = [proxy for proxy in proxies if not proxy.is_sidecar]
    sidecars = [proxy for proxy in proxies if proxy.is_sidecar]
    return shared + sidecars[: max(size - len(shared), 1)]


def _candidates(cluster: Cluster, client: Proxies, service: ServiceRef) -> tuple[Affected, list[Proxy], list[Proxy]]:
    """Return all sidecars as concerned, and the gateways and the waypoints to choose from."""
    found = Affected()
    try:
        connected = _connected(client)
    except ApiError as error:
        found.notes.append(f"The list of proxies could not be read from istiod: {error.msg}")
        found.notes.append(
            f"Only sidecars and waypoints in {service.namespace} were read, no gateways and no callers in other "
            "namespaces."
        )
        connected = _sidecars_and_waypoints(cluster, service.namespace, found)
    found.proxies = {proxy: ProxyAttributes(proxy.namespace) for proxy in connected if proxy.is_sidecar}
    routers, waypoints = ([one for one in connected if getattr(one, kind)] for kind in ("is_gateway", "is_waypoint"))
    return found, routers, waypoints


def _connected(client: Proxies) -> list[Proxy]:
    """Ask again if istiod does not answer: without its list there is less evidence. A missing right stays missing."""
    for _again in range(TRIES - 1):
        try:
            return client.connected()
        except ApiError as error:
            if error.details.get("reason") != "portforward":
                raise
    return client.connected()


def _sidecars_and_waypoints(cluster: Cluster, namespace: str, found: Affected) -> list[Proxy]:
    try:
        pods = cluster.list(POD, namespace)
    except ApiError as error:
        found.notes.append(f"The pods of {namespace} could not be listed: {error.msg}")
        return []
    return sorted(
        Proxy(namespace, pod["metadata"]["name"], is_waypoint=is_waypoint(pod))
        for pod in pods
        if _has_running_proxy(pod)
    )


def _has_running_proxy(pod: dict[str, t.Any]) -> bool:
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    names = {one.get("name") for key in ("containers", "initContainers") for one in spec.get(key) or ()}
    return "istio-proxy" in names and status.get("phase") == "Running"


def _gateways(cluster: Cluster, routers: list[Proxy], bound: set[str]) -> dict[Proxy, ProxyAttributes]:
    """Return the gateway proxies that serve one of the bound Gateways; a Gateway selects its pods by label."""
    selectors: dict[str, dict[str, str]] = {}
    for namespace in sorted({name.split("/")[0] for name in bound}):
        for one in cluster.list(ISTIO_GATEWAY, namespace):
            selectors["/".join(identity(one))] = (one.get("spec") or {}).get("selector") or {}
    labels: dict[Proxy, dict[str, str]] = {}
    for namespace in sorted({proxy.namespace for proxy in routers}):
        for pod in cluster.list(POD, namespace):
            labels[Proxy(namespace, pod["metadata"]["name"], True)] = pod["metadata"].get("labels") or {}
    affected_proxies = {}
    for proxy in routers:
        own = labels.get(proxy, {})
        served = tuple(name for name, selector in selectors.items() if selector.items() <= own.items())
        if set(served) & bound:
            affected_proxies[proxy] = ProxyAttributes(proxy.namespace, own, served)
    return affected_proxies
