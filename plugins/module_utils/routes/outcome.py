# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From edited objects to a plan that people can read. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from .change import Plan, edit
from .describe import describe, reference, text, weight_change
from .find import has_routes_to
from .snapshot import identity, label
from .weights import shares_in_words

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .find import Scope
    from .hosts import ServiceRef
    from .snapshot import Object, Snapshot


def finish(
    snapshot: Snapshot,
    service: ServiceRef,
    scope: Scope,
    edited: Sequence[tuple[Object, Object]],
    notes: Sequence[str] = (),
) -> Plan:
    """Return the plan that writes `edited` = (before, after) of every object concerned."""
    changes = [change for change in (edit(before, after) for before, after in edited) if change]
    was, told = describe(snapshot, service, scope), text(snapshot, service, scope)
    later = snapshot.after(changes)
    # Most runs find nothing to do: then after is before.
    now, told_after = (describe(later, service, scope), text(later, service, scope)) if changes else (was, told)
    summary = summarize(service, was, now)
    written = {(change.namespace, change.name) for change in changes}
    return Plan(
        changes=tuple(replace(change, summary=tuple(summary)) for change in changes),
        weights_before=was["weights"],
        weights_after=now["weights"],
        summary=tuple(summary),
        diff_before=told,
        diff_after=told_after,
        host=service.fqdn,
        cohorts=now["cohorts"],
        objects=tuple({**reference(before), "changed": identity(before) in written} for before, _after in edited),
        notes=(*notes, *_notes(now), *_bystanders(snapshot, service, edited)),
    )


def summarize(service: ServiceRef, was: dict[str, t.Any], now: dict[str, t.Any]) -> list[str]:
    """Return what differs between two descriptions, a sentence each."""
    lines = []
    change = weight_change(service, was["weights"], now["weights"])
    if change:
        lines.append(change)
    for name in [*was["cohorts"], *(name for name in now["cohorts"] if name not in was["cohorts"])]:
        old, new = was["cohorts"].get(name), now["cohorts"].get(name)
        if _cohort_sentence(old) != _cohort_sentence(new):
            lines.append(f"{service.name}: cohort {name}: {_cohort_sentence(old)} -> {_cohort_sentence(new)}")
        elif old != new:
            lines.append(f"{service.name}: cohort {name} now stands before {(new or {})['routes']} routes")
    for version in sorted({*was["mirrors"], *now["mirrors"]}):
        old, new = was["mirrors"].get(version, 0), now["mirrors"].get(version, 0)
        if old != new:
            lines.append(f"{service.name}: mirror to {version}: {old}% -> {new}%")
    lines += _route_changes(service, was, now)
    if was["sticky"] != now["sticky"]:
        cookie = (now["sticky"] or {}).get("cookie")
        lines.append(
            f"{service.name}: users keep their version by cookie {cookie}"
            if cookie
            else f"{service.name}: users no longer keep their version"
        )
    return lines


def _route_changes(service: ServiceRef, was: dict[str, t.Any], now: dict[str, t.Any]) -> list[str]:
    """Return a sentence for every route whose weights change in another way than the service's."""
    told = weight_change(service, was["weights"], now["weights"])
    before = {(route["object"], route["route"]): route["weights"] for route in was["routes"]}
    lines = []
    for route in now["routes"]:
        change = weight_change(service, before.get((route["object"], route["route"]), {}), route["weights"])
        if change and change != told:
            lines.append(f"{change} (only {route['match']}, {route['object']})")
    return lines


def _cohort_sentence(cohort: dict[str, t.Any] | None) -> str:
    if cohort is None:
        return "none"
    return f"{cohort['match']} gets {shares_in_words(cohort['weights'])}"


def _bystanders(snapshot: Snapshot, service: ServiceRef, edited: Sequence[tuple[Object, Object]]) -> list[str]:
    concerned = {identity(before) for before, _after in edited}
    return [
        f"{label(one)} also routes to {service.name} under another host and is left alone unless named"
        for one in snapshot.virtual_services or ()
        if identity(one) not in concerned and has_routes_to(one, service)
    ]


def _notes(now: dict[str, t.Any]) -> list[str]:
    notes = [
        f"{route['object']}: route {route['route']} is made for certain callers ({route['match']}) "
        "and is left alone unless named"
        for route in now["routes"]
        if not route["general"]
    ]
    if now["weights_differ"]:
        notes.append("The routes of the service do not all have the same weights.")
    return notes
