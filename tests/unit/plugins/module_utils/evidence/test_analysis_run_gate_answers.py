# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Watching while a person is asked: it ends at the answer, at an alarm or at the deadline, whatever cannot be read."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.analysis.counter_deltas import Increment
from ansible_collections.meshops.canary.plugins.module_utils.analysis.error_rates import RequestCount
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError, MetricsError
from ansible_collections.meshops.canary.plugins.module_utils.evidence import analysis_options
from ansible_collections.meshops.canary.plugins.module_utils.evidence.analysis_run import AnalysisRun
from ansible_collections.meshops.canary.plugins.module_utils.rollout.approval import UNREADABLE_SECONDS
from support.scripted_watch import Clock, Scripted, bad, good, metric, silent, watch

NO_ANSWER = "GET services/reviews failed: no answer."
UNREADABLE = "The answer to the gate cannot be read"


def nobody(_second: float) -> None:
    return None


def unreadable(second: float) -> str | None:
    if second < 30:
        raise ApiError(NO_ANSWER, None)
    return "approved"


@pytest.mark.parametrize("said", ["approved", "rejected"])
def test_an_answer_ends_the_wait_and_is_no_verdict(said: str) -> None:
    seen, _source = watch(good, says=lambda second: said if second >= 40 else None, deadline=3600.0)
    assert (seen.answer, seen.verdict.outcome, seen.seconds) == (said, "inconclusive", 40.0)
    assert seen.verdict.reasons == (f"{said} after 40 s, without an alarm until then",)
    assert seen.numbers()["canary"]["requests"] == 800


def test_the_answer_is_read_between_two_distant_measurements() -> None:
    seen, _source = watch(good, says=lambda second: "approved" if second >= 5 else None, interval=60.0, deadline=600.0)
    assert (seen.answer, seen.seconds, seen.measurements) == ("approved", 6.0, 1)


def test_an_earlier_answer_ends_the_gate_at_once() -> None:
    seen, _source = watch(good, says=lambda _second: "approved", deadline=3600.0)
    assert (seen.answer, seen.seconds) == ("approved", 0.0)


def test_an_alarm_ends_the_wait_without_an_answer() -> None:
    seen, _source = watch(lambda second: bad(second) if second > 1800 else good(second), says=nobody, deadline=3600.0)
    assert (seen.answer, seen.verdict.outcome, seen.reaction_seconds) == (None, "fail", 1.0)
    assert seen.seconds == 1801.0


def test_an_alarm_takes_precedence_over_a_simultaneous_answer() -> None:
    seen, _source = watch(bad, says=lambda second: "approved" if second >= 1 else None, deadline=3600.0)
    assert seen.verdict.outcome == "fail"


def test_without_an_answer_the_gate_ends_inconclusive_at_the_deadline() -> None:
    seen, _source = watch(good, says=nobody, deadline=3600.0)
    assert (seen.answer, seen.verdict.outcome, seen.seconds) == (None, "inconclusive", 3600.0)
    assert seen.verdict.reasons == ("not answered after 3600 s, without an alarm until then",)


def test_at_a_gate_the_final_test_is_not_made() -> None:
    """What Fisher's test would fail at the end is no alarm: the person chose the end, not the number of requests."""
    few = Increment({"v2": RequestCount(200, 3), "v1": RequestCount(1800, 2)})
    assert watch(lambda second: few if second == 1 else silent(second))[0].verdict.outcome == "fail"
    asked_for, _source = watch(lambda second: few if second == 1 else silent(second), says=nobody)
    assert asked_for.verdict.outcome == "inconclusive"


def test_an_answer_that_cannot_be_read_is_noted_once_and_read_again() -> None:
    seen, _source = watch(good, says=unreadable, deadline=3600.0)
    assert (seen.answer, seen.seconds) == ("approved", 30.0)
    assert seen.notes == [f"{UNREADABLE}, and is read again every 2 s: {NO_ANSWER}"]
    assert seen.answer_error == ""


def test_an_answer_that_cannot_be_read_at_the_deadline_is_read_for_longer() -> None:
    """The approval of 20 s before is read when the credentials are good again."""

    def locked_out(second: float) -> str | None:
        if 10 <= second < 110:
            raise ApiError(NO_ANSWER, 401)
        return "approved" if second >= 40 else None

    seen, _source = watch(good, says=locked_out, deadline=60.0)
    assert (seen.answer, seen.seconds, seen.answer_error) == ("approved", 110.0, "")


def test_an_answer_that_stays_unreadable_is_never_nobodys() -> None:
    def locked_out(second: float) -> str | None:
        if second >= 10:
            raise ApiError(NO_ANSWER, 401)
        return None

    seen, _source = watch(good, says=locked_out, deadline=60.0)
    assert (seen.answer, seen.answer_error) == (None, NO_ANSWER)
    assert seen.seconds == 60.0 + UNREADABLE_SECONDS
    assert seen.verdict.reasons == (
        f"the answer to the gate cannot be read, so it is not known whether somebody answered: {NO_ANSWER}",
    )


def test_an_answer_that_is_readable_again_without_one_ends_at_the_deadline() -> None:
    def shortly(second: float) -> str | None:
        if second < 50:
            raise ApiError(NO_ANSWER, 401)
        return None

    seen, _source = watch(good, says=shortly, deadline=60.0)
    assert (seen.answer, seen.seconds) == (None, 60.0)
    assert seen.verdict.reasons[0].startswith("not answered after 60 s")


def test_a_failed_first_measurement_does_not_end_the_gate() -> None:
    clock = Clock()
    source = Scripted(clock, bad)
    source.broken_at_first = True
    params = {"canary": "v2", "stable": "v1", "watch": 1.0, "deadline": 60.0, "warm_up": 0.0, "interval": None}
    params |= {"window": 0.0, "at": None}
    observation = analysis_options.observation(analysis_options.metric_specs([metric()]), "v2", "v1", {})
    given: t.Any = (source, observation, {}, params, lambda _said: None)
    with pytest.raises(MetricsError):
        AnalysisRun(*given, clock=clock, sleep=clock.sleep).run()
    seen = AnalysisRun(*given, approval=lambda: None, clock=clock, sleep=clock.sleep)
    seen.run()
    assert seen.verdict.outcome == "fail"


def test_progress_logs_at_a_gate_name_the_deadline() -> None:
    said: list[str] = []
    watch(good, says=nobody, log=said.append, deadline=20.0)
    assert said == ["v2: 0 of 200 failed (0%) | v1: 0 of 1800 failed (0%) | 10 s of 20 s"]
