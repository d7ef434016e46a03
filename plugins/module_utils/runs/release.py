# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A release in one cluster: its services go in step to the new versions, or all of them go back.

What comes next is in release/in_step.py. A call goes on where the last one ended, also after a kill: what each service
has reached is in its own record, and the release's record only says whether a way back was decided.
"""

from __future__ import annotations

import typing as t

from ..errors import ApiError, CanaryError, Conflict, Interrupted, NotPromoted, Refused
from ..release import in_step
from ..task.context import ROLLBACK_NOTE
from ..task.interrupts import Interrupts, Stop
from . import release_window
from .lock import LockHeld
from .member import FAILED, Outcome
from .together import Together, staggered

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..release.data import Release
    from ..release.record import ReleaseRecord
    from ..task.context import Context
    from .member import Member
    from .release_store import ReleaseStore

    Result = dict[str, t.Any]

STAGGER_SECONDS: t.Final = 10.0
"""How long the way back of a caller may delay that of its callee."""
BACK_SECONDS: t.Final = 300.0
UNREACHABLE_SECONDS: t.Final = 30.0
"""How long the way back tries in a cluster whose API server does not answer: other clusters wait for the end of it."""


class ReleaseRun:
    """One task. members: the services, callees before callers. store: of the release's record.

    outside_window: whether to go on although the windows of the release are closed.
    """

    def __init__(
        self,
        release: Release,
        members: Sequence[Member],
        store: ReleaseStore,
        context: Context,
        *,
        wave: str = "",
        outside_window: bool = False,
    ) -> None:
        self._release, self._members, self._store = release, list(members), store
        self._context, self._wave, self._outside_window = context, wave, outside_window
        self._by_key = {one.key: one for one in members}
        self.together = Together(context.terminal.rollback_requested)
        self._interrupts = Interrupts()
        self._outcomes: dict[str, Outcome] = {}
        self._recorded = False
        self._warnings: list[str] = []

    @property
    def changed(self) -> bool:
        """Return whether the task has written something so far."""
        return self._recorded or any(one.changed for one in self._members)

    @property
    def warnings(self) -> list[str]:
        """Return the warnings for the result."""
        return [*self._warnings, *(warning for one in self._members for warning in one.warnings)]

    def shift(self, *, one_step: bool = False) -> Result:
        """Give the new versions all requests; their old pods stay. Raises CanaryError, NotPromoted after a rollback.

        one_step: return when all services have passed the present step.
        """
        try:
            with self._interrupts.handled():
                return self._shift(one_step=one_step)
        except Stop as stop:
            self.together.stop(stop.name)
            raise self._interrupted(stop) from None
        finally:
            self._context.terminal.announce(None)

    def _shift(self, *, one_step: bool) -> Result:
        before = self._store.read()
        if before is not None and before.phase == "rolling_back":
            self._go_back("its way back was decided, and had not ended")
        self.check_window(before)
        names = {"service": f"release {self._release.name}", "stable": "the old versions", "canary": "the new versions"}
        self._context.terminal.announce(names)
        self._open()
        if (
            before is not None
            and before.phase == "finished"
            and in_step.next_move(self._positions(), self._order) is None
        ):
            return self.result("")
        self._record("shifting", "resumed" if before else "opened", rollouts=self._rollouts())
        begun_at = in_step.furthest_behind(self._positions())
        while (move := in_step.next_move(self._positions(), self._order)) is not None:
            works = {key: self._moving(key, self._by_key[key].advance) for key in move.services}
            self.together.run(works, one_by_one=move.one_by_one)
            self._go_back_after_a_failure()
            if one_step and in_step.step_is_complete(self._positions(), begun_at):
                return self.result("step")
        for one in self._members:
            one.release()
        self._record("shifted", "all requests are on the new versions")
        return self.result("")

    def check_window(self, record: ReleaseRecord | None) -> None:
        """Release the locks and raise OutsideWindow if the release may not go on now. record: that of the release."""
        if self._outside_window or (record is not None and record.phase in ("rolling_back", "finished")):
            return
        try:
            release_window.check(self._release, self._store.now())
        except release_window.OutsideWindow as error:
            if self._context.check_mode:
                self._warnings.append(error.msg)
                return
            for one in self._members:
                one.release()
            raise

    def _open(self) -> None:
        """Begin or resume every rollout. Where one is refused nothing begins, and what goes on is left as it is."""
        self.together.run({one.key: self._moving(one.key, one.resume) for one in self._members})
        refused = self.together.first_failure()
        if refused is None:
            self._go_back_after_a_failure()
            return
        begun = [one for one in self._members if one.is_new]
        for one in self._members:
            if one.result and not one.is_new:
                one.release()
        if begun:
            self._roll_back(begun, f"{refused[0]} was refused")
        key, error = refused
        if not isinstance(error, CanaryError):
            raise error
        error.msg = f"{key}: {error.msg}"
        if isinstance(error, LockHeld):
            error.msg += " Another run of this release, or a rollout of this service, is at work; it was left alone."
        raise error

    def _moving(self, key: str, work: Callable[[], None]) -> Callable[[], None]:
        """Return the work that moves a service on, and ends the waits of the others if it has failed."""

        def move() -> None:
            work()
            if not self._by_key[key].is_on_its_way:
                self.together.end()

        return move

    def _go_back_after_a_failure(self) -> None:
        """Roll all services back if one has failed, if that was requested, or if one was ended by others."""
        failed = [one for one in self._members if one.key not in self.together.failures and not one.is_on_its_way]
        if not failed and not self.together.ended:
            return
        self.together.end()
        first = self.together.first_failure()
        if first is not None and not isinstance(first[1], CanaryError):
            self._warnings.append(f"{first[0]}: {first[1]}")
        reasons = [f"{one.key}: {one.result['run']['reason']}" for one in failed]
        reasons += [f"{key}: {getattr(error, 'msg', error)}" for key, error in self.together.failures.items()]
        self._go_back("; ".join(reasons) or ROLLBACK_NOTE)

    def _go_back(self, reason: str) -> t.NoReturn:
        """Roll all services back. Raises NotPromoted."""
        self._context.terminal.announce(None)
        self._tell(f"All services go back: {reason}")
        complete = self._roll_back(self._members, reason)
        end = "All services are back on their stable versions" if complete else "NOT all services could be rolled back"
        details = {**self._details(reason), "rolled_back": complete}
        raise NotPromoted(f"{self._named} was not promoted. {end}. Reason: {reason}", **details)

    def roll_back(self, note: str, *, also_promoted: bool = False) -> Result:
        """Roll all services back, from any state; see Member.roll_back. Raises NotPromoted if one could not be."""
        reason = note or "requested"
        if self._context.check_mode:
            for one in in_step.callers_first(self._order):
                self._back(self._by_key[one], reason, also_promoted)
            return self.result("")
        complete = self._roll_back(self._members, reason, also_promoted=also_promoted)
        if complete:
            return self.result("")
        raise NotPromoted(
            f"{self._named}: not all services could be rolled back. Run the same again.", **self._details(reason)
        )

    def _roll_back(self, members: Sequence[Member], reason: str, *, also_promoted: bool = False) -> bool:
        """Roll services back, callers first; return whether all are back. One that hangs does not delay the others."""
        keys = in_step.callers_first([one.key for one in members])
        works = {key: self._work_back(self._by_key[key], reason, also_promoted) for key in keys}
        seconds = UNREACHABLE_SECONDS if self._cannot_be_reached else BACK_SECONDS
        recorded = {"record": lambda: self._record("rolling_back", reason, strictly=False)}
        for key in staggered({**recorded, **works}, seconds=STAGGER_SECONDS, at_most=seconds) - recorded.keys():
            self._outcomes[key] = Outcome(FAILED, f"it was not back after {seconds:g} s")
        complete = all(one.result != FAILED for one in self._outcomes.values())
        if complete:
            self._record("rolled_back", reason, strictly=False)
        return complete

    @property
    def _cannot_be_reached(self) -> bool:
        """Return whether the API server has not answered the request of a service that has failed."""
        failures = self.together.failures.values()
        return any(isinstance(one, ApiError) and one.status is None for one in failures)

    def _work_back(self, member: Member, reason: str, also_promoted: bool) -> Callable[[], None]:
        return lambda: self._back(member, reason, also_promoted)

    def _back(self, member: Member, reason: str, also_promoted: bool) -> None:
        note = f"{self._named}: {reason}"
        try:
            outcome = member.roll_back(note, also_promoted=also_promoted)
        except CanaryError as error:
            outcome = Outcome(FAILED, error.msg, member.changed)
        except Exception as error:  # a defect in one service must not keep the others on the new version
            outcome = Outcome(FAILED, f"unexpected {type(error).__name__}: {error}", member.changed)
        self._outcomes[member.key] = outcome
        member.warnings += [one for one in outcome.warnings if one not in member.warnings]
        self._tell(f"{member.key}: {outcome.result.replace('_', ' ')}: {outcome.msg}")

    def finish(self, *, early: bool = False) -> Result:
        """Remove the old pods of all services as old_replicas says. Raises Refused before anything is written.

        early: also before keep_old has passed.
        """
        record = self._store.read()
        left = 0.0 if record is None else record.since + self._release.keep_old - self._store.now()
        if record is not None and record.phase == "shifted" and left > 0 and not early:
            raise Refused(
                f"{self._named}: keep_old lasts for another {left:.0f} s, so the old pods stay. Run release_finish "
                "later, or with -e release_finish_early=true (early: true)."
            )
        problems = [f"{one.key}: {why}" for one in self._members if (why := one.check_finished())]
        if problems:
            raise Refused(
                f"{self._named} cannot be finished, nothing was written: {'; '.join(problems)}. Run the playbook "
                "release first; it goes on where it stands."
            )
        self.check_window(record)
        if self._context.check_mode:
            return self.result("")
        if record is None or record.phase != "finished":
            self._record("finishing", "the old pods may go")
        self.together.run({key: self._by_key[key].finish for key in self._order})
        left_over = [f"{key}: {getattr(error, 'msg', error)}" for key, error in self.together.failures.items()]
        for one in self._members:
            run = one.result.get("run") or {}
            if one.key not in self.together.failures and run.get("phase") != "promoted":
                left_over.append(f"{one.key}: {run.get('phase')}: {run.get('reason')}")
        if left_over:
            raise NotPromoted(
                f"{self._named}: all requests are on the new versions, but not everything is finished: "
                f"{'; '.join(left_over)}. Run release_finish again once the cause is fixed.",
                **self._details("not finished"),
            )
        self._record("finished", "promoted")
        return self.result("")

    def result(self, following: str, reason: str = "") -> Result:
        """Return the task's result. following: `step` if the same call goes on with the next step."""
        return {
            "next": following,
            "services": self._services(),
            "record_digests": {one.key: one.digest for one in self._members} if following else {},
            "reason": reason,
            "changed": self.changed,
        }

    def _services(self) -> list[Result]:
        found = []
        for one in self._members:
            run, outcome = one.result.get("run") or {}, self._outcomes.get(one.key)
            phase = "shifted" if one.result.get("next") == "on_promote" else str(run.get("phase") or "")
            entry = one.entry
            found.append(
                {
                    "service": entry.service,
                    "namespace": entry.namespace,
                    "stable": entry.stable,
                    "canary": entry.canary,
                    "result": outcome.result if outcome else phase,
                    "msg": outcome.msg if outcome else str(one.result.get("msg") or ""),
                    "rollout": str(run.get("id") or ""),
                    "step": int(run.get("at", -1)) + 1,
                }
            )
        return found

    def _details(self, reason: str) -> Result:
        return {key: value for key, value in self.result("", reason).items() if key != "msg"}

    def _record(
        self, phase: t.Any, reason: str, *, rollouts: Mapping[str, str] | None = None, strictly: bool = True
    ) -> None:
        """Write the release's record. strictly: False where the way back must not depend on it."""
        if self._context.check_mode:
            return
        try:
            written = self._store.write(phase, reason, wave=self._wave, rollouts=dict(rollouts or {}))
            self._recorded = self._recorded or written
        except CanaryError as error:
            if strictly and not isinstance(error, Conflict):
                raise
            self._warnings.append(f"{self._store.object} could not be written: {error.msg}")

    def _rollouts(self) -> dict[str, str]:
        return {one.key: str(one.result["run"]["id"]) for one in self._members if one.result.get("run")}

    def _positions(self) -> dict[str, in_step.Position]:
        return {one.key: one.position for one in self._members}

    @property
    def _order(self) -> list[str]:
        return [one.key for one in self._members]

    @property
    def _named(self) -> str:
        ticket = f" ({self._release.ticket})" if self._release.ticket else ""
        return f"Release {self._release.name}{ticket}"

    def _tell(self, sentence: str) -> None:
        self._context.show("canary_release", {"text": sentence})

    def _interrupted(self, stop: Stop) -> Interrupted:
        for one in self._members:
            if one.result:
                one.release()
        return Interrupted(
            f"Stopped by {stop.name}. {self._named} stays where it is. Run the same again to go on, or the playbook "
            "release_rollback.",
            **self._details(f"stopped by {stop.name}"),
        )
