# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The number of pods that a share of requests needs. Pure."""

from __future__ import annotations

import math
import typing as t

from ..errors import InvalidInput

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT_TARGET: t.Final = 100.0
"""The target utilization without an HPA. Pods then count as fully used, so it cancels out."""


class Load(t.NamedTuple):
    """The load of a version's pods. pods: ready ones. utilization: percent of the request, as the HPA reads it."""

    pods: int
    utilization: float | None


def pods_needed(share: float, stable_share: float, stable: Load, target: float, *, headroom: float = 1.2) -> int:
    """Return the pods that carry `share` percent of the service at the HPA's target utilization.

    Stable's pods serve `stable_share` percent with pods * utilization / target pods; `share` needs proportionally many
    (source: the HPA's own formula, Kubernetes documentation, Horizontal Pod Autoscaling, algorithm details).
    Without a measured utilization stable's pods count as fully used, the safe assumption. At least 1 for any share.
    headroom: extra factor, >= 1. Raises InvalidInput for a target that is not above 0 percent.
    """
    if target <= 0:
        raise InvalidInput(f"the HPA's target utilization must be above 0 percent, not {target:g}")
    if share <= 0:
        return 0
    if stable_share <= 0 or stable.pods <= 0:
        return 1
    measured = target if stable.utilization is None else stable.utilization
    whole = stable.pods * measured / target * 100.0 / stable_share
    return max(1, math.ceil(round(whole * share / 100.0 * headroom, 6)))


def pods_for(
    versions: Sequence[Mapping[str, t.Any]],
    stable: str,
    canary: str,
    share: float,
    *,
    headroom: float = 1.2,
    other_versions: Sequence[str] = (),
) -> int:
    """Return the pods with which `canary` carries `share` percent, derived from the load of stable's pods.

    versions: as `overview.versions` returns them. headroom: factor on a measured load. other_versions: further versions
    with a part of stable's original share, such as a baseline. Without a measurement stable's pods count as just enough
    for the share of all these together, as before the start. Raises InvalidInput for an unknown version.
    """
    by_name = {str(one.get("version")): one for one in versions}
    if stable not in by_name or canary not in by_name:
        absent = stable if stable not in by_name else canary
        raise InvalidInput(f"there is no version {absent}, only {', '.join(by_name) or 'none'}.")
    serving, hpa = by_name[stable], by_name[stable].get("hpa") or {}
    measured = hpa.get("cpu")
    load = Load(int(serving.get("desired") or serving.get("ready") or 0), None if measured is None else float(measured))
    target = float(hpa.get("cpu_target") or DEFAULT_TARGET)
    carried, factor = float(serving.get("weight") or 0), headroom
    if load.utilization is None:
        sharing = (by_name.get(name, {}) for name in {canary, *other_versions} - {stable})
        carried, factor = carried + sum(float(one.get("weight") or 0) for one in sharing), 1.0
    return pods_needed(share, carried, load, target, headroom=factor)


def pods_after_rollback(versions: Sequence[Mapping[str, t.Any]], stable: str, other_versions: Sequence[str]) -> int:
    """Return the pods with which `stable` carries its share and that of `other_versions`.

    Based on its measured load, which may have grown since the start. Without headroom. Raises as `pods_for`.
    """
    share = sum(float(one.get("weight") or 0) for one in versions if one.get("version") in {stable, *other_versions})
    return pods_for(versions, stable, stable, share, headroom=1.0, other_versions=other_versions)


def is_measured(versions: Sequence[Mapping[str, t.Any]], stable: str) -> bool:
    """Return whether an autoscaler measures the load of `stable`; else a number of pods is only the safe assumption."""
    return any((one.get("hpa") or {}).get("cpu") is not None for one in versions if one.get("version") == stable)
