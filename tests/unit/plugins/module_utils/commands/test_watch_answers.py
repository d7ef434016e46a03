# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Watching while a person is asked: it ends at the answer, at an alarm or at the deadline, whatever cannot be read."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.analysis.rates import Tally
from ansible_collections.meshops.canary.plugins.module_utils.analysis.sources import Increment
from ansible_collections.meshops.canary.plugins.module_utils.commands import asked
from ansible_collections.meshops.canary.plugins.module_utils.commands.watch import Watch
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError, MetricsError
from support.watched import Clock, Scripted, bad, good, metric, silent, watch


def nobody(_second: float) -> None:
    return None


def unreadable(second: float) -> str | None:
    if second < 30:
        raise ApiError("GET services/reviews failed: no answer.", None)
    return "approved"


@pytest.mark.parametrize("said", ["approved", "rejected"])
def test_an_answer_ends_the_wait_and_is_no_verdict(said: str) -> None:
    seen, _source = watch(good, says=lambda second: said if second >= 40 else None, deadline=3600.0)
    assert (seen.answer, seen.verdict.outcome, seen.seconds) == (said, "inconclusive", 40.0)
    assert seen.verdict.reasons == (f"{said} after 40 s, without an alarm until then",)
    assert seen.numbers()["canary"]["requests"] == 800


def test_an_answer_is_read_between_two_looks_that_lie_far_apart() -> None:
    seen, _source = watch(good, says=lambda second: "approved" if second >= 5 else None, interval=60.0, deadline=600.0)
    assert (seen.answer, seen.seconds, seen.looks) == ("approved", 6.0, 1)


def test_whoever_answered_before_is_not_kept_waiting() -> None:
    seen, _source = watch(good, says=lambda _second: "approved", deadline=3600.0)
    assert (seen.answer, seen.seconds) == ("approved", 0.0)


def test_an_alarm_ends_the_wait_without_an_answer() -> None:
    seen, _source = watch(lambda second: bad(second) if second > 1800 else good(second), says=nobody, deadline=3600.0)
    assert (seen.answer, seen.verdict.outcome, seen.reaction_seconds) == (None, "fail", 1.0)
    assert seen.seconds == 1801.0


def test_an_alarm_outweighs_an_answer_that_came_with_it() -> None:
    seen, _source = watch(bad, says=lambda second: "approved" if second >= 1 else None, deadline=3600.0)
    assert seen.verdict.outcome == "fail"


def test_silence_ends_at_the_deadline_and_is_no_verdict() -> None:
    seen, _source = watch(good, says=nobody, deadline=3600.0)
    assert (seen.answer, seen.verdict.outcome, seen.seconds) == (None, "inconclusive", 3600.0)
    assert seen.verdict.reasons == ("not answered after 3600 s, without an alarm until then",)


def test_while_a_person_is_asked_the_test_of_the_end_is_not_made() -> None:
    """What Fisher's test would fail at the end is no alarm: the person chose the end, not the number of requests."""
    few = Increment({"v2": Tally(200, 3), "v1": Tally(1800, 2)})
    assert watch(lambda second: few if second == 1 else silent(second))[0].verdict.outcome == "fail"
    asked_for, _source = watch(lambda second: few if second == 1 else silent(second), says=nobody)
    assert asked_for.verdict.outcome == "inconclusive"


def test_an_answer_that_cannot_be_read_is_noted_once_and_read_again() -> None:
    seen, _source = watch(good, says=unreadable, deadline=3600.0)
    assert (seen.answer, seen.seconds) == ("approved", 30.0)
    assert seen.notes == ["The answer was not read, and is read again: GET services/reviews failed: no answer."]


def test_a_first_look_that_fails_does_not_end_the_gate() -> None:
    clock = Clock()
    source = Scripted(clock, bad)
    source.broken_at_first = True
    params = {"canary": "v2", "stable": "v1", "watch": 1.0, "deadline": 60.0, "warm_up": 0.0, "interval": None}
    params |= {"window": 0.0, "at": None}
    observation = asked.observation(asked.questions([metric()]), "v2", "v1", {})
    given: t.Any = (source, observation, {}, params, lambda _said: None)
    with pytest.raises(MetricsError):
        Watch(*given, clock=clock, sleep=clock.sleep).until_decided()
    seen = Watch(*given, approval=lambda: None, clock=clock, sleep=clock.sleep)
    seen.until_decided()
    assert seen.verdict.outcome == "fail"


def test_whoever_waits_for_an_answer_is_told_until_when() -> None:
    said: list[str] = []
    watch(good, says=nobody, log=said.append, deadline=20.0)
    assert said == ["v2: 0 of 200 failed (0%) | v1: 0 of 1800 failed (0%) | 10 s of 20 s"]
