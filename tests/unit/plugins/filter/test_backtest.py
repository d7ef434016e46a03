# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The moments of a backtest, their evidence and the table."""

from __future__ import annotations

import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.meshops.canary.plugins.filter.backtest_moments import (
    backtest_evidence,
    backtest_moments,
    backtest_table,
)

NOON = 1_795_348_800.0  # 2026-11-22T12:00:00Z


def entry(at: str, event: str, verdict: str | None = None, **fields: t.Any) -> dict[str, t.Any]:
    return {"at": at, "event": event, **({"verdict": verdict} if verdict else {}), **fields}


REPORT = {
    "service": "reviews",
    "events": [
        entry("2026-11-22T12:00:00Z", "opened"),
        entry("2026-11-22T12:01:30Z", "pass", "pass", seconds=60.2, weight=10.0),
        entry("2026-11-22T12:01:30Z", "approved"),
        entry("2026-11-22T12:03:00Z", "step_back", "fail", seconds=20.0, weight=50.0),
        entry("2026-11-22T12:05:00Z", "inconclusive", "inconclusive", weight=10.0),
    ],
}


def judged(verdict: str, errors: int, evidence: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
    canary = {"requests": 20, "errors": errors, "error_percent": errors * 5.0, "p95": 12.34}
    stable = {"requests": 180, "errors": 0, "error_percent": 0.0, "p95": None}
    reasons = [f"errors: {errors} of 20", "latency: too few"]
    return {
        "verdict": verdict,
        "reasons": reasons,
        "numbers": {"canary": canary, "stable": stable},
        "evidence": evidence or {},
    }


def test_a_span_is_covered_exactly() -> None:
    moments = backtest_moments({}, begin="2026-11-22T12:00:00Z", end=NOON + 200, watch=60, warm_up=10, every=30)
    assert [one["at"] - NOON for one in moments] == [70, 100, 130, 160, 190]
    assert {(one["window"], one["watch"], one["warm_up"], one["carry"]) for one in moments} == {(70, 60, 10, "none")}
    assert all(one["at"] - one["window"] >= NOON for one in moments)


@pytest.mark.parametrize(
    "begin", ["2026-11-22T12:00:00", "2026-11-22 12:00:00+00:00", "2026-11-22T13:00:00+01:00", str(NOON), NOON]
)
def test_times_without_a_zone_are_utc(begin: t.Any) -> None:
    (moment,) = backtest_moments({}, begin=begin, end=NOON + 60)
    assert moment["at"] == NOON + 60


def test_without_a_span_each_recorded_analysis_is_repeated() -> None:
    moments = backtest_moments(REPORT)
    assert [one["at"] - NOON for one in moments] == [90, 180, 300]
    assert [one["window"] for one in moments] == [60.2, 20.0, 1.0]
    assert [one["weight"] for one in moments] == [10.0, 50.0, 10.0]
    assert [one["decided"] for one in moments] == ["pass", "fail", "inconclusive"]


def test_evidence_is_carried_as_in_the_rollout() -> None:
    first, second, third = backtest_moments(REPORT)
    before = [judged("pass", 0), judged("pass", 0, {"errors.rate": [1.0, 2.0], "errors.stable": [3.0]})]
    assert backtest_evidence(first, []) == {}
    assert backtest_evidence(second, before) == {"errors.rate": [1.0, 2.0], "errors.stable": [3.0]}
    assert backtest_evidence(third, before) == {"errors.stable": [3.0]}, "a step back begins the tests anew"


def test_the_table_compares_recorded_and_new_verdicts() -> None:
    table = backtest_table(backtest_moments(REPORT), [judged("pass", 0), judged("fail", 11), judged("fail", 4)])
    assert table[0].split("  ")[0] == "TIME (UTC)"
    assert table[1].startswith("2026-11-22 12:01:30  10%     pass          pass          20 of 200  0 (0%)")
    assert table[2].startswith(
        "2026-11-22 12:03:00  50%     fail          fail          20 of 200  11 (55%)       0 (0%)"
    )
    assert table[2].endswith("12.3 / -  errors: 11 of 20; latency: too few")
    assert table[4] == (
        "3 moments: 1 pass, 2 fail, 0 inconclusive. The first fail is at 2026-11-22 12:03:00. "
        "1 of 3 differ from the recorded verdicts."
    )


def test_a_span_has_no_recorded_verdicts() -> None:
    moments = backtest_moments({}, begin=NOON, end=NOON + 120)
    assert backtest_table(moments, [judged("pass", 0)] * 2)[-1] == "2 moments: 2 pass, 0 fail, 0 inconclusive."
    assert backtest_table(backtest_moments(REPORT), [judged(one, 0) for one in ("pass", "fail", "inconclusive")])[
        -1
    ].endswith("All match the recorded verdicts.")


@pytest.mark.parametrize(
    ("report", "options", "says"),
    [
        ({}, {"begin": "noon", "end": NOON}, "begin: 'noon' is not a time"),
        ({}, {"begin": NOON, "end": ""}, "end: '' is not a time"),
        ({}, {"begin": NOON, "end": NOON + 30}, "is 30 s, but one analysis needs 60 s"),
        ({}, {"begin": NOON, "end": NOON + 1e6}, "at most 500 are possible"),
        ({}, {"begin": NOON, "end": NOON + 60, "watch": 0.5}, "at least 1 second"),
        ({"service": "reviews", "events": []}, {}, "The record of reviews has no analysis"),
        (None, {}, "requires the report"),
    ],
)
def test_invalid_spans_and_reports_are_refused(report: t.Any, options: dict[str, t.Any], says: str) -> None:
    with pytest.raises(AnsibleFilterError, match=says):
        backtest_moments(report, **options)


def test_a_table_needs_an_analysis_for_each_moment() -> None:
    with pytest.raises(AnsibleFilterError, match="1 analyses for 3 moments"):
        backtest_table(backtest_moments(REPORT), [judged("pass", 0)])
