# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What makes a change of an HTTPRoute impossible or harmful. Pure."""

from __future__ import annotations

import typing as t

from ..errors import Refused, UnknownSubset
from ..findings import Finding
from . import gateway_lens as lenses
from . import state
from .gateway_matches import rank
from .gateway_parents import parents, short
from .keys import is_managed
from .matches import in_words
from .product import product
from .snapshot import identity, label

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .hosts import ServiceRef
    from .snapshot import Object, Snapshot

RULES: t.Final = 16
MATCHES: t.Final = 64
ALL_MATCHES: t.Final = 128


def require_weight(rule: Mapping[str, t.Any], lens: lenses.Lens, where: str) -> None:
    refs = rule.get("backendRefs") or ()
    ours = any("subset" in lens.destination(ref) for ref in refs)
    if ours and not any(ref.get("weight", 1) for ref in refs):
        names = ", ".join(str(ref.get("name")) for ref in refs)
        raise Refused(
            f"{where}: a rule sends nothing anywhere, all its backends ({names}) have weight 0, so its requests are "
            "answered 500. Give one of them a weight above 0 first."
        )


def refuse_new_owners(http_route: Object, service: ServiceRef, named: frozenset[str]) -> None:
    """Raise Refused if a backend that was another's when the canary began would now be a version of the service.

    Rules that send to it would all at once be under the weights of earlier commands.
    """
    wanted = state.read(http_route)["services"].get(service.fqdn)
    if not wanted or short(service.fqdn) in parents(http_route):
        return
    namespace, _name = identity(http_route)
    there = {
        str(ref.get("name"))
        for rule in http_route["spec"].get("rules") or ()
        for ref in rule.get("backendRefs") or ()
        if (ref.get("namespace") or namespace) == service.namespace
    }
    new = sorted((named - lenses.versions_in(wanted) - {service.name}) & there)
    if new:
        raise Refused(
            f"{label(http_route)}: {', '.join(new)} is a backend there, but not named as a version of {service.name} "
            "when its routes were first changed. Now its rules would fall under the weights of before. Give the routes "
            "back (state: absent) and begin with weights that name every version, at 0 if it is to get nothing."
        )


def refuse_overtaking(seen: Object, cohort: Sequence[t.Any]) -> None:
    """Raise Refused if the cohort's rule, testing more than the one it goes with, would now win over another's."""
    gone_with, waiting = [], []
    for route in seen["spec"]["http"]:
        if is_managed(route):
            waiting.append(route)
            continue
        gone_with += [(route, one) for one in waiting]
        waiting = []
    bases = [base for base, _inserted in gone_with]
    others = [one for one in seen["spec"]["http"] if not is_managed(one) and not any(one is base for base in bases)]
    for base, inserted in gone_with:
        lowest = min(map(rank, lenses.matches_of(base)))
        highest = max(map(rank, lenses.matches_of(inserted)))
        for other in others:
            between = any(lowest < rank(match) <= highest for match in lenses.matches_of(other))
            if between and _can_meet(other, cohort, seen):
                raise Refused(
                    f"{label(seen)}: the cohort's rule would test more than the rule for "
                    f"{in_words(other['match'])}, and take requests from it. Choose a match with fewer conditions, "
                    "or a path of the service's own."
                )


def _can_meet(route: t.Any, cohort: Sequence[t.Any], seen: Object) -> bool:
    try:
        return bool(product(route["match"], cohort, rewritten=False, where=label(seen)))
    except Refused:
        return True


def require_room(before: Object, after: Object) -> None:
    was, rules = before["spec"].get("rules") or [], after["spec"].get("rules") or []
    matches = [len(rule.get("matches") or [{}]) for rule in rules]
    if len(rules) <= len(was) and matches == [len(rule.get("matches") or [{}]) for rule in was]:
        return
    if len(rules) > RULES or max(matches) > MATCHES or sum(matches) >= ALL_MATCHES:
        raise Refused(
            f"{label(after)} would have {len(rules)} rules with {sum(matches)} matches; the Gateway API allows {RULES} "
            f"rules, {MATCHES} matches a rule and fewer than {ALL_MATCHES} in all. Limit the cohort with routes, "
            "or split the HTTPRoute."
        )


def require_services(snapshot: Snapshot, service: ServiceRef, before: Object, after: Object) -> None:
    """Raise UnknownSubset if a backend that newly gets requests is no Service, or has no such port."""
    old = {_place(ref) for ref in lenses.live_refs(before)}
    own, _name = identity(after)
    for ref in lenses.live_refs(after):
        if _place(ref) in old or (ref.get("namespace") or own) != service.namespace:
            continue
        services = {identity(one)[1]: one for one in snapshot.need("services") if identity(one)[0] == service.namespace}
        name, port = str(ref.get("name")), ref.get("port")
        where = f"{label(after)}: version {name}"
        if name not in services:
            _refuse_version(where, f"There is no Service {service.namespace}/{name}.", sorted(services))
        ports = [one.get("port") for one in services[name]["spec"].get("ports") or ()]
        if port is not None and port not in ports:
            _refuse_version(where, f"Service {name} has no port {port}, only {ports}.", sorted(services))


def _place(ref: Mapping[str, t.Any]) -> tuple[t.Any, ...]:
    return (ref.get("namespace"), ref.get("name"), ref.get("port"))


def _refuse_version(where: str, reason: str, known: list[str]) -> t.NoReturn:
    raise UnknownSubset(
        f"{where}: {reason} With HTTPRoutes each version is a Service of its own, beside the one callers use. "
        f"Requests sent there would be answered 500. There are: {', '.join(known) or 'none'}.",
        [Finding("SUBSET_UNKNOWN", where, reason)],
        known=known,
    )
