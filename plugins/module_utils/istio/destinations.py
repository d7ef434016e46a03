# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The destinations of one route: which version each is, and how new weights are written. Pure."""

from __future__ import annotations

import copy
import typing as t
from fractions import Fraction

from ..errors import ForeignDestination, Refused
from ..objects.weights import HUNDRED, integer_weights, natural_key, shares

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..objects.hosts import ServiceRef

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
        raise Refused(f"{where}: a weight is below 0, so proxies reject the route. Correct the weights first.")
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
    """Return the route's destinations with the service's part split by `percents`.

    percents: version -> percent of the service's requests, sum 100; versions not in it get 0.
    Destinations of other hosts keep their share of the route. Destinations that were there stay, also at
    weight 0 (nobody's entry is dropped); new ones are added only above 0, like existing entries (see `new_entry`).
    An entry without subset means all versions, so the versions replace it.
    Raises ForeignDestination if the service gets nothing on this route, or no integers are exact.
    """
    own, _rest = shares_of(entries, service, namespace, where)
    wanted = {version: percent / HUNDRED for version, percent in percents.items() if percent}
    if {version: share for version, share in own.items() if share} == wanted:
        return list(entries)
    split_entries = _new_shares(entries, service, namespace, wanted, where)
    current_sum = sum(int(entry.get("weight") or 0) for entry in entries)
    integers = integer_weights([share for _rest, share in split_entries], current_sum, where)
    return [
        copy.deepcopy(entry) if _is_unchanged_foreign(entry, weight, service, namespace) else _weighted(entry, weight)
        for (entry, _rest), weight in zip(split_entries, integers, strict=True)
    ]


def _is_unchanged_foreign(entry: Entry, weight: int, service: ServiceRef, namespace: str) -> bool:
    return version_of(entry, service, namespace) is None and int(entry.get("weight") or 0) == weight


def _new_shares(
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
            "There is nothing to split. Give the service a share there first, or select routes with the option routes."
        )
    within: dict[str, Fraction] = {}
    for share, version in zip(old, versions, strict=True):
        if version is not None:
            within[version] = within.get(version, Fraction(0)) + share

    split_entries: list[tuple[Entry, Fraction]] = []
    seen: set[str] = set()
    end_of_own = 0
    for entry, share, version in zip(entries, old, versions, strict=True):
        if version is None:
            split_entries.append((entry, share))
            continue
        if version != ALL_VERSIONS:
            # A version named twice (two ports, two sets of headers) keeps the proportion of its entries.
            own = share / within[version] if within[version] else Fraction(version not in seen)
            split_entries.append((entry, wanted.get(version, Fraction(0)) * part * own))
            seen.add(version)
        end_of_own = len(split_entries)
    added = [version for version in sorted(wanted, key=natural_key) if version not in seen]
    new = [(new_entry(version, entries, service, namespace), wanted[version] * part) for version in added]
    return split_entries[:end_of_own] + new + split_entries[end_of_own:]


def new_entry(version: str, entries: Sequence[Entry], service: ServiceRef, namespace: str) -> Entry:
    """Return a destination for `version`, without weight, like the existing entries.

    The model is the version's own entry, else the one for all versions (its headers are for every version), else the
    destination of another version: its host, port and unknown fields, but not the settings of that version's entry.
    """
    own = [(version_of(entry, service, namespace), entry) for entry in entries]
    for wanted in (version, ALL_VERSIONS):
        for known, entry in own:
            if known == wanted:
                model = {key: copy.deepcopy(value) for key, value in entry.items() if key != "weight"}
                model["destination"]["subset"] = version
                return model
    other = next(entry for known, entry in own if known is not None)
    destination = copy.deepcopy(other["destination"])
    destination["subset"] = version
    return {"destination": destination}


def cohort_entries(
    entries: Sequence[Entry], service: ServiceRef, namespace: str, percents: Mapping[str, Fraction], where: str
) -> list[Entry]:
    """Return the destinations of a route that sends to the service alone, split by `percents`."""
    wanted = {version: percent / HUNDRED for version, percent in percents.items() if percent}
    integers = integer_weights(list(wanted.values()), 100, where)
    return [
        _weighted(new_entry(version, entries, service, namespace), weight)
        for version, weight in zip(wanted, integers, strict=True)
    ]


def _weighted(entry: Entry, weight: int) -> Entry:
    """Return a copy with the weight, written out also where it is 0, so that readers see it."""
    return {**copy.deepcopy(entry), "weight": weight}
