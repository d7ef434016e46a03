# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is remembered of numbers, one at each look. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from .metrics import judge_check, judge_rate, judge_value

if t.TYPE_CHECKING:
    from .looks import Came, Evidence, Question
    from .verdict import Judgement


class Rate:
    """Requests in a second, over the whole watch: one at the end, for a pause is no failure yet."""

    def __init__(self, question: Question, evidence: Evidence) -> None:
        del evidence
        self._metric = question.metric
        self._requests = [0, 0]
        self._seconds = 0.0

    def add(self, came: Came) -> None:
        self._requests[0] += came.canary.requests
        self._requests[1] += came.stable.requests
        self._seconds += came.seconds

    def alarm(self) -> Judgement | None:
        return None

    def judgement(self) -> Judgement:
        return judge_rate(self._metric, self._requests[0], self._requests[1], self._seconds)

    def evidence(self) -> dict[str, list[float]]:
        return {}


class Value:
    """One number at each look. A look without a number neither confirms nor clears the failures before it."""

    def __init__(self, question: Question, evidence: Evidence) -> None:
        del evidence
        self._question, self._metric = question, question.metric
        self._judge = judge_check if question.kind == "http" else judge_value
        self._last = self._none = self._judge(self._metric, None)
        self._failures = self._missing = self._unanswered = 0

    def add(self, came: Came) -> None:
        if came.value is None:
            self._unanswered += 1
            return
        self._unanswered = 0
        judged = self._judge(self._metric, *came.value)
        if judged.outcome == "inconclusive":
            self._missing, self._none = self._missing + 1, judged
            return
        self._missing, self._last = 0, judged
        self._failures = self._failures + 1 if judged.outcome == "fail" else 0

    def alarm(self) -> Judgement | None:
        return self._last if self._failures >= self._question.consecutive else None

    def judgement(self) -> Judgement:
        failed = self.alarm()
        if failed:
            return failed
        if self._unanswered > self._question.unanswered:
            return self._metric.says("inconclusive", f"no answer at {self._unanswered} looks in a row")
        if self._missing > self._question.missing:
            return self._none
        if self._failures:
            told = f"{self._last.reason}, at {self._failures} of {self._question.consecutive} looks in a row"
            return replace(self._last, outcome="inconclusive", reason=told)
        return self._last

    def evidence(self) -> dict[str, list[float]]:
        return {}
