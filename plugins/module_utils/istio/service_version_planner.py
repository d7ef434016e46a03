# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans for VirtualServices whatever their versions are: subsets, Services of their own, or both. Pure.

Where versions are Services, each VirtualService is converted to one with subsets, planned by `virtual_service_planner`,
and converted back. A name is a Service if it is a destination of the routes, or if there is such a Service and the
routes name no subset. The other destinations of a route that takes all requests are versions too; in routes of the
service by path they are known by name alone, for `/admin` may well belong to another Service.
"""

from __future__ import annotations

import copy
import typing as t
from dataclasses import dataclass, replace

from ..errors import InvalidInput, Refused
from ..objects import intents, managed_state
from ..objects.change import Plan, edit
from ..objects.hosts import MESH, gateways_of, is_outside
from ..objects.metadata import creation_order, full_name, identity
from ..objects.patch import canonical_json
from . import describe as subset_description
from . import find, virtual_service_planner
from .find import Scope
from .route_keys import PROTOCOLS, route_keys
from .service_versions import (
    VERSIONS,
    all_destinations,
    destinations_of,
    has_state,
    object_versions,
    recorded,
    recorded_for,
    services_in,
    subsets_in,
    takes_all_requests,
    versions_among,
)
from .version_destinations import refuse_full_names, require_services

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ..objects.hosts import ServiceRef
    from ..objects.intents import Intent
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot
    from .service_versions import ServiceVersions


@dataclass(frozen=True)
class _View:
    """VirtualServices as the planner of subsets reads them. names: the versions that are Services; none: all as read.

    converters: by (namespace, name), of the objects that are converted.
    """

    snapshot: Snapshot
    names: frozenset[str]
    converters: dict[tuple[str, str], ServiceVersions]


@dataclass(frozen=True)
class _Objects:
    """The VirtualServices: all, those with the service's own host and their delegates, and which a command names."""

    everything: Sequence[Object]
    own: Sequence[Object]
    scope: Scope

    def services(self, service: ServiceRef, names: frozenset[str]) -> frozenset[str]:
        """Return the Services that are destinations as a whole in objects that have routes of the service."""
        found = frozenset[str]()
        for one in self.everything:
            if (
                one in self.own
                or self.scope.names(one, service)
                or find.has_routes_to(one, service)
                or _shares_among(one, service, names)
            ):
                found |= services_in(all_destinations(one), service, identity(one)[0], names)
        return found


def plan(snapshot: Snapshot, service: ServiceRef, intent: Intent, scope: Scope) -> Plan:
    """Plan the intent; see `routing.plan.plan`."""
    if service.is_outside and isinstance(intent, intents.InstallRouting):
        raise InvalidInput(
            f"The first routes of {service.name} are not created here, because it is no Service. Create a "
            f"VirtualService in {service.namespace} with hosts: [{service.name}] that sends all requests to the stable "
            "version, and a DestinationRule if its versions are subsets. The other tasks then edit it."
        )
    if isinstance(intent, (intents.InstallRouting, intents.UninstallRouting)):
        return virtual_service_planner.plan(snapshot, service, intent, scope)
    view = _view(snapshot, service, scope, frozenset(map(str, intent.named_versions)), strict=True)
    if not view.converters:
        return virtual_service_planner.plan(snapshot, service, intent, scope)
    if intent.needs_route:
        named = frozenset(map(str, intent.named_versions)) & view.names
        raw = snapshot.need("virtual_services")
        _refuse_new_owners([one for one in raw if identity(one) in view.converters], service, named)
    planned = virtual_service_planner.plan(view.snapshot, service, intent, scope)
    if isinstance(intent, intents.SetWeights) and intent.finalize:
        planned = _keep_recognizable(view, service, planned)
    return _write_back(view, snapshot, service, planned)


def describe(
    snapshot: Snapshot, service: ServiceRef, scope: Scope | None = None, versions: frozenset[str] = frozenset()
) -> dict[str, t.Any]:
    """Return which version gets which share; see `istio.describe.describe`."""
    view = _view(snapshot, service, scope or Scope(), versions, strict=False)
    if not view.converters:
        return subset_description.describe(snapshot, service, scope)
    real = replace(view.snapshot, destination_rules=snapshot.destination_rules)
    description = subset_description.describe(real, service, scope)
    return subset_description.with_services(description, view.names, snapshot, service, versions)


def routes_service(virtual_service: Object, service: ServiceRef, versions: Iterable[str] = ()) -> bool:
    """Return whether the VirtualService routes the service, or shares requests among these versions of it."""
    if find.routes_service(virtual_service, service):
        return True
    names = frozenset(map(str, versions)) | recorded_for(virtual_service, service)
    return bool(names) and _shares_among(virtual_service, service, names)


def with_subsets(snapshot: Snapshot, service: ServiceRef) -> Snapshot:
    """Return the snapshot with the VirtualServices as if the versions that are Services were subsets."""
    view = _view(snapshot, service, Scope(), frozenset(), strict=False)
    return replace(snapshot, virtual_services=view.snapshot.virtual_services)


def find_objects(snapshot: Snapshot, service: ServiceRef) -> list[Object]:
    """Return the VirtualServices that have the service's routes, as they were read."""
    view = _view(snapshot, service, Scope(), frozenset(), strict=False)
    found = find.find_route_objects(view.snapshot, service, Scope(), strict=False)
    raw = {identity(one): one for one in snapshot.need("virtual_services")}
    return [raw[identity(one)] for one in found]


def version_hosts(service: ServiceRef, objects: Iterable[Object]) -> frozenset[str]:
    """Return the hosts to which the objects send the service's requests: its own, and those of its versions.

    Where an object names no subset of the service, every Service of its namespace counts that is a destination.
    """
    found = {service.fqdn}
    for one in objects:
        namespace, _name = identity(one)
        names = recorded_for(one, service)
        if not subsets_in(all_destinations(one), service, namespace):
            names |= services_in(all_destinations(one), service, namespace, names)
        found.update(service.sibling(name).fqdn for name in names)
    return frozenset(found)


def _view(snapshot: Snapshot, service: ServiceRef, scope: Scope, named: frozenset[str], *, strict: bool) -> _View:
    """Return the objects with subsets. strict: a command is planned, so names must be clear and lists are needed."""
    everything = sorted(snapshot.need("virtual_services"), key=creation_order)
    own = _own_objects(everything, service)
    names = _names(snapshot, service, _Objects(everything, own, scope), named, strict=strict)
    if not names:
        return _View(snapshot, names, {})
    converters = {}
    for one in everything:
        in_scope = scope.names(one, service)
        is_known = managed_state.has_state_for(one, service.fqdn)
        if one in own or in_scope or is_known or _shares_among(one, service, names):
            converters[identity(one)] = object_versions(one, service, names, own_host=one in own, named=in_scope)
    converted = tuple(
        converters[identity(one)].read(one) if identity(one) in converters else one
        for one in snapshot.need("virtual_services")
    )
    rules = _rules(snapshot, service, names, uses_subsets=bool(_subsets_of(everything, service) or named - names))
    return _View(replace(snapshot, virtual_services=converted, destination_rules=rules), names, converters)


def _rules(
    snapshot: Snapshot, service: ServiceRef, names: frozenset[str], *, uses_subsets: bool
) -> tuple[Object, ...] | None:
    """Return a DestinationRule with the service's subsets, and one for each Service: `require_services` checks these.

    None if the subsets matter and were not read.
    """
    if snapshot.destination_rules is None and uses_subsets:
        return None
    defined = {} if snapshot.destination_rules is None else find.subsets(snapshot, service)
    subsets = [{"name": name, "labels": labels} for name, labels in defined.items() if name not in names]
    rule = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": service.name, "namespace": service.namespace},
        "spec": {"host": service.fqdn, "subsets": [*subsets, *({"name": name} for name in sorted(names))]},
    }
    return (rule,)


def _own_objects(everything: Sequence[Object], service: ServiceRef) -> list[Object]:
    """Return the VirtualServices with the service's own host, and their delegates."""
    roots = [one for one in everything if find.claims(one, service)]
    delegated = set().union(*(find.delegates_of(one) for one in roots)) if roots else set()
    return [
        one
        for one in everything
        if one in roots or (identity(one) in delegated and not (one.get("spec") or {}).get("hosts"))
    ]


def _subsets_of(everything: Iterable[Object], service: ServiceRef) -> frozenset[str]:
    """Return the subsets of the service that some route sends to."""
    found = (subsets_in(all_destinations(one), service, identity(one)[0]) for one in everything)
    return frozenset[str]().union(*found)


def _names(
    snapshot: Snapshot, service: ServiceRef, objects: _Objects, named: frozenset[str], *, strict: bool
) -> frozenset[str]:
    """Return the versions of the service that are Services; none for what most have, subsets or the whole service."""
    known = frozenset[str]().union(*(recorded_for(one, service) for one in objects.everything))
    subsets = _subsets_of(objects.everything, service)
    services = objects.services(service, named | known)
    if not known and services <= {service.name} and not (named and services):
        return known
    clear = (named & services) - {service.name}
    hosts = frozenset(one for one in named - {service.name} if is_outside(one))  # no subset's name has a dot
    if strict:
        refuse_full_names(service, hosts)
    chosen = clear | known | hosts
    unclear = named - chosen - subsets
    if strict:
        _refuse_ambiguous(service, clear & subsets)
        _refuse_subsets_of_versions(objects.own, service, chosen)
    if service.name in unclear & services and chosen:
        chosen, unclear = chosen | {service.name}, unclear - {service.name}
    if unclear and not subsets:
        unclear -= _defined(snapshot, service)
        # Beside Services, a name of nothing is a Service that is missing; else it is a missing subset.
        if unclear and (chosen or services - {service.name} or unclear & _services_of(snapshot, service)):
            chosen |= unclear
    if subsets or (named and not chosen):
        return chosen
    routes = list(_routes_of(objects.own, service, chosen))
    found = versions_among(routes, chosen | {service.name})
    if chosen:
        return found
    to_itself = any(service.name in one for one, every in routes if every)
    if found == {service.name} or (to_itself and not _has_no_subsets(snapshot, service, needed=strict)):
        return chosen
    return found


def _shares_among(virtual_service: Object, service: ServiceRef, names: frozenset[str]) -> bool:
    """Return whether a route sends to two of the versions, or to one and the service."""
    wanted = names | {service.name}
    return any(len(services & wanted) > 1 for services, _all in _routes_of([virtual_service], service, wanted))


def _routes_of(
    objects: Iterable[Object], service: ServiceRef, names: frozenset[str]
) -> Iterator[tuple[frozenset[str], bool]]:
    """Yield the Services that each route sends to, and whether it takes all requests. names: known hosts."""
    for one in objects:
        spec = one.get("spec") or {}
        for route in (one for protocol in PROTOCOLS for one in spec.get(protocol) or ()):
            services = services_in(destinations_of(route), service, identity(one)[0], names)
            if services:
                yield services, takes_all_requests(route)


def _services_of(snapshot: Snapshot, service: ServiceRef) -> frozenset[str]:
    """Return the Services of the service's namespace. Raises NotRead."""
    there = (identity(one) for one in snapshot.need("services"))
    return frozenset(name for namespace, name in there if namespace == service.namespace)


def _defined(snapshot: Snapshot, service: ServiceRef) -> frozenset[str]:
    """Return the subsets that DestinationRules define. Raises NotRead."""
    snapshot.need("destination_rules")
    return frozenset(find.subsets(snapshot, service))


def _has_no_subsets(snapshot: Snapshot, service: ServiceRef, *, needed: bool) -> bool:
    unknown = snapshot.destination_rules is None and not needed
    return unknown or not _defined(snapshot, service)


def _refuse_ambiguous(service: ServiceRef, names: Iterable[str]) -> None:
    """Raise Refused for a name that the routes use for a subset and for a Service."""
    for name in sorted(names):
        raise Refused(
            f"{service.name}: the routes send to a subset {name} of it and to a Service {name}, so the version {name} "
            "is not clear. Rename the subset, or send to one of them only."
        )


def _refuse_subsets_of_versions(own: Iterable[Object], service: ServiceRef, names: frozenset[str]) -> None:
    """Raise Refused where a version's Service is split by subsets of its own: these would be versions of a version."""
    for one in own:
        for name in sorted(names - {service.name}):
            found = sorted(subsets_in(all_destinations(one), service.sibling(name), identity(one)[0]))
            if found:
                raise Refused(
                    f"{full_name(one)} sends to subset {found[0]} of Service {name}, so {name} is not one version of "
                    f"{service.name}. Send to the Service without a subset, or name subsets of {service.name}."
                )


def _keep_recognizable(view: _View, service: ServiceRef, planned: Plan) -> Plan:
    """Return the plan with the unused versions left at weight 0 where two of them make a route the service's.

    In an object without the service's host a route to one version may be its preview: the next canary would miss it.
    """
    changes = []
    for change in planned.changes:
        converter = view.converters.get((change.namespace, change.name))
        if converter is None or service.fqdn in converter.whole:
            changes.append(change)
            continue
        after = copy.deepcopy(t.cast("Object", change.after))
        kept = {key: route for key, _protocol, route in route_keys(after["spec"])}
        for key, _protocol, route in route_keys(t.cast("Object", change.before)["spec"]):
            there = list(map(_version_of, kept[key].get("route") or ())) if key in kept else []
            if len([one for one in there if one[0] == service.fqdn]) == 1:
                unused = (one for one in route["route"] if _version_of(one) not in there)
                kept[key]["route"] += [{**copy.deepcopy(one), "weight": 0} for one in unused]
        changes.append(replace(change, after=after))
    return replace(planned, changes=tuple(changes))


def _version_of(entry: dict[str, t.Any]) -> tuple[str, str]:
    destination = entry.get("destination") or {}
    return str(destination.get("host")), str(destination.get("subset") or "")


def _write_back(view: _View, snapshot: Snapshot, service: ServiceRef, planned: Plan) -> Plan:
    """Return the plan with its changes in the form that the objects have."""
    raw = {identity(one): one for one in snapshot.need("virtual_services")}
    changes = []
    for change in planned.changes:
        key = (change.namespace, change.name)
        if key not in view.converters:
            changes.append(change)
            continue
        real = raw[key]
        after = view.converters[key].write(t.cast("Object", change.after))
        written = edit(real, after, change.summary)
        if written and canonical_json(_without_versions(real)) != canonical_json(_without_versions(after)):
            require_services(snapshot, service, view.names, real, after)
            changes.append(written)
    names = {(one.namespace, one.name) for one in changes}
    objects = tuple({**one, "changed": (one["namespace"], one["name"]) in names} for one in planned.objects)
    result = planned if changes else replace(planned, summary=(), diff_after=planned.diff_before)
    notes = (*result.notes, *_previews(view, snapshot, service, planned))
    return replace(result, changes=tuple(changes), objects=objects, notes=notes)


def _previews(view: _View, snapshot: Snapshot, service: ServiceRef, planned: Plan) -> Iterator[str]:
    """Yield a sentence for each object of gateways that sends to a version and is not edited."""
    in_scope = {(one["namespace"], one["name"]) for one in planned.objects}
    for one in snapshot.need("virtual_services"):
        there = services_in(all_destinations(one), service, identity(one)[0], view.names)
        there &= view.names - {service.name}
        if there and identity(one) not in in_scope and any(gateway != MESH for gateway in gateways_of(one)):
            yield (
                f"{full_name(one)} sends requests of a gateway to {', '.join(sorted(there))} and is not edited unless "
                "named (virtual_services)"
            )


def _without_versions(virtual_service: Object) -> Object:
    """Return the object without the recorded names of versions, which alone are no reason to write."""
    if not has_state(virtual_service):
        return virtual_service
    copied = {**virtual_service, "metadata": {**virtual_service["metadata"]}}
    copied["metadata"]["annotations"] = dict(copied["metadata"]["annotations"])
    state = managed_state.read(virtual_service)
    services = {
        fqdn: {key: value for key, value in service_state.items() if key != VERSIONS}
        for fqdn, service_state in state["services"].items()
    }
    managed_state.write(copied, {**state, "services": services})
    return copied


def _refuse_new_owners(objects: Iterable[Object], service: ServiceRef, names: frozenset[str]) -> None:
    """Raise Refused for a named Service that is a version of another, or was foreign when the canary began.

    The weights of earlier commands would suddenly apply to all routes that send to it.
    """
    for one in objects:
        known = recorded(one)
        of_others = {name for fqdn, versions in known.items() if fqdn != service.fqdn for name in versions}
        if names & of_others:
            raise Refused(
                f"{full_name(one)}: {', '.join(sorted(names & of_others))} belong to another service there, as its "
                "versions by an earlier command. End that canary first (state: absent)."
            )
        there = services_in(all_destinations(one), service, identity(one)[0], names)
        new = sorted((names - known.get(service.fqdn, names) - {service.name}) & there)
        if new:
            raise Refused(
                f"{full_name(one)}: {', '.join(new)} is a destination there, but was not named as a version of "
                f"{service.name} when its routes were first changed. Its routes would now get the weights of earlier "
                "commands. Restore the routes (state: absent) and start with weights that name every version, with 0 "
                "for those that are to get no requests."
            )
