# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many pods a share needs. Pure."""

from __future__ import annotations

import math
import typing as t

from ..errors import InvalidInput


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
