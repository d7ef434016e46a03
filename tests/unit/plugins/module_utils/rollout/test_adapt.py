# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The next step with `adapt`: which passes count, and which steps are never skipped."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.analysis.verdict import Judgement, combine
from ansible_collections.meshops.canary.plugins.module_utils.rollout import transitions
from ansible_collections.meshops.canary.plugins.module_utils.rollout.adapt import next_step
from ansible_collections.meshops.canary.plugins.module_utils.rollout.record import Run
from ansible_collections.meshops.canary.plugins.module_utils.rollout.steps import Rollout, steps_from


def _verdict(outcome: str, strength: float = 1.0, critical: bool = False):
    return combine([Judgement("m", outcome, "because", 1.0, critical, strength)])  # type: ignore[arg-type]


MOVES = [
    ("pass", {}, 1, 0, True, 2),
    ("pass", {}, 3, 0, True, 3),  # three good verdicts leave one step out
    ("pass", {}, 3, 0, False, 2),
    ("inconclusive", {}, 0, 0, True, 1),
    ("fail", {}, 0, 0, False, None),
    ("fail", {}, 0, 0, True, 0),  # weak: one rung back
    ("fail", {}, 0, 2, True, None),  # but not for ever
    ("fail", {"strength": 1000.0}, 0, 0, True, None),
    ("fail", {"critical": True}, 0, 0, True, None),
]


@pytest.mark.parametrize(("outcome", "extra", "consecutive_passes", "step_backs", "adapt", "to"), MOVES)
def test_the_next_step_after_a_verdict(
    outcome: str, extra: dict, consecutive_passes: int, step_backs: int, adapt: bool, to: int | None
) -> None:
    steps = steps_from({"steps": [1, 5, 20, 50, 100]})
    moved = next_step(
        steps, 1, _verdict(outcome, **extra), consecutive_passes=consecutive_passes, step_backs=step_backs, adapt=adapt
    )
    assert moved.to == to
    assert moved.reason


def test_the_last_step_is_never_skipped() -> None:
    steps = steps_from({"steps": [1, 50, 100]})
    assert next_step(steps, 0, _verdict("pass"), consecutive_passes=9, step_backs=0, adapt=True).to == 1


TESTERS = {"headers": {"end-user": "testuser"}}


@pytest.mark.parametrize(
    "asks",
    [{"gate": "manual"}, {"gate": "timed"}, {"replicas": 4}, {"cohort": TESTERS}],
    ids=["manual", "timed", "replicas", "cohort"],
)
def test_a_step_with_gate_cohort_or_replicas_is_not_skipped(asks: dict) -> None:
    steps = steps_from({"steps": [1, 5, {"weight": 20, **asks}, 50, 75, 100]})
    assert next_step(steps, 1, _verdict("pass"), consecutive_passes=3, step_backs=0, adapt=True).to == 2
    assert next_step(steps, 2, _verdict("pass"), consecutive_passes=3, step_backs=0, adapt=True).to == 4, (
        "one cohort all along is none begun"
    )


def test_steps_without_analysis_do_not_count_as_passes() -> None:
    steps = steps_from({"steps": [1, {"weight": 5, "analysis": False}, 10, 25, 50, 75, 100]})
    plan, safe = Rollout("reviews", "shop", "v1", "v2", steps, adapt=True), {"v1": 100.0}
    now, at, reasons = Run("id", "reviews", "shop", "hash", "observing", 0, 0.0, safe, safe), [], []
    for _step in range(5):
        now, entries = transitions.advance(plan, now, "pass", 7.0)
        at.append((now.at, now.consecutive_passes))
        reasons.append(entries[-1]["reason"])
        now = replace(now, phase="observing")
    assert at == [(1, 1), (2, 1), (3, 2), (5, 0), (6, 1)]
    assert reasons[1] == "5% -> 10%: no analysis, as planned"
    assert reasons[3] == "25% -> 75%: 3 consecutive passes, so one step is skipped"
