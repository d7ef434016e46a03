# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The conductor with the real phases and transitions, and with actions that only say their name."""

from __future__ import annotations

import signal
import types
import typing as t
from types import SimpleNamespace

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.meshops.canary.plugins.module_utils.commands import rollout as command
from ansible_collections.meshops.canary.plugins.module_utils.errors import (
    ApiError,
    CanaryError,
    Conflict,
    Drifted,
    Interrupted,
    InvalidInput,
    NotPromoted,
)
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.rollout import phases, transitions
from ansible_collections.meshops.canary.plugins.module_utils.rollout.record import Run
from ansible_collections.meshops.canary.plugins.module_utils.runs import conductor
from ansible_collections.meshops.canary.plugins.module_utils.runs.actions import TITLES
from ansible_collections.meshops.canary.plugins.module_utils.runs.lock import LockHeld
from ansible_collections.meshops.canary.plugins.module_utils.runs.plan_from_options import plan_from_options
from ansible_collections.meshops.canary.plugins.module_utils.task.context import Context, Terminal

SERVICE = ServiceRef("reviews", "shop")
PASS: dict[str, t.Any] = {"verdict": "pass", "reasons": [], "metrics": [], "numbers": {}}
FAIL: dict[str, t.Any] = {**PASS, "verdict": "fail", "reasons": ["errors: 11 of 21 failed"]}
FORWARD = "scale_canary shift analyze"
PROMOTION = "shift_all keep_old_pods restore_min_replicas"
ROLLBACK = "shift_back drain_canary restore_min_replicas"


class World:
    """What outlives a task: the record. done: the actions of all tasks. fails: action -> what it raises, in turn."""

    watchdog = None
    paused: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.done: list[str] = []
        self.fails: dict[str, list[BaseException]] = {}
        self.verdict, self.rollback = PASS, False
        self.rollout: t.Any = None
        self.run: t.Any = None
        self.returned: t.Any = None
        self.events: list[dict[str, t.Any]] = []
        self.held = False
        self.late = 0

    def do(self, action: str) -> dict[str, t.Any]:
        """Do an action of the conductor: say its name, and fail if it is to fail."""
        self.done.append(action)
        if self.fails.get(action):
            raise self.fails[action].pop(0)
        return self.verdict if action == "analyze" else {}

    def get(self, *_path: t.Any) -> dict[str, t.Any]:
        """Return the Service: nobody has answered at the gate."""
        return {}

    def __call__(self, **options: t.Any) -> dict[str, t.Any]:
        """Run one task of the playbook, and return its result."""
        return self.task(**options).run()

    def task(self, **options: t.Any) -> conductor.Conductor:
        """Return one task of the playbook. One that returned to the playbook has kept the lock."""
        given = {"service": "reviews", "namespace": "shop", "state": "promoted", "stable": "v1", "canary": "v2"}
        checked = ArgumentSpecValidator(command.SPEC.options, **command.SPEC.rules()).validate(
            {**given, "steps": [10], "drain": 1, **options}
        )
        assert not checked.error_messages, checked.error_messages
        lease = SimpleNamespace(is_held=lambda: self.held)
        context = Context(False, print, {}, terminal=Terminal(rollback_requested=lambda: self.rollback))
        parts: t.Any = (self, SERVICE, lease, checked.validated_parameters, context)
        return conductor.Conductor(*parts)


class Session:
    """The record in memory."""

    idle_versions = ()
    drift, diff, changed, digest = "", None, False, "4711.abc"

    def __init__(self, world: World, service: ServiceRef, _lease: t.Any, params: t.Any, _context: t.Any) -> None:
        self.stored, self.warnings, self.continued = world, list[str](), world.held
        self._plan = plan_from_options(service, params)

    run = property(lambda self: self.stored.run)
    rollout = property(lambda self: self.stored.rollout)

    def begin(self, _before_begin: t.Any = None, _before_new: t.Any = None) -> None:
        if self.stored.run is None:
            weights = {"v1": 100.0, "v2": 0.0}
            self.stored.rollout = self._plan
            self.stored.run = Run("4711", "reviews", "shop", "abc", "preparing", 0, 0.0, weights, weights)
        self.stored.held = True

    def take_back(self) -> tuple[str, dict[str, t.Any]]:
        returned, self.stored.returned = self.stored.returned or ("", {}), None
        return returned

    def return_to_playbook(self, point: str, verdict: t.Any = None) -> None:
        self.stored.returned = (point, verdict or {})

    def apply(self, event: t.Any, verdict: t.Any = None, note: str = "", failed: int = 0) -> str:
        self.stored.late += failed
        self.stored.run, entries = transitions.advance(self.rollout, self.run, event, 1.0, verdict=verdict, note=note)
        self.stored.events += entries
        return ""

    def release(self) -> None:
        self.stored.held = False

    def result(self) -> dict[str, t.Any]:
        return {"msg": "", "run": {"phase": self.run.phase, "reason": self.run.reason}}

    def full_report(self) -> dict[str, t.Any]:
        return {}

    def now(self) -> float:
        return 1.0

    def save(self) -> bool:
        return False

    def nothing(self) -> None:
        """Stand for what a record in memory does not need."""

    forget_routes = wait_for_watchdog = suspend_heartbeat = nothing


class Actions:
    """Actions that only say their name. lines: what was shown."""

    shift_message = drain_note = ""
    late_failures = 0
    gitops = types.SimpleNamespace(active=False, warnings=[])

    def __init__(self, world: World, *_parts: t.Any) -> None:
        self._world, self.lines, self.warnings, self.estimates = world, list[str](), list[str](), list[str]()

    def __getattr__(self, name: str) -> t.Callable[[], t.Any]:
        assert name in TITLES
        return lambda: self._world.do(name)

    def tell(self, sentence: str) -> None:
        self.lines.append(sentence)

    def title(self, action: str) -> str:
        return action

    def check_before(self) -> None:
        pass

    def check_first_changes(self) -> None:
        pass

    def check_shares(self) -> list[str]:
        return []

    def show(self, _module: str, _result: t.Any) -> None:
        pass


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    one = World()
    monkeypatch.setattr(conductor, "Session", Session)
    monkeypatch.setattr(conductor, "Actions", Actions)
    for name in conductor._JUDGING:
        monkeypatch.setitem(conductor._JUDGING, name, judged(one, name))
    return one


def judged(world: World, name: str) -> t.Callable[[t.Any, str], dict[str, t.Any]]:
    return lambda _judging, answer: world.do(name) or {"answer": answer}


def test_a_rollout_works_to_its_promotion(world: World) -> None:
    result = world()
    assert (result["next"], result["run"]["phase"]) == ("", "promoted")
    assert " ".join(world.done) == f"{FORWARD} {FORWARD} {PROMOTION}"
    assert not world.held


def test_control_returns_at_each_point_and_the_next_task_goes_on(world: World) -> None:
    points = [world(return_at=list(phases.RETURN_POINTS))["next"]]
    while points[-1]:
        assert world.held, "the lock is kept until the end"
        points.append(world(return_at=list(phases.RETURN_POINTS))["next"])
        assert len(points) < 20
    assert " ".join(points).split() == [
        *("before", "before_step", "after_step", "step"),
        *("before_step", "after_step", "on_promote"),
    ]
    assert " ".join(world.done) == f"{FORWARD} {FORWARD} {PROMOTION}", "nothing is done twice"


def test_a_run_that_was_killed_at_a_return_point_repeats_its_phase(world: World) -> None:
    assert world(return_at=["after_step"])["next"] == "after_step"
    world.held, world.returned = False, None
    assert world(return_at=["after_step"])["next"] == "after_step"
    assert " ".join(world.done) == f"{FORWARD} analyze"


def test_a_failed_step_rolls_back_and_the_task_fails(world: World) -> None:
    world.verdict = FAIL
    with pytest.raises(NotPromoted, match=r"v2 was not promoted. reviews is rolled back: .*errors: 11 of 21 failed"):
        world(return_at=["after_step"])
    assert " ".join(world.done) == f"{FORWARD} {ROLLBACK}"
    assert not world.held


def test_another_end_than_the_promotion_may_be_allowed(world: World) -> None:
    world.verdict = FAIL
    assert world(must_promote=False)["run"]["phase"] == "rolled_back"


@pytest.mark.parametrize("point", ["before", "before_step", "after_step", "gate", "step"])
def test_an_error_of_the_users_tasks_rolls_back(world: World, point: str) -> None:
    assert world(return_at=[point], gate="manual" if point == "gate" else "none")["next"] == point
    result = world(return_at=[point], error="the smoke test failed", must_promote=False)
    assert result["run"] == {"phase": "rolled_back", "reason": "the smoke test failed"}
    assert " ".join(world.done).endswith(ROLLBACK)


def test_an_error_after_the_promotion_stops(world: World) -> None:
    assert world(return_at=["on_promote"])["next"] == "on_promote"
    assert world(error="no mail", must_promote=False)["run"]["phase"] == "stopped"
    assert world.done[-1] == "restore_min_replicas", "until it is resumed the autoscalers follow the load"


def test_an_error_after_the_rollback_is_a_warning(world: World) -> None:
    world.verdict = FAIL
    assert world(return_at=["on_rollback"])["next"] == "on_rollback"
    one = world.task(error="no mail", must_promote=False)
    assert one.run()["run"]["phase"] == "rolled_back"
    assert one.warnings == ["on_rollback failed; the rollback continues: no mail"]
    assert " ".join(world.done) == f"{FORWARD} {ROLLBACK}"


@pytest.mark.parametrize(("answer", "phase"), [("approved", "promoted"), ("rejected", "rolled_back")])
def test_a_manual_gate_ends_with_the_answer_of_the_playbook(world: World, answer: str, phase: str) -> None:
    steps = [{"weight": 10, "gate": "manual"}, 100]
    assert world(steps=steps, return_at=["gate"])["next"] == "gate"
    result = world(steps=steps, return_at=["gate"], answer=answer, must_promote=False)
    assert (result["next"], result["run"]["phase"]) == ("", phase)


def test_an_answer_counts_for_one_gate(world: World) -> None:
    assert world(gate="manual", return_at=["gate"])["next"] == "gate"
    assert world(gate="manual", return_at=["gate"], answer="approved")["next"] == "gate"
    assert world.run.at == 1


def test_a_terminal_cannot_be_asked_without_a_return_to_the_playbook(world: World) -> None:
    with pytest.raises(InvalidInput, match="needs return_at"):
        world(approval="terminal")
    assert world.run is None


ERROR = ApiError("no answer", None)
BY_PODS = {"route_api": "replicas", "image": "shop:2", "analysis": False, "pause": 0}


@pytest.mark.parametrize(
    ("action", "error", "options", "phase", "last"),
    [
        ("scale_canary", ERROR, {}, "rolled_back", ROLLBACK),
        ("shift", ERROR, {}, "rolled_back", ROLLBACK),
        ("shift", Drifted("changed"), {}, "stopped", "restore_min_replicas"),
        ("analyze", ERROR, {}, "rolled_back", ROLLBACK),
        ("shift_all", ERROR, {}, "stopped", "restore_min_replicas"),
        ("update_stable", ERROR, BY_PODS, "rolled_back", "remove_canary restore_image"),
        ("remove_canary", ERROR, BY_PODS, "stopped", "update_stable remove_canary"),
    ],
)
def test_what_a_failed_action_leads_to(
    world: World, action: str, error: CanaryError, options: dict[str, t.Any], phase: str, last: str
) -> None:
    world.fails[action] = [error]
    assert world(must_promote=False, **options)["run"]["phase"] == phase
    assert " ".join(world.done).endswith(last)


def test_a_rollback_begins_anew_after_a_conflict(world: World) -> None:
    world.verdict = FAIL
    world.fails["shift_back"] = [Conflict("changed"), Conflict("changed")]
    assert world(must_promote=False)["run"]["phase"] == "rolled_back"
    assert world.done.count("shift_back") == 3


def test_a_rollback_that_cannot_be_done_fails_the_task(world: World) -> None:
    world.verdict = FAIL
    world.fails["shift_back"] = [ERROR]
    with pytest.raises(ApiError):
        world(must_promote=False)
    assert world.run.phase == "rolling_back", "so the next run resumes it"
    assert not world.held


def test_a_rollout_of_another_run_is_left_alone(world: World) -> None:
    world.fails["shift"] = [LockHeld("bob holds it")]
    with pytest.raises(LockHeld):
        world()
    assert world.done == ["scale_canary", "shift"]
    assert world.held, "the lock is not released, because it is not ours"


def test_a_rollback_that_is_requested_at_the_terminal_comes_with_the_next_event(world: World) -> None:
    world.rollback = True
    assert world(must_promote=False)["run"]["phase"] == "rolled_back"
    assert " ".join(world.done) == f"scale_canary {ROLLBACK}"


def test_a_signal_ends_the_task_and_the_rollout_stays_as_it_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(conductor._JUDGING, "analyze", lambda *_given: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(
        Interrupted, match=r"Stopped by SIGTERM. reviews stays at v1 90%, v2 10%, observing, step 1 of 2"
    ):
        world()
    assert world.run.phase == "observing"
    assert world.done == ["scale_canary", "shift"]
    assert not world.held


def test_requests_that_fail_until_the_routes_are_back_are_recorded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Counting(Actions):
        def shift_back(self) -> None:
            self._world.do("shift_back")
            self.late_failures = 7

    monkeypatch.setattr(conductor, "Actions", Counting)
    world.verdict = FAIL
    with pytest.raises(NotPromoted):
        world()
    assert world.late == 7, "once"
