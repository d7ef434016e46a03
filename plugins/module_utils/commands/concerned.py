# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which proxies can obey a service's routes: every sidecar, and the gateways its VirtualServices are bound to."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..cluster_resources import ISTIO_GATEWAY, POD
from ..errors import ApiError
from ..proxies import Proxies, Proxy, in_parallel
from ..routes import envoy, envoy_gateway
from ..routes.expected import owners
from ..routes.find import Scope, targets
from ..routes.gateway_parents import gateways, parents
from ..routes.hosts import MESH, gateways_of
from ..routes.snapshot import identity, label

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..cluster import Cluster
    from ..routes.hosts import ServiceRef
    from ..routes.snapshot import Object, Snapshot

TRIES: t.Final = 3


@dataclass
class Concerned:
    """The proxies to read, each with what is known of it, and what could not be found out."""

    proxies: dict[Proxy, envoy.Proxy] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def find(cluster: Cluster, door: Proxies, service: ServiceRef, snapshots: Iterable[Snapshot]) -> Concerned:
    """Ask istiod for the proxies; without the right to, take the sidecars of the service's namespace."""
    found, routers = _candidates(cluster, door, service)
    bound = {gateway for snapshot in snapshots for gateway in _bound_gateways(service, snapshot)}
    if routers and bound:
        try:
            found.proxies.update(_gateways(cluster, routers, bound))
        except ApiError as error:
            found.notes.append(f"The gateways {', '.join(sorted(bound))} were not read: {error.msg}")
    return found


def find_for_http_routes(
    cluster: Cluster, door: Proxies, service: ServiceRef, http_routes: Sequence[Object]
) -> Concerned:
    """Return the sidecars if a route is attached to a Service, and the gateways that hold a route of one of them."""
    found, routers = _candidates(cluster, door, service)
    if not any(parents(one) for one in http_routes):
        found.proxies.clear()
    attached = [one for one in http_routes if gateways(one)]
    dumps: dict[Proxy, dict[str, t.Any]] = {}
    for router, dump in in_parallel(door.config_dump, routers if attached else ()):
        if isinstance(dump, ApiError):
            found.notes.append(f"The gateway {router} was not read: {dump.msg}")
        else:
            dumps[router] = dump
    for http_route in attached:
        serving = [router for router, dump in dumps.items() if envoy_gateway.serves(dump, http_route)]
        if not serving:
            found.notes.append(f"No gateway proxy was seen that holds routes of {label(http_route)}.")
        found.proxies.update({router: envoy.Proxy(router.namespace) for router in serving})
    return found


def sample(proxies: Sequence[Proxy], size: int) -> list[Proxy]:
    """Return all gateways, for they are few and carry much, and the first sidecars: `size` in all, 0 for everybody."""
    if size <= 0 or len(proxies) <= size:
        return list(proxies)
    routers = [proxy for proxy in proxies if proxy.is_gateway]
    sidecars = [proxy for proxy in proxies if not proxy.is_gateway]
    return routers + sidecars[: max(size - len(routers), 1)]


def _candidates(cluster: Cluster, door: Proxies, service: ServiceRef) -> tuple[Concerned, list[Proxy]]:
    """Return all sidecars as concerned, and the gateways to choose from."""
    found = Concerned()
    try:
        connected = _connected(door)
    except ApiError as error:
        found.notes.append(f"istiod could not be asked which proxies there are: {error.msg}")
        found.notes.append(f"Only sidecars of {service.namespace} were read, no gateway and no caller elsewhere.")
        connected = _sidecars(cluster, service.namespace, found)
    found.proxies = {proxy: envoy.Proxy(proxy.namespace) for proxy in connected if not proxy.is_gateway}
    return found, [proxy for proxy in connected if proxy.is_gateway]


def _connected(door: Proxies) -> list[Proxy]:
    """Ask again if istiod does not answer: without its list there is less evidence. A missing right stays missing."""
    for _again in range(TRIES - 1):
        try:
            return door.connected()
        except ApiError as error:
            if error.details.get("reason") != "portforward":
                raise
    return door.connected()


def _sidecars(cluster: Cluster, namespace: str, found: Concerned) -> list[Proxy]:
    try:
        pods = cluster.list(POD, namespace)
    except ApiError as error:
        found.notes.append(f"The pods of {namespace} could not be listed: {error.msg}")
        return []
    return sorted(Proxy(namespace, pod["metadata"]["name"]) for pod in pods if _has_running_sidecar(pod))


def _has_running_sidecar(pod: dict[str, t.Any]) -> bool:
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    names = {one.get("name") for key in ("containers", "initContainers") for one in spec.get(key) or ()}
    return "istio-proxy" in names and status.get("phase") == "Running"


def _bound_gateways(service: ServiceRef, snapshot: Snapshot) -> set[str]:
    """Return the Gateways (`namespace/name`) through which the service's routes are reached."""
    roots = [root for one in targets(snapshot, service, Scope()) for root in owners(one, snapshot)]
    return {gateway for root in roots for gateway in gateways_of(root)} - {MESH}


def _gateways(cluster: Cluster, routers: list[Proxy], bound: set[str]) -> dict[Proxy, envoy.Proxy]:
    """Return the gateway proxies that serve one of the bound Gateways; a Gateway selects its pods by label."""
    selectors: dict[str, dict[str, str]] = {}
    for namespace in sorted({name.split("/")[0] for name in bound}):
        for one in cluster.list(ISTIO_GATEWAY, namespace):
            selectors["/".join(identity(one))] = (one.get("spec") or {}).get("selector") or {}
    labels: dict[Proxy, dict[str, str]] = {}
    for namespace in sorted({proxy.namespace for proxy in routers}):
        for pod in cluster.list(POD, namespace):
            labels[Proxy(namespace, pod["metadata"]["name"], True)] = pod["metadata"].get("labels") or {}
    concerned = {}
    for proxy in routers:
        own = labels.get(proxy, {})
        served = tuple(name for name, selector in selectors.items() if selector.items() <= own.items())
        if set(served) & bound:
            concerned[proxy] = envoy.Proxy(proxy.namespace, own, served)
    return concerned
