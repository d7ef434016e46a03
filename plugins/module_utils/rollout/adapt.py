# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which share comes next when the rollout adapts to the verdicts. Pure, bounded, and explained in words."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..analysis.verdict import Verdict
    from .plan import Step

CALM: t.Final = 3
"""Good verdicts in a row after which a step is left out."""
STRONG_FAILURE: t.Final = 100.0
"""A failure this many times beyond its threshold ends the rollout; a weaker one costs one step."""


@dataclass(frozen=True)
class Move:
    """What to do after a verdict. to: index of the step to go to, None to roll back. reason: for the report."""

    to: int | None
    reason: str


def move(steps: Sequence[Step], at: int, verdict: Verdict, *, calm: int, back: int, adapt: bool) -> Move:
    """Return the next step.

    at: index of the step that has passed or failed. calm: good verdicts in a row so far, its own included. back: how
    often a step back was already taken. Without `adapt` a pass is one step up, a failure the end. With it, three good
    verdicts in a row leave one step out if it asks for no more than requests (and the last one is never jumped to), a
    weak failure that is not critical goes back one, at most twice a rollout. Good verdicts are counted, not weighed: a
    verdict says how far beyond doubt a failure is, but not how good a pass.
    """
    if verdict.outcome == "inconclusive":
        return Move(at, f"hold at {steps[at].weight:g}%: {'; '.join(verdict.reasons)}")
    last = len(steps) - 1
    if verdict.outcome == "pass":
        skip = adapt and calm >= CALM and at + 2 < last and _may_be_left_out(steps, at + 1)
        to = min(at + (2 if skip else 1), last)
        kept = "the step was judged good" if steps[at].analysis else "not judged, as planned"
        why = f"{calm} good verdicts in a row, so one step is left out" if skip else kept
        return Move(to, f"{steps[at].weight:g}% -> {steps[to].weight:g}%: {why}")
    failures = [one for one in verdict.judgements if one.outcome == "fail"]
    strong = any(one.critical or one.strength >= STRONG_FAILURE for one in failures)
    if adapt and not strong and at > 0 and back < 2:
        return Move(
            at - 1, f"{steps[at].weight:g}% -> {steps[at - 1].weight:g}%: a weak bad sign: {'; '.join(verdict.reasons)}"
        )
    return Move(None, f"back to stable: {'; '.join(verdict.reasons)}")


def _may_be_left_out(steps: Sequence[Step], index: int) -> bool:
    """Say whether the step asks for no more than requests: no gate, no cohort that begins or ends, no `replicas`."""
    step = steps[index]
    return step.gate == "none" and step.cohort == steps[index - 1].cohort and step.replicas is None
