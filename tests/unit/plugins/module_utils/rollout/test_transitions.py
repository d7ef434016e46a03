# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Events on a run: desired weights, skipped steps, steps back, ends, and drift."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.rollout import state_machine, transitions
from ansible_collections.meshops.canary.plugins.module_utils.rollout.plan_text import plan_lines
from ansible_collections.meshops.canary.plugins.module_utils.rollout.record import Run
from ansible_collections.meshops.canary.plugins.module_utils.rollout.state_machine import (
    EVENTS,
    PHASES,
    ImpossibleEvent,
    possible,
)
from ansible_collections.meshops.canary.plugins.module_utils.rollout.steps import Rollout, Step

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
    return {"verdict": outcome, "reasons": ["m: because"], "metrics": [one], "evidence": evidence, "failed_requests": 4}


def test_every_possible_event_leads_to_a_known_phase() -> None:
    for phase in PHASES:
        for at in range(len(STEPS)):
            for event in EVENTS:
                if event in possible(phase):
                    after, entries = transitions.advance(PLAN, run(phase, at), event, 7.0, verdict=verdict("fail"))
                    assert after.phase in PHASES
                    assert 0 <= after.at < len(STEPS)
                    assert entries[0]["event"] in EVENTS
                    assert entries[-1]["to"] == after.phase
                    assert sum(transitions.desired_weights(PLAN, after).values()) == 100
                else:
                    with pytest.raises(ImpossibleEvent):
                        transitions.advance(PLAN, run(phase, at), event, 7.0)


def test_a_failure_without_adapt_or_while_gated_rolls_back() -> None:
    for phase in set(PHASES) - state_machine.ENDS:
        after, _trail = transitions.advance(PLAN, run(phase, 2), "fail", 7.0, verdict=verdict("fail"))
        assert after.phase == "rolling_back"
        assert transitions.desired_weights(PLAN, after) == {"v1": 100.0, "v2": 0.0}


def test_a_pass_opens_its_own_gate_and_a_manual_gate_waits() -> None:
    after, entries = transitions.advance(PLAN, run("observing"), "pass", 7.0, verdict=verdict("pass"))
    assert (after.phase, after.at, after.consecutive_passes, after.since) == ("preparing", 1, 1, 7.0)
    assert [entry["event"] for entry in entries] == ["pass", "approved"]
    assert entries[0]["failed_requests"] == 4
    guarded = replace(PLAN, steps=(Step(10.0, gate="manual"), Step(100.0)))
    waiting, _trail = transitions.advance(guarded, run("observing"), "pass", 7.0, verdict=verdict("pass"))
    assert (waiting.phase, waiting.at) == ("gated", 0)
    approved, entries = transitions.advance(guarded, waiting, "approved", 8.0, note="ada said so")
    assert (approved.phase, approved.at) == ("preparing", 1)
    rejected, _trail = transitions.advance(guarded, waiting, "rejected", 8.0)
    assert rejected.phase == "rolling_back"


def test_the_last_step_leads_to_promotion_however_the_gate_is_opened() -> None:
    after, _trail = transitions.advance(PLAN, run("observing", 5), "pass", 7.0, verdict=verdict("pass"))
    assert after.phase == "promoting"
    gated, _trail = transitions.advance(PLAN, run("gated", 5), "approved", 7.0)
    assert gated.phase == "promoting"
    assert transitions.desired_weights(PLAN, gated) == {"v1": 0.0, "v2": 100.0}


def test_adapt_skips_a_step_after_three_passes_and_restarts_the_count() -> None:
    at, good = [], run("observing")
    for _step in range(4):
        good, _trail = transitions.advance(ADAPTIVE, good, "pass", 7.0, verdict=verdict("pass"))
        at.append(good.at)
        good = replace(good, phase="observing")
    assert at == [1, 2, 4, 5]


def test_weak_failures_step_back_twice_then_roll_back() -> None:
    now = run("observing", 3, consecutive_passes=2, evidence={"m.rate": [5.0]})
    for back in (1, 2):
        now, entries = transitions.advance(ADAPTIVE, now, "fail", 7.0, verdict=verdict("fail"))
        assert (now.phase, now.at, now.step_backs, now.consecutive_passes) == ("shifting", 3 - back, back, 0)
        assert now.evidence == {"m.stable": [9.0]}, "a lower share is judged anew, beside what stable did"
        assert entries[0]["event"] == "step_back"
        now = replace(now, phase="observing")
    now, _trail = transitions.advance(ADAPTIVE, now, "fail", 7.0, verdict=verdict("fail"))
    assert now.phase == "rolling_back"


@pytest.mark.parametrize("strong", [{"critical": True}, {"strength": 1000.0}])
def test_a_strong_failure_rolls_back_at_once(strong: dict[str, t.Any]) -> None:
    after, _trail = transitions.advance(ADAPTIVE, run("observing", 3), "fail", 7.0, verdict=verdict("fail", **strong))
    assert after.phase == "rolling_back"


def test_evidence_is_carried_from_step_to_step() -> None:
    after, _trail = transitions.advance(PLAN, run("observing"), "inconclusive", 7.0, verdict=verdict("inconclusive"))
    assert after.evidence == {"m.rate": [1.0], "m.stable": [9.0]}
    assert (after.phase, after.since) == ("observing", 0.0), "holding does not move the deadline"


def test_own_weights_are_no_drift() -> None:
    after, _trail = transitions.advance(PLAN, run("shifting", 2), "shifted", 7.0)
    assert after.written == {"v1": 90.0, "v2": 10.0}
    drained, _trail = transitions.advance(
        PLAN, replace(after, phase="rolling_back", reason="too slow"), "drained", 8.0, note="no requests"
    )
    back, _trail = transitions.advance(PLAN, drained, "done", 8.0)
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
def test_drift_is_distinguished_from_own_writes(found: dict[str, float], drifted: bool) -> None:
    shifting = run("shifting", 2, written={"v1": 95.0, "v2": 5.0})
    assert bool(transitions.drift(PLAN, shifting, found)) == drifted
    assert transitions.drift(PLAN, replace(shifting, phase="promoted"), found) == ""


@pytest.mark.parametrize(("share", "at"), [(0.0, 0), (0.5, 0), (5.0, 1), (30.0, 3), (100.0, 5)])
def test_adopted_drift_continues_from_the_step_below_it(share: float, at: int) -> None:
    found = {"v1": 100.0 - share, "v2": share}
    after = transitions.adopt_drift(PLAN, run("observing", 4), found, 9.0)
    assert (after.at, after.phase, after.written, after.since) == (at, "preparing", found, 9.0)
    assert transitions.drift(PLAN, after, found) == ""


def test_a_version_of_an_earlier_plan_gets_no_requests() -> None:
    third = replace(PLAN, canary="v3")
    begun = run(written={"v1": 50.0, "v2": 50.0}, safe={"v1": 100.0, "v3": 0.0})
    assert transitions.desired_weights(third, begun) == {"v1": 99.0, "v2": 0.0, "v3": 1.0}
    back = replace(begun, phase="rolling_back")
    assert transitions.desired_weights(third, back) == {"v1": 100.0, "v2": 0.0, "v3": 0.0}


def test_the_plan_text() -> None:
    steps = (Step(10.0, gate="manual", replicas=2), Step(50.0, analysis=False), Step(100.0, gate="timed"))
    lines = plan_lines(replace(PLAN, steps=steps, keep={"v3": 5.0}))
    assert lines == [
        "reviews in shop: v2 replaces v1 in 3 steps",
        "1. v3 5%, v1 85%, v2 10%: analyze for 30 s, roll back if undecided after 600 s; at least 2 ready pods; "
        "needs an approval within 3600 s, else roll back",
        "2. v3 5%, v1 45%, v2 50%: wait 30 s without analysis, roll back if undecided after 600 s",
        "3. v3 5%, v1 0%, v2 95%: analyze for 30 s, roll back if undecided after 600 s; the gate opens after 3600 s",
        "then v2 is promoted; after any failure roll back to v3 5%, v1 95%",
    ]


def test_a_plan_by_pods_names_the_image_and_ends_with_a_rolling_update() -> None:
    plan = Rollout("shop", "books", "shop", "shop-canary", (Step(25.0), Step(50.0)), image="shop:2")
    assert plan.by_pods
    assert not PLAN.by_pods
    lines = plan_lines(plan)
    assert "with shop:2, by the ratio of pods, in 2 steps" in lines[0]
    assert lines[2].startswith("2. shop 50%, shop-canary 50%")
    assert lines[-1].startswith("then shop gets the image by a rolling update and shop-canary is removed")
    assert lines[-1].endswith("back to shop 100%")


def test_a_step_back_writes_the_routes_before_it_waits_for_pods() -> None:
    after, _trail = transitions.advance(ADAPTIVE, run("observing", 3), "fail", 7.0, verdict=verdict("fail"))
    assert (after.phase, after.at) == ("shifting", 2)
    assert transitions.desired_weights(ADAPTIVE, after) == {"v1": 90.0, "v2": 10.0}


EDITED = {"v1": 77.0, "v2": 23.0}
POLICIES = ("stop", "adopt", "restore")


def every_way(plan: Rollout, now: Run, event: str, policy: str | None) -> Run | None:
    """Return the run after an event, with or without drift; None for an impossible event."""
    if event not in possible(now.phase):
        return None
    given_event = t.cast("t.Any", event)
    judged = verdict(event) if event in ("pass", "fail", "inconclusive") else None
    after, entries = transitions.advance(plan, now, given_event, 7.0, verdict=judged)
    if policy is None or not transitions.writes_next(after):
        return after
    after, entries = transitions.apply_drift(
        plan, now, given_event, (after, entries), EDITED, 7.0, policy, "v2 is edited"
    )
    assert entries[0]["event"] == "drift", "drift is always reported"
    return after


@pytest.mark.parametrize("plan", [PLAN, ADAPTIVE, replace(ADAPTIVE, steps=(Step(10.0, gate="manual"), Step(100.0)))])
def test_no_path_ends_with_requests_on_a_version_whose_last_verdict_was_a_failure(plan: Rollout) -> None:
    """All events and drift in any order, handled as in the module."""
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
                key = (
                    after.phase,
                    after.at,
                    after.step_backs,
                    min(after.consecutive_passes, 3),
                    after.weak_failure,
                    bad,
                )
                if key not in seen:
                    seen.add(key)
                    open_.append((after, bad))
    assert {"promoted", "rolled_back", "stopped"} <= {key[0] for key in seen}


@pytest.mark.parametrize(("stopped_in", "goes_on"), [("promoting", "promoting"), ("gated", "preparing")])
def test_a_stopped_run_resumes_in_its_phase(stopped_in: str, goes_on: str) -> None:
    stopped, _trail = transitions.advance(PLAN, run(stopped_in, 5), "drift", 7.0)
    assert (stopped.phase, stopped.stopped_in, stopped.over) == ("stopped", stopped_in, True)
    again = transitions.resume(stopped, 9.0)
    assert (again.phase, again.at, again.since, again.over) == (goes_on, 5, 9.0, False)
    assert transitions.resume(replace(stopped, stopped_in=""), 9.0).phase == "preparing"


def test_promotion_checks_for_drift_first() -> None:
    promoting, _trail = transitions.advance(PLAN, run("observing", 5), "pass", 7.0, verdict=verdict("pass"))
    assert transitions.writes_next(promoting)
    drained, _trail = transitions.advance(PLAN, promoting, "drained", 8.0)
    assert drained.phase == "promoting"
    assert transitions.writes_next(drained), "the old version's pods are next"
    back, _trail = transitions.advance(PLAN, promoting, "abort", 8.0)
    assert not transitions.writes_next(back), "drift does not stop a rollback"


@pytest.mark.parametrize("default", ["rollback", "continue"])
def test_an_unanswered_gate_follows_its_default(default: str) -> None:
    gated_step = Step(10.0, gate="manual", gate_default=t.cast("t.Any", default))
    plan = replace(PLAN, steps=(gated_step, Step(100.0)))
    after, entries = transitions.advance(plan, run("gated"), "deadline", 7.0, note="nobody answered")
    assert after.phase == {"rollback": "rolling_back", "continue": "preparing"}[default]
    assert {"rollback": "else roll back", "continue": "else continue"}[default] in plan_lines(plan)[1]
    assert entries[-1]["event"] == {"rollback": "deadline", "continue": "approved"}[default]


def test_the_evidence_of_a_gate_is_kept() -> None:
    timed = replace(PLAN, steps=(Step(10.0, gate="timed", gate_seconds=60.0, deadline=600.0), Step(100.0)))
    after, entries = transitions.advance(timed, run("gated"), "approved", 7.0, verdict=verdict("pass"))
    assert entries[0]["verdict"] == "pass"
    assert after.evidence == {"m.rate": [1.0], "m.stable": [9.0]}
    assert timed.steps[0].gate_limit == 660.0, "without a verdict it is held, not opened"


def test_the_lease_is_longer_than_every_wait_of_the_plan() -> None:
    assert transitions.longest_wait(PLAN) == 1320.0
    assert transitions.longest_wait(replace(PLAN, steps=(Step(50.0, gate="manual", gate_seconds=5000.0),))) == 5240.0
    assert transitions.longest_wait(replace(PLAN, steps=(Step(50.0, gate="timed", gate_seconds=5000.0),))) == 5720.0
    weekend = replace(PLAN, steps=(Step(50.0, gate="manual", gate_seconds=172_800.0),))
    assert transitions.longest_wait(weekend) == 173_040.0
