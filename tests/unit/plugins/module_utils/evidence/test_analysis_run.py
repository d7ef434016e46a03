# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rhythm of an analysis on a clock of its own: when it looks, when it ends, and what a failed look means."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.analysis import kinds
from ansible_collections.meshops.canary.plugins.module_utils.analysis.counter_deltas import Increment
from ansible_collections.meshops.canary.plugins.module_utils.analysis.error_rates import RequestCount
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput, MetricsError
from ansible_collections.meshops.canary.plugins.module_utils.evidence import analysis_options, custom_metrics
from ansible_collections.meshops.canary.plugins.module_utils.evidence.analysis_run import TIMELINE_ENTRIES
from ansible_collections.meshops.canary.plugins.module_utils.task.context import ROLLBACK_NOTE, Terminal
from support.scripted_watch import NOW, Clock, Scripted, bad, down, good, metric, silent, watch


def test_a_good_canary_passes_after_the_watch_and_not_before() -> None:
    seen, source = watch(good)
    assert (seen.verdict.outcome, seen.seconds, seen.measurements) == ("pass", 10.0, 10)
    assert source.began is None
    assert set(source.times) == {None}
    assert seen.numbers()["canary"] == {
        "requests": 200, "errors": 0, "error_percent": 0.0, "p50": None, "p95": None, "p99": None,
    }  # fmt: skip
    assert seen.numbers()["share"] == 10.0
    assert seen.reaction_seconds is None


def test_the_share_is_of_the_requests_of_all_versions() -> None:
    seen, _source = watch(
        lambda _second: Increment({"v1": RequestCount(20, 0), "v2": RequestCount(20, 0), "v0": RequestCount(160, 0)})
    )
    assert seen.numbers()["share"] == 10.0
    assert seen.numbers()["stable"]["requests"] == seen.numbers()["canary"]["requests"]


def test_a_failing_canary_ends_the_analysis_and_the_reaction_time_is_returned() -> None:
    seen, _source = watch(lambda second: bad(second) if second > 4 else good(second))
    assert seen.verdict.outcome == "fail"
    assert seen.seconds == 5.0
    assert seen.reaction_seconds == 1.0
    assert seen.failed_requests == 10


def test_an_idle_canary_is_observed_until_the_deadline_and_is_inconclusive() -> None:
    seen, _source = watch(silent)
    assert (seen.verdict.outcome, seen.seconds) == ("inconclusive", 20.0)


def test_late_requests_end_the_analysis_before_the_deadline() -> None:
    seen, _source = watch(lambda second: good(second) if second > 9 else silent(second))
    assert (seen.verdict.outcome, seen.seconds) == ("pass", 14.0)


def test_failed_measurements_hold_a_good_verdict() -> None:
    seen, _source = watch(lambda second: down(second) if second > 8 else good(second))
    assert (seen.verdict.outcome, seen.seconds, seen.measurements) == ("inconclusive", 20.0, 8)
    assert seen.verdict.reasons[0].startswith("no failure until the last measurement failed: Prometheus at http://p")
    assert len(seen.notes) == 1
    recovered, _source = watch(lambda second: down(second) if 3 < second < 12 else good(second))
    assert (recovered.verdict.outcome, recovered.seconds) == ("pass", 13.0)


def test_never_any_answer_is_inconclusive() -> None:
    assert watch(down)[0].verdict.outcome == "inconclusive"


def test_a_deadline_before_the_end_can_fail_but_not_pass() -> None:
    assert watch(good, deadline=7.0)[0].verdict.reasons == ("no failure, but only 7 s of 10 s were observed",)
    assert watch(bad, deadline=7.0)[0].verdict.outcome == "fail"


def test_failures_in_the_warm_up_are_counted_but_not_judged() -> None:
    seen, _source = watch(lambda second: bad(second) if second <= 5 else good(second), warm_up=5.0)
    assert (seen.verdict.outcome, seen.seconds, seen.failed_requests) == ("pass", 15.0, 50)


def test_the_past_is_measured_without_waiting_and_the_present_decides() -> None:
    seen, source = watch(lambda second: bad(second) if second == 0 else good(second), window=60.0)
    assert source.began == NOW - 60
    assert seen.verdict.outcome == "fail"
    assert seen.seconds == 60.0
    assert source.times[0] == NOW - 59
    assert source.times[-1] is None


def test_the_past_is_judged_as_it_would_have_been_then() -> None:
    then = NOW - 86400
    seen, source = watch(lambda second: bad(second) if second > -86400 - 15 else good(second), window=30.0, at=then)
    assert seen.started == then - 30
    assert (seen.verdict.outcome, seen.seconds) == ("pass", 10.0)
    late, _source = watch(lambda second: bad(second) if second > -86400 - 25 else good(second), window=30.0, at=then)
    assert (late.verdict.outcome, late.seconds, late.reaction_seconds) == ("fail", 6.0, 1.0)
    assert None not in source.times
    nothing, _source = watch(silent, window=30.0, at=then)
    assert (nothing.verdict.outcome, nothing.seconds) == ("inconclusive", 30.0)


def test_custom_queries_run_for_both_versions() -> None:
    own = metric(name="queue", kind="value", query="q", max_ratio=0.4, critical=True)
    seen, _source = watch(good, metrics=[own], watch=2.0)
    assert (seen.verdict.outcome, seen.seconds) == ("fail", 3.0)


OWN = metric(name="queue", kind="value", query="late", limit=5.0, critical=False)


def test_a_failed_custom_query_loses_no_request() -> None:
    """Half of the canary's requests once failed unseen: each look was taken, and thrown away with the query's error."""
    seen, _source = watch(bad, metrics=[metric(), OWN])
    assert (seen.verdict.outcome, seen.failed_requests, seen.measurements) == ("fail", 10, 1)
    assert seen.notes == ["queue had no answer: Prometheus at http://p answered query with 503."]


def test_a_query_without_an_answer_holds_only_its_own_metric() -> None:
    light, heavy = OWN | {"weight": 0.1}, OWN | {"critical": True}
    assert watch(good, metrics=[metric(), light])[0].verdict.outcome == "pass"
    held = watch(good, metrics=[metric(), heavy])[0].verdict
    assert (held.outcome, held.reasons) == ("inconclusive", ("queue: no answer at 20 measurements in a row",))


def test_an_invalid_query_fails_before_the_analysis() -> None:
    with pytest.raises(MetricsError, match="query with 400"):
        watch(good, metrics=[metric(), OWN | {"query": "wrong"}])


def test_the_request_rate_is_over_the_whole_analysis_without_unknown_time() -> None:
    rate = metric(name="rate", kind="rate", floor=15.0, critical=True)
    assert watch(good, metrics=[rate])[0].verdict.outcome == "pass"
    slow, _source = watch(lambda second: good(second) if second % 2 else silent(second), metrics=[rate])
    assert slow.verdict.reasons == ("rate: requests per second: 10 is below the floor 15",)
    begun = Increment(first_reading=True)
    assert watch(lambda second: begun if second < 6 else good(second), metrics=[rate])[0].verdict.outcome == "pass"
    gap, _source = watch(lambda second: down(second) if second < 6 else good(second), metrics=[rate])
    assert gap.verdict.outcome == "fail", "nobody counted more than these requests since the beginning"
    assert watch(lambda _second: begun, metrics=[rate])[0].verdict.outcome == "inconclusive"


def test_given_numbers_need_no_prometheus() -> None:
    handed = metric(name="checkouts", kind="value", value=90.0, stable_value=100.0, max_ratio=0.95, critical=True)
    assert watch(good, metrics=[handed])[0].verdict.outcome == "pass"
    assert watch(good, metrics=[handed | {"value": 99.0}])[0].verdict.outcome == "fail"
    assert watch(good, metrics=[handed | {"value": 0.0, "max_ratio": None, "floor": 1.0}])[0].verdict.outcome == "fail"


def test_the_timeline_stays_small_and_loses_no_request() -> None:
    seen, _source = watch(silent, deadline=1000.0)
    assert len(seen.timeline) <= TIMELINE_ENTRIES
    assert sum(entry["stable"]["requests"] for entry in seen.timeline) == 200 * seen.measurements
    assert [entry["at"] for entry in seen.timeline] == sorted(entry["at"] for entry in seen.timeline)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"alpha": 0}, r"metrics\[errors\]\.alpha must be above 0"),
        ({"quantile": 1.5}, r"metrics\[errors\]\.quantile must be"),
        ({"weight": 0}, r"metrics\[errors\]\.weight must be above 0"),
        ({"query": "up"}, r"metrics\[errors\]\.query: only metrics of kind value have a query"),
        ({"kind": "value"}, "kind value needs a query or a value"),
        ({"kind": "value", "query": "up", "value": 0.0, "limit": 1.0}, "kind value needs a query or a value"),
        ({"value": 1.0}, r"metrics\[errors\]\.value: only metrics of kind value have a value"),
        ({"kind": "value", "query": "up"}, "set limit, floor or max_ratio"),
        ({"kind": "rate"}, "set limit, floor or max_ratio"),
        ({"kind": "http"}, "kind http needs a url"),
        ({"url": "http://h"}, "only metrics of kind http have a url"),
        ({"kind": "http", "url": "http://h", "limit": 1.0}, "kind http has no limit"),
        ({"kind": "http", "url": "http://h", "pattern": "("}, r"pattern: '\(' is not a regular expression"),
        ({"kind": "http", "url": "http://h", "timeout": 0.0}, r"timeout must be above 0"),
        ({"floor": 1.0}, "kind errors has no floor; it is for metrics of kind rate, value"),
        ({"compare": False}, "without compare a limit is needed"),
        ({"kind": "stalled", "max_ratio": 2.0}, "kind stalled has no max_ratio"),
        ({"kind": "stalled", "compare": False, "limit": 3.0}, "kind stalled always compares with stable"),
        ({"kind": "stalled", "floor": 1.0}, "kind stalled has no floor"),
        ({"ignore": ["404"]}, r"metrics\[errors\]\.ignore: only metrics of kind codes have ignore"),
        (
            {"kind": "latency", "verdict": "inconclusive"},
            r"\.verdict: only metrics of kind codes and sizes have verdict",
        ),
        ({"kind": "codes", "ignore": ["404", "5xx"]}, r"\.ignore: '5xx' is no group of codes that is compared"),
        ({"kind": "codes", "limit": 1.0}, "kind codes has no limit"),
        ({"kind": "codes", "compare": False}, "kind codes always compares with stable"),
        ({"kind": "stalled", "limit": 0.1}, r"metrics\[errors\]\.limit must be at least 0.5 for kind stalled, not 0.1"),
    ],
)
def test_invalid_metrics_are_refused(options: dict[str, t.Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        analysis_options.metric_specs([metric(**options)])


def test_options_of_codes_are_read_from_yaml() -> None:
    (spec,) = analysis_options.metric_specs([metric(kind="codes", ignore=["404", "3xx"], verdict="inconclusive")])
    assert (spec.ignored, spec.verdict, spec.alarm_only) == ({"404", "3xx"}, "inconclusive", False)
    (spec,) = analysis_options.metric_specs([metric(kind="codes")])
    assert (spec.ignored, spec.verdict) == (frozenset(), "fail")


def test_invalid_combinations_of_metrics_are_refused() -> None:
    with pytest.raises(InvalidInput, match="errors is named twice"):
        analysis_options.metric_specs([metric(), metric()])
    with pytest.raises(InvalidInput, match="metrics is empty"):
        analysis_options.metric_specs([])
    source = Scripted(Clock(), good)
    source.name = "proxies"
    with pytest.raises(InvalidInput, match="needs prometheus_url"):
        custom_metrics.value_queries([metric(kind="value", query="up", limit=1.0)], source, "v2", "v1")
    known = Scripted(Clock(), good)
    custom_metrics.value_queries([metric(name="hang", kind="stalled")], known, "v2", "v1")
    assert known.notes[0].startswith(
        "hang: Prometheus knows the requests that callers canceled, but not those in flight"
    )
    for strange in ({"errors.rate": "x"}, {"errors.rate": 7}):
        with pytest.raises(InvalidInput, match="Pass it unchanged"):
            analysis_options.evidence(strange)
    with pytest.raises(InvalidInput, match="Pass it unchanged"):
        analysis_options.observation(kinds.DEFAULT_METRICS, "v2", "v1", {"errors.rate": [1.0]})


def test_progress_is_logged_every_ten_seconds() -> None:
    said: list[str] = []
    watch(good, log=said.append, watch=25.0, deadline=30.0)
    assert said == [
        "v2: 0 of 200 failed (0%) | v1: 0 of 1800 failed (0%) | 10 s of 25 s",
        "v2: 0 of 400 failed (0%) | v1: 0 of 3600 failed (0%) | 20 s of 25 s",
    ]


def test_a_failed_request_is_logged_at_once() -> None:
    said: list[str] = []
    one = Increment({"v2": RequestCount(20, 0), "v1": RequestCount(180, 1)})
    watch(lambda second: one if second in (3, 4) else good(second), log=said.append)
    assert [line.rpartition("| ")[2] for line in said] == ["3 s of 10 s", "4 s of 10 s"]
    assert said[1].startswith("v2: 0 of 80 failed (0%) | v1: 2 of 720 failed (0.278%)")


def test_after_the_watch_progress_counts_to_the_deadline() -> None:
    said: list[str] = []
    watch(silent, log=said.append, watch=5.0, deadline=15.0)
    assert said == ["v2: 0 of 0 failed | v1: 0 of 2000 failed (0%) | 10 s of 15 s"]


def test_the_past_is_judged_without_progress_logs() -> None:
    said: list[str] = []
    watch(good, log=said.append, at=NOW, window=30.0)
    assert said == []


def test_a_rollback_request_ends_the_analysis_without_a_verdict() -> None:
    looked: list[float] = []

    def counted(second: float) -> Increment:
        looked.append(second)
        return good(second)

    terminal = Terminal(has_keyboard=True, rollback_requested=lambda: len(looked) == 4)
    seen, _source = watch(counted, terminal=terminal)
    assert (seen.verdict.outcome, seen.verdict.reasons, seen.measurements) == ("inconclusive", (ROLLBACK_NOTE,), 4)


def test_what_ends_a_rollout_is_noticed_between_two_measurements() -> None:
    looks: list[float] = []

    def requested() -> bool:
        looks.append(0.0)
        return len(looks) >= 3

    terminal = Terminal(has_keyboard=True, rollback_requested=requested)
    seen, source = watch(good, terminal=terminal, interval=60.0, watch=600.0, deadline=900.0)
    assert seen.seconds <= 5
    assert len(source.times) <= 1


def test_progress_counts_the_requests_that_a_verdict_needs() -> None:
    said: list[str] = []
    watch(good, log=said.append, watch=60.0, deadline=90.0, needed=1000)
    assert " | 200 of 1000 requests, about 40 s more | " in said[0], said[0]
    said.clear()
    watch(silent, log=said.append, watch=60.0, deadline=90.0, needed=100)
    assert " | 0 of 100 requests | " in said[0]
    said.clear()
    watch(good, log=said.append, watch=60.0, deadline=90.0, needed=100)
    assert "of 100 requests" not in said[0]


def test_failures_after_the_verdict_can_be_counted_once() -> None:
    seen, _source = watch(bad)
    assert seen.verdict.outcome == "fail"
    before = seen.failed_requests
    assert seen.late_failures() == 10
    assert seen.failed_requests == before, "the verdict stays as it is"
    broken, _source = watch(lambda second: bad(second) if second <= 10 else down(second))
    assert isinstance(broken.late_failures(), int), "what cannot be counted is no error"
