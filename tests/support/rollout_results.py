# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What tasks of a rollout return, and reports of rollouts from a record made by the state machine itself."""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.canary.plugins.module_utils.rollout import record, transitions
from ansible_collections.meshops.canary.plugins.module_utils.rollout.steps import Rollout, Step
from ansible_collections.meshops.canary.plugins.module_utils.runs import report
from ansible_collections.meshops.canary.plugins.module_utils.runs.record_store import Stored, plan_of

BAD = "errors: 11 of 21 canary requests failed, more than stable's 0 of 187 <script>"


def analysis(verdict: str, errors: float, reasons: list[str]) -> dict[str, t.Any]:
    numbers = {
        "canary": {"requests": 21, "errors": 11, "error_percent": errors, "p95": 8.4},
        "stable": {"requests": 187, "errors": 0, "error_percent": 0.0, "p95": 7.9},
        "share": 10.096,
    }
    metric = {"metric": "errors", "verdict": verdict, "reason": reasons[0], "critical": True, "strength": 900.0}
    seen = {"verdict": verdict, "reasons": reasons, "metrics": [metric], "numbers": numbers, "seconds": 4.0}
    return {**seen, "failed_requests": 11 if errors else 0, "score": 0.0, "evidence": {}}


STEPS = (Step(10.0), Step(100.0))


def report_after(*events: tuple[str, dict[str, t.Any] | None], steps: tuple[Step, ...] = STEPS) -> dict[str, t.Any]:
    """Return the report of reviews v1 -> v2, by default by 10 and 100 percent, after `events`, ten seconds each."""
    rollout = Rollout("reviews", "shop", "v1", "v2", steps)
    safe = transitions.safe_weights(rollout)
    plan_hash = record.plan_hash(plan_of(rollout))
    run = record.Run("ab12", "reviews", "shop", plan_hash, "preparing", 0, 0.0, safe, safe)
    stored = Stored(rollout, run)
    opened = {"event": "opened", "from": "", "to": "preparing", "step": 0, "reason": "", "plan": plan_hash}
    stored.add({**opened, "at": "2026-11-22T12:00:00.000Z", "by": "me"})
    for number, (event, verdict) in enumerate(events, 1):
        stored.run, entries = transitions.advance(
            rollout, stored.run, t.cast(t.Any, event), number * 10.0, verdict=verdict
        )
        for entry in entries:
            stored.add({**entry, "at": f"2026-11-22T12:0{number // 6}:{number % 6}0.000Z", "by": "me@here/7"})
    return report.report(stored)


ROLLED_BACK = (("ready", None), ("shifted", None), ("fail", analysis("fail", 52.381, [BAD])), ("done", None))
GOOD = analysis("pass", 0.0, ["errors: 0 of 21 failed"])
PROMOTED = (("ready", None), ("shifted", None), ("pass", GOOD)) * 2 + (("done", None),)

ROLLOUT = {
    "run": {
        "id": "ab12", "service": "reviews", "stable": "v1", "canary": "v2", "at": 1, "phase": "observing",
        "weight": 10.0, "desired_weights": {"v1": 90.0, "v2": 10.0}, "seconds_left": 599.6, "reason": "", "over": False,
    },
    "steps": [{}, {}, {}, {}],
}  # fmt: skip
ANALYSIS = {
    "service": "reviews", "canary": "v2", "stable": "v1", "verdict": "fail", "seconds": 3.2,
    "reasons": ["errors: 11 of 21 canary requests failed"],
    "numbers": {"canary": {"requests": 21, "errors": 11}, "stable": {"requests": 187, "errors": 0}},
}  # fmt: skip
WEIGHT = {
    "service": "reviews", "changed": True, "weights": {"v1": 90, "v2": 10},
    "convergence": {"method": "proxies", "checked": 6, "proxies": 6, "seconds": 0.31},
}  # fmt: skip


def rollout(**fields: t.Any) -> dict[str, t.Any]:
    return {**ROLLOUT, "run": {**t.cast("dict[str, t.Any]", ROLLOUT["run"]), **fields}}
