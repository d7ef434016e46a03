# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans for HTTPRoutes: read as VirtualServices (`gateway_lens`), planned by `istio`, written back. Pure.

A version is a Service, named in weights as it is called. Concerned are, in the service's namespace, the HTTPRoutes
attached to the service itself (mesh) and those with a rule for it: a rule whose backends include the service, or
Services that a command names or named as its versions, or that an HTTPRoute attached to the service sends to. In a
route attached to the service every Service of its namespace is a version; elsewhere other backends are foreign and
keep their share.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from ..errors import InvalidInput, Refused
from ..findings import Finding
from . import gateway_lens as lenses
from . import istio, state
from .change import Plan, edit
from .find import Scope, has_routes_to, mesh_claimants
from .gateway_checks import refuse_new_owners, refuse_overtaking, require_room, require_services, require_weight
from .gateway_matches import require_expressible, require_whole_segments
from .gateway_parents import backends_of, parents, short
from .matches import istio_blocks
from .snapshot import Snapshot, age_order, identity, label
from .weights import closed_set

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .change import Change
    from .hosts import ServiceRef
    from .snapshot import Object


class _Reading(Snapshot):
    """A snapshot whose VirtualServices are HTTPRoutes, read."""

    def after(self, changes: Iterable[Change]) -> Snapshot:
        """Return it as it will be; a written HTTPRoute is one of its VirtualServices."""
        written = {(change.namespace, change.name): change.after for change in changes}
        kept = (written.get(identity(one), one) for one in self.virtual_services or ())
        return replace(self, virtual_services=tuple(one for one in kept if one is not None))


@dataclass(frozen=True)
class _View:
    """The concerned HTTPRoutes, each with its lens, and the snapshot the planner sees."""

    routes: dict[tuple[str, str], tuple[Object, lenses.Lens]]
    snapshot: Snapshot
    scope: Scope


def plan_weights(
    snapshot: Snapshot,
    service: ServiceRef,
    weights: Mapping[str, t.Any],
    scope: Scope,
    *,
    settle: bool = False,
    end_cohorts: Sequence[str] = (),
) -> Plan:
    """Plan the service's weights; see `plan.plan_weights`."""
    closed_set(weights)
    view = _view(snapshot, service, scope, weights)
    _require_routes(view, snapshot, service, weights)
    planned = istio.plan_weights(view.snapshot, service, weights, view.scope, settle=settle, end_cohorts=end_cohorts)
    return _written(view, snapshot, service, planned)


def plan_weights_absent(snapshot: Snapshot, service: ServiceRef, scope: Scope) -> Plan:
    """Plan to give the weights back; see `plan.plan_weights_absent`."""
    view = _view(snapshot, service, scope)
    return _written(view, snapshot, service, istio.plan_weights_absent(view.snapshot, service, view.scope))


def plan_cohort(
    snapshot: Snapshot,
    service: ServiceRef,
    name: str,
    match: Mapping[str, t.Any] | Sequence[Mapping[str, t.Any]],
    weights: Mapping[str, t.Any],
    scope: Scope,
    *,
    order: int = 100,
) -> Plan:
    """Plan a cohort; see `plan.plan_cohort`.

    Proxies try rules by how much they test, not by their place, so the cohort's rule goes with every rule of the
    service: it tests the same and more. order decides among cohorts that test equally much.
    """
    require_expressible(match)
    closed_set(weights)
    view = _view(snapshot, service, scope, weights)
    _require_routes(view, snapshot, service, weights)
    blocks = istio_blocks(match)
    for obj in view.snapshot.virtual_services or ():
        require_whole_segments((route["match"] for route in obj["spec"]["http"]), blocks, label(obj))
    planned = istio.plan_cohort(view.snapshot, service, name, match, weights, view.scope, order=order)
    for change in planned.changes:
        refuse_overtaking(t.cast("Object", change.after), blocks)
    return _written(view, snapshot, service, planned)


def plan_cohort_absent(snapshot: Snapshot, service: ServiceRef, name: str, scope: Scope) -> Plan:
    """Plan a cohort's end; see `plan.plan_cohort_absent`."""
    view = _view(snapshot, service, scope)
    return _written(view, snapshot, service, istio.plan_cohort_absent(view.snapshot, service, name, view.scope))


def plan_mirror(snapshot: Snapshot, service: ServiceRef, version: str, percent: t.Any, scope: Scope) -> Plan:
    """Plan a mirror; see `plan.plan_mirror`. A part of the requests takes a release of the API that has `percent`."""
    view = _view(snapshot, service, scope, [version])
    _require_routes(view, snapshot, service, [version])
    planned = istio.plan_mirror(view.snapshot, service, version, percent, view.scope)
    return _written(view, snapshot, service, planned)


def plan_mirror_absent(snapshot: Snapshot, service: ServiceRef, scope: Scope) -> Plan:
    """Plan a mirror's end; see `plan.plan_mirror_absent`."""
    view = _view(snapshot, service, scope)
    return _written(view, snapshot, service, istio.plan_mirror_absent(view.snapshot, service, view.scope))


def plan_sticky(
    _snapshot: Snapshot, service: ServiceRef, _scope: Scope, *, cookie: str, max_age: int, path: str
) -> Plan:
    """Refuse: what the Gateway API calls session persistence keeps users at a pod and is experimental."""
    raise InvalidInput(
        f"Keeping users at their version (cookie {cookie}, path {path}, {max_age} s) is not done on HTTPRoutes. "
        f"Route {service.name} by a VirtualService, or give the users a cohort by a cookie your application sets."
    )


def plan_sticky_absent(snapshot: Snapshot, service: ServiceRef, scope: Scope) -> Plan:
    """Nothing of the kind can be there."""
    view = _view(snapshot, service, scope)
    return _written(view, snapshot, service, istio.plan_sticky_absent(view.snapshot, service, view.scope))


def describe(snapshot: Snapshot, service: ServiceRef, scope: Scope | None = None) -> dict[str, t.Any]:
    """Say who gets which share; see `describe.describe`. subsets: empty, versions are Services."""
    view = _view(snapshot, service, scope or Scope())
    told = istio.describe(replace(view.snapshot, destination_rules=None), service, view.scope)
    return {**told, "route_api": "gateway"}


def is_about(http_route: Object, service: ServiceRef, versions: Iterable[str] = ()) -> bool:
    """Return whether the HTTPRoute is attached to the service, or has a rule that sends to it or to a version of it."""
    return short(service.fqdn) in parents(http_route) or _has_rules_for(http_route, service, versions)


def _has_rules_for(http_route: Object, service: ServiceRef, versions: Iterable[str]) -> bool:
    """Return whether there is anything to plan: an attached route that only redirects has nothing."""
    if state.remembers(http_route, service.fqdn):
        return True
    lens = lenses.Lens.on(http_route, service, frozenset(versions))
    return has_routes_to(lenses.read(http_route, lens, service.domain), service)


def _view(snapshot: Snapshot, service: ServiceRef, scope: Scope, versions: Iterable[str] = ()) -> _View:
    everything = sorted(snapshot.need("http_routes"), key=age_order)
    named = frozenset(map(str, versions)) | backends_of(everything, service)
    if scope.objects:
        chosen = [one for one in everything if scope.names(one, service)]
        _require_named(chosen, service, scope, named)
    else:
        chosen = [
            one for one in everything if identity(one)[0] == service.namespace and _has_rules_for(one, service, named)
        ]
    routes = {identity(one): (one, lenses.Lens.on(one, service, named)) for one in chosen}
    read = tuple(lenses.read(one, lens, service.domain) for one, lens in routes.values())
    names = tuple("/".join(key) for key in routes)
    # Whether a version can be sent to is judged by Services here, so the planner's own question is answered with yes.
    rule = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": service.name, "namespace": service.namespace},
        "spec": {"host": service.fqdn, "subsets": [{"name": name} for name in sorted(_all_versions(read, named))]},
    }
    return _View(routes, _Reading(virtual_services=read, destination_rules=(rule,)), Scope(names, scope.routes))


def _all_versions(read: Iterable[Object], named: frozenset[str]) -> set[str]:
    routes = [route for obj in read for route in obj["spec"]["http"]]
    places = [entry["destination"] for route in routes for entry in [*route.get("route", ()), *route["mirrors"]]]
    booked = [state.read(obj) for obj in read]
    for record in (record for book in booked for record in book["routes"].values()):
        for side in record.values():
            places += [entry["destination"] for entry in [*side.get("route", ()), *side.get("mirrors", ())]]
    wished = [name for book in booked for wanted in book["services"].values() for name in lenses.versions_in(wanted)]
    return {str(one["subset"]) for one in places if "subset" in one} | named | set(wished)


def _require_named(chosen: Sequence[Object], service: ServiceRef, scope: Scope, named: frozenset[str]) -> None:
    known = {"/".join(identity(one)) for one in chosen}
    for name in scope.objects:
        full = name if "/" in name else f"{service.namespace}/{name}"
        if full not in known:
            raise InvalidInput(f"http_routes: there is no HTTPRoute {full}.", http_route=full)
    for one in chosen:
        if not _has_rules_for(one, service, named):
            raise InvalidInput(
                f"http_routes: {label(one)} has no rule for {service.fqdn}: none of its backends is the service or "
                "one of the versions named."
            )


def _require_routes(view: _View, snapshot: Snapshot, service: ServiceRef, versions: Iterable[str]) -> None:
    """Raise Refused where a change could not do what it says."""
    if not view.routes:
        raise Refused(
            f"No HTTPRoute in {service.namespace} routes {service.fqdn}: neither one with the Service as parent nor "
            "one with a rule for it or its versions. Create one whose backendRefs name a Service for each version."
        )
    claimants = mesh_claimants(snapshot.virtual_services or (), service)
    for obj, lens in view.routes.values():
        refuse_new_owners(obj, service, frozenset(map(str, versions)))
        attached = parents(obj)
        if len(attached) > 1:
            raise Refused(
                f"{label(obj)} is attached to several Services ({', '.join(sorted(attached))}), so a change for one "
                "would change the others. Give each an HTTPRoute of its own."
            )
        if attached and claimants:
            reason = f"It routes {service.fqdn} for the mesh, and so does {label(claimants[0])}."
            raise Refused(
                f"{label(obj)}: {reason} Callers obey only one. Keep the one you mean and delete the other.",
                [Finding("ROUTE_APIS_MIXED", label(obj), reason)],
            )
        for rule in obj["spec"].get("rules") or ():
            require_weight(rule, lens, label(obj))


def _written(view: _View, snapshot: Snapshot, service: ServiceRef, planned: Plan) -> Plan:
    """Return the plan with its changes written back to HTTPRoutes."""
    changes = []
    for change in planned.changes:
        real, lens = view.routes[change.namespace, change.name]
        after = lenses.write(real, t.cast("Object", change.after), lens)
        written = edit(real, after, change.summary)
        if written and not lenses.same_but_versions(real, after):
            require_room(real, after)
            require_services(snapshot, service, real, after)
            changes.append(written)
    names = {(one.namespace, one.name) for one in changes}
    objects = tuple({**one, "changed": (one["namespace"], one["name"]) in names} for one in planned.objects)
    said = planned if changes else replace(planned, summary=(), diff_after=planned.diff_before)
    return replace(said, changes=tuple(changes), objects=objects, route_api="gateway")
