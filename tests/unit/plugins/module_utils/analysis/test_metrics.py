# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From numbers to verdicts: what is missing, broken or too little never passes."""

from __future__ import annotations

import math

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.analysis import histogram
from ansible_collections.meshops.canary.plugins.module_utils.analysis.error_rates import RequestCount
from ansible_collections.meshops.canary.plugins.module_utils.analysis.metrics import (
    Metric,
    judge_errors,
    judge_latency,
    judge_value,
)
from ansible_collections.meshops.canary.plugins.module_utils.analysis.verdict import Judgement, combine

ERRORS = Metric("errors", limit=5.0)
LATENCY = Metric("latency", limit=500.0)
FAST = {10.0: 500.0, 50.0: 950.0, 100.0: 1000.0, math.inf: 1000.0}
SLOW = {10.0: 20.0, 50.0: 500.0, 100.0: 900.0, math.inf: 1000.0}

ERROR_CASES = {
    "no numbers": (None, RequestCount(1000, 1), "inconclusive"),
    "no request": (RequestCount(0, 0), RequestCount(1000, 1), "inconclusive"),
    "one request": (RequestCount(1, 0), RequestCount(1000, 1), "inconclusive"),
    "too few": (RequestCount(99, 0), RequestCount(1000, 1), "inconclusive"),
    "too few although all fail": (RequestCount(3, 3), RequestCount(1000, 1), "inconclusive"),
    "stable unknown": (RequestCount(1000, 1), None, "inconclusive"),
    "stable idle": (RequestCount(1000, 1), RequestCount(5, 0), "inconclusive"),
    "as stable": (RequestCount(1000, 2), RequestCount(9000, 18), "pass"),
    "above the limit": (RequestCount(1000, 60), RequestCount(9000, 540), "fail"),
    "worse than stable, below the limit": (RequestCount(1000, 40), RequestCount(9000, 18), "fail"),
    "better than stable": (RequestCount(1000, 0), RequestCount(9000, 300), "pass"),
}


@pytest.mark.parametrize("case", ERROR_CASES)
def test_errors(case: str) -> None:
    canary, stable, wanted = ERROR_CASES[case]
    assert judge_errors(ERRORS, canary, stable).outcome == wanted


def test_without_requests_on_stable_the_reason_says_what_to_do() -> None:
    for judged in (judge_errors(ERRORS, RequestCount(1000, 1), RequestCount(0, 0)), judge_latency(LATENCY, FAST, {})):
        assert "add a smaller step before this one, or judge by a limit alone" in judged.reason


LATENCY_CASES = {
    "no histogram": (None, FAST, "inconclusive"),
    "empty": ({}, FAST, "inconclusive"),
    "reset in between": ({10.0: 500.0, 50.0: 20.0}, FAST, "inconclusive"),
    "NaN": ({10.0: math.nan}, FAST, "inconclusive"),
    "stable missing": (FAST, None, "inconclusive"),
    "few": ({10.0: 3.0}, FAST, "inconclusive"),
    "as stable": (FAST, FAST, "pass"),
    "slower": (SLOW, FAST, "fail"),
    "faster": (FAST, SLOW, "pass"),
    "above the limit": ({100.0: 1.0, 1000.0: 1000.0}, FAST, "fail"),
}


@pytest.mark.parametrize("case", LATENCY_CASES)
def test_latency(case: str) -> None:
    canary, stable, wanted = LATENCY_CASES[case]
    assert judge_latency(LATENCY, canary, stable).outcome == wanted


VALUE_CASES = {
    "missing": (Metric("m", limit=1.0), None, None, "inconclusive"),
    "NaN": (Metric("m", limit=1.0), math.nan, None, "inconclusive"),
    "infinite": (Metric("m", floor=1.0), math.inf, None, "inconclusive"),
    "nothing asked": (Metric("m"), 1.0, None, "inconclusive"),
    "above": (Metric("m", limit=1.0), 1.1, None, "fail"),
    "below": (Metric("m", floor=1.0), 0.9, None, "fail"),
    "within": (Metric("m", floor=0.0, limit=1.0), 0.9, None, "pass"),
    "ratio kept": (Metric("m", max_ratio=1.5), 1.4, 1.0, "pass"),
    "ratio broken": (Metric("m", max_ratio=1.5), 1.6, 1.0, "fail"),
    "ratio to nothing": (Metric("m", max_ratio=1.5), 1.6, 0.0, "inconclusive"),
    "ratio to NaN": (Metric("m", max_ratio=1.5), 1.6, math.nan, "inconclusive"),
}


@pytest.mark.parametrize("case", VALUE_CASES)
def test_value(case: str) -> None:
    metric, canary, stable, wanted = VALUE_CASES[case]
    assert judge_value(metric, canary, stable).outcome == wanted


def _one(outcome: str, weight: float = 1.0, critical: bool = False) -> Judgement:
    return Judgement("m", outcome, "because", weight, critical)  # type: ignore[arg-type]


COMBINED = {
    "nothing": ([], "inconclusive"),
    "all undecided": ([_one("inconclusive")] * 3, "inconclusive"),
    "all passed": ([_one("pass")] * 3, "pass"),
    "one critical failure among passes": ([*[_one("pass")] * 9, _one("fail", critical=True)], "fail"),
    "one critical undecided": ([*[_one("pass")] * 9, _one("inconclusive", critical=True)], "inconclusive"),
    "one small undecided": ([*[_one("pass")] * 3, _one("inconclusive")], "pass"),
    "half undecided": ([_one("pass"), _one("inconclusive")], "inconclusive"),
    "a small failure": ([_one("pass", 8), _one("fail", 2)], "inconclusive"),
    "a tiny failure": ([_one("pass", 99), _one("fail", 1)], "pass"),
    "a large failure": ([_one("pass"), _one("fail")], "fail"),
}


@pytest.mark.parametrize("case", COMBINED)
def test_combine(case: str) -> None:
    judgements, wanted = COMBINED[case]
    verdict = combine(judgements)
    assert verdict.outcome == wanted
    assert verdict.reasons
    assert verdict.as_dict()["verdict"] == wanted


def test_scores_must_be_in_order() -> None:
    with pytest.raises(ValueError, match="fail_score <= pass_score"):
        combine([], pass_score=50, fail_score=60)


def test_quantile_is_linear_within_a_bucket_and_stays_finite() -> None:
    assert histogram.quantile({10: 5, 20: 10, math.inf: 11}, 0.5) == 11.0
    assert histogram.quantile({10: 5, 20: 10, math.inf: 100}, 0.99) == 20
    assert math.isnan(histogram.quantile({}, 0.5))


def buckets(milliseconds: float, requests: int = 1000) -> dict[float, float]:
    return {0.9 * milliseconds: 0.0, milliseconds: requests, math.inf: requests}


@pytest.mark.parametrize(
    ("metric", "canary", "stable", "outcome", "words"),
    [
        (Metric("p95"), 100.0, 100.0, "pass", "the canary is not slower than stable: p95 "),
        (Metric("p95"), 108.0, 100.0, "pass", "the canary is slower than stable by "),
        (Metric("p95", slack=1.0), 150.0, 100.0, "fail", "the canary is slower than stable by "),
        (
            Metric("p95", max_ratio=2.0),
            300.0,
            100.0,
            "fail",
            "the canary takes 3.0 times as long as stable at p95, and 2",
        ),
    ],
    ids=["equal", "within", "slower", "ratio"],
)
def test_latency_says_the_decision_first_and_statistics_last(
    metric: Metric, canary: float, stable: float, outcome: str, words: str
) -> None:
    judged = judge_latency(metric, buckets(canary), buckets(stable))
    assert judged.outcome == outcome
    assert judged.reason.startswith(words)
    assert "effect" not in judged.reason.partition(": ")[0]
    assert "p = " in judged.reason.partition(": ")[2]


@pytest.mark.parametrize(
    ("errors", "outcome", "words"),
    [
        (0, "pass", "the canary fails no more often than stable: 0 of 1000 canary requests failed"),
        (200, "fail", "the canary fails more often than stable: 200 of 1000 canary requests failed"),
    ],
)
def test_errors_say_the_decision_first(errors: int, outcome: str, words: str) -> None:
    judged = judge_errors(Metric("errors"), RequestCount(1000, errors), RequestCount(1000, 1))
    assert (judged.outcome, judged.reason.startswith(words)) == (outcome, True)
    tolerated = judge_errors(Metric("errors", max_ratio=1000), RequestCount(1000, 200), RequestCount(1000, 1))
    assert tolerated.reason.startswith("the canary fails more often, within max_ratio, than stable: ")
