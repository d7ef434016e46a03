# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The order of the actions of each phase, for each setting, and that the phases lead to an end."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.rollout import phases, transitions
from ansible_collections.meshops.canary.plugins.module_utils.rollout.phases import Settings, Situation
from ansible_collections.meshops.canary.plugins.module_utils.rollout.record import Run
from ansible_collections.meshops.canary.plugins.module_utils.rollout.state_machine import ENDS, PHASES, possible
from ansible_collections.meshops.canary.plugins.module_utils.rollout.steps import Rollout, Step
from ansible_collections.meshops.canary.plugins.module_utils.runs import actions as runs_actions
from ansible_collections.meshops.canary.plugins.module_utils.runs import conductor
from hypothesis import given, settings
from hypothesis import strategies as st

TESTERS = ({"headers": {"end-user": {"exact": "testuser"}}},)
QUIET = Settings(capacity=False, retire_after=0.0, drain=0.0)
WORKING = [phase for phase in PHASES if phase not in ENDS]
TABLES = {"by routes": phases.BY_ROUTES, "by pods": phases.BY_PODS}
LISTED = [
    pytest.param(phase, listed, id=f"{way}: {phase}")
    for way, table in TABLES.items()
    for phase, listed in table.items()
]
EVENTS_OF = {"verdict": {"pass", "fail", "deadline"}, "decision": {"approved", "rejected", "fail", "deadline"}}
"""Entries of the table that stand for one of several events."""


def plan(*steps: Step, **fields: t.Any) -> Rollout:
    return Rollout("reviews", "shop", "v1", "v2", steps or (Step(10.0), Step(100.0)), **fields)


def by_pods(*steps: Step) -> Rollout:
    return plan(*(steps or (Step(10.0), Step(50.0))), image="shop:2")


def begun(phase: str, at: int = 0) -> Run:
    safe = {"v1": 100.0, "v2": 0.0}
    return Run("4711", "reviews", "shop", "abc", t.cast("t.Any", phase), at, 0.0, safe, safe)


def due(rollout: Rollout, phase: str, given: Settings = QUIET, after: str = "", **fields: t.Any) -> str:
    """Return the names of the actions that are due, in their order, without the return points of a release.

    at: index of the step; others: of Situation.
    """
    run = begun(phase, fields.pop("at", 0))
    now = Situation(rollout, run, given, **fields)
    listed = phases.actions(rollout, run.phase, after)
    return " ".join(one.name for one in listed if one.due(now) and one.name not in phases.IN_STEP)


@pytest.mark.parametrize(
    ("rollout", "given", "at", "names"),
    [
        (plan(), Settings(), 0, "before_step scale_canary ready"),
        (plan(), QUIET, 0, "before_step ready"),
        (plan(Step(10.0, replicas=2), Step(100.0)), QUIET, 0, "before_step scale_canary ready"),
        (plan(Step(10.0, replicas=2), Step(100.0)), QUIET, 1, "before_step ready"),
        (plan(baseline="base"), Settings(), 0, "before_step scale_canary scale_baseline ready"),
        (plan(baseline="base"), QUIET, 0, "before_step scale_baseline ready"),
        (plan(baseline="base"), QUIET, 1, "before_step ready"),  # at 100 percent nothing is left for it
        (by_pods(), Settings(), 0, "before_step ready"),
    ],
)
def test_preparing(rollout: Rollout, given: Settings, at: int, names: str) -> None:
    assert due(rollout, "preparing", given, at=at) == names


@pytest.mark.parametrize(
    ("rollout", "names"),
    [
        (plan(), "shift shifted"),
        (plan(Step(0.0, cohort=TESTERS), Step(100.0)), "route_cohort shift shifted"),
        (by_pods(), "scale_canary_share shifted"),
    ],
)
def test_shifting(rollout: Rollout, names: str) -> None:
    assert due(rollout, "shifting") == names


def test_a_cohort_that_is_routed_already_is_not_routed_again() -> None:
    rollout = plan(Step(0.0, cohort=TESTERS), Step(10.0, cohort=TESTERS), Step(100.0))
    run, _entries = transitions.advance(rollout, begun("shifting"), "shifted", 1.0)
    now = Situation(rollout, replace(run, phase="shifting", at=1))
    assert [one.name for one in phases.BY_ROUTES["shifting"] if one.due(now)] == ["before_shift", "shift", "shifted"]


@pytest.mark.parametrize("way", [plan, by_pods])
@pytest.mark.parametrize(
    ("step", "passed", "names"),
    [
        (Step(10.0), True, "analyze after_step verdict"),
        (Step(10.0), False, "analyze verdict"),
        (Step(10.0, analysis=False), True, "pause after_step verdict"),
        (Step(10.0, analysis=False, pause=0.0), True, "after_step verdict"),
    ],
)
def test_observing(way: t.Callable[..., Rollout], step: Step, passed: bool, names: str) -> None:
    assert due(way(step, Step(50.0)), "observing", passed=passed) == names


@pytest.mark.parametrize("way", [plan, by_pods])
@pytest.mark.parametrize(
    ("gate", "names"), [("manual", "gate wait_at_gate decision"), ("timed", "wait_at_gate decision")]
)
def test_gated(way: t.Callable[..., Rollout], gate: t.Any, names: str) -> None:
    assert due(way(Step(10.0, gate=gate), Step(50.0)), "gated") == names


@pytest.mark.parametrize(
    ("rollout", "given", "idle", "names"),
    [
        (plan(), QUIET, (), "shift_all shifted on_promote drained done"),
        (plan(), Settings(), (), "shift_all shifted on_promote keep_old_pods drained restore_min_replicas done"),
        (plan(), Settings(capacity=False), (), "shift_all shifted on_promote keep_old_pods drained done"),
        (
            plan(),
            replace(QUIET, drain=5.0, old_replicas=0),
            (),
            "shift_all shifted on_promote drain_old_version drained scale_down_old_version done",
        ),
        (
            plan(),
            replace(QUIET, old_replicas=0),
            (),
            "shift_all shifted on_promote drained scale_down_old_version done",
        ),
        (plan(), QUIET, ("base",), "shift_all shifted on_promote drained remove_idle_pods done"),
        (
            plan(),
            Settings(old_replicas=1),
            ("base",),
            "shift_all shifted on_promote keep_old_pods drain_old_version drained restore_min_replicas "
            "scale_down_old_version remove_idle_pods done",
        ),
        (by_pods(), Settings(old_replicas=1), (), "update_stable on_promote remove_canary done"),
    ],
)
def test_promoting(rollout: Rollout, given: Settings, idle: tuple[str, ...], names: str) -> None:
    assert due(rollout, "promoting", given, idle_versions=idle, at=1) == names


@pytest.mark.parametrize(
    ("rollout", "given", "idle", "names"),
    [
        (plan(), QUIET, (), "shift_back on_rollback done"),
        (plan(), Settings(), (), "shift_back drain_canary drained restore_min_replicas on_rollback done"),
        (plan(), Settings(drain=0.0), (), "shift_back drained restore_min_replicas on_rollback done"),
        (plan(), Settings(capacity=False), (), "shift_back on_rollback done"),
        (
            plan(Step(10.0), Step(100.0, replicas=3)),
            QUIET,
            (),
            "shift_back drained restore_min_replicas on_rollback done",
        ),
        (plan(), QUIET, ("base",), "shift_back remove_idle_pods on_rollback done"),
        (by_pods(), Settings(), (), "remove_canary restore_image on_rollback done"),
    ],
)
def test_rolling_back(rollout: Rollout, given: Settings, idle: tuple[str, ...], names: str) -> None:
    assert due(rollout, "rolling_back", given, idle_versions=idle) == names


@pytest.mark.parametrize(
    ("rollout", "phase", "after", "names"),
    [
        (plan(), "preparing", "before", "before_step scale_canary ready"),
        (plan(), "preparing", "step", "before_step scale_canary ready"),
        (plan(), "preparing", "before_step", "scale_canary ready"),
        (plan(), "observing", "after_step", "verdict"),
        (plan(Step(10.0, gate="manual")), "gated", "gate", "wait_at_gate decision"),
        (plan(), "promoting", "on_promote", "keep_old_pods drained restore_min_replicas done"),
        (plan(), "rolling_back", "on_rollback", "done"),
        (by_pods(), "preparing", "before_step", "ready"),
        (by_pods(), "observing", "after_step", "verdict"),
        (by_pods(), "promoting", "on_promote", "remove_canary done"),
        (by_pods(), "rolling_back", "on_rollback", "done"),
        # The answer to a gate, or an error of a hook, has led to another phase.
        (plan(), "rolling_back", "gate", "shift_back drain_canary drained restore_min_replicas on_rollback done"),
    ],
)
def test_after_a_return_point_the_next_action_follows(rollout: Rollout, phase: str, after: str, names: str) -> None:
    assert due(rollout, phase, Settings(), after, passed=True) == names


def test_every_return_point_has_its_place() -> None:
    for table, others in ((phases.BY_ROUTES, phases.IN_STEP), (phases.BY_PODS, ("before_judging",))):
        named = [one.name for listed in table.values() for one in listed if one.kind == "return"]
        assert len(named) == len(set(named))
        assert {*named, "before", "step"} == {*phases.RETURN_POINTS, *others}


def test_each_phase_that_works_has_a_row() -> None:
    for table in TABLES.values():
        assert sorted(table) == sorted(WORKING)


@pytest.mark.parametrize(("phase", "listed"), LISTED)
def test_a_phase_ends_with_an_event_and_has_only_possible_ones(phase: t.Any, listed: tuple[phases.Action, ...]) -> None:
    assert listed[-1].kind == "event"
    assert listed[-1].due(Situation(plan(), begun(phase), QUIET)), "whatever the settings"
    for one in listed:
        if one.kind == "event":
            assert EVENTS_OF.get(one.name, {one.name}) <= possible(phase)


@pytest.mark.parametrize(("phase", "listed"), LISTED)
def test_every_action_that_works_has_a_method_and_a_title(phase: str, listed: tuple[phases.Action, ...]) -> None:
    for name in (one.name for one in listed if one.kind == "work"):
        judges = name in conductor._JUDGING
        assert judges != callable(getattr(runs_actions.Actions, name, None)), f"{phase}: {name} has one implementation"
        assert runs_actions.TITLES[name]


def test_no_title_is_without_an_action() -> None:
    named = {one.name for table in TABLES.values() for listed in table.values() for one in listed if one.kind == "work"}
    assert set(runs_actions.TITLES) == {*named, "pause_gitops", "start_watchdog", "check_shares"}


class Walk:
    """What the conductor does, without a cluster. An action fails and a verdict falls as `draw` says."""

    def __init__(self, rollout: Rollout, given: Settings, draw: t.Callable[[list[str]], str]) -> None:
        self.rollout, self.settings, self.draw = rollout, given, draw
        self.run, self.done = begun("preparing"), list[str]()

    def to_the_end(self) -> None:
        while not self.run.over:
            assert len(self.done) < 1000, "it does not end"
            self.phase()

    def phase(self) -> None:
        """Work until the phase or the step is another one."""
        before = (self.run.phase, self.run.at)
        for one in phases.actions(self.rollout, self.run.phase):
            if not one.due(Situation(self.rollout, self.run, self.settings, ("base",), passed=True)):
                continue
            self.done.append(one.name)
            if one.kind == "event":
                self.apply(self.draw(sorted(EVENTS_OF[one.name])) if one.name in EVENTS_OF else one.name)
            elif one.kind == "work" and before[0] != "rolling_back" and self.draw(["works"] * 9 + ["fails"]) == "fails":
                self.apply("abort" if one.name in conductor._CANCELS else "error")
            if (self.run.phase, self.run.at) != before:
                return
        raise AssertionError(f"{before} has ended without a move: {self.done}")

    def apply(self, event: str) -> None:
        verdict = {"verdict": event, "reasons": [], "metrics": [], "numbers": {}} if event in ("pass", "fail") else None
        self.run, _entries = transitions.advance(self.rollout, self.run, t.cast("t.Any", event), 1.0, verdict=verdict)


GATES = st.sampled_from(["none", "timed", "manual"])
STEPS = st.lists(
    st.builds(Step, st.sampled_from([10.0, 25.0]), gate=GATES, analysis=st.booleans()), min_size=1, max_size=5
)
SETTINGS = st.builds(
    Settings,
    capacity=st.booleans(),
    retire_after=st.sampled_from([0.0, 1.0]),
    old_replicas=st.sampled_from([None, 0]),
    drain=st.sampled_from([0.0, 1.0]),
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(STEPS, st.booleans(), st.booleans(), SETTINGS, st.data())
def test_every_rollout_ends(steps: list[Step], pods: bool, adapt: bool, given_settings: Settings, data: t.Any) -> None:
    rollout = replace(by_pods(*steps) if pods else plan(*steps, Step(100.0)), adapt=adapt)
    walk = Walk(rollout, given_settings, lambda choices: data.draw(st.sampled_from(choices)))
    walk.to_the_end()
    assert walk.done.count("on_rollback") == (walk.run.phase == "rolled_back")
    assert walk.run.phase != "promoted" or walk.done.count("on_promote") == 1
    assert walk.done.count("done") == (walk.run.phase != "stopped")
    if rollout.by_pods or not given_settings.capacity:
        return
    for index, name in enumerate(walk.done):
        if name == "shift":
            assert "scale_canary" in walk.done[:index], "more pods before more requests"
