# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kinds of routing objects, one row each: everything the other packages need to know of a kind. Pure.

A new kind is an adapter (planner, description, what a proxy lacks) and a row in ROUTE_KINDS. The first kind is
the default where none routes the service.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..envoy import missing_http_routes, missing_routes
from ..errors import InvalidInput
from ..gateway_api import http_route_adapter, http_route_planner, parents, route_matches
from ..istio import describe, service_version_planner
from ..objects.snapshot import PLURALS

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ..envoy.expected_routes import ProxyAttributes, RoutedService
    from ..istio.find import Scope
    from ..objects.change import Plan
    from ..objects.hosts import ServiceRef
    from ..objects.intents import Intent
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot

    Dump = Mapping[str, t.Any]
    Destination = tuple[str, str]


@dataclass(frozen=True)
class GatewaysBySelector:
    """Gateways select their proxies by labels. bound: the Gateways (`namespace/name`) the routes are bound to."""

    bound: Callable[[RoutedService], set[str]]


@dataclass(frozen=True)
class GatewaysByRoutes:
    """A Gateway's proxies are those that have its routes. attached: the objects that are attached to Gateways.

    holds: whether a proxy (its /config_dump of dynamic_route_configs) has any route of the object.
    """

    attached: Callable[[RoutedService], list[Object]]
    holds: Callable[[Dump, Object], bool]


@dataclass(frozen=True)
class RouteKind:
    """One kind of routing object.

    api: its value of the option `route_api`. kinds: its Kubernetes kinds, all of one list.
    """

    api: str
    kinds: tuple[str, ...]
    plan: Callable[[Snapshot, ServiceRef, Intent, Scope], Plan]
    describe: Callable[[Snapshot, ServiceRef, Scope, frozenset[str]], dict[str, t.Any]]
    """The shares of each version. frozenset: the versions that a command names."""
    routes_service: Callable[[Object, ServiceRef, Iterable[str]], bool]
    """Whether an object routes the service, or has one of these versions of it as a backend."""
    claims_service: Callable[[Object, ServiceRef], bool]
    """Whether the service is a host or a destination of the object, or its parent."""
    destinations: Callable[[Object, str], Iterator[Destination]]
    """Yield (host, subset) of what gets requests from an object, or copies of them. str: the cluster's domain."""
    missing_routes: Callable[[Dump, RoutedService, ProxyAttributes], list[str]]
    """What a proxy still lacks of the service's routes, a sentence each. Dump: /config_dump of `dump_resources`."""
    version_hosts: Callable[[RoutedService], frozenset[str] | None]
    """The hosts of the service and of its versions: the destinations of its requests. None for all destinations."""
    dump_resources: Callable[[RoutedService], list[str]]
    """Which parts of a config dump `missing_routes` needs: `resource=` values of /config_dump."""
    reaches_sidecars: Callable[[RoutedService], bool]
    applies: Callable[[RoutedService, ProxyAttributes], bool]
    """Whether a proxy should have a route of the objects, or never will, because another object wins there."""
    gateway_proxies: GatewaysBySelector | GatewaysByRoutes

    @property
    def plural(self) -> str:
        """Return the name of its list in a snapshot."""
        return PLURALS[self.kinds[0]]


ROUTE_KINDS: t.Final = (
    RouteKind(
        api="istio",
        kinds=("VirtualService",),
        plan=service_version_planner.plan,
        describe=service_version_planner.describe,
        routes_service=service_version_planner.routes_service,
        claims_service=service_version_planner.routes_service,
        destinations=describe.live_destinations,
        missing_routes=missing_routes.missing_routes,
        version_hosts=missing_routes.hosts,
        dump_resources=missing_routes.dump_resources,
        reaches_sidecars=missing_routes.reaches_sidecars,
        applies=missing_routes.applies,
        gateway_proxies=GatewaysBySelector(missing_routes.bound_gateways),
    ),
    RouteKind(
        api="gateway",
        kinds=tuple(route_matches.KINDS),
        plan=http_route_planner.plan,
        describe=http_route_planner.describe,
        routes_service=http_route_planner.routes_service,
        claims_service=parents.is_attached_to,
        destinations=http_route_adapter.live_destinations,
        missing_routes=missing_http_routes.missing_routes,
        version_hosts=lambda _routed: None,
        dump_resources=missing_http_routes.dump_resources,
        reaches_sidecars=missing_http_routes.reaches_sidecars,
        applies=missing_http_routes.applies,
        gateway_proxies=GatewaysByRoutes(missing_http_routes.attached_to_gateways, missing_http_routes.holds),
    ),
)
APIS: t.Final = ("auto", *(one.api for one in ROUTE_KINDS))


def of_api(api: str) -> RouteKind:
    """Return the kind of a routing API. Raises InvalidInput for an unknown one."""
    for one in ROUTE_KINDS:
        if one.api == api:
            return one
    raise InvalidInput(f"route_api must be one of {', '.join(APIS)}, not {api!r}.")


def find_kind(snapshot: Snapshot, service: ServiceRef, api: str = "auto", versions: Iterable[str] = ()) -> RouteKind:
    """Return the kind that routes the service. Raises NotRead if that cannot be decided.

    auto: the first kind with an object that routes the service or one of these versions.
    """
    if api != "auto":
        return of_api(api)
    for kind in ROUTE_KINDS:
        if any(kind.routes_service(one, service, versions) for one in snapshot.need(kind.plural)):
            return kind
    return ROUTE_KINDS[0]
