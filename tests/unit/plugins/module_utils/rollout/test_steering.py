# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Events on a run: which weights it wants, when it skips, steps back or ends, and whose edit is whose."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.rollout import machine, steering
from ansible_collections.meshops.canary.plugins.module_utils.rollout.machine import EVENTS, PHASES, Impossible, possible
from ansible_collections.meshops.canary.plugins.module_utils.rollout.plan import Rollout, Step
from ansible_collections.meshops.canary.plugins.module_utils.rollout.plan_text import in_lines
from ansible_collections.meshops.canary.plugins.module_utils.rollout.record import Run

STEPS = tuple(Step(weight) for weight in (1.0, 5.0, 10.0, 25.0, 50.0, 100.0))
PLAN = Rollout("reviews", "shop", "v1", "v2", STEPS)
ADAPTIVE = replace(PLAN, adapt=True)


def run(phase: str = "preparing", at: int = 0, **fields: t.Any) -> Run:
    safe = {"v1": 100.0, "v2": 0.0}
    given = {"safe": safe, "written": safe, **fields}
    return Run("id", "reviews", "shop", "hash", t.cast("t.Any", phase), at, 0.0, **given)


def verdict(outcome: str, *, critical: bool = False, strength: float = 2.0) -> dict[str, t.Any]:
    one = {"metric": "m", "verdict": outcome, "reason": "because", "critical": critical, "strength": strength}
    evidence = {"m.rate": [1.0], "m.stable": [9.0]}
    return {"verdict": outcome, "reasons": ["m: because"], "metrics": [one], "evidence": evidence, "harmed": 4}


def test_every_event_that_is_possible_ends_in_a_phase_that_is_known() -> None:
    for phase in PHASES:
        for at in range(len(STEPS)):
            for event in EVENTS:
                if event in possible(phase):
                    after, trail = steering.advance(PLAN, run(phase, at), event, 7.0, verdict=verdict("fail"))
                    assert after.phase in PHASES
                    assert 0 <= after.at < len(STEPS)
                    assert trail[0]["event"] in EVENTS
                    assert trail[-1]["to"] == after.phase
                    assert sum(steering.weights_wanted(PLAN, after).values()) == 100
                else:
                    with pytest.raises(Impossible):
                        steering.advance(PLAN, run(phase, at), event, 7.0)


def test_a_fail_without_adapt_or_while_gated_always_goes_back() -> None:
    for phase in set(PHASES) - machine.ENDS:
        after, _trail = steering.advance(PLAN, run(phase, 2), "fail", 7.0, verdict=verdict("fail"))
        assert after.phase == "rolling_back"
        assert steering.weights_wanted(PLAN, after) == {"v1": 100.0, "v2": 0.0}


def test_a_pass_opens_its_own_gate_and_a_manual_gate_waits() -> None:
    after, trail = steering.advance(PLAN, run("observing"), "pass", 7.0, verdict=verdict("pass"))
    assert (after.phase, after.at, after.calm, after.since) == ("preparing", 1, 1, 7.0)
    assert [entry["event"] for entry in trail] == ["pass", "approved"]
    assert trail[0]["harmed"] == 4
    guarded = replace(PLAN, steps=(Step(10.0, gate="manual"), Step(100.0)))
    waiting, _trail = steering.advance(guarded, run("observing"), "pass", 7.0, verdict=verdict("pass"))
    assert (waiting.phase, waiting.at) == ("gated", 0)
    approved, trail = steering.advance(guarded, waiting, "approved", 8.0, note="ada said so")
    assert (approved.phase, approved.at) == ("preparing", 1)
    rejected, _trail = steering.advance(guarded, waiting, "rejected", 8.0)
    assert rejected.phase == "rolling_back"


def test_the_last_step_leads_to_promotion_however_the_gate_is_opened() -> None:
    after, _trail = steering.advance(PLAN, run("observing", 5), "pass", 7.0, verdict=verdict("pass"))
    assert after.phase == "promoting"
    gated, _trail = steering.advance(PLAN, run("gated", 5), "approved", 7.0)
    assert gated.phase == "promoting"
    assert steering.weights_wanted(PLAN, gated) == {"v1": 0.0, "v2": 100.0}


def test_adapting_skips_after_three_good_steps_and_counts_anew() -> None:
    at, calm = [], run("observing")
    for _step in range(4):
        calm, _trail = steering.advance(ADAPTIVE, calm, "pass", 7.0, verdict=verdict("pass"))
        at.append(calm.at)
        calm = replace(calm, phase="observing")
    assert at == [1, 2, 4, 5]


def test_a_weak_failure_costs_one_step_twice_and_then_the_rollout() -> None:
    now = run("observing", 3, calm=2, evidence={"m.rate": [5.0]})
    for back in (1, 2):
        now, trail = steering.advance(ADAPTIVE, now, "fail", 7.0, verdict=verdict("fail"))
        assert (now.phase, now.at, now.back, now.calm) == ("shifting", 3 - back, back, 0)
        assert now.evidence == {"m.stable": [9.0]}, "a lower share is judged anew, beside what stable did"
        assert trail[0]["event"] == "step_back"
        now = replace(now, phase="observing")
    now, _trail = steering.advance(ADAPTIVE, now, "fail", 7.0, verdict=verdict("fail"))
    assert now.phase == "rolling_back"


@pytest.mark.parametrize("strong", [{"critical": True}, {"strength": 1000.0}])
def test_a_strong_failure_ends_it_at_once(strong: dict[str, t.Any]) -> None:
    after, _trail = steering.advance(ADAPTIVE, run("observing", 3), "fail", 7.0, verdict=verdict("fail", **strong))
    assert after.phase == "rolling_back"


def test_evidence_goes_from_step_to_step() -> None:
    after, _trail = steering.advance(PLAN, run("observing"), "inconclusive", 7.0, verdict=verdict("inconclusive"))
    assert after.evidence == {"m.rate": [1.0], "m.stable": [9.0]}
    assert (after.phase, after.since) == ("observing", 0.0), "holding does not move the deadline"


def test_weights_that_were_written_are_known_as_our_own() -> None:
    after, _trail = steering.advance(PLAN, run("shifting", 2), "shifted", 7.0)
    assert after.written == {"v1": 90.0, "v2": 10.0}
    drained, _trail = steering.advance(
        PLAN, replace(after, phase="rolling_back", reason="too slow"), "drained", 8.0, note="no requests"
    )
    back, _trail = steering.advance(PLAN, drained, "done", 8.0)
    assert back.written == {"v1": 100.0, "v2": 0.0}
    assert back.reason == "too slow"


@pytest.mark.parametrize(
    ("found", "drifted"),
    [
        ({"v1": 95.0, "v2": 5.0}, False),  # as recorded
        ({"v1": 90.0, "v2": 10.0}, False),  # written, and killed before it was recorded
        ({"v1": 90.0, "v2": 10.0, "v3": 0.0}, False),
        ({"v1": 80.0, "v2": 20.0}, True),
        ({"v1": 90.0, "v3": 10.0}, True),
        ({}, True),
    ],
)
def test_somebodys_edit_is_told_from_our_own(found: dict[str, float], drifted: bool) -> None:
    shifting = run("shifting", 2, written={"v1": 95.0, "v2": 5.0})
    assert bool(steering.drift(PLAN, shifting, found)) == drifted
    assert steering.drift(PLAN, replace(shifting, phase="promoted"), found) == ""


@pytest.mark.parametrize(("share", "at"), [(0.0, 0), (0.5, 0), (5.0, 1), (30.0, 3), (100.0, 5)])
def test_an_adopted_edit_goes_on_from_the_step_below_it(share: float, at: int) -> None:
    found = {"v1": 100.0 - share, "v2": share}
    after = steering.adopted(PLAN, run("observing", 4), found, 9.0)
    assert (after.at, after.phase, after.written, after.since) == (at, "preparing", found, 9.0)
    assert steering.drift(PLAN, after, found) == ""


def test_a_version_of_an_earlier_plan_gets_nothing() -> None:
    third = replace(PLAN, canary="v3")
    begun = run(written={"v1": 50.0, "v2": 50.0}, safe={"v1": 100.0, "v3": 0.0})
    assert steering.weights_wanted(third, begun) == {"v1": 99.0, "v2": 0.0, "v3": 1.0}
    back = replace(begun, phase="rolling_back")
    assert steering.weights_wanted(third, back) == {"v1": 100.0, "v2": 0.0, "v3": 0.0}


def test_the_plan_in_words() -> None:
    steps = (Step(10.0, gate="manual", replicas=2), Step(50.0, analysis=False), Step(100.0, gate="timed"))
    lines = in_lines(replace(PLAN, steps=steps, keep={"v3": 5.0}))
    assert lines == [
        "reviews in shop: v2 takes over from v1 in 3 steps",
        "1. v3 5%, v1 85%, v2 10%: judged for 30 s, back if undecided after 600 s; at least 2 ready pods; "
        "needs an approval within 3600 s, else back",
        "2. v3 5%, v1 45%, v2 50%: waiting 30 s without judging, back if undecided after 600 s",
        "3. v3 5%, v1 0%, v2 95%: judged for 30 s, back if undecided after 600 s; gate opens after 3600 s",
        "then v2 is promoted; whenever it fails, back to v3 5%, v1 95%",
    ]


def test_a_plan_by_pods_names_the_image_and_ends_with_a_rolling_update() -> None:
    plan = Rollout("shop", "books", "shop", "shop-canary", (Step(25.0), Step(50.0)), image="shop:2")
    assert plan.by_pods
    assert not PLAN.by_pods
    lines = in_lines(plan)
    assert "with shop:2, by the ratio of pods, in 2 steps" in lines[0]
    assert lines[2].startswith("2. shop 50%, shop-canary 50%")
    assert lines[-1].startswith("then shop takes the image by a rolling update and shop-canary goes")
    assert lines[-1].endswith("back to shop 100%")


def test_a_step_back_writes_the_routes_before_it_waits_for_pods() -> None:
    after, _trail = steering.advance(ADAPTIVE, run("observing", 3), "fail", 7.0, verdict=verdict("fail"))
    assert (after.phase, after.at) == ("shifting", 2)
    assert steering.weights_wanted(ADAPTIVE, after) == {"v1": 90.0, "v2": 10.0}


EDITED = {"v1": 77.0, "v2": 23.0}
POLICIES = ("stop", "adopt", "restore")


def every_way(plan: Rollout, now: Run, event: str, policy: str | None) -> Run | None:
    """Return the run after an event, with somebody's edit found beside it or without; None where it is impossible."""
    if event not in possible(now.phase):
        return None
    told = t.cast("t.Any", event)
    judged = verdict(event) if event in ("pass", "fail", "inconclusive") else None
    after, trail = steering.advance(plan, now, told, 7.0, verdict=judged)
    if policy is None or not steering.about_to_write(after):
        return after
    after, trail = steering.drifted(plan, now, told, (after, trail), EDITED, 7.0, policy, "v2 is edited")
    assert trail[0]["event"] == "drift", "an edit is always told"
    return after


@pytest.mark.parametrize("plan", [PLAN, ADAPTIVE, replace(ADAPTIVE, steps=(Step(10.0, gate="manual"), Step(100.0)))])
def test_no_path_ends_with_requests_on_a_version_whose_last_verdict_was_a_failure(plan: Rollout) -> None:
    """All events and edits in any order, through what the module does with them."""
    begun = (run(written={"v1": 99.0, "v2": 1.0}), False)
    open_, seen = [begun], set()
    while open_:
        now, failed = open_.pop()
        for event in EVENTS:
            for policy in (None, *POLICIES):
                after = every_way(plan, now, event, policy)
                if after is None:
                    continue
                bad = event == "fail" or (failed and event != "pass")
                assert not (bad and after.phase in ("promoted", "stopped")), (now, event, policy)
                if event == "fail":
                    assert after.phase in ("rolling_back", "shifting"), "routes first"
                key = (after.phase, after.at, after.back, min(after.calm, 3), after.doubted, bad)
                if key not in seen:
                    seen.add(key)
                    open_.append((after, bad))
    assert {"promoted", "rolled_back", "stopped"} <= {key[0] for key in seen}


@pytest.mark.parametrize(("stopped_in", "goes_on"), [("promoting", "promoting"), ("gated", "preparing")])
def test_a_run_that_was_stopped_goes_on_where_it_was(stopped_in: str, goes_on: str) -> None:
    stopped, _trail = steering.advance(PLAN, run(stopped_in, 5), "drift", 7.0)
    assert (stopped.phase, stopped.stopped_in, stopped.over) == ("stopped", stopped_in, True)
    again = steering.unstopped(stopped, 9.0)
    assert (again.phase, again.at, again.since, again.over) == (goes_on, 5, 9.0, False)
    assert steering.unstopped(replace(stopped, stopped_in=""), 9.0).phase == "preparing"


def test_whoever_promotes_looks_whether_somebody_took_the_requests_back() -> None:
    promoting, _trail = steering.advance(PLAN, run("observing", 5), "pass", 7.0, verdict=verdict("pass"))
    assert steering.about_to_write(promoting)
    drained, _trail = steering.advance(PLAN, promoting, "drained", 8.0)
    assert drained.phase == "promoting"
    assert steering.about_to_write(drained), "the old version's pods are next"
    back, _trail = steering.advance(PLAN, promoting, "abort", 8.0)
    assert not steering.about_to_write(back), "nobody's edit keeps it from going back"


@pytest.mark.parametrize("default", ["rollback", "continue"])
def test_a_gate_that_nobody_answers_follows_its_default(default: str) -> None:
    asked = Step(10.0, gate="manual", gate_default=t.cast("t.Any", default))
    plan = replace(PLAN, steps=(asked, Step(100.0)))
    after, trail = steering.advance(plan, run("gated"), "deadline", 7.0, note="nobody answered")
    assert after.phase == {"rollback": "rolling_back", "continue": "preparing"}[default]
    assert {"rollback": "else back", "continue": "else it goes on"}[default] in in_lines(plan)[1]
    assert trail[-1]["event"] == {"rollback": "deadline", "continue": "approved"}[default]


def test_what_a_gate_has_judged_is_kept() -> None:
    timed = replace(PLAN, steps=(Step(10.0, gate="timed", gate_seconds=60.0, deadline=600.0), Step(100.0)))
    after, trail = steering.advance(timed, run("gated"), "approved", 7.0, verdict=verdict("pass"))
    assert trail[0]["verdict"] == "pass"
    assert after.evidence == {"m.rate": [1.0], "m.stable": [9.0]}
    assert timed.steps[0].gate_limit == 660.0, "without a verdict it is held, not opened"


def test_the_lock_outlasts_every_wait_of_the_plan() -> None:
    assert steering.longest_wait(PLAN) == 1320.0
    assert steering.longest_wait(replace(PLAN, steps=(Step(50.0, gate="manual", gate_seconds=5000.0),))) == 5120.0
    assert steering.longest_wait(replace(PLAN, steps=(Step(50.0, gate="timed", gate_seconds=5000.0),))) == 5720.0
    weekend = replace(PLAN, steps=(Step(50.0, gate="manual", gate_seconds=172_800.0),))
    assert steering.longest_wait(weekend) == 172_920.0


@pytest.mark.parametrize("phase", PHASES)
def test_only_what_the_plan_asks_nothing_for_comes_by_itself(phase: str) -> None:
    quick = replace(PLAN, steps=tuple(replace(step, analysis=False, pause=0.0) for step in STEPS))
    by_itself = {
        "observing": {"pass"},
        "preparing": {"ready"},
        "promoting": {"drained", "done"},
    }
    now = run(phase, 1)
    found = {event for event in steering.BY_ITSELF if steering.comes_by_itself(quick, now, event)}
    assert found == by_itself.get(phase, set())
    assert found <= possible(now.phase)
    assert not steering.comes_by_itself(PLAN, now, "pass"), "it is to be judged"
    paused = replace(PLAN, steps=tuple(replace(step, analysis=False) for step in STEPS))
    assert not steering.comes_by_itself(paused, now, "pass"), "it is to last"
    assert not steering.comes_by_itself(replace(quick, baseline="v3"), now, "ready"), "it needs pods"
    named = replace(PLAN, steps=tuple(replace(step, replicas=2) for step in STEPS))
    assert not steering.comes_by_itself(named, now, "ready"), "it names pods"
