# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Giving a route back: what was there, what we made of it, what others did since. Pure."""

from __future__ import annotations

import copy
import typing as t
from fractions import Fraction

from .patch import canonical, same
from .weights import as_integers, shares

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .destinations import Entry

    Owner = Callable[[Entry], str]

_MISSING: t.Final = object()


def taken_over(ours: Sequence[Entry], current: Sequence[Entry], owner: Owner) -> set[str]:
    """Return the owners of entries whose weight somebody changed since we set it: those weights are theirs, and stay.

    owner: entry -> whose weights we deal, '' for destinations that are in no command.
    """
    now = _by_destination(current)
    changed = set()
    for key, entry in _by_destination(ours).items():
        weight = entry.get("weight") or 0
        if (now[key].get("weight") or 0) != weight if key in now else weight:
            changed.add(owner(entry))
    return changed


def give_back(before: Sequence[Entry], ours: Sequence[Entry], current: Sequence[Entry], owner: Owner) -> list[Entry]:
    """Return the destinations as they would be had we never come.

    before: as we found them. ours: as we wrote them. current: as they are. owner: see `taken_over`.
    Fields others added to an entry stay, entries others removed stay away, entries others added stay; and if
    they changed a weight, the weights of its owner are theirs and all of them stay.
    """
    if same(list(current), list(ours)):
        return copy.deepcopy(list(before))
    now, written, old = _by_destination(current), _by_destination(ours), _by_destination(before)
    theirs = taken_over(ours, current, owner)
    if theirs:
        return _given_back_in_part(old, written, now, owner, {*map(owner, ours)} - theirs - {""})
    restored = []
    for key, entry in old.items():
        if key in written and key not in now:
            continue
        restored.append(_restored(entry, written.get(key), now.get(key)))
    added = [copy.deepcopy(entry) for key, entry in now.items() if key not in written]
    return _in_one_unit(restored, added, ours)


def _given_back_in_part(
    old: Mapping[str, Entry], written: Mapping[str, Entry], now: Mapping[str, Entry], owner: Owner, ours: set[str]
) -> list[Entry]:
    """Return the present destinations with the shares that the owners `ours` have now dealt as they were before."""
    parts: dict[str, int] = {}
    for key, entry in now.items():
        if key in written:
            parts[owner(entry)] = parts.get(owner(entry), 0) + int(entry.get("weight") or 0)
    dealt: list[tuple[Entry, Fraction]] = []
    done: set[str] = set()
    for key, entry in now.items():
        whose = owner(entry) if key in written else ""
        if whose not in ours or not parts[whose]:
            dealt.append(
                (_without_ours(old.get(key), written.get(key), entry), Fraction(int(entry.get("weight") or 0)))
            )
        elif whose not in done:
            done.add(whose)
            back = {
                one: first for one, first in old.items() if owner(first) == whose and (one in now or one not in written)
            }
            rest = shares([int(first.get("weight") or 0) for first in back.values()])
            restored = [_restored(first, written.get(one), now.get(one)) for one, first in back.items()]
            dealt += zip(restored, (share * parts[whose] for share in rest), strict=True)
    if not done:
        return [entry for entry, _weight in dealt]
    total = sum(weight for _entry, weight in dealt)
    integers = as_integers([weight / total for _entry, weight in dealt], int(total), "route")
    return [{**entry, "weight": weight} for (entry, _weight), weight in zip(dealt, integers, strict=True)]


def _without_ours(before: Entry | None, ours: Entry | None, current: Entry) -> Entry:
    """Return the entry with its present weight, and without what else we had put on it."""
    if ours is None:
        return copy.deepcopy(current)
    # An entry we added is theirs now with its weight.
    merged = t.cast("Entry", merge3(_plain(ours if before is None else before), _plain(ours), _plain(current)))
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
