# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a step is judged, and how its gate opens: by an analysis, by time, or by an answer."""

from __future__ import annotations

import shlex
import time
import typing as t

from ..errors import CanaryError
from ..evidence import analysis
from ..evidence.gate_answers import ApprovalReader, unknown_answer, unreadable
from ..rollout import approval, transitions
from .session import LOST

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..kube.client import Cluster
    from ..objects.hosts import ServiceRef
    from ..rollout.state_machine import Event
    from ..task.context import Context
    from .actions import Actions
    from .session import Session

    Result = dict[str, t.Any]

POLL_SECONDS: t.Final = 0.2
LOG_EVERY: t.Final = 30.0
"""Seconds between two lines about a wait: a log without a line for a minute looks like a task that hangs."""


class Judging:
    """The current step. Times are the API server's."""

    def __init__(
        self,
        cluster: Cluster,
        service: ServiceRef,
        session: Session,
        params: Mapping[str, t.Any],
        context: Context,
        shown: Actions,
    ) -> None:
        self._cluster, self._service, self._session = cluster, service, session
        self._params, self._context, self._shown = params, context, shown
        self._step = transitions.step_of(session.rollout, session.run)
        self._gated = session.run.phase == "gated"
        self._manual = self._gated and self._step.gate == "manual"
        self._logged_at = time.monotonic()
        self._unread = ""  # why the answer could not be read at last

    @property
    def seconds_left(self) -> float:
        """Return the seconds until the deadline of the phase."""
        limit = self._step.gate_limit if self._gated else self._step.deadline
        return max(0.0, self._session.run.since + limit - self._session.now())

    @property
    def _watch(self) -> float:
        """Return the seconds to observe: the step's pause, or what is left of its gate."""
        if self._manual:
            return 1.0
        left = self._session.run.since + self._step.gate_seconds - self._session.now()
        return max(1.0, left if self._gated else self._step.pause)

    def analyze(self, _answer: str = "") -> Result:
        """Compare the canary with its reference, and return the result. At a manual gate it ends with an answer."""
        rollout, run, params = self._session.rollout, self._session.run, self._params
        warm_up = 0.0 if self._manual else params["warm_up"]
        # A resumed run whose deadline has passed still analyzes the step once.
        deadline = max(self.seconds_left, 1.0 if self._manual else self._watch + warm_up)
        given = {
            **analysis.SPEC.defaults(),
            **{name: params[name] for name in analysis.SPEC.options if name in params},
            "stable": rollout.comparison_version,
            "canary": rollout.canary,
            "warm_up": warm_up,
            "watch": self._watch,
            "deadline": deadline,
            "evidence": dict(run.evidence),
            "approval": approval.ticket(run) if self._manual else None,
        }
        for left in reversed(range(10 if self._manual else 1)):
            try:
                result = analysis.analyze(self._cluster, given, self._context, self._shown.keep_analysis)
                break
            except CanaryError as error:  # an API error at the beginning of the wait must not end a manual gate
                if not left or error.code in LOST:
                    raise
                self._context.log(f"The canary is not watched yet, and no answer is read; once more: {error.msg}")
                time.sleep(3)
        self._shown.show("canary_analysis", result)
        return result

    def pause(self, _answer: str = "") -> Result:
        """Wait without an analysis."""
        began, seconds = time.monotonic(), self._watch
        self._sleep(seconds, lambda: f"No analysis | {time.monotonic() - began:.0f} s of {seconds:.0f} s")
        return {}

    def wait_at_gate(self, answer: str = "") -> Result:
        """Wait until the gate is decided; return the result of the analysis, or `{answer, answer_error}`.

        An answer that cannot be read has a deadline of its own: it may have been given.
        """
        if answer:
            return {"answer": answer}
        if self._step.analysis and (not self._manual or self._params["approval"] == "annotation"):
            self._tell_commands()
            return self.analyze()
        if not self._manual:
            return self.pause()
        self._tell_commands()
        reader, ends = self._reader(), time.monotonic() + self.seconds_left
        while True:
            found = self._read(reader)
            over = time.monotonic() >= ends + (approval.UNREADABLE_SECONDS if self._unread else 0.0)
            if found or over or self._context.terminal.rollback_requested():
                return {"answer": found, "answer_error": self._unread}
            self._progress(
                lambda: f"Waiting for an answer at the gate | {max(0.0, ends - time.monotonic()):.0f} s left"
            )
            self._sleep(min(POLL_SECONDS, max(0.05, ends - time.monotonic())))

    def annotated_answer(self) -> str:
        """Return the answer on the Service, empty without one."""
        return self._read(self._reader())

    def verdict_event(self, result: Mapping[str, t.Any]) -> tuple[Event, Result | None, str]:
        """Return the event for the end of a step. No evidence is no success: without a verdict it is the deadline."""
        if not self._step.analysis:
            return "pass", None, ""
        if result.get("verdict") in ("pass", "fail"):
            return result["verdict"], dict(result), ""
        return "deadline", dict(result), f"no verdict before the deadline: {_reasons(result)}"

    def gate_event(self, result: Mapping[str, t.Any], answer: str) -> tuple[Event, Result | None, str]:
        """Return the event for the end of a gate."""
        verdict = dict(result) if "verdict" in result else None
        if verdict and verdict["verdict"] == "fail":
            return "fail", verdict, ""
        if self._manual:
            found: t.Any = answer or result.get("answer") or "deadline"
            if found == "deadline" and result.get("answer_error"):
                return "error", verdict, unknown_answer(str(result["answer_error"]))
            notes = {"deadline": "no answer before the deadline", "rejected": "rejected at the gate"}
            return found, verdict, notes.get(found, "")
        if not self._step.analysis or (verdict and verdict["verdict"] == "pass"):
            return "approved", verdict, ""
        return "deadline", verdict, f"no verdict before the deadline: {_reasons(result)}"

    def _tell_commands(self) -> None:
        """Say how to answer a manual gate."""
        if not self._manual:
            return
        annotate = f"{self._kubectl} -n {self._service.namespace} annotate --overwrite service {self._service.name}"
        ticket = approval.ticket(self._session.run)
        self._shown.tell(f"To approve: {annotate} {approval.APPROVE}={ticket}")
        self._shown.tell(f"To reject: {annotate} {approval.REJECT}={ticket}")

    @property
    def _kubectl(self) -> str:
        """Return kubectl with the options that select the cluster of this task, if it was selected by options."""
        selected = [(f"--{name}", self._params.get(name)) for name in ("kubeconfig", "context")]
        found = [f"{option}={value}" for option, value in selected if isinstance(value, str) and value]
        return shlex.join(["kubectl", *found])

    def _reader(self) -> ApprovalReader:
        return ApprovalReader(self._cluster, self._service, approval.ticket(self._session.run))

    def _read(self, reader: ApprovalReader) -> str:
        """Return the answer, empty without one. That it cannot be read is said at once, each reason once."""
        try:
            found = reader() or ""
        except CanaryError as error:
            if error.msg != self._unread:
                self._shown.tell(unreadable(error.msg))
            self._unread = error.msg
            return ""
        self._unread = ""
        return found

    def _sleep(self, seconds: float, progress: Callable[[], str] | None = None) -> None:
        """Wait, at most until a rollback is requested at the terminal. progress: what to log meanwhile."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0 and not self._context.terminal.rollback_requested():
            if progress is not None:
                self._progress(progress)
            time.sleep(min(left, POLL_SECONDS))

    def _progress(self, text: Callable[[], str]) -> None:
        """Log how far the wait is, every LOG_EVERY seconds."""
        if time.monotonic() - self._logged_at >= LOG_EVERY:
            self._logged_at = time.monotonic()
            self._context.log(text())


def _reasons(result: Mapping[str, t.Any]) -> str:
    return "; ".join(str(one) for one in result.get("reasons") or ())
