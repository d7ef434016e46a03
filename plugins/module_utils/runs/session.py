# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One task's hold on a rollout: takes the lock, begins or resumes the record, applies events to it, and writes it.

Events are applied in memory and written together before the next action that changes anything, so a step without pause
and analysis costs one write of the record. A run that is killed before that write has done nothing since the last one.
"""

from __future__ import annotations

import copy
import time
import typing as t
from dataclasses import replace

from ..errors import ApiError, CanaryError, Conflict, InvalidInput, Refused
from ..rollout import state_machine, transitions
from ..rollout.plan_text import plan_lines
from . import report
from .events import RunEvents
from .lock import Lease, LockHeld
from .opening import Opening
from .plan_from_options import plan_from_options
from .record_store import RolloutOver, RunStore, Superseded, missing_record, plan_of
from .watchdog import Watchdog

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..kube.client import Cluster
    from ..objects.hosts import ServiceRef
    from ..rollout.record import Run
    from ..rollout.steps import Rollout
    from ..task.context import Context
    from .record_store import Stored

    Result = dict[str, t.Any]
    Entry = dict[str, t.Any]

LOST: t.Final = frozenset({LockHeld.code, Superseded.code, RolloutOver.code})
"""Codes of errors after which the rollout is another run's."""
RENEW_AFTER: t.Final = 10.0
"""Seconds after which the lock is renewed with the next write; it lasts at least as long as the longest wait."""


class Session:
    """The rollout of one service during one task. resumed: whether an unfinished one was found.

    continued: whether an earlier task of the same playbook holds it. drift: description of the change that was found.
    """

    def __init__(
        self, cluster: Cluster, service: ServiceRef, lease: Lease, params: Mapping[str, t.Any], context: Context
    ) -> None:
        self._cluster, self._service, self._lease = cluster, service, lease
        self._params, self._context = params, context
        self.store = RunStore(cluster, service, params.get("record_key") or "")
        self._watchdog = Watchdog(cluster, service, params, lease.name, self.store.name)
        self._events = RunEvents(cluster, service, lease, params)
        self._stored: Stored | None = None
        self._unwritten: list[Entry] = []
        self._notes: list[str] = []
        self._dirty = False
        self._renewed = 0.0
        self.resumed = self.continued = self.changed = False
        self.drift = ""
        self.diff: dict[str, str] | None = None

    @property
    def warnings(self) -> list[str]:
        """Return the warnings for the result."""
        return [*self._notes, *self._watchdog.warnings, *self._events.warnings]

    @property
    def stored(self) -> Stored:
        """Return the record. Raises InvalidInput without one."""
        if self._stored is None:
            raise missing_record(self.store, self._service)
        return self._stored

    @property
    def run(self) -> Run:
        """Return the state of the rollout."""
        return self.stored.run

    @property
    def rollout(self) -> Rollout:
        """Return the plan of the rollout."""
        return self.stored.rollout

    @property
    def idle_versions(self) -> tuple[str, ...]:
        """Return the versions whose pods are removed at the end."""
        return tuple(report.idle_versions(self.stored))

    def begin(
        self,
        before_begin: Callable[[Rollout], None] = lambda _rollout: None,
        before_new: Callable[[], None] = lambda: None,
    ) -> None:
        """Take the lock, and begin the rollout, resume it, or continue what an earlier task of this playbook began.

        before_begin: validates a rollout that is not continued. before_new: validates the first changes of a new one.
        Both come before lock and record. In check mode nothing is taken and nothing written.
        Raises CanaryError; a lock taken just now is released again.
        """
        rollout = plan_from_options(self._service, self._params)
        if not self._context.check_mode and self._continue(rollout):
            return
        before_begin(rollout)
        opening = Opening(self._cluster, self._service, self._params, self._context.terminal, rollout)
        self.diff = opening.diff()
        before = self.store.read()
        is_new = opening.begins(before)
        if is_new or self._context.check_mode:
            self._stored, self.resumed, self.drift = opening.decide(before, self.now())
            self._notes += opening.warnings
        if is_new:
            self._rehearse(before_new)
        if self._context.check_mode:
            return
        try:
            self._open(opening)
        except CanaryError:
            if self._lease.newly_taken:
                self._lease.release()
            raise

    def _rehearse(self, before_new: Callable[[], None]) -> None:
        """Validate the first changes of the run that would begin; without check mode it is forgotten again."""
        try:
            before_new()
        finally:
            if not self._context.check_mode:
                self._stored, self.resumed, self.drift = None, False, ""

    def _continue(self, rollout: Rollout) -> bool:
        """Go on with the record if an earlier task of this playbook holds the lock; return whether it does."""
        digest, renewed = self._params["record_digest"], self._lease.seconds_since_renewal()
        found = None if renewed is None and not digest else self.store.read()
        if found is not None and found.run.over and digest.split(".")[0] == found.run.id:
            raise self._over_by_another(found)
        if renewed is None or found is None or found.run.over or plan_of(found.rollout) != plan_of(rollout):
            return False
        if found.returned and not digest:
            raise InvalidInput(
                "record_digest: an earlier task of this playbook returned early, and this one continues. Give it the "
                "earlier result's record_digest, which proves that nobody has changed the record in between."
            )
        if digest != self.store.digest(found):
            return False
        found.rollout = rollout
        self._stored, self.continued = found, True
        self._lease.extend_to(transitions.longest_wait(rollout))
        if renewed > RENEW_AFTER:
            self._renew(by_force=False)
        else:
            self._renewed = time.monotonic() - renewed
        return True

    def _open(self, opening: Opening) -> None:
        by_force = opening.can_supersede(self.store.read())
        self._lease.extend_to(transitions.longest_wait(opening.rollout))
        self._renew(by_force=by_force)
        if self._lease.took_over_from and self._lease.newly_taken:
            self._context.log(f"Taking over the lock from {self._lease.took_over_from}")
        before = self.store.read()
        if by_force and not opening.can_supersede(before):
            raise Conflict("Conflict: the rollout to supersede has continued in the meantime. Run again.")
        previous = copy.copy(before)
        self._stored, self.resumed, self.drift = opening.decide(before, self.now())
        if self.run.over:
            return
        if self.resumed and self._params.get("record_key") and not self.stored.signed:
            self._notes.append(
                f"{self.store.object} is not signed with record_key: somebody else changed it, or an earlier run had "
                "no key. It was believed as far as the routes prove it."
            )
        event, note = "resumed" if self.resumed else "opened", self._params["note"]
        if self.drift:
            event, note = "drift", f"{self._params['on_drift']}: {self.drift}"
        if before is not None and not before.run.over and not self.resumed:
            self._supersede(before, self.stored)
        self.stored.returned = None  # tasks of the user that a killed run has not finished run again
        run = self.run
        entry = {"event": event, "from": "", "to": run.phase, "step": run.at, "reason": run.reason}
        self._events.add(self.stored, [{**entry, "plan": run.plan_hash}], note)
        self._watchdog.assign_job(self.stored)
        self.store.write(self.stored)
        self.changed = True
        self._watchdog.create_job(self.stored, previous)
        self._events.write_events(self.stored, [{**entry, "reason": note or plan_lines(self.rollout)[0]}])

    @property
    def signed(self) -> bool:
        """Return whether the record was read with a valid signature by record_key."""
        return self._stored is not None and self._stored.signed

    def load(self) -> None:
        """Read the record. Raises InvalidInput without one."""
        self._stored = self.store.read()
        if self._stored is None:
            raise missing_record(self.store, self._service)

    def apply(
        self, event: state_machine.Event, verdict: Mapping[str, t.Any] | None = None, note: str = "", failed: int = 0
    ) -> str:
        """Apply an event; it is written with the next `save`. Returns the description of drift that was found instead.

        failed: requests of the canary that failed after its last verdict.
        Raises InvalidInput and RolloutOver for an event that is not possible, CanaryError if drift cannot be read.
        """
        entries, drift = self._events.apply_event(self.stored, event, verdict, note, failed)
        self._unwritten += entries
        self._dirty = True
        self.drift = drift or self.drift
        return drift

    def note_paused(self, objects: Iterable[str]) -> None:
        """Record for which objects a GitOps tool is about to be paused; written with the next `save`."""
        found = tuple(dict.fromkeys([*self.stored.paused, *objects]))
        self._dirty |= found != self.stored.paused
        self.stored.paused = found

    def forget_routes(self) -> None:
        """Read the routes again before the next event: they may have been changed since."""
        self._events.forget_state()

    def return_to_playbook(self, point: str, verdict: Mapping[str, t.Any] | None = None) -> None:
        """Record that the playbook runs tasks of its own now; written with the next `save`."""
        self.stored.returned = {"at": point, "verdict": dict(verdict or {})}
        self._dirty = True

    @property
    def digest(self) -> str:
        """Return what the next task of this playbook proves the record with."""
        return self.store.digest(self.stored)

    def take_back(self) -> tuple[str, dict[str, t.Any]]:
        """Return the point at which the playbook had control, and the verdict until then; empty without one."""
        returned, self.stored.returned = self.stored.returned or {}, None
        return str(returned.get("at") or ""), dict(returned.get("verdict") or {})

    def save(self) -> bool:
        """Write what was applied; return whether there was anything. Raises LockHeld, Superseded, RolloutOver, ..."""
        if not self._dirty:
            return False
        if time.monotonic() - self._renewed > RENEW_AFTER:
            self._renew(by_force=False)
        self._watchdog.update_instructions(self.stored)
        try:
            self.store.write(self.stored)
        except (Conflict, ApiError) as error:
            raise self._explained(error) from error
        entries, self._unwritten, self._dirty, self.changed = self._unwritten, [], False, True
        self._events.write_events(self.stored, entries)
        return True

    def abort(self, note: str) -> bool:
        """Take the lock, also from a living holder, and start the rollback; return False if nothing can be aborted."""
        self._stored = self.store.read()
        if not _unfinished(self._stored):
            return False
        if not self._context.check_mode:
            self._renew(by_force=True)
            self.load()
        if not _unfinished(self.stored):  # it has ended in the meantime
            self.release()
            return False
        self.apply("abort", note=note)
        if not self._context.check_mode:
            self.save()
        return True

    def release(self) -> bool:
        """Release the lock, and remove the watchdog of a rollout that has ended; return whether the lock was ours."""
        released = self._lease.release()
        if self._stored is not None:
            self._watchdog.remove_job(self.stored)
        return released

    def wait_for_watchdog(self) -> None:
        """Wait until the watchdog runs: a Job whose image cannot be pulled would protect nothing. Raises NotReady."""
        if self.stored.watchdog:
            self._watchdog.wait_until_ready(self.stored.watchdog["job"])

    def suspend_heartbeat(self) -> None:
        """Let a watchdog wait as long as the lock lasts: the playbook runs tasks of its own now."""
        if self.stored.watchdog:
            self._lease.take(heartbeat=False)

    def now(self) -> float:
        """Return the API server's time, in Unix seconds."""
        return self._events.now()

    def result(self) -> Result:
        """Return the keys that every state returns."""
        if self._stored is None:
            return report.empty_result(self._service)
        holder = (self._lease.identity, self._lease.until) if self._lease.until else self._lease.holder()
        return report.result(self.stored, holder, self.now(), drift=self.drift, resumed=self.resumed)

    def full_report(self) -> Result:
        """Return the report with plan, audit log and checksums."""
        return report.report(self.stored, self._params.get("record_key") or "")

    def find_drift(self) -> None:
        """Set `drift` to the difference between the record and the routes."""
        self.drift = self._events.drift(self.stored, self.run)

    def _renew(self, *, by_force: bool) -> None:
        self._lease.take(by_force=by_force)
        self._renewed = time.monotonic()

    def _supersede(self, last: Stored, by: Stored) -> None:
        """Record in the superseded run which run ended it, and keep its record with the new one."""
        reason = f"superseded by {by.run.id}"
        entry = {"event": "superseded", "from": last.run.phase, "to": "stopped", "step": last.run.at, "reason": reason}
        last.run = replace(last.run, phase="stopped", reason=reason)
        self._events.add(last, [entry])
        by.superseded, by.paused = last, last.paused

    def _explained(self, error: CanaryError) -> CanaryError:
        """Return the error for a record that somebody else has changed: the run may have lost its lock.

        Where it was deleted or made unreadable, and the lock is still ours, the next write puts ours in its place.
        """
        if isinstance(error, ApiError) and error.status != 404:
            return error
        try:
            found = self.store.read()
        except Refused as unreadable:
            return self._lost(unreadable.msg) if self._lease.is_ours_now() else error
        if found is None:
            return self._lost("it was deleted") if self._lease.is_ours_now() else error
        return self._ended(found) or error

    def look_for_others(self) -> None:
        """Read the record and raise what says that another run has ended or superseded this one.

        A read that fails, or a record that is gone, says nothing; the next write does.
        """
        try:
            found = self.store.read()
        except (ApiError, Refused):
            return
        ended = None if found is None else self._ended(found)
        if ended is not None:
            raise ended

    def _ended(self, found: Stored) -> Refused | None:
        """Return the error if another run has superseded or ended this one, None if it goes on."""
        if found.run.id != self.run.id:
            return Superseded(self.run.id, found)
        return self._over_by_another(found) if found.run.over or found.run.phase == "rolling_back" else None

    def _over_by_another(self, found: Stored) -> RolloutOver:
        last = found.events[-1] if found.events else {}
        who = f", by {last['by']} at {last['at']}" if last.get("by") and last.get("at") else ""
        return RolloutOver.by_another(self._service, found, who=who)

    def _lost(self, why: str) -> CanaryError:
        """Return the error for a record that is gone; the run itself still knows everything that was in it."""
        self.stored.obj = self.store.raw()
        return RecordLost(f"The record of this rollout was lost while it ran: {why}.")


class RecordLost(CanaryError):
    """The record was deleted, or replaced by something that is none."""

    code = "record_lost"


def _unfinished(stored: Stored | None) -> bool:
    """Return whether there is a rollout that can still be rolled back."""
    return stored is not None and "abort" in state_machine.possible(stored.run.phase)
