# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restores a route's destinations: the original, our edit, and what others changed since. Pure."""

from __future__ import annotations

import copy
import typing as t
from fractions import Fraction

from ..objects.patch import canonical_json, json_equal
from ..objects.weights import integer_weights, shares

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .destinations import Entry

    Owner = Callable[[Entry], str]

_MISSING: t.Final = object()


def externally_changed(ours: Sequence[Entry], current: Sequence[Entry], owner: Owner) -> set[str]:
    """Return the services of entries whose weight somebody changed since we set it; those weights stay.

    owner: entry -> the service whose weights we set, '' for destinations of no command.
    """
    now = _by_destination(current)
    changed = set()
    for key, entry in _by_destination(ours).items():
        weight = entry.get("weight") or 0
        if (now[key].get("weight") or 0) != weight if key in now else weight:
            changed.add(owner(entry))
    return changed


def restore(before: Sequence[Entry], ours: Sequence[Entry], current: Sequence[Entry], owner: Owner) -> list[Entry]:
    """Return the destinations as they would be without our edit.

    before: the original. ours: as we wrote them. current: as they are now. owner: see `externally_changed`.
    Fields and entries that others added stay, entries that others removed stay removed; and where others changed a
    weight, all weights of its owner stay.
    """
    if json_equal(list(current), list(ours)):
        return copy.deepcopy(list(before))
    now, written, old = _by_destination(current), _by_destination(ours), _by_destination(before)
    changed = externally_changed(ours, current, owner)
    if changed:
        return _restore_in_part(old, written, now, owner, {*map(owner, ours)} - changed - {""})
    restored = []
    for key, entry in old.items():
        if key in written and key not in now:
            continue
        restored.append(_restored_entry(entry, written.get(key), now.get(key)))
    added = [copy.deepcopy(entry) for key, entry in now.items() if key not in written]
    return _with_common_sum(restored, added, ours)


def _restore_in_part(
    old: Mapping[str, Entry], written: Mapping[str, Entry], now: Mapping[str, Entry], owner: Owner, ours: set[str]
) -> list[Entry]:
    """Return the current destinations, with the share of each owner in `ours` split in its original proportions."""
    parts: dict[str, int] = {}
    for key, entry in now.items():
        if key in written:
            parts[owner(entry)] = parts.get(owner(entry), 0) + int(entry.get("weight") or 0)
    shared: list[tuple[Entry, Fraction]] = []
    restored_services: set[str] = set()
    for key, entry in now.items():
        service = owner(entry) if key in written else ""
        if service not in ours or not parts[service]:
            shared.append(
                (_without_our_edit(old.get(key), written.get(key), entry), Fraction(int(entry.get("weight") or 0)))
            )
        elif service not in restored_services:
            restored_services.add(service)
            originals = {
                one: first
                for one, first in old.items()
                if owner(first) == service and (one in now or one not in written)
            }
            rest = shares([int(first.get("weight") or 0) for first in originals.values()])
            restored = [_restored_entry(first, written.get(one), now.get(one)) for one, first in originals.items()]
            shared += zip(restored, (share * parts[service] for share in rest), strict=True)
    if not restored_services:
        return [entry for entry, _weight in shared]
    total = sum(weight for _entry, weight in shared)
    integers = integer_weights([weight / total for _entry, weight in shared], int(total), "route")
    return [{**entry, "weight": weight} for (entry, _weight), weight in zip(shared, integers, strict=True)]


def _without_our_edit(before: Entry | None, ours: Entry | None, current: Entry) -> Entry:
    """Return the entry with its current weight, and without our other edits."""
    if ours is None:
        return copy.deepcopy(current)
    # An entry that we added and somebody changed is theirs now, with its weight.
    merged = t.cast(
        "Entry",
        merge(_without_weight(ours if before is None else before), _without_weight(ours), _without_weight(current)),
    )
    return {**merged, **{key: copy.deepcopy(current[key]) for key in ("weight", "destination") if key in current}}


def _restored_entry(before: Entry, ours: Entry | None, current: Entry | None) -> Entry:
    if ours is None or current is None:
        return copy.deepcopy(before)
    weight = {"weight": before["weight"]} if "weight" in before else {}
    return {
        **t.cast("Entry", merge(_without_weight(before), _without_weight(ours), _without_weight(current))),
        **weight,
    }


def _without_weight(entry: Entry) -> Entry:
    return {key: value for key, value in entry.items() if key != "weight"}


def merge(before: t.Any, ours: t.Any, current: t.Any) -> t.Any:
    """Return `current` without our edit (before -> ours), and with every other difference."""
    if current is _MISSING:
        return before if ours is _MISSING else _MISSING
    if ours is not _MISSING and json_equal(current, ours):
        return before if before is _MISSING else copy.deepcopy(before)
    if not isinstance(ours, dict) or not isinstance(current, dict):
        return copy.deepcopy(current)
    base = before if isinstance(before, dict) else {}
    merged = {}
    for key in [*current, *(key for key in base if key not in current and key not in ours)]:
        value = merge(base.get(key, _MISSING), ours.get(key, _MISSING), current.get(key, _MISSING))
        if value is _MISSING or (value == {} and key not in base and key in ours):
            continue
        merged[key] = value
    return merged


def _with_common_sum(restored: list[Entry], added: list[Entry], ours: Sequence[Entry]) -> list[Entry]:
    """Return both lists as one; entries that others added keep the share they had beside our weights."""
    added_weights = [int(entry.get("weight") or 0) for entry in added]
    if not any(added_weights):
        return restored + added
    ours_total = sum(int(entry.get("weight") or 0) for entry in ours)
    total = ours_total + sum(added_weights)
    rest = shares([int(entry.get("weight") or 0) for entry in restored])
    wanted = [share * ours_total / total for share in rest] + shares([*added_weights, ours_total])[:-1]
    current_sum = sum(int(entry.get("weight") or 0) for entry in restored) + sum(added_weights)
    integers = integer_weights(wanted, current_sum, "route")
    return [{**entry, "weight": weight} for entry, weight in zip(restored + added, integers, strict=True)]


def _by_destination(entries: Sequence[Entry]) -> dict[str, Entry]:
    keyed: dict[str, Entry] = {}
    for entry in entries:
        key = canonical_json(entry.get("destination"))
        while key in keyed:
            key += "+"
        keyed[key] = entry
    return keyed
