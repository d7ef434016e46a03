# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rhythm of an analysis on a clock of its own: when it looks, when it ends, and what a failed look means."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.analysis.rates import Tally
from ansible_collections.meshops.canary.plugins.module_utils.analysis.sources import Increment
from ansible_collections.meshops.canary.plugins.module_utils.commands import asked, numbers, stopping
from ansible_collections.meshops.canary.plugins.module_utils.commands.watch import TIMELINE
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput, MetricsError
from support.watched import NOW, Clock, Scripted, bad, down, good, metric, silent, watch


def test_a_good_canary_passes_when_the_watch_is_over_and_not_before() -> None:
    seen, source = watch(good)
    assert (seen.verdict.outcome, seen.seconds, seen.looks) == ("pass", 10.0, 10)
    assert source.began is None
    assert set(source.asked) == {None}
    assert seen.numbers()["canary"] == {
        "requests": 200, "errors": 0, "error_percent": 0.0, "p50": None, "p95": None, "p99": None,
    }  # fmt: skip
    assert seen.numbers()["share"] == 10.0
    assert seen.reaction_seconds is None


def test_the_share_is_of_everybodys_requests_and_not_of_the_two_that_are_compared() -> None:
    seen, _source = watch(lambda _second: Increment({"v1": Tally(20, 0), "v2": Tally(20, 0), "v0": Tally(160, 0)}))
    assert seen.numbers()["share"] == 10.0
    assert seen.numbers()["stable"]["requests"] == seen.numbers()["canary"]["requests"]


def test_a_bad_one_ends_the_watch_and_the_time_since_the_first_error_is_told() -> None:
    seen, _source = watch(lambda second: bad(second) if second > 4 else good(second))
    assert seen.verdict.outcome == "fail"
    assert seen.seconds == 5.0
    assert seen.reaction_seconds == 1.0
    assert seen.harmed == 10


def test_an_idle_one_is_watched_until_the_deadline_and_is_no_success() -> None:
    seen, _source = watch(silent)
    assert (seen.verdict.outcome, seen.seconds) == ("inconclusive", 20.0)


def test_with_requests_at_last_it_ends_before_the_deadline() -> None:
    seen, _source = watch(lambda second: good(second) if second > 9 else silent(second))
    assert (seen.verdict.outcome, seen.seconds) == ("pass", 14.0)


def test_looks_that_tell_nothing_hold_what_was_good_before() -> None:
    seen, _source = watch(lambda second: down(second) if second > 8 else good(second))
    assert (seen.verdict.outcome, seen.seconds, seen.looks) == ("inconclusive", 20.0, 8)
    assert seen.verdict.reasons[0].startswith("all was well until Prometheus at http://p")
    assert len(seen.notes) == 1
    recovered, _source = watch(lambda second: down(second) if 3 < second < 12 else good(second))
    assert (recovered.verdict.outcome, recovered.seconds) == ("pass", 13.0)


def test_never_any_answer_is_inconclusive() -> None:
    assert watch(down)[0].verdict.outcome == "inconclusive"


def test_a_deadline_before_the_end_can_fail_but_not_pass() -> None:
    assert watch(good, deadline=7.0)[0].verdict.reasons == ("all was well, but for 7 s of 10 s only",)
    assert watch(bad, deadline=7.0)[0].verdict.outcome == "fail"


def test_what_fails_while_warming_up_is_told_but_not_judged() -> None:
    seen, _source = watch(lambda second: bad(second) if second <= 5 else good(second), warm_up=5.0)
    assert (seen.verdict.outcome, seen.seconds, seen.harmed) == ("pass", 15.0, 50)


def test_the_past_is_looked_at_without_waiting_and_the_present_decides() -> None:
    seen, source = watch(lambda second: bad(second) if second == 0 else good(second), window=60.0)
    assert source.began == NOW - 60
    assert seen.verdict.outcome == "fail"
    assert seen.seconds == 60.0
    assert source.asked[0] == NOW - 59
    assert source.asked[-1] is None


def test_an_earlier_day_is_judged_as_it_would_have_been_then() -> None:
    then = NOW - 86400
    seen, source = watch(lambda second: bad(second) if second > -86400 - 15 else good(second), window=30.0, at=then)
    assert seen.started == then - 30
    assert (seen.verdict.outcome, seen.seconds) == ("pass", 10.0)
    late, _source = watch(lambda second: bad(second) if second > -86400 - 25 else good(second), window=30.0, at=then)
    assert (late.verdict.outcome, late.seconds, late.reaction_seconds) == ("fail", 6.0, 1.0)
    assert None not in source.asked
    nothing, _source = watch(silent, window=30.0, at=then)
    assert (nothing.verdict.outcome, nothing.seconds) == ("inconclusive", 30.0)


def test_numbers_of_ones_own_are_asked_of_both_versions() -> None:
    own = metric(name="queue", kind="value", query="q", max_ratio=0.4, critical=True)
    seen, _source = watch(good, metrics=[own], watch=2.0)
    assert (seen.verdict.outcome, seen.seconds) == ("fail", 3.0)


OWN = metric(name="queue", kind="value", query="late", limit=5.0, critical=False)


def test_a_query_of_ones_own_that_fails_loses_no_request() -> None:
    """Half of the canary's requests once failed unseen: each look was taken, and thrown away with the query's error."""
    seen, _source = watch(bad, metrics=[metric(), OWN])
    assert (seen.verdict.outcome, seen.harmed, seen.looks) == ("fail", 10, 1)
    assert seen.notes == ["queue had no answer: Prometheus at http://p answered query with 503."]


def test_a_query_without_an_answer_holds_only_what_hangs_on_it() -> None:
    light, heavy = OWN | {"weight": 0.1}, OWN | {"critical": True}
    assert watch(good, metrics=[metric(), light])[0].verdict.outcome == "pass"
    held = watch(good, metrics=[metric(), heavy])[0].verdict
    assert (held.outcome, held.reasons) == ("inconclusive", ("queue: no answer at 20 looks in a row",))


def test_a_wrong_query_is_said_before_watching() -> None:
    with pytest.raises(MetricsError, match="query with 400"):
        watch(good, metrics=[metric(), OWN | {"query": "wrong"}])


def test_requests_in_a_second_count_the_whole_watch_and_no_time_that_is_not_known() -> None:
    rate = metric(name="rate", kind="rate", floor=15.0, critical=True)
    assert watch(good, metrics=[rate])[0].verdict.outcome == "pass"
    slow, _source = watch(lambda second: good(second) if second % 2 else silent(second), metrics=[rate])
    assert slow.verdict.reasons == ("rate: requests in a second: 10 is below the floor 15",)
    begun = Increment(begins=True)
    assert watch(lambda second: begun if second < 6 else good(second), metrics=[rate])[0].verdict.outcome == "pass"
    gap, _source = watch(lambda second: down(second) if second < 6 else good(second), metrics=[rate])
    assert gap.verdict.outcome == "fail", "nobody counted more than these requests since the beginning"
    assert watch(lambda _second: begun, metrics=[rate])[0].verdict.outcome == "inconclusive"


def test_numbers_that_are_handed_in_need_no_prometheus() -> None:
    handed = metric(name="checkouts", kind="value", value=90.0, stable_value=100.0, max_ratio=0.95, critical=True)
    assert watch(good, metrics=[handed])[0].verdict.outcome == "pass"
    assert watch(good, metrics=[handed | {"value": 99.0}])[0].verdict.outcome == "fail"
    assert watch(good, metrics=[handed | {"value": 0.0, "max_ratio": None, "floor": 1.0}])[0].verdict.outcome == "fail"


def test_the_timeline_stays_small_and_loses_no_request() -> None:
    seen, _source = watch(silent, deadline=1000.0)
    assert len(seen.timeline) <= TIMELINE
    assert sum(entry["stable"]["requests"] for entry in seen.timeline) == 200 * seen.looks
    assert [entry["at"] for entry in seen.timeline] == sorted(entry["at"] for entry in seen.timeline)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"alpha": 0}, r"metrics\[errors\]\.alpha must be above 0"),
        ({"quantile": 1.5}, r"metrics\[errors\]\.quantile must be"),
        ({"weight": 0}, r"metrics\[errors\]\.weight must be above 0"),
        ({"query": "up"}, "only such a one can have it"),
        ({"kind": "value"}, "kind value needs a query or a value"),
        ({"kind": "value", "query": "up", "value": 0.0, "limit": 1.0}, "kind value needs a query or a value"),
        ({"value": 1.0}, "only such a one can have it"),
        ({"kind": "value", "query": "up"}, "set limit, floor or max_ratio"),
        ({"kind": "rate"}, "set limit, floor or max_ratio"),
        ({"kind": "http"}, "kind http needs a url"),
        ({"url": "http://h"}, "kind http needs a url"),
        ({"kind": "http", "url": "http://h", "limit": 1.0}, "kind http has no limit"),
        ({"kind": "http", "url": "http://h", "pattern": "("}, r"pattern: '\(' is not a regular expression"),
        ({"kind": "http", "url": "http://h", "timeout": 0.0}, r"timeout must be above 0"),
        ({"floor": 1.0}, "floor is for metrics of kind value"),
        ({"compare": False}, "without compare a limit is needed"),
        ({"kind": "hanging", "max_ratio": 2.0}, "kind hanging has a limit in seconds alone"),
        ({"kind": "hanging", "compare": False, "limit": 3.0}, "kind hanging has a limit in seconds alone"),
        ({"kind": "hanging", "floor": 1.0}, "kind hanging has a limit in seconds alone"),
        ({"kind": "hanging", "limit": 0.1}, r"metrics\[errors\]\.limit must be at least 0.5 seconds"),
    ],
)
def test_metrics_that_cannot_be(options: dict[str, t.Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        asked.questions([metric(**options)])


def test_what_is_asked_as_a_whole_must_make_sense() -> None:
    with pytest.raises(InvalidInput, match="errors is named twice"):
        asked.questions([metric(), metric()])
    with pytest.raises(InvalidInput, match="metrics is empty"):
        asked.questions([])
    source = Scripted(Clock(), good)
    source.name = "proxies"
    with pytest.raises(InvalidInput, match="needs prometheus_url"):
        numbers.askers([metric(kind="value", query="up", limit=1.0)], source, "v2", "v1")
    with pytest.raises(InvalidInput, match="known to proxies only"):
        numbers.askers([metric(kind="hanging")], Scripted(Clock(), good), "v2", "v1")
    for strange in ({"errors.rate": "x"}, {"errors.rate": 7}):
        with pytest.raises(InvalidInput, match="Give it back unchanged"):
            asked.evidence(strange)
    with pytest.raises(InvalidInput, match="Give it back unchanged"):
        asked.observation(asked.DEFAULT, "v2", "v1", {"errors.rate": [1.0]})


def test_whoever_waits_is_told_what_was_counted_every_ten_seconds() -> None:
    said: list[str] = []
    watch(good, log=said.append, watch=25.0, deadline=30.0)
    assert said == [
        "v2: 0 of 200 failed (0%) | v1: 0 of 1800 failed (0%) | 10 s of 25 s",
        "v2: 0 of 400 failed (0%) | v1: 0 of 3600 failed (0%) | 20 s of 25 s",
    ]


def test_a_failed_request_is_told_at_once() -> None:
    said: list[str] = []
    one = Increment({"v2": Tally(20, 0), "v1": Tally(180, 1)})
    watch(lambda second: one if second in (3, 4) else good(second), log=said.append)
    assert [line.rpartition("| ")[2] for line in said] == ["3 s of 10 s", "4 s of 10 s"]
    assert said[1].startswith("v2: 0 of 80 failed (0%) | v1: 2 of 720 failed (0.278%)")


def test_after_the_watch_the_deadline_is_what_is_waited_for() -> None:
    said: list[str] = []
    watch(silent, log=said.append, watch=5.0, deadline=15.0)
    assert said == ["v2: 0 of 0 failed | v1: 0 of 2000 failed (0%) | 10 s of 15 s"]


def test_the_past_is_judged_without_telling() -> None:
    said: list[str] = []
    watch(good, log=said.append, at=NOW, window=30.0)
    assert said == []


def test_whoever_wants_the_canary_back_ends_the_watch_without_a_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[float] = []

    def counted(second: float) -> Increment:
        looked.append(second)
        return good(second)

    monkeypatch.setattr(stopping, "asked", lambda: len(looked) == 4)
    seen, _source = watch(counted)
    assert (seen.verdict.outcome, seen.verdict.reasons, seen.looks) == ("inconclusive", (stopping.NOTE,), 4)
