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
from .destinations import new_entry
from .weights import number

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .hosts import ServiceRef
    from .keys import Route

FIELDS: t.Final = ("mirror", "mirrorPercentage", "mirrors")


def put_on(route: Route, service: ServiceRef, namespace: str, wish: dict[str, str], where: str) -> None:
    """Mirror `wish` = {version, percent} of the route's requests.

    A mirror that is there stays; beside it ours is written in the form `mirrors`, that allows several.
    Raises Refused (MIRROR_NOT_OURS) if somebody's is in the form that allows one.
    """
    destination = new_entry(wish["version"], route["route"], service, namespace)["destination"]
    percentage = {"value": number(Fraction(wish["percent"]))}
    if route.get("mirror"):
        finding = Finding(
            "MIRROR_NOT_OURS", where, f"It mirrors to {_target(route['mirror'])} in the form for one mirror."
        )
        raise Refused(
            f"{where} already mirrors to {_target(route['mirror'])}; a second mirror has no room there.", [finding]
        )
    if "mirrors" not in route:
        route["mirror"], route["mirrorPercentage"] = destination, percentage
        return
    for other in route["mirrors"]:
        if other.get("destination") == destination:
            finding = Finding("MIRROR_NOT_OURS", where, f"Somebody mirrors to {_target(destination)} there.")
            raise Refused(
                f"{where} already mirrors to {_target(destination)}; its share is not ours to change.", [finding]
            )
    route["mirrors"] = [*copy.deepcopy(route["mirrors"]), {"destination": destination, "percentage": percentage}]


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
