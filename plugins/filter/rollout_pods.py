# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter that says how many pods a version needs for a share, from what canary_info returns."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.rollout.capacity import Load, pods_needed

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WITHOUT_HPA: t.Final = 100.0
"""Target utilisation where nobody set one. Pods then count as fully used, so it cancels out."""


def rollout_pods(
    versions: Sequence[Mapping[str, t.Any]],
    stable: str,
    canary: str,
    share: float,
    *,
    least: int = 1,
    headroom: float = 1.2,
) -> int:
    """Return the pods with which `canary` carries `share` percent, judged by what stable's pods do for their share.

    versions: as canary_info returns them. least: a number not to go below. headroom: factor on a measured load.
    Without a measurement stable's pods count as just enough for what both versions have together, as before the start.
    """
    by_name = {str(one.get("version")): one for one in versions}
    if stable not in by_name or canary not in by_name:
        absent = stable if stable not in by_name else canary
        raise AnsibleFilterError(f"rollout_pods: there is no version {absent}, only {', '.join(by_name) or 'none'}.")
    serving, hpa = by_name[stable], by_name[stable].get("hpa") or {}
    used = hpa.get("cpu")
    load = Load(int(serving.get("desired") or serving.get("ready") or 0), None if used is None else float(used))
    target = float(hpa.get("cpu_target") or WITHOUT_HPA)
    carried, factor = float(serving.get("weight") or 0), float(headroom)
    if load.utilisation is None:
        carried, factor = carried + float(by_name[canary].get("weight") or 0), 1.0
    try:
        needed = pods_needed(float(share), carried, load, target, headroom=factor)
    except InvalidInput as error:
        raise AnsibleFilterError(f"rollout_pods: {error.msg}") from error
    return max(int(least), needed)


class FilterModule:
    """Filter of canary_info's versions."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filter by name."""
        return {"rollout_pods": rollout_pods}
