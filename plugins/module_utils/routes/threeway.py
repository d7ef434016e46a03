# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Giving a route back: what was there, what we made of it, what others did since. Pure."""

from __future__ import annotations

import copy
import typing as t

from .patch import canonical, same
from .sticky import without_cookie
from .weights import as_integers, shares

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .destinations import Entry

_MISSING: t.Final = object()


def taken_over(ours: Sequence[Entry], current: Sequence[Entry]) -> bool:
    """Return whether somebody changed a weight we had set: then the weights are theirs, and stay."""
    now = _by_destination(current)
    for key, entry in _by_destination(ours).items():
        weight = entry.get("weight") or 0
        if key not in now:
            if weight:
                return True
        elif (now[key].get("weight") or 0) != weight:
            return True
    return False


def give_back(before: Sequence[Entry], ours: Sequence[Entry], current: Sequence[Entry]) -> list[Entry]:
    """Return the destinations as they would be had we never come.

    before: as we found them. ours: as we wrote them. current: as they are.
    Fields others added to an entry stay, entries others removed stay away, entries others added stay; and if
    they changed a weight, the weights are theirs and all of them stay.
    """
    if same(list(current), list(ours)):
        return copy.deepcopy(list(before))
    now, written, old = _by_destination(current), _by_destination(ours), _by_destination(before)
    if taken_over(ours, current):
        return [_without_ours(old.get(key), written.get(key), entry) for key, entry in now.items()]
    restored = []
    for key, entry in old.items():
        if key in written and key not in now:
            continue
        restored.append(_restored(entry, written.get(key), now.get(key)))
    added = [copy.deepcopy(entry) for key, entry in now.items() if key not in written]
    return _in_one_unit(restored, added, ours)


def _without_ours(before: Entry | None, ours: Entry | None, current: Entry) -> Entry:
    """Return the entry with its present weight, and without what else we had put on it."""
    if ours is None:
        return copy.deepcopy(current)
    # An entry we added is theirs now with its weight: only the cookie it hands out goes.
    base = without_cookie(ours) if before is None else before
    merged = t.cast("Entry", merge3(_plain(base), _plain(ours), _plain(current)))
    return {**merged, **{key: copy.deepcopy(current[key]) for key in ("weight", "destination") if key in current}}


def _restored(before: Entry, ours: Entry | None, current: Entry | None) -> Entry:
    if ours is None or current is None:
        return copy.deepcopy(before)
    weight = {"weight": before["weight"]} if "weight" in before else {}
    return {**t.cast("Entry", merge3(_plain(before), _plain(ours), _plain(current))), **weight}


def _plain(entry: Entry) -> Entry:
    return {key: value for key, value in entry.items() if key != "weight"}


def merge3(before: t.Any, ours: t.Any, current: t.Any) -> t.Any:
    """Return `current` with our edit (before -> ours) taken back, and every other difference kept."""
    if current is _MISSING:
        return before if ours is _MISSING else _MISSING
    if ours is not _MISSING and same(current, ours):
        return before if before is _MISSING else copy.deepcopy(before)
    if not isinstance(ours, dict) or not isinstance(current, dict):
        return copy.deepcopy(current)
    base = before if isinstance(before, dict) else {}
    merged = {}
    for key in [*current, *(key for key in base if key not in current and key not in ours)]:
        value = merge3(base.get(key, _MISSING), ours.get(key, _MISSING), current.get(key, _MISSING))
        if value is _MISSING or (value == {} and key not in base and key in ours):
            continue
        merged[key] = value
    return merged


def _in_one_unit(restored: list[Entry], added: list[Entry], ours: Sequence[Entry]) -> list[Entry]:
    """Return both lists together; the shares others gave their new entries beside our weights stay."""
    theirs = [int(entry.get("weight") or 0) for entry in added]
    if not any(theirs):
        return restored + added
    ours_total = sum(int(entry.get("weight") or 0) for entry in ours)
    total = ours_total + sum(theirs)
    rest = shares([int(entry.get("weight") or 0) for entry in restored])
    wanted = [share * ours_total / total for share in rest] + shares([*theirs, ours_total])[:-1]
    familiar = sum(int(entry.get("weight") or 0) for entry in restored) + sum(theirs)
    integers = as_integers(wanted, familiar, "route")
    return [{**entry, "weight": weight} for entry, weight in zip(restored + added, integers, strict=True)]


def _by_destination(entries: Sequence[Entry]) -> dict[str, Entry]:
    keyed: dict[str, Entry] = {}
    for entry in entries:
        key = canonical(entry.get("destination"))
        while key in keyed:
            key += "+"
        keyed[key] = entry
    return keyed
