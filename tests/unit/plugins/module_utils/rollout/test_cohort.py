# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A header cohort beside the ramp: who is in it from which step on, what is written for it, and whose edit is whose."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.rollout import cohort, record, steering
from ansible_collections.meshops.canary.plugins.module_utils.rollout.plan import Rollout, Step, by_pods, steps_from
from ansible_collections.meshops.canary.plugins.module_utils.rollout.plan_text import in_lines
from ansible_collections.meshops.canary.plugins.module_utils.rollout.record import Run

TESTERS = {"headers": {"end-user": "testuser"}}
STAFF = {"cookies": {"staff": {"present": True}}}
HELD = [{"headers": {"end-user": {"exact": "testuser"}}}]
WORDS = "header end-user is testuser gets v2 100%"


def matches(**options: t.Any) -> list[list[dict[str, t.Any]]]:
    return [list(step.cohort) for step in steps_from(options)]  # type: ignore[arg-type]


def test_a_cohort_holds_until_another_step_names_another() -> None:
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
def test_one_cohort_has_one_form(given: t.Any, wanted: list[t.Any]) -> None:
    found = cohort.of(given, "cohort")
    assert list(found) == wanted
    assert cohort.of({"match": list(found)} if found else {}, "cohort") == found, "what is stored means the same"


WRONG = [
    ("testers", "cohort must be a mapping with any of headers, cookies"),
    ({"header": {"a": "b"}}, "cohort: header is not something a cohort can be selected by"),
    ({"headers": "end-user"}, r"cohort.headers must be a mapping of names"),
    ({"headers": {"cookie": "a"}}, "say which cookie"),
    ({"headers": {"x": {"like": "a"}}}, r"cohort.headers.x must say one of"),
    ({"headers": {}}, "cohort: The cohort selects every request"),
    ({"match": []}, None),
    ({"match": TESTERS}, "cohort.match must be a list"),
    ({"match": [TESTERS], "path": "/"}, "match and path exclude each other"),
    ({"match": [TESTERS, {}]}, "selects every request"),
    ({"methods": 7}, "cohort.methods must be a list"),
]


@pytest.mark.parametrize(("given", "message"), WRONG)
def test_a_cohort_that_can_select_nothing_is_refused_by_name(given: t.Any, message: str | None) -> None:
    with pytest.raises(InvalidInput, match=message or "selects every request"):
        cohort.of(given, "cohort")


def test_the_step_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"steps\[1\].cohort: size is not something"):
        steps_from({"steps": [1, {"weight": 2, "cohort": {"size": 3}}]})


def test_testers_first_and_then_the_ramp() -> None:
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
def test_a_step_that_changes_nothing_or_sends_nobody_is_refused(steps: list[t.Any]) -> None:
    with pytest.raises(InvalidInput, match=r"steps\[\d\].weight is .*or stay as it is for a step with a cohort"):
        steps_from({"steps": steps})


def test_by_pods_a_cohort_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"cohort \(steps\[0\]\): .*cannot tell requests apart"):
        by_pods(steps_from({"steps": [10], "cohort": TESTERS}))


STEPS = steps_from({"steps": [{"weight": 0, "cohort": TESTERS}, 10, {"weight": 50, "cohort": {}}]})
PLAN = Rollout("reviews", "shop", "v1", "v2", STEPS)
BARE = replace(PLAN, steps=(Step(10.0), Step(100.0)))
SAFE = {"v1": 100.0, "v2": 0.0}


def run(phase: str = "preparing", at: int = 0, **fields: t.Any) -> Run:
    return Run("id", "reviews", "shop", "hash", t.cast("t.Any", phase), at, 0.0, SAFE, **{"written": SAFE, **fields})


def todo(rollout: Rollout, now: Run) -> tuple[list[t.Any], bool, list[str]]:
    wanted = steering.cohort_wanted(rollout, now)
    return wanted, steering.cohort_due(rollout, now), steering.ending_cohorts(rollout, now)


WRITES = [
    # phase, step, as recorded: the cohort that is wanted, whether it is to be written, which ones end
    ("preparing", 0, "", (HELD, True, [])),
    ("shifting", 0, "", (HELD, True, [])),
    ("shifting", 1, WORDS, (HELD, False, [])),
    ("shifting", 1, "header x is y gets v9 100%", (HELD, True, [])),
    ("shifting", 2, WORDS, ([], False, ["rollout"])),
    ("shifting", 3, "", ([], False, [])),
    ("promoting", 3, "", ([], False, ["rollout"])),
    ("rolling_back", 0, "", ([], False, ["rollout"])),  # killed between the write and its record
    ("stopped", 1, WORDS, ([], False, [])),
    ("promoted", 3, "", ([], False, [])),
    ("rolled_back", 1, WORDS, ([], False, [])),
]


@pytest.mark.parametrize(("phase", "at", "known", "wanted"), WRITES)
def test_what_is_written_for_the_cohort(phase: str, at: int, known: str, wanted: t.Any) -> None:
    assert todo(PLAN, run(phase, at, cohort=known)) == wanted


@pytest.mark.parametrize("phase", ["preparing", "shifting", "observing", "promoting", "rolling_back", "stopped"])
def test_a_plan_without_a_cohort_has_nothing_to_do_for_one(phase: str) -> None:
    assert todo(BARE, run(phase)) == ([], False, [])


@pytest.mark.parametrize("phase", ["preparing", "shifting", "promoting", "rolling_back"])
def test_the_cohort_of_a_superseded_rollout_ends_with_the_next_write(phase: str) -> None:
    assert todo(BARE, run(phase, cohort="header end-user is testuser gets v9 100%")) == ([], False, ["rollout"])


def test_nobody_but_the_cohort_is_on_the_canary_at_0_percent() -> None:
    now = run("shifting")
    assert steering.weights_wanted(PLAN, now) == SAFE
    after, _trail = steering.advance(PLAN, now, "shifted", 7.0)
    assert (after.phase, after.written, after.cohort) == ("observing", SAFE, WORDS)
    assert record.load(after.dump()) == after


def test_both_ends_leave_no_cohort() -> None:
    for phase in ("rolling_back", "promoting"):
        for event in ("shifted", "done"):
            after, _trail = steering.advance(PLAN, run(phase, 3, cohort=WORDS), t.cast("t.Any", event), 7.0)
            assert after.cohort == ""


DRIFTS = [
    (WORDS, 1, WORDS, ""),
    (WORDS, 1, "", "reviews: cohort rollout: header end-user is testuser gets v2 100% -> none"),
    (WORDS, 1, "header end-user is other gets v2 100%", "is other gets v2 100%"),
    ("", 0, WORDS, ""),  # written, and killed before it was recorded
    ("", 0, "", ""),
    (WORDS, 2, "", ""),  # taken away, and killed before it was recorded
    ("", 3, WORDS, "cohort rollout: none -> header end-user is testuser gets v2 100%"),
]


@pytest.mark.parametrize(("known", "at", "found", "told"), DRIFTS)
def test_somebodys_edit_of_the_cohort_is_seen(known: str, at: int, found: str, told: str) -> None:
    now = run("shifting", at, cohort=known)
    drift = steering.drift(PLAN, now, SAFE, found)
    assert told in drift
    assert bool(drift) == bool(told)
    assert steering.drift(PLAN, now, SAFE) == "", "where nobody looked nothing is told"


def test_an_edit_of_both_is_told_in_one_sentence() -> None:
    told = steering.drift(PLAN, run("shifting", 1, cohort=WORDS), {"v1": 80.0, "v2": 20.0}, "")
    assert told.startswith("reviews: v1 100% -> 80%, v2 0% -> 20%, cohort rollout: header end-user is testuser")


@pytest.mark.parametrize("policy", ["adopt", "restore"])
def test_an_edited_cohort_is_routed_again(policy: str) -> None:
    now = run("preparing", 1, cohort=WORDS)
    went = steering.advance(PLAN, now, "ready", 7.0)
    drift = steering.drift(PLAN, now, SAFE, "")
    after, trail = steering.drifted(PLAN, now, "ready", went, SAFE, 7.0, policy, drift, "")
    assert trail[0]["event"] == "drift"
    assert steering.drift(PLAN, after, SAFE, "") == ""
    assert steering.cohort_due(PLAN, after)
    again = steering.restored(now, 7.0, "")
    assert steering.cohort_due(PLAN, again)


def test_a_cohort_that_somebody_made_ends_when_the_edit_is_put_back() -> None:
    now = run("preparing", 3)
    went = steering.advance(PLAN, now, "ready", 7.0)
    after, _trail = steering.drifted(PLAN, now, "ready", went, SAFE, 7.0, "restore", "an edit", WORDS)
    assert todo(PLAN, after) == ([], False, ["rollout"])


def test_what_the_routes_say_is_told_as_the_plan_says_it() -> None:
    found = {"match": "header end-user is testuser", "weights": {"v2": 100}, "order": 100, "routes": 1}
    assert cohort.told(found) == cohort.words(STEPS[0].cohort, "v2") == WORDS
    assert cohort.told({**found, "weights": {"v2": 50, "v1": 50}}).endswith("gets v2 50%, v1 50%")
    assert cohort.told({**found, "routes": 0}).endswith("(its routes are deleted)")
    assert cohort.told(None) == cohort.words((), "v2") == ""


def test_the_plan_says_who_goes_to_the_canary() -> None:
    lines = in_lines(PLAN)
    assert lines[1].startswith(f"1. v1 100%, v2 0%; cohort of {WORDS}: judged for 30 s")
    assert lines[2].startswith(f"2. v1 90%, v2 10%; cohort of {WORDS}: judged")
    assert "cohort" not in lines[3]
