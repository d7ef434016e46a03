# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Carries a rollout from phase to phase, over one connection, until its end or a point where the playbook takes over.

rollout/phases.py says which actions a phase has, and rollout/transitions.py what an event leads to. Here are the loop
and the events; runs/actions.py has the actions that work.
"""

from __future__ import annotations

import typing as t

from ..errors import CanaryError, Conflict, Drifted, Interrupted, InvalidInput, NotPromoted
from ..objects.weights import weights_text
from ..rollout import phases, state_machine
from ..rollout.phases import Situation
from ..rollout.plan_text import plan_lines
from ..task.context import ROLLBACK_NOTE
from ..task.interrupts import Interrupts, Stop
from . import checks, textfile
from .actions import Actions, retried
from .heartbeat import Heartbeat
from .judging import Judging
from .record_watch import RecordWatch
from .session import LOST, Session

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..kube.client import Cluster
    from ..objects.hosts import ServiceRef
    from ..rollout.phases import Action
    from ..rollout.state_machine import Event
    from ..task.context import Context
    from .lock import Lease

    Result = dict[str, t.Any]

ROLLBACKS: t.Final = 3
"""How often a rollback begins anew because the routes were changed externally before its end."""
_CANCELS: t.Final = frozenset({"update_stable"})
"""Actions whose failure during a promotion rolls back: stable still has its old image."""


class Conductor:
    """One task with state promoted."""

    def __init__(
        self, cluster: Cluster, service: ServiceRef, lease: Lease, params: Mapping[str, t.Any], context: Context
    ) -> None:
        self._cluster, self._service, self._lease = cluster, service, lease
        self._params, self._context = params, context
        self._interrupts = Interrupts()
        self._settings = settings_of(params)
        self.session = Session(cluster, service, lease, params, context)
        self._actions = Actions(cluster, service, self.session, self._settings, params, context)
        self._watch = RecordWatch(self.session, context)
        self._verdict: Result = {}
        self._returned_from = ""
        self._answer = params["answer"]
        self._warnings: list[str] = []
        self._moved = self._step_ended = False
        self._rollbacks_left = ROLLBACKS

    @property
    def changed(self) -> bool:
        """Return whether the task has written something so far."""
        return self.session.changed

    @property
    def lines(self) -> list[str]:
        """Return what was shown, a line each."""
        return self._actions.lines

    @property
    def warnings(self) -> list[str]:
        """Return the warnings for the result."""
        return [*self._warnings, *self._actions.warnings, *self._actions.gitops.warnings, *self.session.warnings]

    def run(self) -> Result:
        """Return the result of the task. Raises CanaryError, NotPromoted at another end than the promotion."""
        return self._plan() if self._context.check_mode else self._conduct()

    def _plan(self) -> Result:
        """Return what a run would do, in check mode."""
        self._check_options()
        self.session.begin(self._actions.check_before, self._actions.check_first_changes)
        result = {**self.session.result(), "next": "", "lines": []}
        if self.session.run.over:
            return result
        lines = self._actions.planned()
        return {**result, "planned_changes": lines, "changed": True, "diff": self.session.diff}

    def _conduct(self) -> Result:
        """Work until the rollout has ended, or until a return point."""
        try:
            with self._interrupts.handled(), Heartbeat(self._cluster, self._lease, self._service.namespace) as beating:
                try:
                    return self._conduct_until_return(beating)
                except BaseException:
                    self._context.terminal.announce(None)
                    raise
        except Stop as stop:
            raise self._interrupted(stop) from None

    def _conduct_until_return(self, beating: Heartbeat) -> Result:
        self._check_options()
        self.session.begin(self._actions.check_before, self._actions.check_first_changes)
        try:
            beating.start(self.session.stored.watchdog)
            self._pause_gitops()
            point = self._start() or self._work()
        except CanaryError as error:
            if error.code not in LOST:
                self._end()
            raise
        if point:
            beating.stop()
            self.session.suspend_heartbeat()
            return self._result(point)
        return self._finish()

    def _pause_gitops(self) -> None:
        """Pause the GitOps tools before the first write, and again when a run resumes."""
        gitops = self._actions.gitops
        if not gitops.active or self.session.continued or self.session.run.over:
            return
        try:
            gitops.start(self.session, self._actions.tell)
        except CanaryError as error:
            self._fail("pause_gitops", error)

    def _resume_gitops(self) -> None:
        """Undo the pauses of GitOps tools at the end. A failure is a warning."""
        gitops = self._actions.gitops
        if not self.session.run.over or not (gitops.active or self.session.stored.paused):
            return
        try:
            retried(lambda: gitops.finish(self.session, self._actions.tell))
        except CanaryError as error:
            self._warn(
                "A GitOps tool may still be paused. The playbook rollback, or canary_handback with state: released, "
                f"resumes it. {error.msg}"
            )

    def _check_options(self) -> None:
        checks.check_pod_options(self._params)
        if self._params["approval"] == "terminal" and "gate" not in self._params["return_at"]:
            raise InvalidInput(
                "approval: terminal needs return_at: [gate], so that a task of yours asks at the terminal. Add it, or "
                "use approval: annotation."
            )

    def _start(self) -> str:
        """Validate a new rollout, tell its plan, and go on from a return point. Returns `before`, or an empty text."""
        session = self.session
        self._context.terminal.announce(self._names())
        point, verdict = session.take_back() if session.continued else ("", {})
        # A gate is looked at again: it may have no answer yet.
        self._returned_from, self._verdict = "" if point in ("gate", "step") else point, verdict
        if self._params["error"]:
            self._record_error(self._params["error"])
        if session.run.over or session.continued:
            return ""
        for line in (*plan_lines(session.rollout), *self._actions.estimates):
            self._actions.tell(line)
        for warning in self._actions.warnings:  # before the first step, not only with the result
            self._actions.tell(warning)
        self._show_run()
        self._prepare()
        begun = any(entry["from"] for entry in session.stored.events)
        if not begun and not session.run.over and session.run.phase == "preparing":
            return self._return("before") or ""
        return ""

    def _prepare(self) -> None:
        """Start what has to be there before the first share: the watchdog, and the knowledge that it can be reached."""
        run, doing = self.session.run, "start_watchdog"
        try:
            self.session.wait_for_watchdog()
            doing = "check_shares"
            if self.session.rollout.by_pods and run.at == 0 and run.phase in ("preparing", "shifting"):
                for line in self._actions.check_shares():
                    self._actions.tell(line)
        except CanaryError as error:
            self._fail(doing, error)

    def _record_error(self, message: str) -> None:
        """Record that a task of the user failed. After a rollback it is only a warning."""
        if self._returned_from == "on_rollback":
            self._warn(f"on_rollback failed; the rollback continues: {message}")
            return
        self._returned_from = ""
        if not self.session.run.over and self.session.run.phase != "rolling_back":
            self._apply("error", note=message)

    def _work(self) -> str:
        """Work from phase to phase; return the return point, empty at the end."""
        while not self.session.run.over:
            doing, self._moved = "", False
            try:
                for action in phases.actions(self.session.rollout, self.session.run.phase, self._returned_from):
                    self._returned_from = ""
                    if not action.due(self._situation):
                        continue
                    doing = action.name
                    point = self._do(action)
                    if point is not None:
                        return point
                    if self._moved:
                        break
                else:
                    raise RuntimeError(f"the phase {self.session.run.phase} has ended without an event")
            except CanaryError as error:
                self._fail(doing, error)
        return ""

    def _do(self, action: Action) -> str | None:
        """Do one action; return the return point that was reached, None to go on."""
        if action.kind == "event":
            self._record(action.name)
            return None
        if self._step_ended and (action.kind == "work" or action.name in self._params["return_at"]):
            return self._return("step")
        if action.kind == "return":
            return self._return(action.name)
        self._save()
        self.session.forget_routes()
        work = _JUDGING.get(action.name)
        if work is not None:
            self._verdict = work(self._judging(), self._answer)
        else:
            getattr(self._actions, action.name)()
        return None

    def _return(self, point: str) -> str | None:
        """Return control to the playbook if return_at has the point."""
        if point not in self._params["return_at"] or (point == "gate" and self._is_answered()):
            return None
        self.session.return_to_playbook(point, self._verdict)
        self._save()
        return point

    def _is_answered(self) -> bool:
        """Return whether the gate needs no question any more: it has an answer, or its time is over."""
        self._answer = self._answer or self._judging().annotated_answer() or ""
        return bool(self._answer) or self._judging().seconds_left <= 0

    def _record(self, name: str) -> None:
        """Apply an event. If another step follows, control returns before its first action, if that was requested."""
        before = self.session.run.at
        event, verdict, note = self._event(name)
        self._apply(event, verdict, note)
        if name in ("verdict", "decision"):
            self._verdict, self._answer = {}, ""
        run = self.session.run
        self._step_ended |= "step" in self._params["return_at"] and run.phase == "preparing" and run.at > before

    def _event(self, name: str) -> tuple[Event, Result | None, str]:
        """Return the event that an entry of the phase's table stands for, with its verdict and its note."""
        if name == "verdict":
            return self._judging().verdict_event(self._verdict)
        if name == "decision":
            return self._judging().gate_event(self._verdict, self._answer)
        notes: dict[str, str] = {
            "shifted": self._actions.shift_message if self.session.run.phase == "shifting" else "",
            "drained": self._actions.drain_note,
            "done": self.session.run.reason,
        }
        return t.cast("Event", name), None, notes.get(name, "")

    def _apply(self, event: Event, verdict: Mapping[str, t.Any] | None = None, note: str = "") -> None:
        """Apply an event, or the rollback that was requested at the terminal."""
        phase = self.session.run.phase
        requested = self._context.terminal.rollback_requested() and phase != "rolling_back"
        if requested and "abort" in state_machine.possible(phase):
            event, verdict, note = "abort", None, ROLLBACK_NOTE
        at = (phase, self.session.run.at)
        late, self._actions.late_failures = self._actions.late_failures, 0
        drift = self.session.apply(event, verdict, note, late)
        run = self.session.run
        self._moved = bool(drift) or (run.phase, run.at) != at
        if run.over or run.phase == "rolling_back":
            self._context.terminal.announce(None)

    def _save(self) -> None:
        """Write what was applied, and show it."""
        with self._interrupts.deferred():
            written = self.session.save()
        if written:
            self._show_run()

    def _show_run(self) -> None:
        result = self.session.result()
        self._actions.show("canary_rollout", result)
        if self._params["textfile"]:
            self._warn(textfile.write(self._params["textfile"], self.session.full_report()))

    def _fail(self, doing: str, error: CanaryError) -> None:
        """Record that an action failed, which rolls back, or stops a promotion. Raises what cannot be recorded."""
        run = self.session.run
        if error.code in LOST or run.over:
            raise error
        if run.phase == "rolling_back":
            self._rollbacks_left -= 1
            if not (isinstance(error, Conflict) and self._rollbacks_left > 0):
                raise error
            return
        event: Event = "drift" if isinstance(error, Drifted) else "abort" if doing in _CANCELS else "error"
        title = self._actions.title(doing)
        self._actions.tell(f"{title} failed: {error.msg}" if title else error.msg)

        def record() -> None:
            if self.session.run.phase == run.phase:
                self.session.forget_routes()
                self._apply(event, note=f"{title}: {error.msg}" if title else error.msg)
            self._save()

        retried(record)

    def _finish(self) -> Result:
        """Write the end, release the lock, and return the result. Raises NotPromoted."""
        self._save()
        self._end()
        result = self._result("")
        run = self.session.run
        if run.phase == "promoted" or not self._params["must_promote"]:
            return result
        raise NotPromoted(
            f"{self.session.rollout.canary} was not promoted. {self._service.name} is {run.phase.replace('_', ' ')}: "
            f"{run.reason}",
            **{key: value for key, value in result.items() if key != "msg"},
        )

    def _end(self) -> None:
        """Restore minReplicas of a stopped rollout, and release the lock; a failure is a warning."""
        try:
            if self.session.run.phase == "stopped" and not self.session.rollout.by_pods and self._situation.scales_pods:
                # Resuming raises minReplicas again; until then the autoscalers follow the load alone.
                self._actions.restore_min_replicas()
        except CanaryError as error:
            self._warn(f"minReplicas of the autoscalers could not be restored; the next run restores it. {error.msg}")
        self._resume_gitops()
        try:
            self.session.release()
        except CanaryError as error:
            self._warn(f"The lock could not be released; it expires. {error.msg}")

    def _result(self, point: str) -> Result:
        return {
            **self.session.result(),
            "next": point,
            "record_digest": self.session.digest if point else "",
            "lines": list(self._actions.lines),
            "report": self.session.full_report(),
            "changed": self.session.changed,
        }

    def _interrupted(self, stop: Stop) -> Interrupted:
        """Return the error; the lock is released, unless a watchdog waits for its holder."""
        try:
            stored = self.session.stored
        except CanaryError:
            return Interrupted(f"Stopped by {stop.name}, before the rollout began. Nothing was changed.")
        try:
            if not stored.watchdog:
                self.session.release()
        except CanaryError as error:
            self._warn(f"The lock could not be released; it expires. {error.msg}")
        shares = weights_text(stored.run.written)
        return Interrupted(
            f"Stopped by {stop.name}. {self._service.name} stays at {shares or 'its weights'}, "
            f"{stored.run.phase.replace('_', ' ')}, step {stored.run.at + 1} of {len(stored.rollout.steps)}. "
            "Run the same again to go on, or the playbook rollback.",
            **{key: value for key, value in self._result("").items() if key != "msg"},
        )

    @property
    def _situation(self) -> Situation:
        session = self.session
        passed = self._judging().verdict_event(self._verdict)[0] == "pass"
        return Situation(session.rollout, session.run, self._settings, session.idle_versions, passed)

    def _judging(self) -> Judging:
        """Return how the current step is judged; while it waits it also looks at the record."""
        return Judging(self._cluster, self._service, self.session, self._params, self._watch.context, self._actions)

    def _names(self) -> dict[str, str]:
        rollout = self.session.rollout
        return {"service": rollout.service, "stable": rollout.stable, "canary": rollout.canary}

    def _warn(self, sentence: str) -> None:
        if sentence and sentence not in self._warnings:
            self._warnings.append(sentence)


def settings_of(params: Mapping[str, t.Any]) -> phases.Settings:
    """Return how the rollout treats pods. params: of canary_rollout. Raises InvalidInput."""
    return phases.Settings(
        capacity=params["capacity"],
        retire_after=params["retire_after"],
        old_replicas=checks.number_of_pods(params["old_replicas"]),
        drain=params["drain"],
    )


_JUDGING: t.Final[dict[str, Callable[[Judging, str], Result]]] = {
    "analyze": Judging.analyze,
    "pause": Judging.pause,
    "wait_at_gate": Judging.wait_at_gate,
}
