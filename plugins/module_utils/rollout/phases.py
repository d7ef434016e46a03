# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each phase of a rollout does, in which order, and when control returns to the playbook: two tables. Pure.

The state machine (state_machine.py) says which phase follows which event. An action here either works, or records an
event, or is a return point: a place where the playbook runs tasks of its own. runs/conductor.py has one method for each
action.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from . import steps, transitions

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .record import Run
    from .state_machine import Phase
    from .steps import Rollout, Step

HOOKS: t.Final = ("before", "before_step", "after_step", "on_promote", "on_rollback")
"""Return points for tasks of the user."""
RETURN_POINTS: t.Final = ("step", "gate", *HOOKS)
IN_STEP: t.Final = ("before_shift", "before_judging", "before_promotion", "before_rollback")
"""Further return points, at which a rollout that belongs to a release waits for the others; see release/in_step.py."""


@dataclass(frozen=True)
class Settings:
    """How a rollout treats pods, beside its plan.

    capacity: scale pods before requests. retire_after: seconds that the old version keeps its pods after the promotion.
    old_replicas: its pods from then on, None to leave them alone. drain: seconds of one count of its requests.
    """

    capacity: bool = True
    retire_after: float = 60.0
    old_replicas: int | None = None
    drain: float = 5.0


@dataclass(frozen=True)
class Situation:
    """What decides about an action. passed: whether the step has just passed its analysis, or has none."""

    rollout: Rollout
    run: Run
    settings: Settings = field(default_factory=Settings)
    idle_versions: tuple[str, ...] = ()
    passed: bool = False

    @property
    def step(self) -> Step:
        """Return the current step."""
        return transitions.step_of(self.rollout, self.run)

    @property
    def scales_pods(self) -> bool:
        """Return whether the rollout scales the versions before it routes requests to them."""
        return self.settings.capacity or any(step.replicas is not None for step in self.rollout.steps)

    @property
    def baseline_share(self) -> float:
        """Return the percent of the baseline in this phase; 0 without one."""
        return transitions.desired_weights(self.rollout, self.run).get(self.rollout.baseline, 0.0)

    @property
    def manual_gate(self) -> bool:
        """Return whether the rollout waits for an answer."""
        return self.run.phase == "gated" and self.step.gate == "manual"


def _always(_now: Situation) -> bool:
    return True


class Action(t.NamedTuple):
    """One action of a phase. name: of a method of runs/actions.py, of an event or of a return point."""

    name: str
    kind: t.Literal["work", "event", "return"] = "work"
    due: Callable[[Situation], bool] = _always


def _work(name: str, due: Callable[[Situation], bool] = _always) -> Action:
    return Action(name, "work", due)


def _event(name: str, due: Callable[[Situation], bool] = _always) -> Action:
    return Action(name, "event", due)


def _return(name: str, due: Callable[[Situation], bool] = _always) -> Action:
    return Action(name, "return", due)


_JUDGED: t.Final[dict[Phase, tuple[Action, ...]]] = {
    "observing": (
        _return("before_judging"),
        _work("analyze", lambda now: now.step.analysis),
        _work("pause", lambda now: not now.step.analysis and now.step.pause > 0),
        _return("after_step", lambda now: now.passed),
        _event("verdict"),
    ),
    "gated": (
        _return("gate", lambda now: now.manual_gate),
        _work("wait_at_gate"),
        _event("decision"),
    ),
}
BY_ROUTES: t.Final[dict[Phase, tuple[Action, ...]]] = {
    "preparing": (
        _return("before_step"),
        # Until the promotion stable must be able to serve all requests, so its autoscaler keeps its pods.
        _work("scale_canary", lambda now: now.settings.capacity or now.step.replicas is not None),
        _work("scale_baseline", lambda now: now.baseline_share > 0),
        _event("ready"),
    ),
    "shifting": (
        _return("before_shift"),
        # Before the weights, so that a step up never sends a request of the cohort back to stable.
        _work("route_cohort", lambda now: transitions.cohort_due(now.rollout, now.run)),
        _work("shift"),
        _event("shifted"),
    ),
    **_JUDGED,
    "promoting": (
        _return("before_promotion"),
        _work("shift_all"),
        _event("shifted"),
        _return("on_promote"),
        _work("keep_old_pods", lambda now: now.settings.retire_after > 0),
        _work("drain_old_version", lambda now: now.settings.old_replicas is not None and now.settings.drain > 0),
        # If the requests were shifted back in the meantime, the old pods are needed: drift found here stops.
        _event("drained"),
        _work("restore_min_replicas", lambda now: now.scales_pods),
        _work("scale_down_old_version", lambda now: now.settings.old_replicas is not None),
        _work("remove_idle_pods", lambda now: bool(now.idle_versions)),
        _event("done"),
    ),
    "rolling_back": (
        _return("before_rollback"),
        # Routes come first: each request to a failing version counts.
        _work("shift_back"),
        _work("drain_canary", lambda now: now.scales_pods and now.settings.drain > 0),
        _event("drained", lambda now: now.scales_pods),
        _work("restore_min_replicas", lambda now: now.scales_pods),
        _work("remove_idle_pods", lambda now: bool(now.idle_versions)),
        _return("on_rollback"),
        _event("done"),
    ),
}
"""The actions of each phase where routes make the shares."""

BY_PODS: t.Final[dict[Phase, tuple[Action, ...]]] = {
    "preparing": (_return("before_step"), _event("ready")),
    "shifting": (_work("scale_canary_share"), _event("shifted")),
    **_JUDGED,
    "promoting": (_work("update_stable"), _return("on_promote"), _work("remove_canary"), _event("done")),
    "rolling_back": (
        _work("remove_canary"),
        _work("restore_image"),
        _return("on_rollback"),
        _event("done"),
    ),
}
"""The same where the ratio of pods makes them."""


def actions(rollout: Rollout, phase: Phase, after: str = "") -> Iterator[Action]:
    """Yield the actions of a phase in their order, due or not. after: the return point to go on from."""
    listed = (BY_PODS if rollout.by_pods else BY_ROUTES)[phase]
    done = next((index for index, one in enumerate(listed, 1) if one.kind == "return" and one.name == after), 0)
    yield from listed[done:]


def last_share(rollout: Rollout) -> float:
    """Return the canary's percent of the last step, with what `keep` leaves."""
    return rollout.weights(rollout.steps[-1].weight)[rollout.canary]


def share_ahead(now: Situation) -> float | None:
    """Return the percent whose pods can start now; see steps.share_ahead."""
    return steps.share_ahead(now.rollout.steps, now.run.at)
