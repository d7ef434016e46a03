# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter that says how many pods a version needs for a share, from what canary_info returns."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.rollout import capacity as pods_by_load
from ansible_collections.meshops.canary.plugins.module_utils.rollout import cohort
from ansible_collections.meshops.canary.plugins.module_utils.routes.weights import shares_in_words

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def rollout_pods(
    versions: Sequence[Mapping[str, t.Any]],
    stable: str,
    canary: str,
    share: float,
    *,
    least: int = 1,
    headroom: float = 1.2,
    others: Sequence[str] = (),
) -> int:
    """Return the pods with which `canary` carries `share` percent, judged by what stable's pods do for their share.

    versions: as canary_info returns them. least: a number not to go below. headroom: factor on a measured load.
    others: further versions that have a part of what was stable's, such as a baseline.
    """
    try:
        needed = pods_by_load.pods_for(versions, stable, canary, float(share), headroom=float(headroom), others=others)
    except InvalidInput as error:
        raise AnsibleFilterError(f"rollout_pods: {error.msg}") from error
    return max(int(least), needed)


def rollout_changes(
    versions: Sequence[Mapping[str, t.Any]],
    steps: Sequence[Mapping[str, t.Any]],
    stable: str,
    canary: str,
    *,
    capacity: bool = True,
    headroom: float = 1.2,
    old_replicas: t.Any = "",
    baseline: str = "",
    run: Mapping[str, t.Any] | None = None,
) -> list[str]:
    """Return, by the load of now, a line for each change of objects that is planned after the first one of the routes.

    steps: as canary_rollout returns them. capacity, old_replicas, baseline: as the role rollout has them. run: where it
    stands, as canary_rollout returns it, so that what lies behind it is left out; None for a rollout that begins.
    """
    run = run or {"phase": "preparing", "at": 0, "begun": False, "end_cohorts": []}
    first, back = _first_ahead(run, len(steps)), run["phase"] == "rolling_back"
    by_name = {str(one.get("version")): one for one in versions}
    last: t.Any = run["end_cohorts"] if back else steps[first - 1].get("cohort") if first else []
    old, new, base = by_name.get(stable, {}), by_name.get(canary, {}), by_name.get(baseline, {})
    rests = _floor(base)
    lines, had = [], _floor(new)
    others = [baseline] if baseline else []

    def pods_of(version: str, share: float, least: int, beside: list[str]) -> int:
        return rollout_pods(versions, stable, version, share, least=least, headroom=headroom, others=beside)

    if capacity and old.get("hpa") and first < len(steps):
        returned = pods_by_load.pods_to_return(versions, stable, [canary, *others])
        most = _possible(old, max(int(old.get("desired") or 0), returned))
        lines.append(f"before step {first + 1} (planned): {_pods(old, _floor(old), most)}")
    for number, step in enumerate(steps[first:], first + 1):
        shares = shares_in_words(step["weights"])
        needed = int(step.get("replicas") or 0)
        if capacity:
            least = max(1, needed)
            needed = pods_of(canary, step["weight"], least, others)
        pods = _pods(new, had, needed)
        had = max(had, _possible(new, needed))
        share = float(step["weights"].get(baseline) or 0) if baseline else 0.0
        if share:
            least = int(step.get("replicas") or 1)
            count = pods_of(baseline, share, least, [canary]) if capacity else least
            pods = "; ".join(part for part in (pods, _pods(base, rests, count)) if part)
            rests = max(rests, count)
        beside, last = _cohort(step.get("cohort") or [], last or [], canary), step.get("cohort") or []
        lines.append(
            f"step {number} (planned): {'; '.join(part for part in (f'routes {shares}', beside, pods) if part)}"
        )
    if baseline:
        lines.append(f"at the end (planned): {_object(base)} 0, when it gets no request any more")
    if last:
        lines.append("at the end (planned): the cohort ends")
    for version, floor in ((old, _floor(old)), (new, _floor(new))):
        if capacity and version.get("hpa"):
            before = "as before the rollout" if run["begun"] else f"{floor} again"
            lines.append(f"at the end (planned): {_object(version)} {before}")
    if str(old_replicas) and not back:
        lines.append(f"at the end (planned): {_object(old)} {old_replicas}, when it gets no request any more")
    return [line for line in lines if not line.endswith(": ")]


def _first_ahead(run: Mapping[str, t.Any], steps: int) -> int:
    """Return the index of the first step whose share is still to be given; `steps` where it promotes or goes back."""
    if run["phase"] in ("preparing", "shifting"):
        return int(run["at"])
    return int(run["at"]) + 1 if run["phase"] in ("observing", "gated") else steps


def _cohort(now: Sequence[Mapping[str, t.Any]], last: Sequence[Mapping[str, t.Any]], canary: str) -> str:
    """Return what changes for the cohort, empty if nothing does."""
    if now == last:
        return ""
    return f"cohort of {cohort.words(now, canary)}" if now else "the cohort ends"


def _floor(version: Mapping[str, t.Any]) -> int:
    """Return the pods it has without us: its autoscaler's floor, or as many as its Deployment wants."""
    hpa = version.get("hpa")
    return int(hpa.get("minimum") or 1) if hpa else int(version.get("desired") or 0)


def _possible(version: Mapping[str, t.Any], pods: int) -> int:
    return min(pods, int((version.get("hpa") or {}).get("maximum") or pods))


def _pods(version: Mapping[str, t.Any], had: int, needed: int) -> str:
    """Return the pods that a version gets, and that it cannot get as many as it needs; empty if it has them."""
    pods = _possible(version, needed)
    got = f"{_object(version)} {had} -> {pods}" if pods > had else ""
    if needed <= pods:
        return got
    return f"{got or f'{_object(version)} stays {had}'}, needs {needed}, its maximum is {pods}: raise it before"


def _object(version: Mapping[str, t.Any]) -> str:
    if version.get("hpa"):
        return f"HorizontalPodAutoscaler {version['hpa']['name']}: minReplicas"
    return f"Deployment {', '.join(version.get('deployments') or ('?',))}: replicas"


class FilterModule:
    """Filters of canary_info's versions."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"rollout_pods": rollout_pods, "rollout_changes": rollout_changes}
