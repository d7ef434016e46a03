# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What canary_replicas says: the results of all its plans as one."""

from __future__ import annotations

import typing as t

from ..objects.workloads import desired
from . import pod_ratio, pod_total

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .deployment_pair import Pair, Wanted

    Result = dict[str, t.Any]

_KEPT: t.Final = ("service", "namespace", "route_api", "weights", "api_requests")


def combined(done: Sequence[Result], pair: Pair, wanted: Wanted, hpa: str, progress: Sequence[str]) -> Result:
    """Return the task's result. done: those of its plans, in order. hpa: the name of stable's autoscaler, or empty."""
    last = done[-1]
    summary = [line for one in done for line in one["summary"]]
    warnings = [line for one in done for line in one["warnings"]]
    result = _advice(pair, wanted, hpa)
    said = "; ".join(summary) or f"{last['service']}: nothing to change"
    return {
        **{key: last[key] for key in _KEPT},
        "changed": any(one["changed"] for one in done),
        "msg": f"{said}. {result['advice']}." if result["advice"] else f"{said}.",
        "weights_before": done[0]["weights_before"],
        "deployment": pair.stable["metadata"]["name"],
        "canary": pair.canary_name,
        "hpa": hpa,
        "objects": _objects(done),
        "patch": [patch for one in done for patch in one["patch"]],
        "findings": list({tuple(one.items()): one for plan in done for one in plan["findings"]}.values()),
        "progress": list(progress),
        "warnings": list(dict.fromkeys(warnings)),
        "diff": _diff(done),
        **result,
    }


def _advice(pair: Pair, wanted: Wanted, hpa: str) -> Result:
    """Return the wanted and the reachable share and what it costs; empty where no share was requested."""
    share = wanted.share
    if share is None:
        return {"advice": "", "share": {}}
    got = pod_total.chosen(pair, wanted)
    numbers = {"wanted": share, "reached": round(got.share, 2), "error": round(got.error(share), 2)}
    follows = f"; {hpa} changes the share, run the task again to adjust it" if hpa else ""
    stable = got.stable - pair.other_pods + desired(pair.stable)
    pods = {"pods": got.canary, "other_pods": got.stable, "stable": stable}
    return {"advice": pod_ratio.advice(share, got) + follows, "share": {**numbers, **pods}}


def _objects(done: Sequence[Result]) -> list[Result]:
    """Return each Deployment once, changed if one of the plans changed it."""
    found: dict[tuple[str, str], Result] = {}
    for one in (one for plan in done for one in plan["objects"]):
        known = found.setdefault((one["kind"], one["name"]), dict(one))
        known["changed"] |= one["changed"]
    return list(found.values())


def _diff(done: Sequence[Result]) -> dict[str, str]:
    both = {side: "".join(one["diff"][side] for one in done) for side in ("before", "after")}
    changed = [patch for one in done for patch in one["patch"]]
    header = ", ".join(dict.fromkeys(f"{one['kind']} {one['namespace']}/{one['name']}" for one in changed))
    return {**both, "before_header": header, "after_header": header}
