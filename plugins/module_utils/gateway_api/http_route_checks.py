# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Refuses changes of an HTTPRoute that are impossible or harmful. Pure."""

from __future__ import annotations

import typing as t

from ..errors import Refused, UnknownSubset
from ..findings import Finding
from ..istio.route_keys import is_managed
from ..objects import managed_state
from ..objects.match_intersection import intersect_matches
from ..objects.matches import match_text
from ..objects.metadata import full_name, identity
from . import route_matches
from .http_route_adapter import live_refs, matches_of, versions_in
from .parents import claims_the_same

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..objects.hosts import ServiceRef
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot
    from .http_route_adapter import HTTPRouteAdapter

MAX_RULES: t.Final = 16
MAX_MATCHES: t.Final = 64
MAX_ALL_MATCHES: t.Final = 128


def require_positive_weight(rule: Mapping[str, t.Any], adapter: HTTPRouteAdapter, where: str) -> None:
    """Raise Refused if all backends of the service's rule have weight 0."""
    refs = rule.get("backendRefs") or ()
    ours = any("subset" in adapter.destination(ref) for ref in refs)
    if ours and not any(ref.get("weight", 1) for ref in refs):
        names = ", ".join(str(ref.get("name")) for ref in refs)
        raise Refused(
            f"{where}: all backends of a rule ({names}) have weight 0, so its requests are "
            "answered 500. Give one of them a weight above 0 first."
        )


def refuse_two_kinds(routes: Sequence[Object], all_routes: Sequence[Object]) -> None:
    """Raise Refused if an HTTPRoute and a GRPCRoute claim the same host at the same parent, or have the same name.

    routes: those to be edited. all_routes: of all kinds.
    """
    for one in routes:
        twin = next((two for two in routes if identity(one) == identity(two) and one["kind"] != two["kind"]), None)
        if twin is not None:
            reason = f"{full_name(twin)} has the same name, and of two with one name istiod drops the GRPCRoute."
            raise Refused(
                f"{full_name(one)}: {reason} Create one of them anew under another name.",
                [Finding("ROUTE_APIS_MIXED", full_name(one), reason)],
            )
    for one in routes:
        other = next((two for two in all_routes if claims_the_same(one, two)), None)
        if other is not None:
            reason = (
                f"{full_name(other)} has the same parent and host, so the HTTPRoute may take calls of the GRPCRoute."
            )
            raise Refused(
                f"{full_name(one)}: {reason} Give each a port or listener of its own in parentRefs, or a "
                "hostname; or put all rules into the HTTPRoute, which routes calls by path /SERVICE/METHOD.",
                [Finding("ROUTE_APIS_MIXED", full_name(one), reason)],
            )


def refuse_new_owners(http_route: Object, service: ServiceRef, named: frozenset[str]) -> None:
    """Raise Refused if a backend that was foreign when the canary began would now be a version of the service.

    The weights of earlier commands would suddenly apply to all rules that send to it.
    """
    wanted = managed_state.read(http_route)["services"].get(service.fqdn)
    if not wanted:
        return
    namespace, _name = identity(http_route)
    backends = {
        str(ref.get("name"))
        for rule in http_route["spec"].get("rules") or ()
        for ref in rule.get("backendRefs") or ()
        if (ref.get("namespace") or namespace) == service.namespace
    }
    new = sorted((named - versions_in(wanted) - {service.name}) & backends)
    if new:
        raise Refused(
            f"{full_name(http_route)}: {', '.join(new)} is a backend there, but was not named as a version of "
            f"{service.name} when its routes were first changed. Its rules would now get the weights of earlier "
            "commands. "
            "Restore the routes (state: absent) and start with weights that name every version, with 0 for those that "
            "are to get no requests."
        )


def refuse_overtaking(virtual_service: Object, cohort: Sequence[t.Any]) -> None:
    """Raise Refused if the cohort's rule, which tests more than its base rule, would precede a third rule.

    Of rules that test equally much the first in the list applies.
    """
    kind = route_matches.of(virtual_service)
    pairs, inserted_routes = [], []
    for route in virtual_service["spec"]["http"]:
        if is_managed(route):
            inserted_routes.append(route)
            continue
        pairs += [(route, one) for one in inserted_routes]
        inserted_routes = []
    bases = [base for base, _inserted in pairs]
    listed = [one for one in virtual_service["spec"]["http"] if not is_managed(one)]
    others = [(index, one) for index, one in enumerate(listed) if not any(one is base for base in bases)]
    for base, inserted in pairs:
        position = next(index for index, one in enumerate(listed) if one is base)
        lowest = min(map(kind.precedence, matches_of(base, kind)))
        highest = max(map(kind.precedence, matches_of(inserted, kind)))
        for index, other in others:
            ranks = [kind.precedence(match) for match in matches_of(other, kind)]
            between = any(lowest < rank <= highest or (rank == lowest and index < position) for rank in ranks)
            if between and _may_overlap(other, cohort, virtual_service):
                raise Refused(
                    f"{full_name(virtual_service)}: the cohort's rule would test more than the rule for "
                    f"{match_text(other['match'])}, and take requests from it. Choose a match with fewer conditions, "
                    "or a path of the service's own."
                )


def _may_overlap(route: t.Any, cohort: Sequence[t.Any], virtual_service: Object) -> bool:
    try:
        return bool(intersect_matches(route["match"], cohort, rewritten=False, where=full_name(virtual_service)))
    except Refused:
        return True


def require_limits(before: Object, after: Object) -> None:
    """Raise Refused if the change would exceed the Gateway API's limits of rules and matches."""
    rules_before, rules = before["spec"].get("rules") or [], after["spec"].get("rules") or []
    matches = [len(rule.get("matches") or [{}]) for rule in rules]
    if len(rules) <= len(rules_before) and matches == [len(rule.get("matches") or [{}]) for rule in rules_before]:
        return
    if len(rules) > MAX_RULES or max(matches) > MAX_MATCHES or sum(matches) >= MAX_ALL_MATCHES:
        raise Refused(
            f"{full_name(after)} would have {len(rules)} rules with {sum(matches)} matches; the Gateway API "
            f"allows {MAX_RULES} rules, {MAX_MATCHES} matches a rule and fewer than {MAX_ALL_MATCHES} in all. "
            "Limit the cohort with routes, or split the HTTPRoute."
        )


def require_services(snapshot: Snapshot, service: ServiceRef, before: Object, after: Object) -> None:
    """Raise UnknownSubset if a backend that newly gets requests is not a Service, or has no such port."""
    old = {_location(ref) for ref in live_refs(before)}
    own, _name = identity(after)
    for ref in live_refs(after):
        if _location(ref) in old or (ref.get("namespace") or own) != service.namespace:
            continue
        services = {identity(one)[1]: one for one in snapshot.need("services") if identity(one)[0] == service.namespace}
        name, port = str(ref.get("name")), ref.get("port")
        where = f"{full_name(after)}: version {name}"
        if name not in services:
            _refuse_version(where, f"There is no Service {service.namespace}/{name}.", sorted(services))
        ports = [one.get("port") for one in services[name]["spec"].get("ports") or ()]
        if port is not None and port not in ports:
            _refuse_version(where, f"Service {name} has no port {port}, only {ports}.", sorted(services))


def _location(ref: Mapping[str, t.Any]) -> tuple[t.Any, ...]:
    return (ref.get("namespace"), ref.get("name"), ref.get("port"))


def _refuse_version(where: str, reason: str, known: list[str]) -> t.NoReturn:
    raise UnknownSubset(
        f"{where}: {reason} With the Gateway API each version is a Service of its own, beside the one callers use. "
        f"Requests sent there would be answered 500. There are: {', '.join(known) or 'none'}.",
        [Finding("SUBSET_UNKNOWN", where, reason)],
        known=known,
    )
