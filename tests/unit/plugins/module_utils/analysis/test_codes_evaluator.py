# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A canary that answers 404, 401, 302 or 429 to everything fails no request, and must not pass."""

from __future__ import annotations

import json
import math
import typing as t
from collections import Counter

import pytest
import scipy.stats
from ansible_collections.meshops.canary.plugins.module_utils.analysis import counter_deltas, response_codes, traffic
from ansible_collections.meshops.canary.plugins.module_utils.analysis.codes_evaluator import CodesEvaluator
from ansible_collections.meshops.canary.plugins.module_utils.analysis.counter_deltas import Increment
from ansible_collections.meshops.canary.plugins.module_utils.analysis.error_rates import RequestCount
from ansible_collections.meshops.canary.plugins.module_utils.analysis.intervals import Interval, MetricSpec
from ansible_collections.meshops.canary.plugins.module_utils.analysis.kinds import DEFAULT_METRICS
from ansible_collections.meshops.canary.plugins.module_utils.analysis.metrics import Metric
from ansible_collections.meshops.canary.plugins.module_utils.analysis.sequential import Observation, stable_evidence
from support.effort import rounds

if t.TYPE_CHECKING:
    from collections.abc import Mapping

CODES = MetricSpec(Metric("codes", critical=True), "codes")
ERRORS = MetricSpec(Metric("errors", critical=True), "errors")


def increment(canary: Mapping[str, int], stable: Mapping[str, int]) -> Increment:
    """One second of both versions' answers by code, each of which took 10 ms."""
    sides = {"v2": Counter(canary), "v1": Counter(stable)}
    counts = {
        version: RequestCount(codes.total(), sum(n for code, n in codes.items() if traffic.is_error(code)))
        for version, codes in sides.items()
    }
    times = {version: Counter({10.0: codes.total()}) for version, codes in sides.items()}
    return Increment(counts, times, codes=sides)


def observed(
    canary: Mapping[str, int],
    stable: Mapping[str, int],
    specs: t.Sequence[MetricSpec] = DEFAULT_METRICS,
    seconds: int = 30,
) -> Observation:
    observation = Observation(specs, "v2", "v1")
    for _second in range(seconds):
        observation.add(increment(canary, stable), seconds=1.0)
    return observation


@pytest.mark.parametrize(
    "code", ["404", "401", "302", "429", "400", "403", "410", "418", "301", "101", "grpc 5", "601"]
)
def test_a_canary_that_answers_another_code_to_everything_is_an_alarm_within_seconds(code: str) -> None:
    observation = Observation(DEFAULT_METRICS, "v2", "v1")
    for _second in range(2):
        observation.add(increment({code: 10}, {"200": 90}), seconds=1.0)
    verdict = observation.alarm()
    assert verdict
    assert verdict.outcome == "fail"
    assert verdict.reasons[0].startswith("codes: the canary answers ")
    assert "20 of 20 (100%), stable's 0 of 180 (0%)" in verdict.reasons[0]


def test_the_reason_names_the_code_and_what_to_do_if_it_is_meant() -> None:
    (reason,) = observed({"404": 10}, {"200": 80, "404": 10}, seconds=5).alarm().reasons
    assert reason.startswith(
        "codes: the canary answers 404 more often than stable: 404 50 of 50 (100%), stable's 50 of 450 (11.1%); p = "
    )
    assert "4xx" not in reason, "the class says no more than its code"
    assert "If the release is meant to do that, set ignore: [404] on a metric of kind codes" in reason


def test_codes_that_differ_only_together_are_named_by_their_class() -> None:
    spread = {f"4{number:02}": 1 for number in range(60, 90)}
    observation = observed({"200": 270, **spread}, {"200": 2970, **dict.fromkeys(spread, 1)}, [CODES], seconds=1)
    (reason,) = observation.verdict().reasons
    assert "answers 4xx more often than stable: 4xx 30 of 300 (10%), stable's 30 of 3000 (1%)" in reason


@pytest.mark.parametrize(
    ("canary", "stable"),
    [
        ({"200": 20}, {"200": 180}),
        ({"200": 18, "404": 2}, {"200": 162, "404": 18}),
        ({"200": 20}, {"200": 100, "304": 80}),
        ({"302": 20}, {"302": 180}),
        ({"grpc 5": 20}, {"grpc 5": 180}),
        ({"200": 20}, {"200": 170, "503": 10}),
    ],
    ids=["all good", "as many 404", "new ETags", "redirects only", "gRPC not found", "fewer errors"],
)
def test_a_canary_like_stable_or_with_fewer_errors_passes(canary: dict[str, int], stable: dict[str, int]) -> None:
    observation = observed(canary, stable)
    assert not observation.alarm()
    assert observation.verdict().outcome == "pass"


@pytest.mark.parametrize("gone", ["302", "401", "429"])
def test_a_redirect_or_refusal_that_is_gone_holds_the_canary(gone: str) -> None:
    """The login is not asked for any more, or the release mends something: a person must say."""
    observation = observed({"200": 20}, {"200": 90, gone: 90})
    verdict = observation.verdict()
    assert not observation.alarm()
    assert verdict.outcome == "inconclusive"
    assert (
        "answers 2xx more often than stable: 2xx 600 of 600 (100%), stable's 2700 of 5400 (50%)" in verdict.reasons[0]
    )
    assert "A redirect, refusal or limit of stable's is gone" in verdict.reasons[0]
    assert "ignore: [2xx]" in verdict.reasons[0]


def test_ignored_codes_and_classes_are_not_compared() -> None:
    for ignored in ("4xx", "404"):
        spec = MetricSpec(Metric("codes", critical=True), "codes", ignored=frozenset({ignored}))
        assert observed({"404": 20}, {"200": 180}, [ERRORS, spec]).verdict().outcome == "pass"
        fewer = observed({"200": 20}, {"200": 90, "404": 90}, [ERRORS, spec])
        assert fewer.verdict().outcome == "pass", "what is ignored is gone, which makes no answer of 2xx more frequent"
    mended = MetricSpec(Metric("codes", critical=True), "codes", ignored=frozenset({"2xx"}))
    assert observed({"200": 20}, {"200": 90, "404": 90}, [ERRORS, mended]).verdict().outcome == "pass"
    assert observed({"200": 18, "404": 2}, {"200": 180}, [ERRORS, mended]).verdict().outcome == "fail"
    only_404 = MetricSpec(Metric("codes", critical=True), "codes", ignored=frozenset({"404"}))
    assert observed({"404": 10, "403": 10}, {"200": 180}, [ERRORS, only_404]).verdict().outcome == "fail"


def test_by_an_option_a_difference_is_inconclusive() -> None:
    spec = MetricSpec(Metric("codes", critical=True), "codes", verdict="inconclusive")
    observation = observed({"404": 20}, {"200": 180}, [ERRORS, spec])
    assert not observation.alarm()
    assert observation.verdict().outcome == "inconclusive"
    assert "answers 404 more often" in observation.verdict().reasons[0]


def test_without_a_metric_of_the_kind_a_difference_holds_the_canary() -> None:
    verdict = observed({"404": 20}, {"200": 180}, [ERRORS]).verdict()
    assert verdict.outcome == "inconclusive"
    assert "answers 404 more often" in verdict.reasons[0]
    assert verdict.reasons[0].endswith("No metric of kind codes is named, so this holds the canary and fails nothing.")
    assert observed({"200": 20}, {"200": 180}, [ERRORS]).verdict().outcome == "pass"


def test_too_few_requests_are_no_evidence() -> None:
    assert observed({"200": 5}, {"200": 180}, [CODES], seconds=3).verdict().outcome == "inconclusive"
    assert observed({"200": 20}, {"200": 1}, [CODES], seconds=30).verdict().outcome == "inconclusive"


def test_the_default_metric_is_an_alarm_and_no_evidence_for_a_pass() -> None:
    """Response times that are not known must still hold half of the weight."""
    observation = Observation(DEFAULT_METRICS, "v2", "v1")
    one = increment({"200": 20}, {"200": 180})
    one.times.clear()
    for _second in range(30):
        observation.add(one, seconds=1.0)
    assert observation.verdict().outcome == "inconclusive"
    assert observed({"200": 20}, {"200": 180}, [CODES]).verdict().outcome == "pass", "named, it is a metric like others"


def test_at_a_hundred_percent_the_codes_of_stable_before_count() -> None:
    step = observed({"200": 20}, {"200": 170, "404": 10})
    carried = json.loads(json.dumps(step.evidence()))
    for codes, outcome in (({"200": 195, "404": 5}, None), ({"404": 200}, "fail"), ({"302": 200}, "fail")):
        observation = Observation(DEFAULT_METRICS, "v2", "v1", carried)
        for _second in range(10):
            observation.add(increment(codes, {}), seconds=1.0)
        alarm = observation.alarm()
        assert (alarm.outcome if alarm else None) == outcome, codes
        if alarm:
            assert "in the step before" in alarm.reasons[0]
    assert "codes.404.stable" in stable_evidence(step.evidence())
    assert "codes.404.rate" not in stable_evidence(step.evidence())


def test_a_code_that_appears_late_at_a_hundred_percent_has_seen_the_seconds_before() -> None:
    """Its test must not begin at its first appearance: that would be chosen by the outcome."""
    carried = observed({"200": 20}, {"200": 180}).evidence()
    early, late = (CodesEvaluator(CODES, carried) for _copy in range(2))
    answers, missing = Counter({"200": 100}), Counter({"200": 99, "404": 1})
    early._test_of("404")
    for second in range(50):
        codes = missing if second == 40 else answers
        for evaluator in (early, late):
            evaluator.add(Interval(RequestCount(100, 0), RequestCount(0, 0), 1.0, codes=(codes, Counter())))
    assert math.isclose(early._tests["404"].strength(), late._tests["404"].strength())


def test_evidence_of_the_wrong_shape_is_refused() -> None:
    for wrong in ({"codes.404.rate": [1.0]}, {"codes.404.stable": []}):
        with pytest.raises((ValueError, IndexError)):
            Observation(DEFAULT_METRICS, "v2", "v1", wrong)


def test_the_parts_of_alpha_sum_to_less_than_one() -> None:
    codes = [*(str(code) for code in range(100, 500)), *(f"grpc {status}" for status in range(1, 17)), "600", ""]
    groups = {group for code in codes for group in response_codes.groups_of(code)}
    assert sum(response_codes.share_of_alpha(group) for group in groups) <= 1.0
    assert all(response_codes.is_group(group) for group in groups)
    assert not any(map(response_codes.is_group, ("5xx", "500", "grpc 0", "200", "grpc 17", "404x", "failed grpc 14")))


def test_codes_are_read_from_the_counters_of_the_proxies() -> None:
    names = traffic.Names({"reviews.shop.svc.cluster.local": None}, {"v1": "v1", "v2": "v2"})
    envoy = {"cluster_name": "outbound|9080|v2|reviews.shop.svc.cluster.local", "response_code": "404"}
    istio = {
        "reporter": "source",
        "destination_service": "reviews.shop.svc.cluster.local",
        "destination_version": "v2",
        "response_code": "200",
        "grpc_response_status": "7",
    }
    for name, labels, code in ((traffic.ENVOY, envoy, "404"), (traffic.ISTIO, istio, "grpc 7")):
        before, after = (counter_deltas.client_reading("p", [(name, labels, value)], names) for value in (5.0, 12.0))
        grown = counter_deltas.grown(before, after)
        assert grown.codes == {"v2": Counter({code: 7})}
        assert grown.count_of("v2") == RequestCount(7, 0), "neither is an error of the server"


MIXES: t.Final = {
    "a shop": {
        "200": 0.80,
        "304": 0.08,
        "302": 0.06,
        "404": 0.03,
        "401": 0.01,
        "400": 0.01,
        "429": 0.005,
        "500": 0.005,
    },
    "rare codes": {"200": 0.995, **{f"4{number:02}": 0.0001 for number in range(50)}},
    "half and half": {"200": 0.5, "404": 0.5},
    "gRPC": {"200": 0.9, **{f"grpc {status}": 0.02 for status in (3, 5, 7, 8, 9)}},
}


@pytest.mark.parametrize("mix", MIXES)
def test_equal_versions_raise_few_false_alarms_however_many_codes_there_are(mix: str) -> None:
    """Also at the end, which repeats: 100 requests a second, of which the canary gets 10, for 60 seconds."""
    runs, seconds, codes = rounds(150, 1000), 60, list(MIXES[mix])
    shares = [*MIXES[mix].values()]
    shares[0] += 1.0 - sum(shares)
    seed = sum(map(ord, mix))
    canary = scipy.stats.multinomial.rvs(10, shares, size=runs * seconds, random_state=seed).tolist()
    stable = scipy.stats.multinomial.rvs(90, shares, size=runs * seconds, random_state=seed + 1).tolist()
    wrong = 0
    for run in range(runs):
        evaluator, failed = CodesEvaluator(CODES, {}), False
        for second in range(run * seconds, (run + 1) * seconds):
            sides = [
                Counter({c: n for c, n in zip(codes, row, strict=True) if n})
                for row in (canary[second], stable[second])
            ]
            counts = [RequestCount(side.total(), side["500"]) for side in sides]
            evaluator.add(Interval(*counts, 1.0, codes=(sides[0], sides[1])))
            failed = failed or evaluator.alarm() is not None or evaluator.difference() is not None
        wrong += failed
    assert wrong <= max(2, 0.01 * runs)


@pytest.mark.parametrize("mix", ["a shop", "rare codes"])
def test_a_canary_with_all_requests_raises_few_false_alarms_by_codes(mix: str) -> None:
    runs, codes = rounds(50, 1000), list(MIXES[mix])
    shares = [*MIXES[mix].values()]
    shares[0] += 1.0 - sum(shares)
    before = scipy.stats.multinomial.rvs(1000, shares, size=runs, random_state=3).tolist()
    now = scipy.stats.multinomial.rvs(100, shares, size=20 * runs, random_state=4).tolist()
    wrong = 0
    for run in range(runs):
        stable = dict(zip(codes, before[run], strict=True))
        carried = {f"codes.{group}.stable": [float(n)] for group, n in response_codes.count_groups(stable).items()}
        carried["codes.stable"] = [float(1000 - stable.get("500", 0))]
        evaluator = CodesEvaluator(CODES, carried)
        for row in now[20 * run : 20 * run + 20]:
            side = Counter(dict(zip(codes, row, strict=True)))
            evaluator.add(Interval(RequestCount(100, side["500"]), RequestCount(0, 0), 1.0, codes=(side, Counter())))
            if evaluator.difference():
                wrong += 1
                break
    assert wrong <= max(2, 0.01 * runs)


@pytest.mark.parametrize(("share", "within"), [(0.05, 60), (0.2, 20)])
def test_a_path_that_is_gone_is_found_in_time(share: float, within: int) -> None:
    """20 requests a second beside 180, of which 1 % are 404 anyway."""
    for seed in range(10):
        evaluator = CodesEvaluator(CODES, {})
        canary = scipy.stats.binom.rvs(20, share, size=within, random_state=seed).tolist()
        stable = scipy.stats.binom.rvs(180, 0.01, size=within, random_state=100 + seed).tolist()
        for mine, theirs in zip(canary, stable, strict=True):
            sides = (Counter({"200": 20 - mine, "404": mine}), Counter({"200": 180 - theirs, "404": theirs}))
            evaluator.add(Interval(RequestCount(20, 0), RequestCount(180, 0), 1.0, codes=sides))
        assert evaluator.alarm(), seed
