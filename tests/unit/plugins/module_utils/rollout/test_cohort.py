# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A header cohort in addition to the weights: its steps, its routes, and drift."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.rollout import cohort, parsing, transitions
from ansible_collections.meshops.canary.plugins.module_utils.rollout.plan_text import plan_lines
from ansible_collections.meshops.canary.plugins.module_utils.rollout.record import Run
from ansible_collections.meshops.canary.plugins.module_utils.rollout.steps import (
    Rollout,
    Step,
    by_pods,
    steps_from,
)

TESTERS = {"headers": {"end-user": "testuser"}}
STAFF = {"cookies": {"staff": {"present": True}}}
HELD = [{"headers": {"end-user": {"exact": "testuser"}}}]
TEXT = "header end-user is testuser gets v2 100%"


def matches(**options: t.Any) -> list[list[dict[str, t.Any]]]:
    return [list(step.cohort) for step in steps_from(options)]  # type: ignore[arg-type]


def test_a_cohort_applies_until_a_step_sets_another_one() -> None:
    steps = [1, {"weight": 5, "cohort": TESTERS}, 10, {"weight": 20, "cohort": STAFF}, {"weight": 50, "cohort": {}}]
    staff = [{"cookies": {"staff": {"present": True}}}]
    assert matches(steps=steps) == [[], HELD, HELD, staff, [], []]
    assert matches(steps=[1, 10], cohort=TESTERS) == [HELD] * 3, "the added step of 100 percent has it too"
    assert matches(steps=[1, {"weight": 10, "cohort": {}}, 50], cohort=TESTERS) == [HELD, [], [], []]
    assert matches(steps=[1, {"weight": 10, "cohort": None}], cohort=TESTERS) == [HELD] * 3
    assert matches(shape="linear", start=50, by=50, cohort=TESTERS) == [HELD] * 2


LONG_FORMS = [
    (TESTERS, HELD),
    ({"match": [TESTERS, STAFF]}, [HELD[0], {"cookies": {"staff": {"present": True}}}]),
    ({"methods": "get, post", "path": "/api"}, [{"methods": ["GET", "POST"], "path": {"exact": "/api"}}]),
    ({"query": {"early": 1}, "source_labels": {"app": "page"}, "headers": None},
     [{"query": {"early": {"exact": "1"}}, "source_labels": {"app": "page"}}]),
    ({"headers": {"x": {"absent": True}}, "match": None}, [{"headers": {"x": {"absent": True}}}]),
    ({}, []), (None, []), ("", []),
]  # fmt: skip


@pytest.mark.parametrize(("given", "wanted"), LONG_FORMS)
def test_equal_cohorts_are_equal_values(given: t.Any, wanted: list[t.Any]) -> None:
    found = cohort.parse(given, "cohort")
    assert list(found) == wanted
    assert cohort.parse({"match": list(found)} if found else {}, "cohort") == found, "what is stored means the same"


WRONG = [
    ("testers", "cohort must be a mapping with any of headers, cookies"),
    ({"header": {"a": "b"}}, "cohort: header is not a condition of a cohort"),
    ({"headers": "end-user"}, r"cohort.headers must be a mapping of names"),
    ({"headers": {"cookie": "a"}}, "name the cookie with cookies"),
    ({"headers": {"x": {"like": "a"}}}, r"cohort.headers.x must have exactly one of"),
    ({"headers": {}}, "cohort: The cohort selects every request"),
    ({"match": []}, None),
    ({"match": TESTERS}, "cohort.match must be a list"),
    ({"match": [TESTERS], "path": "/"}, "match and path exclude each other"),
    ({"match": [TESTERS, {}]}, "selects every request"),
    ({"methods": 7}, "cohort.methods must be a list"),
]


@pytest.mark.parametrize(("given", "message"), WRONG)
def test_an_impossible_cohort_is_refused_with_its_field(given: t.Any, message: str | None) -> None:
    with pytest.raises(InvalidInput, match=message or "selects every request"):
        cohort.parse(given, "cohort")


def test_the_error_names_the_step() -> None:
    with pytest.raises(InvalidInput, match=r"steps\[1\].cohort: size is not a condition of a cohort"):
        steps_from({"steps": [1, {"weight": 2, "cohort": {"size": 3}}]})


def test_a_cohort_at_0_percent_before_the_other_steps() -> None:
    first = {"weight": 0, "cohort": TESTERS}
    assert [step.weight for step in steps_from({"steps": [first, 10]})] == [0, 10, 100]
    assert [step.weight for step in steps_from({"steps": [0, 10], "cohort": TESTERS})] == [0, 10, 100]
    wider = [first, {"weight": 0, "cohort": STAFF}, 10, {"weight": 10, "cohort": {}}]
    assert [step.weight for step in steps_from({"steps": wider})] == [0, 0, 10, 10, 100]


@pytest.mark.parametrize(
    "steps",
    [
        [0, 10],
        [{"weight": 0, "cohort": {}}],
        [{"weight": 0, "cohort": TESTERS}, {"weight": 0, "cohort": {}}],
        [{"weight": 0, "cohort": TESTERS}, 0],
        [{"weight": 10, "cohort": TESTERS}, 10],
        [10, {"weight": 0, "cohort": TESTERS}],
        [{"weight": -1, "cohort": TESTERS}],
    ],
)
def test_a_step_without_change_or_requests_is_refused(steps: list[t.Any]) -> None:
    with pytest.raises(InvalidInput, match=r"steps\[\d\].weight is .*Only a step with another cohort may repeat"):
        steps_from({"steps": steps})


def test_by_pods_a_cohort_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"cohort \(steps\[0\]\): .*cannot select requests by their headers"):
        by_pods(steps_from({"steps": [10], "cohort": TESTERS}))


STEPS = steps_from({"steps": [{"weight": 0, "cohort": TESTERS}, 10, {"weight": 50, "cohort": {}}]})
PLAN = Rollout("reviews", "shop", "v1", "v2", STEPS)
BARE = replace(PLAN, steps=(Step(10.0), Step(100.0)))
SAFE = {"v1": 100.0, "v2": 0.0}


def run(phase: str = "preparing", at: int = 0, **fields: t.Any) -> Run:
    return Run("id", "reviews", "shop", "hash", t.cast("t.Any", phase), at, 0.0, SAFE, **{"written": SAFE, **fields})


def todo(rollout: Rollout, now: Run) -> tuple[list[t.Any], bool, list[str]]:
    wanted = transitions.desired_cohort(rollout, now)
    return wanted, transitions.cohort_due(rollout, now), transitions.cohorts_to_end(rollout, now)


WRITES = [
    # phase, step, as recorded: the cohort that is wanted, whether it is to be written, which ones end
    ("preparing", 0, "", (HELD, True, [])),
    ("shifting", 0, "", (HELD, True, [])),
    ("shifting", 1, TEXT, (HELD, False, [])),
    ("shifting", 1, "header x is y gets v9 100%", (HELD, True, [])),
    ("shifting", 2, TEXT, ([], False, ["rollout"])),
    ("shifting", 3, "", ([], False, [])),
    ("promoting", 3, "", ([], False, ["rollout"])),
    ("rolling_back", 0, "", ([], False, ["rollout"])),  # killed between the write and its record
    ("stopped", 1, TEXT, ([], False, [])),
    ("promoted", 3, "", ([], False, [])),
    ("rolled_back", 1, TEXT, ([], False, [])),
]


@pytest.mark.parametrize(("phase", "at", "known", "wanted"), WRITES)
def test_the_cohort_options_of_each_phase(phase: str, at: int, known: str, wanted: t.Any) -> None:
    assert todo(PLAN, run(phase, at, cohort=known)) == wanted


@pytest.mark.parametrize("phase", ["preparing", "shifting", "observing", "promoting", "rolling_back", "stopped"])
def test_a_plan_without_a_cohort_writes_none(phase: str) -> None:
    assert todo(BARE, run(phase)) == ([], False, [])


@pytest.mark.parametrize("phase", ["preparing", "shifting", "promoting", "rolling_back"])
def test_the_cohort_of_a_superseded_rollout_ends_with_the_next_write(phase: str) -> None:
    assert todo(BARE, run(phase, cohort="header end-user is testuser gets v9 100%")) == ([], False, ["rollout"])


def test_at_0_percent_only_the_cohort_reaches_the_canary() -> None:
    now = run("shifting")
    assert transitions.desired_weights(PLAN, now) == SAFE
    after, _entries = transitions.advance(PLAN, now, "shifted", 7.0)
    assert (after.phase, after.written, after.cohort) == ("observing", SAFE, TEXT)
    assert parsing.parse_run(after.dump()) == after


def test_promotion_and_rollback_remove_the_cohort() -> None:
    for phase in ("rolling_back", "promoting"):
        for event in ("shifted", "done"):
            after, _entries = transitions.advance(PLAN, run(phase, 3, cohort=TEXT), t.cast("t.Any", event), 7.0)
            assert after.cohort == ""


DRIFTS = [
    (TEXT, 1, TEXT, ""),
    (TEXT, 1, "", "reviews: cohort rollout: header end-user is testuser gets v2 100% -> none"),
    (TEXT, 1, "header end-user is other gets v2 100%", "is other gets v2 100%"),
    ("", 0, TEXT, ""),  # written, and killed before it was recorded
    ("", 0, "", ""),
    (TEXT, 2, "", ""),  # taken away, and killed before it was recorded
    ("", 3, TEXT, "cohort rollout: none -> header end-user is testuser gets v2 100%"),
]


@pytest.mark.parametrize(("known", "at", "found", "expected"), DRIFTS)
def test_drift_of_the_cohort_is_found(known: str, at: int, found: str, expected: str) -> None:
    now = run("shifting", at, cohort=known)
    drift = transitions.drift(PLAN, now, SAFE, found)
    assert expected in drift
    assert bool(drift) == bool(expected)
    assert transitions.drift(PLAN, now, SAFE) == "", "a cohort that was not read is no drift"


def test_drift_of_weights_and_cohort_is_one_sentence() -> None:
    drift = transitions.drift(PLAN, run("shifting", 1, cohort=TEXT), {"v1": 80.0, "v2": 20.0}, "")
    assert drift.startswith("reviews: v1 100% -> 80%, v2 0% -> 20%, cohort rollout: header end-user is testuser")


@pytest.mark.parametrize("policy", ["adopt", "restore"])
def test_a_changed_cohort_is_routed_again(policy: str) -> None:
    now = run("preparing", 1, cohort=TEXT)
    transition = transitions.advance(PLAN, now, "ready", 7.0)
    drift = transitions.drift(PLAN, now, SAFE, "")
    after, entries = transitions.apply_drift(PLAN, now, "ready", transition, SAFE, 7.0, policy, drift, "")
    assert entries[0]["event"] == "drift"
    assert transitions.drift(PLAN, after, SAFE, "") == ""
    assert transitions.cohort_due(PLAN, after)
    again = transitions.restore_after_drift(now, 7.0, "")
    assert transitions.cohort_due(PLAN, again)


def test_restoring_removes_an_external_cohort() -> None:
    now = run("preparing", 3)
    transition = transitions.advance(PLAN, now, "ready", 7.0)
    after, _entries = transitions.apply_drift(PLAN, now, "ready", transition, SAFE, 7.0, "restore", "an edit", TEXT)
    assert todo(PLAN, after) == ([], False, ["rollout"])


def test_found_and_planned_cohorts_have_the_same_text() -> None:
    found = {"match": "header end-user is testuser", "weights": {"v2": 100}, "order": 100, "routes": 1}
    assert cohort.describe_found(found) == cohort.describe(STEPS[0].cohort, "v2") == TEXT
    assert cohort.describe_found({**found, "weights": {"v2": 50, "v1": 50}}).endswith("gets v2 50%, v1 50%")
    assert cohort.describe_found({**found, "routes": 0}).endswith("(its routes are deleted)")
    assert cohort.describe_found(None) == cohort.describe((), "v2") == ""


def test_the_plan_text_has_the_cohort() -> None:
    lines = plan_lines(PLAN)
    assert lines[1].startswith(f"1. v1 100%, v2 0%; cohort of {TEXT}: analyze for 30 s")
    assert lines[2].startswith(f"2. v1 90%, v2 10%; cohort of {TEXT}: analyze for")
    assert "cohort" not in lines[3]
