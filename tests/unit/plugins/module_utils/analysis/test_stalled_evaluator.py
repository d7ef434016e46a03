# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A canary that gives no answer is seen while it hangs; one that takes as long as stable is not, whatever that is."""

from __future__ import annotations

import typing as t

import numpy as np
import pytest
from ansible_collections.meshops.canary.plugins.module_utils.analysis.counter_deltas import Increment, Reading, grown
from ansible_collections.meshops.canary.plugins.module_utils.analysis.error_rates import RequestCount
from ansible_collections.meshops.canary.plugins.module_utils.analysis.in_flight import InFlight
from ansible_collections.meshops.canary.plugins.module_utils.analysis.intervals import MetricSpec
from ansible_collections.meshops.canary.plugins.module_utils.analysis.metrics import Metric
from ansible_collections.meshops.canary.plugins.module_utils.analysis.sequential import Observation, stable_evidence
from support.effort import rounds

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Took = Callable[[np.random.Generator, int], np.ndarray]

STALLED = MetricSpec(Metric("stalled", critical=True), "stalled")
NEVER = 1e9


def quick(draw: np.random.Generator, number: int) -> np.ndarray:
    return draw.lognormal(np.log(0.02), 0.5, number)


def sluggish(draw: np.random.Generator, number: int) -> np.ndarray:
    """Three seconds in the middle: more than what counts as stalled."""
    return draw.lognormal(np.log(3.0), 0.5, number)


def polls(draw: np.random.Generator, number: int) -> np.ndarray:
    """One in twenty is held for half a minute."""
    return np.where(draw.random(number) < 0.05, 30.0, quick(draw, number))


def streams(draw: np.random.Generator, number: int) -> np.ndarray:
    """All of them stay for minutes."""
    return draw.exponential(300.0, number)


def never(_draw: np.random.Generator, number: int) -> np.ndarray:
    return np.full(number, NEVER)


def hangs(share: float) -> Took:
    return lambda draw, number: np.where(draw.random(number) < share, NEVER, quick(draw, number))


class Side:
    """One version's requests at one caller. gives_up: seconds after which the caller waits no more."""

    def __init__(
        self, draw: np.random.Generator, rate: float, seconds: float, took: Took, gives_up: float = NEVER
    ) -> None:
        number = draw.poisson(rate * seconds)
        self.sent = np.sort(draw.uniform(0.0, seconds, number))
        lasts = took(draw, number)
        self.ends = self.sent + np.minimum(lasts, gives_up)
        self.gone = np.sort(self.ends[lasts > gives_up])
        self.ends.sort()

    def at(self, second: float) -> InFlight:
        sent, ended, gone = (int(np.searchsorted(one, second)) for one in (self.sent, self.ends, self.gone))
        return InFlight(float(sent), float(sent - ended), float(gone))


def increments(canary: Side, stable: Side, first: int, last: int, every: int = 1) -> Iterator[Increment]:
    """Yield what came, look by look, from what a caller's proxy shows."""

    def reading(second: int) -> Reading:
        in_flight = {("shop/page", "v2"): canary.at(second), ("shop/page", "v1"): stable.at(second)}
        return Reading(in_flight=in_flight, sources=frozenset({"shop/page"}))

    for second in range(first + every, last + 1, every):
        yield grown(reading(second - every), reading(second))


def alarmed(observation: Observation, increments: Iterator[Increment], every: int = 1) -> int | None:
    """Return after how many seconds there was an alarm, None for none."""
    for number, increment in enumerate(increments, 1):
        observation.add(increment, seconds=float(every))
        if observation.alarm():
            return number * every
    return None


@pytest.mark.parametrize(
    ("took", "within", "every"),
    [(never, 4, 1), (hangs(0.5), 7, 1), (hangs(0.2), 18, 1), (never, 4, 2), (hangs(0.5), 8, 2)],
)
def test_a_stalled_canary_is_detected_within_seconds(took: Took, within: int, every: int) -> None:
    """10 % of 200 requests a second; every: seconds between two looks at who is under way. 50 canaries, all caught."""
    for seed in range(50):
        draw = np.random.default_rng(seed)
        canary, stable = Side(draw, 20, 30, took), Side(draw, 180, 30, quick)
        seen = alarmed(Observation([STALLED], "v2", "v1"), increments(canary, stable, 0, 30, every), every)
        assert seen, seed
        assert seen <= within


def test_a_canary_that_stalls_after_an_hour_is_detected_as_fast() -> None:
    draw = np.random.default_rng(7)
    late = Side(draw, 20, 3660, quick)
    late.ends = np.sort(np.where(late.ends > 3600, NEVER, late.ends))
    observation = Observation([STALLED], "v2", "v1")
    seen = alarmed(observation, increments(late, Side(draw, 180, 3660, quick), 0, 3660))
    assert seen
    assert 3600 < seen <= 3606
    (judged,) = observation.verdict().judgements
    assert judged.outcome == "fail"
    assert "canary requests have waited more than 2 s for an answer, and at most" in judged.reason


@pytest.mark.parametrize("took", [quick, sluggish, polls, streams])
@pytest.mark.parametrize(("mine", "theirs"), [(20.0, 180.0), (0.5, 4.5), (50.0, 50.0)])
def test_a_version_as_slow_as_stable_is_not_stalled(took: Took, mine: float, theirs: float) -> None:
    """A version beside itself, two minutes from the middle of its life."""
    wrong = 0
    for seed in range(rounds(20, 60)):
        draw = np.random.default_rng(seed)
        canary, stable = Side(draw, mine, 180, took), Side(draw, theirs, 180, took)
        wrong += alarmed(Observation([STALLED], "v2", "v1"), increments(canary, stable, 60, 180)) is not None
    assert wrong <= rounds(0, 1)


def test_requests_from_before_a_smaller_share_do_not_count_against_the_canary() -> None:
    """Half of the requests, then a tenth: the long ones of before are still under way, five times its share."""
    for seed in range(20):
        draw = np.random.default_rng(seed)
        canary, stable = Side(draw, 100, 60, streams), Side(draw, 100, 60, streams)
        canary.sent = canary.sent[: np.searchsorted(canary.sent, 30) + 50]
        assert alarmed(Observation([STALLED], "v2", "v1"), increments(canary, stable, 30, 60)) is None


def test_requests_from_before_that_have_ended_hide_nothing() -> None:
    """Forty long ones wait when watching begins and end after ten seconds; those that hang from then on are seen."""
    draw = np.random.default_rng(9)
    stable, canary = Side(draw, 180, 90, quick), Side(draw, 20, 90, quick)
    canary.ends = np.sort(np.where(canary.sent > 72, NEVER, canary.ends))
    canary.sent = np.sort(np.concatenate([canary.sent, np.full(40, 10.0)]))
    canary.ends = np.sort(np.concatenate([canary.ends, np.full(40, 70.0)]))
    seen = alarmed(Observation([STALLED], "v2", "v1"), increments(canary, stable, 60, 90))
    assert seen
    assert seen <= 16


@pytest.mark.parametrize(
    ("took", "limit", "seen"), [(sluggish, 2.0, True), (sluggish, 60.0, False), (never, 5.0, True)]
)
def test_the_limit_says_how_long_a_request_may_take(took: Took, limit: float, seen: bool) -> None:
    draw = np.random.default_rng(3)
    spec = MetricSpec(Metric("stalled", limit=limit, critical=True), "stalled")
    canary, stable = Side(draw, 20, 30, took), Side(draw, 180, 30, quick)
    assert bool(alarmed(Observation([spec], "v2", "v1"), increments(canary, stable, 0, 30))) == seen


def test_requests_canceled_before_the_limit_are_detected_too() -> None:
    """One in ten requests hangs and its caller waits for a second: never enough of them are under way to tell."""
    for seed in range(20):
        draw = np.random.default_rng(seed)
        canary, stable = Side(draw, 20, 60, hangs(0.1), gives_up=1.0), Side(draw, 180, 60, quick, gives_up=1.0)
        observation = Observation([STALLED], "v2", "v1")
        seen = alarmed(observation, increments(canary, stable, 0, 60))
        assert seen
        assert seen <= 25
        assert "were canceled by their callers, more than stable's 0 of" in observation.verdict().reasons[0]


@pytest.mark.parametrize("rate", [20.0, 2.0])
def test_equally_canceled_requests_are_no_alarm(rate: float) -> None:
    wrong = 0
    for seed in range(rounds(25, 100)):
        draw = np.random.default_rng(seed)
        canary, stable = Side(draw, rate, 120, polls, gives_up=1.0), Side(draw, 9 * rate, 120, polls, gives_up=1.0)
        wrong += alarmed(Observation([STALLED], "v2", "v1"), increments(canary, stable, 0, 120)) is not None
    assert wrong <= rounds(0, 2)


@pytest.mark.parametrize(("took", "hung", "seen"), [(quick, 0.0, False), (polls, 0.0, False), (quick, 0.5, True)])
def test_a_canary_with_all_requests_is_compared_with_stables_requests_in_flight_before(
    took: Took, hung: float, seen: bool
) -> None:
    for seed in range(20):
        draw = np.random.default_rng(seed)
        step = Observation([STALLED], "v2", "v1")
        assert alarmed(step, increments(Side(draw, 100, 90, took), Side(draw, 100, 90, took), 60, 90)) is None
        alone = Observation([STALLED], "v2", "v1", step.evidence())
        canary = Side(draw, 200, 60, hangs(hung) if hung else took)
        after = alarmed(alone, increments(canary, Side(draw, 0, 60, took), 0, 60))
        assert bool(after) == seen
        assert not after or after <= 9
    assert stable_evidence(step.evidence())["stalled.stable"] == step.evidence()["stalled.stable"]


def test_what_was_seen_counts_for_nothing_but_an_alarm() -> None:
    """Whoever waits may still be answered, so that nobody hangs is no evidence that all is well."""
    draw = np.random.default_rng(5)
    errors = MetricSpec(Metric("errors", critical=True), "errors")
    latency = MetricSpec(Metric("latency"), "latency")
    observation = Observation([errors, latency, STALLED], "v2", "v1")
    for increment in increments(Side(draw, 20, 30, quick), Side(draw, 180, 30, quick), 0, 30):
        increment.counts.update({"v2": RequestCount(20, 0), "v1": RequestCount(180, 0)})
        observation.add(increment, seconds=1.0)
    verdict = observation.verdict()
    judged = {one.metric: one for one in verdict.judgements}
    assert judged["stalled"].outcome == "pass"
    assert judged["stalled"].weight == 0.0
    assert verdict.outcome == "inconclusive", "nobody measured response times"
    assert [reason.partition(":")[0] for reason in verdict.reasons] == ["latency"]
    alone = Observation([STALLED], "v2", "v1")
    assert alone.verdict().outcome == "inconclusive"
    assert "only proxies count them" in alone.verdict().judgements[0].reason


def test_a_restarted_or_missing_caller_has_no_overdue_requests() -> None:
    """Twelve requests wait at a caller: until it restarts, until it is read no more, and for good."""
    sources = frozenset({"a", "b"})

    def seen(*shown: dict[str, tuple[float, float]]) -> Iterator[Increment]:
        before = Reading(sources=sources)
        for second, mine in enumerate(shown, 1):
            now = {(name, "v2"): InFlight(*given) for name, given in mine.items()}
            now |= {(name, "v1"): InFlight(100.0 * second, 1.0) for name in mine}
            after = Reading(in_flight=now, sources=sources)
            yield grown(before, after)
            before = before.updated(after)

    young: list[dict[str, tuple[float, float]]] = [{"a": (10, 0), "b": (10, 0)}, {"a": (22, 12), "b": (22, 0)}]
    anew = [*young, *[{"a": (5.0, 0.0), "b": (22, 0)}] * 5]
    gone = [*young, *[{"b": (22.0, 0.0)}] * 5]
    stays = [*young, *[{"a": (22.0, 12.0), "b": (22, 0)}] * 5]
    assert alarmed(Observation([STALLED], "v2", "v1"), seen(*anew)) is None
    assert alarmed(Observation([STALLED], "v2", "v1"), seen(*gone)) is None
    assert alarmed(Observation([STALLED], "v2", "v1"), seen(*stays)) == 4


@pytest.mark.parametrize(
    "evidence", [{"stalled.tests": [1.0, 2.0]}, {"stalled.stable": [1.0]}, {"stalled.rate": [1.0]}]
)
def test_evidence_of_other_metrics_is_refused(evidence: dict[str, list[float]]) -> None:
    with pytest.raises((ValueError, IndexError)):
        Observation([STALLED], "v2", "v1", evidence)
