# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many pods a share needs. Pure."""

from __future__ import annotations

import math
import typing as t

from ..errors import InvalidInput

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WITHOUT_HPA: t.Final = 100.0
"""Target utilisation where nobody set one. Pods then count as fully used, so it cancels out."""


class Load(t.NamedTuple):
    """What a version's pods do now. pods: ready ones. utilisation: percent of the request, as the HPA reads it."""

    pods: int
    utilisation: float | None


def pods_needed(share: float, stable_share: float, stable: Load, target: float, *, headroom: float = 1.2) -> int:
    """Return the pods that carry `share` percent of the service at the HPA's target utilisation.

    From what stable's pods do for `stable_share` percent: pods * utilisation / target is what it needs, the rest is
    proportion (source: the HPA's own formula, Kubernetes documentation, Horizontal Pod Autoscaling, algorithm details).
    Without a measured utilisation stable's pods are taken as fully used, the careful guess. At least 1 for any share.
    headroom: factor on top, >= 1. Raises InvalidInput for a target that is no percent above 0.
    """
    if target <= 0:
        raise InvalidInput(f"the HPA's target utilisation must be above 0 percent, not {target:g}")
    if share <= 0:
        return 0
    if stable_share <= 0 or stable.pods <= 0:
        return 1
    used = target if stable.utilisation is None else stable.utilisation
    whole = stable.pods * used / target * 100.0 / stable_share
    return max(1, math.ceil(round(whole * share / 100.0 * headroom, 6)))


def pods_for(
    versions: Sequence[Mapping[str, t.Any]],
    stable: str,
    canary: str,
    share: float,
    *,
    headroom: float = 1.2,
    others: Sequence[str] = (),
) -> int:
    """Return the pods with which `canary` carries `share` percent, judged by what stable's pods do for their share.

    versions: as `overview.versions` gives them. headroom: factor on a measured load. others: further versions that have
    a part of what was stable's, such as a baseline. Without a measurement stable's pods count as just enough for what
    all of these have together, as before the start. Raises InvalidInput for a version that is not there.
    """
    by_name = {str(one.get("version")): one for one in versions}
    if stable not in by_name or canary not in by_name:
        absent = stable if stable not in by_name else canary
        raise InvalidInput(f"there is no version {absent}, only {', '.join(by_name) or 'none'}.")
    serving, hpa = by_name[stable], by_name[stable].get("hpa") or {}
    used = hpa.get("cpu")
    load = Load(int(serving.get("desired") or serving.get("ready") or 0), None if used is None else float(used))
    target = float(hpa.get("cpu_target") or WITHOUT_HPA)
    carried, factor = float(serving.get("weight") or 0), headroom
    if load.utilisation is None:
        sharing = (by_name.get(name, {}) for name in {canary, *others} - {stable})
        carried, factor = carried + sum(float(one.get("weight") or 0) for one in sharing), 1.0
    return pods_needed(share, carried, load, target, headroom=factor)


def pods_to_return(versions: Sequence[Mapping[str, t.Any]], stable: str, others: Sequence[str]) -> int:
    """Return the pods with which `stable` carries what it has now and what `others` would give back to it.

    By its measured load, which may have grown since they got their part. Without headroom: nothing is added to what it
    had. Raises as `pods_for`.
    """
    share = sum(float(one.get("weight") or 0) for one in versions if one.get("version") in {stable, *others})
    return pods_for(versions, stable, stable, share, headroom=1.0, others=others)


def is_measured(versions: Sequence[Mapping[str, t.Any]], stable: str) -> bool:
    """Return whether an autoscaler measures the load of `stable`; else a number of pods is only the careful guess."""
    return any((one.get("hpa") or {}).get("cpu") is not None for one in versions if one.get("version") == stable)
