# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The entry points: what to write so that the routes are as wanted. Pure.

Every function reads a snapshot and returns a `Plan`; nothing here talks to a cluster, so check mode, the real run
and a second attempt after a conflict share the very same decision. Which routing API speaks for the service is decided
here; `istio` plans VirtualServices, `gateway` plans HTTPRoutes.

Common arguments: scope limits the objects and routes (see `Scope`); api is `auto`, `istio` or `gateway`.
All raise InvalidInput for options that can never work and Refused (with findings) for what would harm traffic
or somebody else's object.
"""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ..errors import InvalidInput
from . import gateway, istio, routing
from .find import Scope, claims, has_routes_to

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .change import Plan
    from .hosts import ServiceRef
    from .planner import Planner
    from .snapshot import Snapshot

APIS: t.Final = ("auto", "istio", "gateway")
PLANNERS: t.Final[Mapping[str, Planner]] = {"istio": istio, "gateway": gateway}
EVERYTHING: t.Final = Scope()


def route_api(snapshot: Snapshot, service: ServiceRef, api: str = "auto", versions: Iterable[str] = ()) -> str:
    """Return which API routes the service: `istio` or `gateway`. Raises NotRead if that cannot be told.

    auto: Istio, unless no VirtualService has it and an HTTPRoute names it as parent, or it or one of these versions as
    a backend.
    """
    if api not in APIS:
        raise InvalidInput(f"route_api must be one of {', '.join(APIS)}, not {api!r}.")
    if api != "auto":
        return api
    if any(claims(one, service) or has_routes_to(one, service) for one in snapshot.need("virtual_services")):
        return "istio"
    return (
        "gateway" if any(gateway.is_about(one, service, versions) for one in snapshot.need("http_routes")) else "istio"
    )


def _planner(snapshot: Snapshot, service: ServiceRef, api: str, versions: Iterable[str] = ()) -> Planner:
    """Return the module that plans for the API that routes the service."""
    return PLANNERS[route_api(snapshot, service, api, tuple(map(str, versions)))]


def plan_weights(
    snapshot: Snapshot,
    service: ServiceRef,
    weights: Mapping[str, t.Any],
    *,
    scope: Scope = EVERYTHING,
    settle: bool = False,
    end_cohorts: Sequence[str] = (),
    api: str = "auto",
) -> Plan:
    """Plan the weights of a service's versions.

    weights: version -> percent of the service's requests, a closed set: 0..100, sum 100, at most three decimals.
    Versions that are not named get 0. By default every route of the service is set (http, tls, tcp; VirtualServices of
    the mesh and of gateways, delegates), except those made for certain callers (matches on headers, query, labels).
    Destinations of other hosts keep their share of the route. Destinations that were there stay in the list at
    weight 0; those an earlier command added leave it.
    settle: make this the normal state: versions at 0 leave the route, and nothing earlier is given back any more.
    end_cohorts: names of cohorts whose routes go with this very change; one that is not there is none to end.
    Raises UnknownSubset if a version has no subset, ForeignDestination if the rest cannot be kept.
    """
    planner = _planner(snapshot, service, api, weights)
    return planner.plan_weights(snapshot, service, weights, scope, settle=settle, end_cohorts=end_cohorts)


def plan_weights_absent(
    snapshot: Snapshot, service: ServiceRef, *, scope: Scope = EVERYTHING, api: str = "auto"
) -> Plan:
    """Plan to give the weights back as they were before the first `plan_weights`; later edits of others stay."""
    return _planner(snapshot, service, api).plan_weights_absent(snapshot, service, scope)


def plan_cohort(
    snapshot: Snapshot,
    service: ServiceRef,
    name: str,
    match: Mapping[str, t.Any] | Sequence[Mapping[str, t.Any]],
    weights: Mapping[str, t.Any],
    *,
    order: int = 100,
    scope: Scope = EVERYTHING,
    api: str = "auto",
) -> Plan:
    """Plan that the requests `match` selects are split by `weights`, whatever the others get.

    name: of the cohort; setting it again replaces it. match: see `matches.istio_blocks`.
    weights: version -> percent within the cohort, a closed set like that of `plan_weights`.
    order: cohorts with a lower one come first, equal ones by name.
    Before every http route of the service that the cohort's requests could reach stands a copy of it with the cohort's
    match added and everything else (path, timeout, retries, rewrite, faults, headers, mirrors) inherited. The
    cohort's requests go to the service alone, also where the route shares its traffic with other hosts.
    """
    planner = _planner(snapshot, service, api, weights)
    return planner.plan_cohort(snapshot, service, name, match, weights, scope, order=order)


def plan_cohort_absent(
    snapshot: Snapshot, service: ServiceRef, name: str, *, scope: Scope = EVERYTHING, api: str = "auto"
) -> Plan:
    """Plan a cohort's end: its routes go, everything else stays."""
    return _planner(snapshot, service, api).plan_cohort_absent(snapshot, service, name, scope)


def plan_mirror(
    snapshot: Snapshot,
    service: ServiceRef,
    version: str,
    percent: t.Any,
    *,
    scope: Scope = EVERYTHING,
    api: str = "auto",
) -> Plan:
    """Plan that `percent` of the requests are copied to `version`, the answers discarded. Mirrors of others stay."""
    return _planner(snapshot, service, api, [version]).plan_mirror(snapshot, service, version, percent, scope)


def plan_mirror_absent(
    snapshot: Snapshot, service: ServiceRef, *, scope: Scope = EVERYTHING, api: str = "auto"
) -> Plan:
    """Plan the end of the mirror set by `plan_mirror`."""
    return _planner(snapshot, service, api).plan_mirror_absent(snapshot, service, scope)


def plan_sticky(
    snapshot: Snapshot,
    service: ServiceRef,
    *,
    cookie: str = "",
    max_age: int = 86_400,
    path: str = "/",
    scope: Scope = EVERYTHING,
    api: str = "auto",
) -> Plan:
    """Plan that a user keeps the version he was first dealt (see `sticky`). Works with any weights, before or after.

    cookie: its name, `canary-SERVICE` if empty. max_age: seconds. path: where the browser sends it.
    Callers must keep cookies: browsers do; a service that calls another must pass them on.
    """
    return _planner(snapshot, service, api).plan_sticky(
        snapshot, service, scope, cookie=cookie or f"canary-{service.name}", max_age=max_age, path=path
    )


def plan_sticky_absent(
    snapshot: Snapshot, service: ServiceRef, *, scope: Scope = EVERYTHING, api: str = "auto"
) -> Plan:
    """Plan that users are dealt anew with every request."""
    return _planner(snapshot, service, api).plan_sticky_absent(snapshot, service, scope)


def plan_routing(
    snapshot: Snapshot,
    service: ServiceRef,
    versions: Mapping[str, Mapping[str, str]],
    stable: str,
    *,
    api_version: str = "networking.istio.io/v1",
    ingress: Sequence[Mapping[str, t.Any]] = (),
    port: int | None = None,
) -> Plan:
    """Plan the subsets and the first VirtualService, all requests pinned to `stable`; see `routing.plan_routing`."""
    return routing.plan_routing(
        snapshot, service, versions, stable, api_version=api_version, ingress=ingress, port=port
    )


def plan_routing_absent(snapshot: Snapshot, service: ServiceRef, versions: Sequence[str] = ()) -> Plan:
    """Plan to take away what `plan_routing` created; see `routing.plan_routing_absent`."""
    return routing.plan_routing_absent(snapshot, service, versions)


def describe(
    snapshot: Snapshot, service: ServiceRef, *, scope: Scope = EVERYTHING, api: str = "auto"
) -> dict[str, t.Any]:
    """Return who gets which share of the service's requests; see `describe.describe` for the keys."""
    # Who only reads says what can be said of what was read.
    known = replace(snapshot, http_routes=snapshot.http_routes or ())
    return _planner(known, service, api).describe(known, service, scope)
