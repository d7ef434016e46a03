# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which version gets which part of the requests, before and after a change: what preflight judges. Pure."""

from __future__ import annotations

import typing as t

from ..errors import CanaryError
from ..routing import plan

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..istio.find import Scope
    from ..objects.hosts import ServiceRef
    from ..objects.snapshot import Snapshot

Shares = dict[str, dict[str, float]]
"""Route, cohort or mirror -> version -> percent."""
COHORT: t.Final = "cohort "


def described(
    snapshot: Snapshot, service: ServiceRef, scope: Scope = plan.EVERYTHING, api: str = "auto"
) -> dict[str, t.Any] | None:
    """Return what `plan.describe` says, None if it cannot (lists not read, a host claimed twice)."""
    try:
        return plan.describe(snapshot, service, scope=scope, api=api)
    except CanaryError:
        return None


def raised(before: dict[str, t.Any] | None, after: dict[str, t.Any] | None) -> Shares:
    """Return split -> version -> the percent it would get, where a change gives it more; without a change, of all.

    before, after: descriptions; after None: there is no change. A version that keeps or loses
    requests is not judged: a change must not be refused for what it does not make worse.
    """
    had, gets = shares(before), shares(after)
    if after is None:
        had, gets = {}, had
    found: Shares = {}
    for split, versions in gets.items():
        for version, percent in versions.items():
            if version and percent > had.get(split, {}).get(version, 0):
                found.setdefault(split, {})[version] = percent
    return found


def largest(found: Shares) -> dict[str, float]:
    """Return version -> the largest percent it gets of any split."""
    most: dict[str, float] = {}
    for versions in found.values():
        for version, percent in versions.items():
            most[version] = max(percent, most.get(version, 0))
    return most


def of_cohorts(found: Shares) -> Shares:
    """Return the splits of cohorts, by the cohort's name: parts of nobody knows how many requests."""
    return {split.removeprefix(COHORT): versions for split, versions in found.items() if split.startswith(COHORT)}


def of_all(found: Shares) -> Shares:
    """Return the splits of all requests."""
    return {split: versions for split, versions in found.items() if not split.startswith(COHORT)}


def shares(description: Mapping[str, t.Any] | None) -> Shares:
    """Return every split of a description."""
    if description is None:
        return {}
    found: Shares = {f"{one['object']} {one['route']}": one["weights"] for one in description["routes"]}
    found |= {f"{COHORT}{name}": one["weights"] for name, one in description["cohorts"].items()}
    return {**found, "mirror": description["mirrors"]}
