# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which step follows a verdict, with or without `adapt`. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..analysis.verdict import Verdict
    from .steps import Step

NO_ANALYSIS: t.Final = "no analysis, as planned"
PASSES_TO_SKIP: t.Final = 3
"""Consecutive passes after which a step is skipped."""
STRONG_FAILURE: t.Final = 100.0
"""A failure this many times beyond its threshold ends the rollout; a weaker one costs one step."""


@dataclass(frozen=True)
class NextStep:
    """The step after a verdict. to: index of that step, None to roll back. reason: for the audit log."""

    to: int | None
    reason: str


def next_step(
    steps: Sequence[Step], at: int, verdict: Verdict, *, consecutive_passes: int, step_backs: int, adapt: bool
) -> NextStep:
    """Return the next step.

    at: index of the step that has passed or failed. consecutive_passes: including this one. step_backs: steps back
    taken so far. Without `adapt` a pass moves one step up, and a failure rolls back. With `adapt` three consecutive
    passes skip one step if it is skippable and not the last one; a weak failure of a metric that is not critical moves
    one step back, at most twice per rollout. Passes are counted, not weighted: a verdict has the strength of a failure,
    but not of a pass.
    """
    if verdict.outcome == "inconclusive":
        return NextStep(at, f"hold at {steps[at].weight:g}%: {'; '.join(verdict.reasons)}")
    last = len(steps) - 1
    if verdict.outcome == "pass":
        skip = adapt and consecutive_passes >= PASSES_TO_SKIP and at + 2 < last and _is_skippable(steps, at + 1)
        to = min(at + (2 if skip else 1), last)
        passed = "the analysis passed" if steps[at].analysis else NO_ANALYSIS
        why = f"{consecutive_passes} consecutive passes, so one step is skipped" if skip else passed
        return NextStep(to, f"{steps[at].weight:g}% -> {steps[to].weight:g}%: {why}")
    failures = [one for one in verdict.judgements if one.outcome == "fail"]
    strong = any(one.critical or one.strength >= STRONG_FAILURE for one in failures)
    if adapt and not strong and at > 0 and step_backs < 2:
        return NextStep(
            at - 1, f"{steps[at].weight:g}% -> {steps[at - 1].weight:g}%: weak failure: {'; '.join(verdict.reasons)}"
        )
    return NextStep(None, f"roll back to stable: {'; '.join(verdict.reasons)}")


def _is_skippable(steps: Sequence[Step], index: int) -> bool:
    """Return whether nothing but a weight is lost by skipping the step: no gate, no cohort change, no `replicas`."""
    step = steps[index]
    return step.gate == "none" and step.cohort == steps[index - 1].cohort and step.replicas is None
