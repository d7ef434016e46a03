# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Combines judgements of metrics into one verdict. Pure.

`pass` needs evidence: without a judgement that passed, or while a critical one is undecided, it is `inconclusive`.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

if t.TYPE_CHECKING:
    from collections.abc import Sequence

Outcome = t.Literal["pass", "fail", "inconclusive"]


@dataclass(frozen=True)
class Judgement:
    """The result of one metric.

    reason: one sentence with the numbers in it. weight: its share in the score; with 0 it is not counted.
    critical: if it fails, the verdict is fail; if it is inconclusive, the verdict is not pass. numbers: those in the
    reason. strength: how significant a failure is, 1 = just (alpha over p, or evidence times alpha).
    """

    metric: str
    outcome: Outcome
    reason: str
    weight: float = 1.0
    critical: bool = False
    strength: float = 0.0
    numbers: dict[str, t.Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, t.Any]:
        """Return the judgement as tasks and reports show it."""
        return {
            "metric": self.metric,
            "verdict": self.outcome,
            "reason": self.reason,
            "weight": self.weight,
            "critical": self.critical,
            "strength": self.strength,
            "numbers": self.numbers,
        }


@dataclass(frozen=True)
class Verdict:
    """The result of all metrics. score: percent of the decided weight that passed, None when nothing was decided."""

    outcome: Outcome
    reasons: tuple[str, ...]
    judgements: tuple[Judgement, ...]
    score: float | None

    def as_dict(self) -> dict[str, t.Any]:
        """Return the verdict as tasks and reports show it."""
        return {
            "verdict": self.outcome,
            "reasons": list(self.reasons),
            "score": self.score,
            "metrics": [judgement.as_dict() for judgement in self.judgements],
        }


def combine(judgements: Sequence[Judgement], *, pass_score: float = 95.0, fail_score: float = 75.0) -> Verdict:
    """Combine judgements into one verdict.

    In this order: fail for a critical failure, or a score below `fail_score`; inconclusive for an inconclusive critical
    judgement, nothing decided, half of the weight undecided, or a score below `pass_score`; else pass.
    pass_score, fail_score: percent of the decided weight, fail_score <= pass_score.
    """
    if not 0.0 <= fail_score <= pass_score <= 100.0:
        raise ValueError(f"scores must be 0 <= fail_score <= pass_score <= 100, not {fail_score} and {pass_score}")
    by: dict[str, list[Judgement]] = {"pass": [], "fail": [], "inconclusive": []}
    for judgement in judgements:
        if judgement.weight:
            by[judgement.outcome].append(judgement)
    passed, failed, undecided = (sum(one.weight for one in by[key]) for key in ("pass", "fail", "inconclusive"))
    decided = passed + failed
    score = 100.0 * passed / decided if decided else None

    def verdict(outcome: Outcome, decisive: Sequence[Judgement], otherwise: str = "") -> Verdict:
        reasons = tuple(f"{one.metric}: {one.reason}" for one in decisive) or (otherwise,)
        return Verdict(outcome, reasons, tuple(judgements), score)

    critical_failures = [one for one in by["fail"] if one.critical]
    if critical_failures:
        return verdict("fail", critical_failures)
    if score is not None and score < fail_score:
        return verdict("fail", by["fail"])
    if score is None:
        return verdict("inconclusive", by["inconclusive"], "no metric was judged")
    if any(one.critical for one in by["inconclusive"]) or undecided >= decided:
        return verdict("inconclusive", by["inconclusive"])
    if score < pass_score:
        return verdict("inconclusive", by["fail"])
    return verdict("pass", by["pass"])
