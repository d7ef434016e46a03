# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The list of destinations of one route: whose they are, and how it is split anew. Pure."""

from __future__ import annotations

import copy
import typing as t
from fractions import Fraction

from ..errors import ForeignDestination, Refused
from .weights import HUNDRED, as_integers, natural, shares

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .hosts import ServiceRef

Entry = dict[str, t.Any]
ALL_VERSIONS: t.Final = ""


def version_of(entry: Entry, service: ServiceRef, namespace: str) -> str | None:
    """Return the version (subset) of `service` the entry sends to; ALL_VERSIONS without subset, None for others.

    namespace: of the object that holds the entry, for short host names.
    """
    destination = entry.get("destination") or {}
    if not service.is_host(str(destination.get("host") or ""), namespace):
        return None
    return str(destination.get("subset") or ALL_VERSIONS)


def sends_to(route: Mapping[str, t.Any], service: ServiceRef, namespace: str) -> bool:
    """Return whether one of the route's destinations, whatever its weight, is the service."""
    return any(version_of(entry, service, namespace) is not None for entry in route.get("route") or ())


def entry_shares(entries: Sequence[Entry], where: str) -> list[Fraction]:
    """Return each entry's share, 0 to 1. Raises Refused for weights below 0, which no proxy accepts."""
    weights = [int(entry.get("weight") or 0) for entry in entries]
    if any(weight < 0 for weight in weights):
        raise Refused(f"{where}: a weight is below 0, so proxies reject the route. Mend the weights by hand first.")
    return shares(weights)


def shares_of(
    entries: Sequence[Entry], service: ServiceRef, namespace: str, where: str
) -> tuple[dict[str, Fraction], dict[str, Fraction]]:
    """Return (version -> share within the service, other host[/subset] -> share of the route), both 0 to 1.

    Versions with weight 0 are in it. Within a service that gets nothing every share is 0.
    """
    own: dict[str, Fraction] = {}
    foreign: dict[str, Fraction] = {}
    for entry, share in zip(entries, entry_shares(entries, where), strict=True):
        version = version_of(entry, service, namespace)
        if version is not None:
            own[version] = own.get(version, Fraction(0)) + share
            continue
        destination = entry.get("destination") or {}
        host = "/".join(str(destination[key]) for key in ("host", "subset") if destination.get(key))
        foreign[host] = foreign.get(host, Fraction(0)) + share
    part = sum(own.values(), Fraction(0))
    return {version: share / part if part else share for version, share in own.items()}, foreign


def split(
    entries: Sequence[Entry], service: ServiceRef, namespace: str, percents: Mapping[str, Fraction], where: str
) -> list[Entry]:
    """Return the route's destinations with the service's part dealt out by `percents`.

    percents: version -> percent of the service's requests, sum 100; versions not in it get 0.
    Destinations of other hosts keep their share of the route. Destinations that were there stay, also at
    weight 0 (nobody's entry is dropped); new ones are added only above 0, shaped like their neighbours.
    An entry without subset stood for all versions, so the versions take its place.
    Raises ForeignDestination if the service gets nothing on this route, or no integers are exact.
    """
    own, dummy = shares_of(entries, service, namespace, where)
    wanted = {version: percent / HUNDRED for version, percent in percents.items() if percent}
    if {version: share for version, share in own.items() if share} == wanted:
        return list(entries)
    dealt = _deal(entries, service, namespace, wanted, where)
    familiar = sum(int(entry.get("weight") or 0) for entry in entries)
    integers = as_integers([share for dummy, share in dealt], familiar, where)
    return [
        copy.deepcopy(entry) if _is_kept(entry, weight, service, namespace) else _weighted(entry, weight)
        for (entry, dummy), weight in zip(dealt, integers, strict=True)
    ]


def _is_kept(entry: Entry, weight: int, service: ServiceRef, namespace: str) -> bool:
    return version_of(entry, service, namespace) is None and int(entry.get("weight") or 0) == weight


def _deal(
    entries: Sequence[Entry], service: ServiceRef, namespace: str, wanted: Mapping[str, Fraction], where: str
) -> list[tuple[Entry, Fraction]]:
    versions = [version_of(entry, service, namespace) for entry in entries]
    old = entry_shares(entries, where)
    part = sum((share for share, version in zip(old, versions, strict=True) if version is not None), Fraction(0))
    if not part and all(version is not None for version in versions):
        part = Fraction(1)
    if not part:
        raise ForeignDestination(
            f"{where}: {service.name} gets no request on this route, other hosts get them all. "
            "There is nothing to split. Give the service a share there first, or name the routes you mean."
        )
    within: dict[str, Fraction] = {}
    for share, version in zip(old, versions, strict=True):
        if version is not None:
            within[version] = within.get(version, Fraction(0)) + share

    dealt: list[tuple[Entry, Fraction]] = []
    seen: set[str] = set()
    end_of_ours = 0
    for entry, share, version in zip(entries, old, versions, strict=True):
        if version is None:
            dealt.append((entry, share))
            continue
        if version != ALL_VERSIONS:
            # A version named twice (two ports, two sets of headers) keeps the proportion of its entries.
            own = share / within[version] if within[version] else Fraction(version not in seen)
            dealt.append((entry, wanted.get(version, Fraction(0)) * part * own))
            seen.add(version)
        end_of_ours = len(dealt)
    added = [version for version in sorted(wanted, key=natural) if version not in seen]
    fresh = [(new_entry(version, entries, service, namespace), wanted[version] * part) for version in added]
    return dealt[:end_of_ours] + fresh + dealt[end_of_ours:]


def new_entry(version: str, entries: Sequence[Entry], service: ServiceRef, namespace: str) -> Entry:
    """Return a destination for `version`, without weight, shaped like those that are there.

    First choice is the version's own entry, then the one for all versions (its headers were meant for
    every version), else a neighbour's host, port and unknown fields, but not what was said of that version alone.
    """
    own = [(version_of(entry, service, namespace), entry) for entry in entries]
    for wanted in (version, ALL_VERSIONS):
        for known, entry in own:
            if known == wanted:
                model = {key: copy.deepcopy(value) for key, value in entry.items() if key != "weight"}
                model["destination"]["subset"] = version
                return model
    neighbour = next(entry for known, entry in own if known is not None)
    destination = copy.deepcopy(neighbour["destination"])
    destination["subset"] = version
    return {"destination": destination}


def cohort_entries(
    entries: Sequence[Entry], service: ServiceRef, namespace: str, percents: Mapping[str, Fraction], where: str
) -> list[Entry]:
    """Return the destinations of a route that belongs to the service alone, dealt out by `percents`."""
    wanted = {version: percent / HUNDRED for version, percent in percents.items() if percent}
    integers = as_integers(list(wanted.values()), 100, where)
    return [
        _weighted(new_entry(version, entries, service, namespace), weight)
        for version, weight in zip(wanted, integers, strict=True)
    ]


def _weighted(entry: Entry, weight: int) -> Entry:
    """Return a copy with the weight, written out also where it is 0: without a number nobody sees that it is."""
    return {**copy.deepcopy(entry), "weight": weight}
