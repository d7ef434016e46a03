# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes a plan, with its summary and diff, from edited objects. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ..objects.change import Plan, edit
from ..objects.metadata import full_name, typed_identity
from ..objects.weights import weights_text
from .describe import describe, reference, routes_text, weight_change
from .find import has_routes_to

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..objects.hosts import ServiceRef
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot
    from .find import Scope


def make_plan(
    snapshot: Snapshot,
    service: ServiceRef,
    scope: Scope,
    edited: Sequence[tuple[Object, Object]],
    notes: Sequence[str] = (),
) -> Plan:
    """Return the plan that writes `edited` = (before, after) of every object in scope."""
    changes = [change for change in (edit(before, after) for before, after in edited) if change]
    old, old_text = describe(snapshot, service, scope), routes_text(snapshot, service, scope)
    later = snapshot.after(changes)
    # Without changes, which is the usual case, after equals before.
    new, new_text = (
        (describe(later, service, scope), routes_text(later, service, scope)) if changes else (old, old_text)
    )
    summary = summarize(service, old, new)
    written = {(change.kind, change.namespace, change.name) for change in changes}
    return Plan(
        changes=tuple(replace(change, summary=tuple(summary)) for change in changes),
        weights_before=old["weights"],
        weights_after=new["weights"],
        summary=tuple(summary),
        diff_before=old_text,
        diff_after=new_text,
        host=service.fqdn,
        cohorts=new["cohorts"],
        objects=tuple({**reference(before), "changed": typed_identity(before) in written} for before, _after in edited),
        notes=(*notes, *_notes(new), *_unedited_objects(snapshot, service, edited)),
    )


def summarize(service: ServiceRef, before: dict[str, t.Any], after: dict[str, t.Any]) -> list[str]:
    """Return a sentence for each difference between two descriptions."""
    lines = []
    change = weight_change(service, before["weights"], after["weights"])
    if change:
        lines.append(change)
    for name in [*before["cohorts"], *(name for name in after["cohorts"] if name not in before["cohorts"])]:
        old, new = before["cohorts"].get(name), after["cohorts"].get(name)
        if _cohort_sentence(old) != _cohort_sentence(new):
            lines.append(f"{service.name}: cohort {name}: {_cohort_sentence(old)} -> {_cohort_sentence(new)}")
        elif old != new:
            lines.append(f"{service.name}: cohort {name} now applies to {(new or {})['routes']} routes")
    for version in sorted({*before["mirrors"], *after["mirrors"]}):
        old, new = before["mirrors"].get(version, 0), after["mirrors"].get(version, 0)
        if old != new:
            lines.append(f"{service.name}: mirror to {version}: {old}% -> {new}%")
    lines += _route_changes(service, before, after)
    if before["sticky"] != after["sticky"]:
        cookie = (after["sticky"] or {}).get("cookie")
        lines.append(
            f"{service.name}: users keep their version by cookie {cookie}"
            if cookie
            else f"{service.name}: users no longer keep their version"
        )
    return lines


def _route_changes(service: ServiceRef, before: dict[str, t.Any], after: dict[str, t.Any]) -> list[str]:
    """Return a sentence for every route whose weights change differently from the service's."""
    general_change = weight_change(service, before["weights"], after["weights"])
    earlier = {(route["object"], route["route"]): route["weights"] for route in before["routes"]}
    lines = []
    for route in after["routes"]:
        change = weight_change(service, earlier.get((route["object"], route["route"]), {}), route["weights"])
        if change and change != general_change:
            lines.append(f"{change} (only {route['match']}, {route['object']})")
    return lines


def _cohort_sentence(cohort: dict[str, t.Any] | None) -> str:
    if cohort is None:
        return "none"
    return f"{cohort['match']} gets {weights_text(cohort['weights'])}"


def _unedited_objects(snapshot: Snapshot, service: ServiceRef, edited: Sequence[tuple[Object, Object]]) -> list[str]:
    in_scope = {typed_identity(before) for before, _after in edited}
    return [
        f"{full_name(one)} also routes to {service.name} under another host and is not edited unless named"
        for one in snapshot.virtual_services or ()
        if typed_identity(one) not in in_scope and has_routes_to(one, service)
    ]


def _notes(description: dict[str, t.Any]) -> list[str]:
    notes = [
        f"{route['object']}: route {route['route']} selects certain callers ({route['match']}) "
        "and is not edited unless named"
        for route in description["routes"]
        if not route["general"]
    ]
    if description["weights_differ"]:
        notes.append("The routes of the service do not all have the same weights.")
    return notes
