# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The changes of a rollout that check mode cannot make: pods and shares of each step, as text. Pure."""

from __future__ import annotations

import typing as t

from ..objects import pod_counts
from ..objects.weights import weights_text
from . import cohort

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def planned_changes(
    versions: Sequence[Mapping[str, t.Any]],
    steps: Sequence[Mapping[str, t.Any]],
    stable: str,
    canary: str,
    *,
    capacity: bool = True,
    headroom: float = 1.2,
    old_replicas: int | None = None,
    baseline: str = "",
    run: Mapping[str, t.Any] | None = None,
) -> list[str]:
    """Return a line for each planned change after the first one of the routes, at the current load.

    versions: as canary_info returns them. steps and run: as canary_rollout returns them; finished steps are omitted.
    capacity, headroom, old_replicas, baseline: options of canary_rollout. Raises InvalidInput for an unknown version.
    """
    run = run or {"phase": "preparing", "at": 0, "begun": False, "end_cohorts": []}
    first, rolling_back = _first_pending(run, len(steps)), run["phase"] == "rolling_back"
    by_name = {str(one.get("version")): one for one in versions}
    last: t.Any = run["end_cohorts"] if rolling_back else steps[first - 1].get("cohort") if first else []
    old, new, base = by_name.get(stable, {}), by_name.get(canary, {}), by_name.get(baseline, {})
    base_pods = _min_pods(base)
    lines, canary_pods = [], _min_pods(new)
    others = [baseline] if baseline else []

    def pods_of(version: str, share: float, min_pods: int, other_versions: list[str]) -> int:
        needed = pod_counts.pods_for(versions, stable, version, share, headroom=headroom, other_versions=other_versions)
        return max(min_pods, needed)

    if capacity and old.get("hpa") and first < len(steps):
        returned = pod_counts.pods_after_rollback(versions, stable, [canary, *others])
        maximum = _limited(old, max(int(old.get("desired") or 0), returned))
        lines.append(f"before step {first + 1} (planned): {_pods(old, _min_pods(old), maximum)}")
    for number, step in enumerate(steps[first:], first + 1):
        shares = weights_text(step["weights"])
        needed = int(step.get("replicas") or 0)
        if capacity:
            needed = pods_of(canary, step["weight"], max(1, needed), others)
        pods = _pods(new, canary_pods, needed)
        canary_pods = max(canary_pods, _limited(new, needed))
        share = float(step["weights"].get(baseline) or 0) if baseline else 0.0
        if share:
            min_pods = int(step.get("replicas") or 1)
            count = pods_of(baseline, share, min_pods, [canary]) if capacity else min_pods
            pods = "; ".join(part for part in (pods, _pods(base, base_pods, count)) if part)
            base_pods = max(base_pods, count)
        cohort_change, last = _cohort(step.get("cohort") or [], last or [], canary), step.get("cohort") or []
        lines.append(
            f"step {number} (planned): {'; '.join(part for part in (f'routes {shares}', cohort_change, pods) if part)}"
        )
    if baseline:
        lines.append(f"at the end (planned): {_object(base)} 0, when it gets no more requests")
    if last:
        lines.append("at the end (planned): the cohort ends")
    for version in (old, new):
        if capacity and version.get("hpa"):
            before = "as before the rollout" if run["begun"] else f"{_min_pods(version)} again"
            lines.append(f"at the end (planned): {_object(version)} {before}")
    if old_replicas is not None and not rolling_back:
        lines.append(f"at the end (planned): {_object(old)} {old_replicas}, when it gets no more requests")
    return [line for line in lines if not line.endswith(": ")]


def _first_pending(run: Mapping[str, t.Any], steps: int) -> int:
    """Return the index of the first step whose share is not set yet; `steps` during promotion and rollback."""
    if run["phase"] in ("preparing", "shifting"):
        return int(run["at"])
    return int(run["at"]) + 1 if run["phase"] in ("observing", "gated") else steps


def _cohort(now: Sequence[Mapping[str, t.Any]], last: Sequence[Mapping[str, t.Any]], canary: str) -> str:
    """Return the change of the cohort; empty without a change."""
    if now == last:
        return ""
    return f"cohort of {cohort.describe(now, canary)}" if now else "the cohort ends"


def _min_pods(version: Mapping[str, t.Any]) -> int:
    """Return the pods outside a rollout: minReplicas of the autoscaler, or the replicas of the Deployment."""
    hpa = version.get("hpa")
    return int(hpa.get("minimum") or 1) if hpa else int(version.get("desired") or 0)


def _limited(version: Mapping[str, t.Any], pods: int) -> int:
    return min(pods, int((version.get("hpa") or {}).get("maximum") or pods))


def _pods(version: Mapping[str, t.Any], current: int, needed: int) -> str:
    """Return the change of a version's pods, with a warning if it cannot get enough; empty without a change."""
    pods = _limited(version, needed)
    change = f"{_object(version)} {current} -> {pods}" if pods > current else ""
    if needed <= pods:
        return change
    unchanged = f"{_object(version)} stays {current}"
    return f"{change or unchanged}, needs {needed}, but maxReplicas is {pods}: increase it first"


def _object(version: Mapping[str, t.Any]) -> str:
    if version.get("hpa"):
        return f"HorizontalPodAutoscaler {version['hpa']['name']}: minReplicas"
    return f"Deployment {', '.join(version.get('deployments') or ('?',))}: replicas"
