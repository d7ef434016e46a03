# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stored record is read as a valid one, or refused with the part that is wrong, whatever it holds."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.rollout import cohort, parsing, transitions
from ansible_collections.meshops.canary.plugins.module_utils.rollout.record import InvalidRecord, Run
from ansible_collections.meshops.canary.plugins.module_utils.rollout.steps import Rollout, Step
from ansible_collections.meshops.canary.plugins.module_utils.runs import report
from ansible_collections.meshops.canary.plugins.module_utils.runs.record_store import Stored, plan_of
from hypothesis import given
from hypothesis import strategies as some

TESTERS = cohort.parse({"headers": {"end-user": "testuser"}}, "cohort")
STEPS = (Step(0.0, cohort=TESTERS), Step(10.0, cohort=TESTERS, replicas=2), Step(50.0, gate="manual"), Step(100.0))
PLAN = Rollout("reviews", "shop", "v1", "v2", STEPS, keep={"v3": 5.0}, baseline="v1-new")
BY_PODS = Rollout("reviews", "shop", "reviews", "reviews-canary", (Step(10.0),), image="reviews:2")
WEIGHTS = {"v1": 85.0, "v2": 10.0, "v3": 5.0}
RUN = Run("ab12cd34", "reviews", "shop", "0123456789ab", "observing", 1, 1.7e9, WEIGHTS, WEIGHTS, evidence={"e": [1.0]})
ENTRY = {"event": "opened", "from": "", "to": "preparing", "step": 0, "reason": "", "at": "", "by": "", "hash": ""}

VALUES = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=20),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def test_what_was_written_is_read_again() -> None:
    assert parsing.parse_run(RUN.dump()) == RUN
    for plan in (PLAN, Rollout("reviews", "shop", "v1", "v2", (Step(100.0),)), BY_PODS):
        assert plan_of(parsing.parse_plan(json.dumps(plan_of(plan)))) == plan_of(plan)
    assert parsing.parse_events(json.dumps([ENTRY])) == [ENTRY]


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("phase", "beginning", "run.phase is no phase"),
        ("since", 1e30, "run.since is no number from 0"),
        ("since", float("nan"), "run.since is no number"),
        ("at", -1, "run.at is no whole number"),
        ("at", True, "run.at is no whole number"),
        ("id", "../../etc/passwd", "run.id is no ID"),
        ("safe", {"v3": 101}, "run.safe.v3 is no number from 0 to 100"),
        ("safe", [["v3", 100]], "run.safe is no object"),
        ("evidence", {"errors": "much"}, "no list of numbers"),
        ("weak_failure", "no", "neither true nor false"),
        ("version", 2, "another release"),
        ("dead_man", {"job": "migration"}, "unknown field 'dead_man'"),
    ],
)
def test_a_field_of_another_type_or_size_is_named(field: str, value: t.Any, words: str) -> None:
    raw = {**json.loads(RUN.dump()), field: value}
    with pytest.raises(InvalidRecord, match=words):
        parsing.parse_run(json.dumps(raw))


@pytest.mark.parametrize(
    "text", ["[" * 50_000, "{", "", "null", "[]", '"x"', "x" * 2_000_000], ids=lambda text: text[:4]
)
def test_what_is_no_record_is_refused(text: str) -> None:
    for parse in (parsing.parse_run, parsing.parse_plan):
        with pytest.raises(InvalidRecord):
            parse(text)


@pytest.mark.parametrize(
    "change",
    [
        {"steps": []},
        {"steps": [50, 10]},
        {"steps": [{"weight": 10, "pause": -1}]},
        {"steps": [{"weight": 10, "unknown": 1}]},
        {"steps": "all"},
        {"keep": {"v3": "most"}},
        {"stable": 1},
        {"extra": 1},
    ],
    ids=str,
)
def test_a_plan_that_no_options_make_is_refused(change: dict[str, t.Any]) -> None:
    with pytest.raises(InvalidRecord):
        parsing.parse_plan(json.dumps({**plan_of(PLAN), **change}))


@given(field=some.sampled_from(sorted(json.loads(RUN.dump()))), value=VALUES)
def test_any_value_of_any_field_gives_a_record_that_can_be_reported_or_is_refused(field: str, value: t.Any) -> None:
    try:
        run = parsing.parse_run(json.dumps({**json.loads(RUN.dump()), field: value}))
    except InvalidRecord:
        return
    run = transitions.resume(run, 1.7e9) if run.over else run
    stored = Stored(PLAN, transitions.judged_again(PLAN, run, WEIGHTS, 1.7e9), [dict(ENTRY)])
    assert report.result(stored, ("", ""), 1.7e9)["run"]["phase"] in ("observing", run.phase, "preparing")
    assert report.report(stored)["verified"] is False


SHARES = some.sampled_from([0.0, 10.0, 30.0, 50.0, 95.0])


@given(
    phase=some.sampled_from(["preparing", "shifting", "observing", "gated", "promoting", "rolling_back"]),
    at=some.integers(0, 9),
    safe=some.dictionaries(some.sampled_from(["v1", "v2", "v3", "v9"]), some.floats(0, 100)),
    written=some.dictionaries(some.sampled_from(["v1", "v2", "v3", "v9"]), some.floats(0, 100)),
    share=SHARES,
)
def test_a_record_claims_no_verdict_and_no_step_that_the_routes_do_not_show(
    phase: t.Any, at: int, safe: dict[str, float], written: dict[str, float], share: float
) -> None:
    found = {"v1": 95.0 - share, "v2": share, "v3": 5.0}
    forged = Run("ab12", "reviews", "shop", "x", phase, at, 0.0, safe, written, 2, evidence={"errors": [9.0]})
    run = transitions.judged_again(PLAN, forged, found, 100.0)
    assert run.safe == transitions.safe_weights(PLAN), "a rollback writes the weights of the plan"
    assert "v9" not in {**run.safe, **run.written, **transitions.desired_weights(PLAN, run)}
    assert run.phase in ("preparing", "shifting", "observing", "rolling_back"), "no verdict is believed"
    assert (run.evidence, run.consecutive_passes) == ({}, 0)
    if run.phase == "observing":
        assert PLAN.steps[run.at].weight <= share, "only a share that the routes have is judged"
        assert run.since == 100.0, "and from its beginning"
    if run.phase in ("preparing", "shifting"):
        assert run.at == 0 or PLAN.steps[run.at].weight <= share, "no step is entered that the routes do not show"


@pytest.mark.parametrize(
    ("phase", "at", "share", "expected"),
    [
        ("preparing", 0, 0.0, ("preparing", 0)),
        ("shifting", 0, 10.0, ("shifting", 0)),  # written, not recorded
        ("shifting", 1, 10.0, ("observing", 0)),  # whether the first step passed is only said
        ("shifting", 1, 50.0, ("shifting", 1)),
        ("observing", 0, 10.0, ("observing", 0)),
        ("observing", 1, 10.0, ("observing", 0)),
        ("gated", 1, 50.0, ("observing", 1)),
        ("promoting", 1, 10.0, ("observing", 0)),
        ("promoting", 1, 50.0, ("observing", 1)),
        ("promoting", 1, 100.0, ("promoting", 1)),  # only a promotion writes that
        ("rolling_back", 1, 50.0, ("rolling_back", 1)),
    ],
)
def test_where_an_interrupted_rollout_goes_on(phase: t.Any, at: int, share: float, expected: t.Any) -> None:
    plan = Rollout("reviews", "shop", "v1", "v2", (Step(10.0), Step(50.0)))
    left = Run("ab12", "reviews", "shop", "x", phase, at, 0.0, {"v1": 100.0}, {"v1": 100.0 - share, "v2": share})
    run = transitions.judged_again(plan, left, {"v1": 100.0 - share, "v2": share}, 100.0)
    assert (run.phase, run.at) == expected


@pytest.mark.parametrize("phase", ["preparing", "shifting", "observing", "gated", "promoting"])
def test_at_all_requests_it_goes_back_to_where_stable_can_be_compared_with(phase: t.Any) -> None:
    """A last step of 100 % is no sign of a promotion, and without stable's requests it could never be judged."""
    everything = {"v1": 0.0, "v2": 100.0}

    def left(*steps: Step) -> tuple[str, int]:
        run = Run("ab12", "reviews", "shop", "x", phase, len(steps) - 1, 0.0, {"v1": 100.0}, everything)
        resumed = transitions.judged_again(Rollout("reviews", "shop", "v1", "v2", steps), run, everything, 100.0)
        return resumed.phase, resumed.at

    assert left(Step(10.0), Step(50.0), Step(100.0)) == ("preparing", 1)
    assert left(Step(10.0), Step(100.0), Step(100.0)) == ("preparing", 0)
    unjudged = Step(100.0, analysis=False)
    assert left(Step(10.0), unjudged) in {("observing", 1), (phase, 1)}, "what is not judged needs nothing to compare"
    assert left(Step(100.0)) in {("observing", 0), (phase, 0)}, "there is no earlier step"
