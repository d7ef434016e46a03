# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""canary_rollout: opens, records, resumes and closes a rollout: lock, state, trail. It moves no traffic itself."""

from __future__ import annotations

import copy
import typing as t
from dataclasses import replace

from ..cluster import Cluster
from ..errors import CanaryError, Conflict, InvalidInput
from ..rollout import machine, steering
from ..rollout.plan import LONGEST_WAIT
from ..rollout.plan_text import in_lines
from . import run_heart, run_result, stopping
from .argspec import BY_PODS, CONNECTION, ArgSpec
from .dead_man import OPTIONS, DeadMan
from .lease import Lease
from .reading import service_of
from .run_events import Happenings
from .run_open import Opening
from .run_store import RunStore, Superseded, missing

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..routes.hosts import ServiceRef
    from .run_store import Stored

    Log = Callable[[str], None]

STATES: t.Final = ("opened", "recorded", "kept", "aborted", "closed", "present")
SPEC: t.Final = ArgSpec(
    {
        **CONNECTION,
        **BY_PODS,
        "state": {"type": "str", "default": "present", "choices": list(STATES)},
        "stable": {"type": "str"},
        "canary": {"type": "str"},
        "baseline": {"type": "str", "default": ""},
        "image": {"type": "str", "default": ""},
        "container": {"type": "str", "default": ""},
        "steps": {"type": "list", "elements": "raw"},
        "shape": {"type": "str", "choices": ["linear", "exponential"]},
        "start": {"type": "float"},
        "stop": {"type": "float"},
        "by": {"type": "float"},
        "pause": {"type": "float"},
        "deadline": {"type": "float"},
        "gate": {"type": "str", "choices": ["none", "timed", "manual"]},
        "gate_seconds": {"type": "float"},
        "gate_default": {"type": "str", "choices": ["rollback", "continue"]},
        "analysis": {"type": "bool"},
        "cohort": {"type": "dict"},
        "judged_by": {"type": "dict"},
        "approval": {"type": "str", "default": "annotation", "choices": ["annotation", "terminal"]},
        "keep": {"type": "dict", "default": {}},
        "adapt": {"type": "bool", "default": False},
        "on_drift": {"type": "str", "default": "stop", "choices": ["stop", "adopt", "restore"]},
        "supersede": {"type": "bool", "default": False},
        "holder": {"type": "str"},
        "lease_seconds": {"type": "int", "default": 900},
        "dead_man": {"type": "dict", "options": OPTIONS},
        "run": {"type": "str"},
        "event": {"type": "str", "choices": list(machine.EVENTS)},
        "verdict": {"type": "dict"},
        "then": {"type": "list", "elements": "str", "default": [], "choices": list(steering.BY_ITSELF)},
        "note": {"type": "str", "default": ""},
    },
    required_if=[
        ("state", "opened", ["stable", "canary"]),
        ("state", "recorded", ["event"]),
        ("state", "kept", ["holder", "dead_man"]),
    ],
    mutually_exclusive=[["steps", "shape"]],
)


def run(params: Mapping[str, t.Any], *, check_mode: bool, env: Mapping[str, str], log: Log) -> dict[str, t.Any]:
    """Do what `state` says. Raises CanaryError; a lock taken only by a task that fails is given back."""
    if not 10 <= params["lease_seconds"] <= LONGEST_WAIT:
        raise InvalidInput(f"lease_seconds must be between 10 and {LONGEST_WAIT:g}, not {params['lease_seconds']}.")
    cluster, service = Cluster.connect(params, env), service_of(params)
    lease = Lease(cluster, service, params["lease_seconds"], params["holder"])
    task = _Task(cluster, service, lease, params, check_mode=check_mode, log=log)
    try:
        result: dict[str, t.Any] = getattr(task, params["state"])()
    except CanaryError:
        if lease.newly_taken:
            lease.release()
        raise
    result.setdefault("changed", False)
    result["state"] = params["state"]
    result["api_requests"] = cluster.requests
    result["warnings"] = [*task.warnings, *cluster.warnings]
    return result


class _Task:
    """One task."""

    def __init__(
        self,
        cluster: Cluster,
        service: ServiceRef,
        lease: Lease,
        params: Mapping[str, t.Any],
        *,
        check_mode: bool,
        log: Log,
    ) -> None:
        self._cluster, self._service, self._lease, self._params = cluster, service, lease, params
        self._check_mode, self._log = check_mode, log
        self._store = RunStore(cluster, service)
        self._dead_man = DeadMan(cluster, service, params, lease.name, self._store.name)
        self._happens = Happenings(cluster, service, lease, params)

    @property
    def warnings(self) -> list[str]:
        """Return what the user should know beside the result."""
        return [*self._dead_man.warnings, *self._happens.warnings]

    def opened(self) -> dict[str, t.Any]:
        """Begin a rollout, or go on with the one that was left."""
        opening = Opening(self._cluster, self._service, self._params)
        if self._check_mode:
            stored, resumed, drift = opening.decide(self._store.read(), self._happens.now())
            told = self._told(stored, drift=drift, resumed=resumed)
            return told if stored.run.over else {**told, "changed": True, "diff": opening.diff()}
        by_force = opening.may_dislodge(self._store.read())
        self._lease.outlast(steering.longest_wait(opening.rollout))
        self._lease.take(by_force=by_force)
        if self._lease.took_over_from and self._lease.newly_taken:
            self._log(f"Taking the lock over from {self._lease.took_over_from}")
        before = self._store.read()
        if by_force and not opening.may_dislodge(before):
            raise Conflict("The rollout to be superseded has gone on in this moment. Run again.")
        last = copy.copy(before)
        stored, resumed, drift = opening.decide(before, self._happens.now())
        event, note = "resumed" if resumed else "opened", self._params["note"]
        if stored.run.over:
            return {**self._told(stored, drift=drift, resumed=resumed), "changed": False}
        if drift:
            event, note = "drift", f"{self._params['on_drift']}: {drift}"
        if before is not None and not before.run.over and not resumed:
            self._supersede(before, stored)
        entry = {"event": event, "from": "", "to": stored.run.phase, "step": stored.run.at, "reason": stored.run.reason}
        self._happens.add(stored, [{**entry, "plan": stored.run.plan_hash}], note)
        more, _drift = self._happens.by_itself(stored)
        self._dead_man.order(stored)
        self._store.write(stored)
        self._dead_man.make(stored, last)
        self._happens.announce(stored, [{**entry, "reason": note or in_lines(stored.rollout)[0]}, *more])
        return {**self._told(stored, drift=drift, resumed=resumed), "changed": True, "diff": opening.diff()}

    def recorded(self) -> dict[str, t.Any]:
        """Tell the record what happened, and be told what is next."""
        stored = self._needed()
        self._lease.outlast(steering.longest_wait(stored.rollout))
        if not self._check_mode:
            self._lease.take()  # first of all: who has lost the lock is told that, not what his event means elsewhere
        if self._params["run"] not in (None, stored.run.id):
            raise Superseded(self._params["run"], stored)
        event: machine.Event = self._params["event"]
        if stopping.asked() and stored.run.phase != "rolling_back" and "abort" in machine.possible(stored.run.phase):
            event, self._params = "abort", {**self._params, "verdict": None, "note": stopping.NOTE}
        return self._after(stored, event)

    def aborted(self) -> dict[str, t.Any]:
        """Take the lock, from a living holder too, and let the rollout go back; nothing if none is unfinished."""
        if not _unfinished(self._store.read()):
            return self.present()
        if not self._check_mode:
            self._lease.take(by_force=True)
        stored = self._needed()
        if not _unfinished(stored):  # it has come to its end in this moment
            self._lease.release()
            return self.present()
        return self._after(stored, "abort")

    def _after(self, stored: Stored, event: machine.Event) -> dict[str, t.Any]:
        """Record `event` and what follows by itself; see run_events.py."""
        trail, drift = self._happens.meet(stored, event, self._params["verdict"], self._params["note"])
        more, drift = ([], drift) if drift else self._happens.by_itself(stored)
        if self._check_mode:
            return {**self._told(stored, drift=drift), "changed": True}
        self._dead_man.tell(stored)
        self._store.write(stored)
        self._happens.announce(stored, [*trail, *more])
        return {**self._told(stored, drift=drift), "changed": True}

    def closed(self) -> dict[str, t.Any]:
        """Give the lock back and return everything for a report."""
        stored = self._asked_for(self._needed())
        released = False if self._check_mode else self._lease.release()
        if not self._check_mode:
            self._dead_man.dismiss(stored)
        return {**self._told(stored), "report": run_result.report(stored), "changed": released or self._check_mode}

    def kept(self) -> dict[str, t.Any]:
        """Renew the lock for its holder as long as the playbook lives: for an asynchronous task."""
        after = self._params["dead_man"]["after"]
        if self._check_mode:
            return {"changed": False, "beats": 0, "msg": "Check mode: no beat."}
        return run_heart.keep(self._cluster, self._lease, self._service.namespace, after, self._log)

    def present(self) -> dict[str, t.Any]:
        """Tell where the rollout stands."""
        stored = self._store.read()
        stored = stored and self._asked_for(stored)
        if stored is None:
            return run_result.nothing(self._service)
        drift = steering.drift(stored.rollout, stored.run, *self._happens.standing(stored))
        return {**self._told(stored, drift=drift), "report": run_result.report(stored)}

    def _needed(self) -> Stored:
        stored = self._store.read()
        if stored is None:
            raise missing(self._store, self._service)
        return stored

    def _asked_for(self, stored: Stored) -> Stored:
        """Return the record of the run that is asked for, which may be the one that was superseded last."""
        asked = self._params["run"]
        if asked in (None, stored.run.id):
            return stored
        if stored.superseded and stored.superseded.run.id == asked:
            return stored.superseded
        raise Superseded(asked, stored)

    def _supersede(self, last: Stored, by: Stored) -> None:
        """Let the trail of a rollout say by whom it was ended, and the next one's trail where it is kept."""
        reason = f"superseded by {by.run.id}"
        entry = {"event": "superseded", "from": last.run.phase, "to": "stopped", "step": last.run.at, "reason": reason}
        last.run = replace(last.run, phase="stopped", reason=reason)
        self._happens.add(last, [entry])
        by.superseded = last

    def _told(self, stored: Stored, *, drift: str = "", resumed: bool = False) -> dict[str, t.Any]:
        mine = (self._lease.identity, self._lease.until) if self._lease.until else self._lease.holder()
        return run_result.told(stored, mine, self._happens.now(), drift=drift, resumed=resumed)


def _unfinished(stored: Stored | None) -> bool:
    """Say whether there is a rollout that can still go back."""
    return stored is not None and "abort" in machine.possible(stored.run.phase)
