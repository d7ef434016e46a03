# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lock of a rollout: a Lease with a holder and an expiry, which is taken over when the holder is dead.

All times are the API server's, so the clocks of controllers need not agree.
"""

from __future__ import annotations

import copy
import datetime
import getpass
import math
import multiprocessing
import os
import secrets
import socket
import typing as t
from pathlib import Path

from ..errors import Conflict, Refused
from ..kube.resources import LEASE
from ..objects.patch import guarded_patch

if t.TYPE_CHECKING:
    from ..kube.client import Cluster
    from ..objects.hosts import ServiceRef

    Object = dict[str, t.Any]

PROCESS: t.Final = "canary.meshops.io/process"
HEARTBEAT: t.Final = "canary.meshops.io/heartbeat-seconds"
"""Seconds between heartbeats (heartbeat.py). With it, a watchdog need not wait until the Lease expires."""
MANAGED: t.Final = {"app.kubernetes.io/managed-by": "meshops.canary"}
TRIES: t.Final = 3
_FORMAT: t.Final = "%Y-%m-%dT%H:%M:%S.%fZ"
_PROC: t.Final = Path("/proc")
RUN: t.Final = "MESHOPS_CANARY_RUN"
"""Environment variable with `this_run` of the playbook, which the action gives to its own work and to the module."""


class LockHeld(Refused):
    """Another holder has the lock."""

    code = "held"


class Lease:
    """The Lease `canary-SERVICE`. identity: the holder to be, None for that of the run.

    seconds: lease duration without a renewal. run: see `this_run`.

    until: when it expires, as text. took_over_from: the previous holder, which is dead or expired; empty without one.
    """

    def __init__(
        self,
        cluster: Cluster,
        service: ServiceRef,
        seconds: int,
        identity: str | None,
        *,
        run: str = "",
    ) -> None:
        self._cluster, self._namespace, self._seconds = cluster, service.namespace, seconds
        self._service = service
        self.name = _name(service)
        self.identity, self._process = (identity, "") if identity else holder_identity(run)
        self.until = ""
        self.took_over_from = ""
        self.newly_taken = False

    def extend_to(self, seconds: float) -> None:
        """Set the minimum lease duration from the next renewal on."""
        self._seconds = max(self._seconds, math.ceil(seconds))

    def is_ours_now(self) -> bool:
        """Return whether this run still holds the lock."""
        found = self._cluster.get(LEASE, self._namespace, self.name)
        return found is not None and self._is_ours(found)

    def seconds_since_renewal(self) -> float | None:
        """Return how long ago an earlier task of this playbook renewed the lock; None if this playbook has it not."""
        found = self._cluster.get(LEASE, self._namespace, self.name)
        if found is None or not self._is_ours(found):
            return None
        ends = _expiry(found)
        self.until = "" if ends is None else _short(ends)
        seconds = int((found.get("spec") or {}).get("leaseDurationSeconds") or 0)
        return math.inf if ends is None else seconds - (ends - self.now()).total_seconds()

    def take(self, *, by_force: bool = False, heartbeat: bool = True) -> None:
        """Take or renew the lock. Raises LockHeld if another holder has it, Conflict after repeated write conflicts.

        by_force: also from a living holder, which finds out when it writes its next record. heartbeat: False if no
        heartbeats follow for now.
        """
        for _attempt in range(TRIES):
            found = self._cluster.get(LEASE, self._namespace, self.name)
            now = self.now()
            mine = found is not None and self._is_ours(found)
            if found is not None and not mine:
                self._refuse_if_held(found, now, by_force=by_force)
            try:
                self._write(found, now, mine=mine, heartbeat=heartbeat)
            except Conflict:
                continue
            self.newly_taken = self.newly_taken or not mine
            return
        raise Conflict(
            f"Conflict: the Lease {self._namespace}/{self.name} was changed {TRIES} times while this task tried to "
            "take it. Another rollout of this service starts at the same time. Run again to see its holder."
        )

    def release(self) -> bool:
        """Release the lock if it is ours; return whether it was. The Lease stays, without a holder."""
        for attempt in range(TRIES):
            found = self._cluster.get(LEASE, self._namespace, self.name)
            if found is None or not self._is_ours(found):
                return False
            after = copy.deepcopy(found)
            after["spec"].update(holderIdentity="", leaseDurationSeconds=1, renewTime=timestamp(self.now()))
            for annotation in (PROCESS, HEARTBEAT):
                (after["metadata"].get("annotations") or {}).pop(annotation, None)
            try:
                self._cluster.patch(LEASE, self._namespace, self.name, guarded_patch(found, after), after=after)
            except Conflict:  # a heartbeat in between
                if attempt == TRIES - 1:
                    raise
                continue
            break
        self.until = ""
        return True

    def holder(self) -> tuple[str, str]:
        """Return the holder and the expiry of the lock; empty texts without a living holder."""
        found = self._cluster.get(LEASE, self._namespace, self.name)
        who = str(((found or {}).get("spec") or {}).get("holderIdentity") or "")
        ends = _expiry(found) if found and who else None
        if found is None or ends is None or ends <= self.now() or is_process_dead(_process_mark_of(found)):
            return "", ""
        return who, _short(ends)

    def now(self) -> datetime.datetime:
        """Return the API server's time."""
        return self._cluster.server_time or datetime.datetime.now(datetime.timezone.utc)

    def _is_ours(self, found: Object) -> bool:
        who = (found.get("spec") or {}).get("holderIdentity")
        return bool(who == self.identity and _process_mark_of(found) == self._process)

    def _refuse_if_held(self, found: Object, now: datetime.datetime, *, by_force: bool) -> None:
        spec = found.get("spec") or {}
        who, ends = spec.get("holderIdentity"), _expiry(found)
        if not who:
            return
        self.took_over_from = str(who)
        if by_force or ends is None or ends <= now or is_process_dead(_process_mark_of(found)):
            return
        raise LockHeld(
            f"{who} holds the Lease {self._namespace}/{self.name} until {_short(ends)} and renews it: another rollout "
            "of this service is running. Wait for its end, or stop it; after a stop this task can take the lock over "
            f"in {max(0, round((ends - now).total_seconds()))} s, at once if the rollout ran on this machine. If the "
            f"holder is dead: {unlock_command(self._service)}; then run again.",
            holder=str(who),
            until=_short(ends),
        )

    def _write(self, found: Object | None, now: datetime.datetime, *, mine: bool, heartbeat: bool) -> None:
        spec = dict((found or {}).get("spec") or {})
        stamp = timestamp(now)
        changes = 0 if found is None else int(spec.get("leaseTransitions") or 0) + (0 if mine else 1)
        spec.update(holderIdentity=self.identity, leaseDurationSeconds=self._seconds, renewTime=stamp)
        spec.update(leaseTransitions=changes, acquireTime=spec.get("acquireTime", stamp) if mine else stamp)
        if found is None:
            process = {"annotations": {PROCESS: self._process}} if self._process else {}
            metadata = {"name": self.name, "namespace": self._namespace, "labels": MANAGED, **process}
            body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
            self._cluster.create(LEASE, self._namespace, body)
        else:
            after = {**copy.deepcopy(found), "spec": spec}
            annotations = after["metadata"].setdefault("annotations", {})
            for annotation in (PROCESS,) if mine and heartbeat else (PROCESS, HEARTBEAT):
                annotations.pop(annotation, None)
            annotations.update({PROCESS: self._process} if self._process else {})
            self._cluster.patch(LEASE, self._namespace, self.name, guarded_patch(found, after), after=after)
        self.until = _short(now + datetime.timedelta(seconds=self._seconds))


def holder_identity(run: str) -> tuple[str, str]:
    """Return the identity of a run, and the mark of its process; empty if that is unknown.

    run: of `this_run`; without one the identity is of this task alone.
    """
    identity, _bar, process = run.rpartition("|")
    return identity or _named(secrets.token_hex(3)), process


def this_run(play_host: str = "") -> str:
    """Return the identity and the mark of the run of a playbook, whatever its program is called.

    A task runs in a worker, which is a child of the process that runs the playbook: multiprocessing knows its parent.
    So all tasks of a playbook have one identity, and two playbooks never have the same. play_host: the host of the
    play, for two hosts with one service are two rollouts of it.
    """
    creator = multiprocessing.parent_process()
    pid = os.getpid() if creator is None or creator.pid is None else creator.pid
    try:
        process = _process_mark(pid)
    except (OSError, ValueError, IndexError):  # no /proc
        process = ""
    host = f" for {play_host}" if play_host not in ("", "localhost", "127.0.0.1") else ""
    return f"{_named(pid)}{host}|{process}"


def _named(process: int | str) -> str:
    return f"{_user()}@{socket.gethostname()}/{process}"


def unlock_command(service: ServiceRef) -> str:
    """Return the command that removes the lock; a living holder loses it to the next run."""
    return f"kubectl -n {service.namespace} delete lease {_name(service)}"


def _name(service: ServiceRef) -> str:
    return f"canary-{service.name}"


def _process_mark_of(lease: Object) -> str:
    return str((lease["metadata"].get("annotations") or {}).get(PROCESS, ""))


def timestamp(moment: datetime.datetime) -> str:
    """Return a time in the format of a Lease."""
    return moment.strftime(_FORMAT)


def _expiry(lease: Object) -> datetime.datetime | None:
    spec = lease.get("spec") or {}
    try:
        renewed = datetime.datetime.fromisoformat(str(spec["renewTime"]).replace("Z", "+00:00"))
        return renewed + datetime.timedelta(seconds=int(spec["leaseDurationSeconds"]))
    except (KeyError, TypeError, ValueError):
        return None


def _short(moment: datetime.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user id without a name
        return f"uid-{os.getuid()}"


def _process_mark(pid: int) -> str:
    """Return a unique mark of the process: boot, process namespace, id and start (in ticks since the boot)."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot} {Path('/proc/self/ns/pid').readlink()} {pid} {_stat(pid)[19]}"


def _stat(pid: int) -> list[str]:
    """Return the fields of the process's status after its name, which may hold spaces: state, parent, ..."""
    return (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def is_process_dead(mark: str) -> bool:
    """Return whether the marked process has certainly ended: it had this boot and namespace, and is gone."""
    words = mark.split(" ")
    if len(words) != 4:
        return False
    try:
        here = _process_mark(os.getpid()).split(" ")[:2]
        if words[:2] != here:
            return False
        return _process_mark(int(words[2])) != mark
    except FileNotFoundError:
        return True
    except (OSError, ValueError, IndexError):
        return False
