# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans for HTTPRoutes and GRPCRoutes: converted to VirtualServices, planned by `istio`, and converted back. Pure.

Both kinds are edited together: a service may have its calls in the one and its pages in the other. A version is a
Service; weights name it by the Service's name. Edited are, in the service's namespace, the routes
attached to the service itself (mesh) and those with a rule for it: a rule whose backends include the service, or
Services that a command names or named as its versions, or that the rule for all requests of an HTTPRoute attached to
the service sends to. Other backends are foreign and keep their share, and other rules belong to somebody else.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from ..errors import InvalidInput, NoRoutes, Refused
from ..findings import Finding
from ..istio import describe as virtual_service_description
from ..istio import virtual_service_planner
from ..istio.find import Scope, has_routes_to, mesh_claimants
from ..objects import intents, managed_state
from ..objects.change import Plan, edit
from ..objects.hosts import is_outside
from ..objects.matches import to_istio_blocks
from ..objects.metadata import creation_order, full_name, identity, typed_identity
from ..objects.snapshot import Snapshot
from ..objects.weights import parse_weights
from . import http_route_adapter, route_matches
from .http_route_adapter import HTTPRouteAdapter
from .http_route_checks import (
    refuse_new_owners,
    refuse_overtaking,
    refuse_two_kinds,
    require_limits,
    require_positive_weight,
    require_services,
)
from .parents import is_attached_to, parent_services, versions_of

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ..objects.change import Change
    from ..objects.hosts import ServiceRef
    from ..objects.intents import Intent
    from ..objects.metadata import Object


class _ReadSnapshot(Snapshot):
    """A snapshot whose VirtualServices are converted HTTPRoutes."""

    def after(self, changes: Iterable[Change]) -> Snapshot:
        """Return the snapshot as it will be; a written HTTPRoute is one of its VirtualServices."""
        written = {(change.kind, change.namespace, change.name): change.after for change in changes}
        kept = (written.get(typed_identity(one), one) for one in self.virtual_services or ())
        return replace(self, virtual_services=tuple(one for one in kept if one is not None))


@dataclass(frozen=True)
class _View:
    """The routes to edit, each with its adapter, and the snapshot for the planner of VirtualServices.

    routes: (kind, namespace, name) -> the route and its adapter.
    """

    routes: dict[tuple[str, str, str], tuple[Object, HTTPRouteAdapter]]
    snapshot: Snapshot
    scope: Scope


def plan(snapshot: Snapshot, service: ServiceRef, intent: Intent, scope: Scope) -> Plan:
    """Plan the intent; see `routing.plan.plan`."""
    _refuse_hosts(service, intent.named_versions)
    check = _CHECKS.get(type(intent))
    if check:
        check(service, intent)
    view = _view(snapshot, service, scope, intent.named_versions)
    if intent.needs_route:
        _require_routes(view, snapshot, service, intent.named_versions)
    if isinstance(intent, intents.SetCohort):
        planned = _plan_cohort(view, service, intent)
    else:
        planned = virtual_service_planner.plan(view.snapshot, service, intent, view.scope)
    return _write_back(view, snapshot, service, planned)


def _refuse_hosts(service: ServiceRef, versions: Iterable[str]) -> None:
    """Raise InvalidInput for hosts that are no Services."""
    hosts = [one for one in (service.name, *map(str, versions)) if is_outside(one)]
    if hosts:
        raise InvalidInput(
            f"{hosts[0]} is the host of a ServiceEntry, and routes of the Gateway API are changed between Services "
            "only. Route it by a VirtualService (route_api: istio)."
        )


def _plan_cohort(view: _View, service: ServiceRef, intent: intents.SetCohort) -> Plan:
    """Plan a cohort.

    Proxies try rules by how much they test, not by their place, so every rule of the service gets a rule of
    the cohort, which tests the same and more. order decides among cohorts that test equally much.
    """
    blocks = to_istio_blocks(intent.match)
    for obj in view.snapshot.virtual_services or ():
        kind = route_matches.of(obj)
        kind.require_expressible(intent.match)
        kind.require_whole_segments((route["match"] for route in obj["spec"]["http"]), blocks, full_name(obj))
    planned = virtual_service_planner.plan(view.snapshot, service, intent, view.scope)
    for change in planned.changes:
        refuse_overtaking(t.cast("Object", change.after), blocks)
    return planned


def _check_weights(_service: ServiceRef, intent: intents.SetWeights) -> None:
    parse_weights(intent.weights)


def _check_cohort(_service: ServiceRef, intent: intents.SetCohort) -> None:
    to_istio_blocks(intent.match)
    parse_weights(intent.weights)


def _refuse_sticky(service: ServiceRef, intent: intents.SetSticky) -> None:
    """Refuse: what the Gateway API calls session persistence keeps users at a pod and is experimental."""
    raise InvalidInput(
        f"Keeping users at their version (cookie {intent.cookie_for(service)}, path {intent.path}, {intent.max_age} s) "
        f"is not done on routes of the Gateway API. Route {service.name} by a VirtualService, or give the users a "
        "cohort by a cookie your application sets."
    )


_CHECKS: t.Final[Mapping[type[Intent], Callable[[ServiceRef, t.Any], None]]] = {
    intents.SetWeights: _check_weights,
    intents.SetCohort: _check_cohort,
    intents.SetSticky: _refuse_sticky,
}
"""Intent -> what is checked before anything is looked up."""


def describe(
    snapshot: Snapshot, service: ServiceRef, scope: Scope, versions: frozenset[str] = frozenset()
) -> dict[str, t.Any]:
    """Return which version gets which share; see `istio.describe.describe`. All versions are Services."""
    view = _view(snapshot, service, scope, versions)
    description = virtual_service_description.describe(
        replace(view.snapshot, destination_rules=None), service, view.scope
    )
    known = _all_versions(view.snapshot.virtual_services or (), versions)
    described = virtual_service_description.with_services(description, known, snapshot, service, versions)
    return {**described, "route_api": "gateway"}


def routes_service(http_route: Object, service: ServiceRef, versions: Iterable[str] = ()) -> bool:
    """Return whether the HTTPRoute is attached to the service, or has a rule that sends to it or to a version of it."""
    if service.is_outside:
        return False
    return is_attached_to(http_route, service) or _has_rules_for(http_route, service, versions)


def _has_rules_for(http_route: Object, service: ServiceRef, versions: Iterable[str]) -> bool:
    """Return whether there is anything to plan: an attached route that only redirects has nothing."""
    if managed_state.has_state_for(http_route, service.fqdn):
        return True
    adapter = HTTPRouteAdapter.on(http_route, service, frozenset(versions))
    return has_routes_to(http_route_adapter.to_virtual_service(http_route, adapter, service.domain), service)


def _view(snapshot: Snapshot, service: ServiceRef, scope: Scope, versions: Iterable[str] = ()) -> _View:
    all_routes = sorted(snapshot.need("http_routes"), key=creation_order)
    named = versions_of(all_routes, service, frozenset(map(str, versions)))
    if scope.objects:
        chosen = [one for one in all_routes if scope.names(one, service)]
        _require_named(chosen, service, scope, named)
    else:
        chosen = [
            one for one in all_routes if identity(one)[0] == service.namespace and _has_rules_for(one, service, named)
        ]
    routes = {typed_identity(one): (one, HTTPRouteAdapter.on(one, service, named)) for one in chosen}
    converted = tuple(
        http_route_adapter.to_virtual_service(one, adapter, service.domain) for one, adapter in routes.values()
    )
    names = tuple(dict.fromkeys(f"{namespace}/{name}" for _kind, namespace, name in routes))
    # Here a version is a Service, which `require_services` checks, so every version gets a subset for the planner.
    rule = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": service.name, "namespace": service.namespace},
        "spec": {"host": service.fqdn, "subsets": [{"name": name} for name in sorted(_all_versions(converted, named))]},
    }
    return _View(
        routes, _ReadSnapshot(virtual_services=converted, destination_rules=(rule,)), Scope(names, scope.routes)
    )


def _all_versions(converted: Iterable[Object], named: frozenset[str]) -> set[str]:
    routes = [route for obj in converted for route in obj["spec"]["http"]]
    destinations = [entry["destination"] for route in routes for entry in [*route.get("route", ()), *route["mirrors"]]]
    states = [managed_state.read(obj) for obj in converted]
    for record in (record for state in states for record in state["routes"].values()):
        for side in record.values():
            destinations += [entry["destination"] for entry in [*side.get("route", ()), *side.get("mirrors", ())]]
    recorded = [
        name
        for state in states
        for service_state in state["services"].values()
        for name in http_route_adapter.versions_in(service_state)
    ]
    return {str(one["subset"]) for one in destinations if "subset" in one} | named | set(recorded)


def _require_named(chosen: Sequence[Object], service: ServiceRef, scope: Scope, named: frozenset[str]) -> None:
    known = {"/".join(identity(one)) for one in chosen}
    kind = scope.kind or "HTTPRoute"
    option = route_matches.KINDS[kind].option
    for name in scope.objects:
        full = name if "/" in name else f"{service.namespace}/{name}"
        if full not in known:
            raise InvalidInput(f"{option}: there is no {kind} {full}.", route=full)
    for one in chosen:
        if not _has_rules_for(one, service, named):
            raise InvalidInput(
                f"{option}: {full_name(one)} has no rule for {service.fqdn}: none of its backends is the service or "
                f"one of the versions named. {_backends_text(one)}"
            )


def _backends_text(http_route: Object) -> str:
    names = sorted({str(ref.get("name")) for ref in http_route_adapter.live_refs(http_route)})
    if not names:
        return "It has no backend."
    weights = ", ".join(f"{name}: 0" for name in names)
    return (
        f"It sends to {', '.join(names)}. Those that are versions are known by their names: name them in weights, also "
        f"where they are to get nothing ({weights})."
    )


def _require_routes(view: _View, snapshot: Snapshot, service: ServiceRef, versions: Iterable[str]) -> None:
    """Raise Refused where a change could not have its effect."""
    if not view.routes:
        raise NoRoutes(
            f"No HTTPRoute or GRPCRoute in {service.namespace} routes {service.fqdn}: neither one with the Service "
            "as parent nor one with a rule for it or its versions.",
            "Create one whose backendRefs name a Service for each version.",
        )
    claimants = mesh_claimants(snapshot.virtual_services or (), service)
    refuse_two_kinds([obj for obj, _adapter in view.routes.values()], snapshot.need("http_routes"))
    for obj, adapter in view.routes.values():
        refuse_new_owners(obj, service, frozenset(map(str, versions)))
        attached = parent_services(obj)
        if len(attached) > 1:
            raise Refused(
                f"{full_name(obj)} is attached to several Services ({', '.join(sorted(attached))}), so a change "
                "for one would change the others. Give each an HTTPRoute of its own."
            )
        if attached and claimants:
            reason = f"It routes {service.fqdn} for the mesh, and so does {full_name(claimants[0])}."
            raise Refused(
                f"{full_name(obj)}: {reason} Proxies apply only one. Keep one and delete the other.",
                [Finding("ROUTE_APIS_MIXED", full_name(obj), reason)],
            )
        for rule in obj["spec"].get("rules") or ():
            require_positive_weight(rule, adapter, full_name(obj))


def _write_back(view: _View, snapshot: Snapshot, service: ServiceRef, planned: Plan) -> Plan:
    """Return the plan with its changes converted back to HTTPRoutes."""
    changes = []
    for change in planned.changes:
        real, adapter = view.routes[change.kind, change.namespace, change.name]
        after = http_route_adapter.to_http_route(real, t.cast("Object", change.after), adapter)
        written = edit(real, after, change.summary)
        if written and not http_route_adapter.equal_except_versions(real, after):
            require_limits(real, after)
            require_services(snapshot, service, real, after)
            changes.append(written)
    names = {(one.kind, one.namespace, one.name) for one in changes}
    objects = tuple(
        {**one, "changed": (one["kind"], one["namespace"], one["name"]) in names} for one in planned.objects
    )
    result = planned if changes else replace(planned, summary=(), diff_after=planned.diff_before)
    return replace(result, changes=tuple(changes), objects=objects, route_api="gateway")
