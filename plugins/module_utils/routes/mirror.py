# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies of requests to a version, answers discarded. Pure."""

from __future__ import annotations

import copy
import typing as t
from fractions import Fraction

from ..errors import Refused
from ..findings import Finding
from .destinations import new_entry, version_of
from .weights import number

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .hosts import ServiceRef
    from .keys import Route

FIELDS: t.Final = ("mirror", "mirrorPercentage", "mirrors")


def put_on(route: Route, wishes: Sequence[tuple[ServiceRef, dict[str, str]]], namespace: str, where: str) -> None:
    """Mirror for each service its wish = {version, percent} of the route's requests.

    A mirror that is there stays; beside it, and where two services want one, ours are written in the form `mirrors`,
    that allows several. Raises Refused (MIRROR_NOT_OURS) if somebody's is in the form that allows one.
    """
    if not wishes:
        return
    if route.get("mirror"):
        target = _target(route["mirror"])
        finding = Finding("MIRROR_NOT_OURS", where, f"It mirrors to {target} in the form for one mirror.")
        raise Refused(f"{where} already mirrors to {target}; a second mirror has no room there.", [finding])
    there = [other.get("destination") for other in route.get("mirrors") or ()]
    ours = []
    for service, wish in wishes:
        destination = new_entry(wish["version"], route["route"], service, namespace)["destination"]
        if destination in there:
            finding = Finding("MIRROR_NOT_OURS", where, f"Somebody mirrors to {_target(destination)} there.")
            raise Refused(
                f"{where} already mirrors to {_target(destination)}; its share is not ours to change.", [finding]
            )
        ours.append({"destination": destination, "percentage": {"value": number(Fraction(wish["percent"]))}})
    if "mirrors" not in route and len(ours) == 1:
        route["mirror"], route["mirrorPercentage"] = ours[0]["destination"], ours[0]["percentage"]
    else:
        route["mirrors"] = [*copy.deepcopy(route.get("mirrors") or []), *ours]


def is_there(route: Route, ours: dict[str, t.Any], version: str, service: ServiceRef, namespace: str) -> bool:
    """Return whether the mirror to the version is as we wrote it, in a list of mirrors that others edited since."""
    written = [one for one in ours.get("mirrors") or () if one in (route.get("mirrors") or ())]
    return any(version_of(one, service, namespace) == version for one in written)


def take_out(route: Route, before: dict[str, t.Any], ours: dict[str, t.Any]) -> None:
    """Remove what we wrote, entry by entry, from mirrors that others edited since; their entries stay."""
    if "mirrors" in ours:
        known = before.get("mirrors") or []
        written = [one for one in ours["mirrors"] if one not in known]
        kept = [one for one in route.get("mirrors") or () if one not in written]
        route.pop("mirrors", None)
        if kept or "mirrors" in before:
            route["mirrors"] = kept
    elif route.get("mirror") == ours.get("mirror") and "mirror" not in before:
        # Only the percentage was changed: the mirror is somebody's now.
        return


def mirrors_of(route: Route) -> Iterator[tuple[dict[str, t.Any], float]]:
    """Yield (destination, percent) of every mirror of the route that copies anything."""
    if route.get("mirror"):
        value = (
            (route.get("mirrorPercentage") or {}).get("value", 0) if route.get("mirrorPercentage") is not None else None
        )
        percent = float(value if value is not None else route.get("mirrorPercent", 100))
        if percent:
            yield route["mirror"], percent
    for policy in route.get("mirrors") or ():
        percentage = policy.get("percentage")
        percent = 100.0 if percentage is None else float(percentage.get("value", 0))
        if percent and policy.get("destination"):
            yield policy["destination"], percent


def _target(destination: dict[str, t.Any]) -> str:
    return "/".join(str(destination[key]) for key in ("host", "subset") if destination.get(key))
