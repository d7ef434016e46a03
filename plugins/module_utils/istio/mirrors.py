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
from ..objects.weights import rounded_percent
from .destinations import new_entry, version_of

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..objects.hosts import ServiceRef
    from .route_keys import Route

FIELDS: t.Final = ("mirror", "mirrorPercentage", "mirrors")


def apply_mirrors(
    route: Route, desired_mirrors: Sequence[tuple[ServiceRef, dict[str, str]]], namespace: str, where: str
) -> None:
    """Add to the route, for each service, the desired mirror {version, percent}.

    Existing mirrors stay; beside them, and where two services want one, ours are written into the list `mirrors`.
    Raises Refused (MIRROR_NOT_OURS) if the route has one in the field `mirror`, which excludes others.
    """
    if not desired_mirrors:
        return
    if route.get("mirror"):
        target = _destination_text(route["mirror"])
        finding = Finding("MIRROR_NOT_OURS", where, f"It mirrors to {target} in the field mirror, which holds one.")
        raise Refused(
            f"{where} already mirrors to {target}; the field mirror holds one, and excludes mirrors.", [finding]
        )
    existing = [other.get("destination") for other in route.get("mirrors") or ()]
    ours = []
    for service, desired in desired_mirrors:
        destination = new_entry(desired["version"], route["route"], service, namespace)["destination"]
        if destination in existing:
            finding = Finding(
                "MIRROR_NOT_OURS",
                where,
                f"It has a mirror to {_destination_text(destination)} that this collection did not add.",
            )
            raise Refused(
                f"{where} already mirrors to {_destination_text(destination)}, which this collection did not add.",
                [finding],
            )
        ours.append(
            {"destination": destination, "percentage": {"value": rounded_percent(Fraction(desired["percent"]))}}
        )
    if "mirrors" not in route and len(ours) == 1:
        route["mirror"], route["mirrorPercentage"] = ours[0]["destination"], ours[0]["percentage"]
    else:
        route["mirrors"] = [*copy.deepcopy(route.get("mirrors") or []), *ours]


def is_unchanged(route: Route, ours: dict[str, t.Any], version: str, service: ServiceRef, namespace: str) -> bool:
    """Return whether the mirror to the version is as we wrote it, in a list that others edited since."""
    written = [one for one in ours.get("mirrors") or () if one in (route.get("mirrors") or ())]
    return any(version_of(one, service, namespace) == version for one in written)


def remove_written(route: Route, before: dict[str, t.Any], ours: dict[str, t.Any]) -> None:
    """Remove our entries from mirrors that others edited since; their entries stay."""
    if "mirrors" in ours:
        known = before.get("mirrors") or []
        written = [one for one in ours["mirrors"] if one not in known]
        kept = [one for one in route.get("mirrors") or () if one not in written]
        route.pop("mirrors", None)
        if kept or "mirrors" in before:
            route["mirrors"] = kept
    elif route.get("mirror") == ours.get("mirror") and "mirror" not in before:
        # Only the percentage was changed: the mirror belongs to who changed it.
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


def _destination_text(destination: dict[str, t.Any]) -> str:
    return "/".join(str(destination[key]) for key in ("host", "subset") if destination.get(key))
