# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lock of a rollout: a Lease that names its holder, expires, and is taken over when the holder is dead.

Time is the API server's, so clocks of controllers need not agree.
"""

from __future__ import annotations

import copy
import datetime
import getpass
import math
import os
import secrets
import socket
import typing as t
from pathlib import Path

from ..cluster_resources import LEASE
from ..errors import Conflict, Refused
from ..routes.patch import guarded_patch

if t.TYPE_CHECKING:
    from ..cluster import Cluster
    from ..routes.hosts import ServiceRef

    Object = dict[str, t.Any]

PROCESS: t.Final = "canary.meshops.io/process"
BEATS: t.Final = "canary.meshops.io/beats"
"""Set by a heart (run_heart.py): seconds between its beats. Who watches need not wait for the whole Lease then."""
MANAGED: t.Final = {"app.kubernetes.io/managed-by": "meshops.canary"}
TRIES: t.Final = 3
_FORMAT: t.Final = "%Y-%m-%dT%H:%M:%S.%fZ"
_PROC: t.Final = Path("/proc")
_RUNNERS: t.Final = frozenset({"ansible", "ansible-playbook", "ansible-pull", "ansible-console"})


played_host = ""
"""The host of the play, set by the action plugins: two hosts with one service are two rollouts of it."""


class Held(Refused):
    """Somebody else has the lock."""

    code = "held"


class Lease:
    """The Lease `canary-SERVICE`. identity: who we are. seconds: how long it is ours without being renewed.

    until: when it ends, as text. took_over_from: who had it before and let it expire or died, empty for nobody.
    """

    def __init__(self, cluster: Cluster, service: ServiceRef, seconds: int, identity: str | None) -> None:
        self._cluster, self._namespace, self._seconds = cluster, service.namespace, seconds
        self._service = service
        self.name = _name(service)
        self.identity, self._process = (identity, "") if identity else whoever()
        self.until = ""
        self.took_over_from = ""
        self.newly_taken = False

    def outlast(self, seconds: float) -> None:
        """Let the lock last so long at least from its next renewal on."""
        self._seconds = max(self._seconds, math.ceil(seconds))

    def take(self, *, by_force: bool = False) -> None:
        """Take or renew the lock. Raises Held if somebody else has it, Conflict if it cannot be settled.

        by_force: from a living holder too, who then finds it lost at his next record.
        """
        for _again in range(TRIES):
            found = self._cluster.get(LEASE, self._namespace, self.name)
            now = self.now()
            mine = found is not None and self._is_ours(found)
            if found is not None and not mine:
                self._refuse_if_held(found, now, by_force=by_force)
            try:
                self._write(found, now, mine=mine)
            except Conflict:
                continue
            self.newly_taken = self.newly_taken or not mine
            return
        raise Conflict(
            f"The Lease {self._namespace}/{self.name} was changed by somebody else each time it was to be taken. "
            "Another rollout of this service begins at the same moment; run again to see whose it is."
        )

    def release(self) -> bool:
        """Give the lock back if it is ours; return whether it was. The Lease stays, as an empty one."""
        for again in range(TRIES):
            found = self._cluster.get(LEASE, self._namespace, self.name)
            if found is None or not self._is_ours(found):
                return False
            after = copy.deepcopy(found)
            after["spec"].update(holderIdentity="", leaseDurationSeconds=1, renewTime=stamp_of(self.now()))
            for mark in (PROCESS, BEATS):
                (after["metadata"].get("annotations") or {}).pop(mark, None)
            try:
                self._cluster.patch(LEASE, self._namespace, self.name, guarded_patch(found, after))
            except Conflict:  # a heart beat in between
                if again == TRIES - 1:
                    raise
                continue
            break
        self.until = ""
        return True

    def holder(self) -> tuple[str, str]:
        """Return who has the lock and until when, empty texts if nobody, or only somebody who is dead."""
        found = self._cluster.get(LEASE, self._namespace, self.name)
        who = str(((found or {}).get("spec") or {}).get("holderIdentity") or "")
        ends = _expiry(found) if found and who else None
        if found is None or ends is None or ends <= self.now() or is_dead(_mark_of(found)):
            return "", ""
        return who, _short(ends)

    def now(self) -> datetime.datetime:
        """Return the API server's time."""
        return self._cluster.server_time or datetime.datetime.now(datetime.timezone.utc)

    def _is_ours(self, found: Object) -> bool:
        who = (found.get("spec") or {}).get("holderIdentity")
        return bool(who == self.identity and _mark_of(found) == self._process)

    def _refuse_if_held(self, found: Object, now: datetime.datetime, *, by_force: bool) -> None:
        spec = found.get("spec") or {}
        who, ends = spec.get("holderIdentity"), _expiry(found)
        if not who:
            return
        self.took_over_from = str(who)
        if by_force or ends is None or ends <= now or is_dead(_mark_of(found)):
            return
        raise Held(
            f"{who} holds the Lease {self._namespace}/{self.name} until {_short(ends)} and renews it while it works: "
            f"another rollout of this service is running. Let it end or stop it; a stopped one is taken over "
            f"{max(0, round((ends - now).total_seconds()))} s from now, at once if it ran on this machine. If it is "
            f"dead for good: {unlocked(self._service)}; then run again.",
            holder=str(who),
            until=_short(ends),
        )

    def _write(self, found: Object | None, now: datetime.datetime, *, mine: bool) -> None:
        spec = dict((found or {}).get("spec") or {})
        stamp = stamp_of(now)
        changes = 0 if found is None else int(spec.get("leaseTransitions") or 0) + (0 if mine else 1)
        spec.update(holderIdentity=self.identity, leaseDurationSeconds=self._seconds, renewTime=stamp)
        spec.update(leaseTransitions=changes, acquireTime=spec.get("acquireTime", stamp) if mine else stamp)
        if found is None:
            annotations = {"annotations": {PROCESS: self._process}} if self._process else {}
            metadata = {"name": self.name, "namespace": self._namespace, "labels": MANAGED, **annotations}
            body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
            self._cluster.create(LEASE, self._namespace, body)
        else:
            after = {**copy.deepcopy(found), "spec": spec}
            kept = after["metadata"].setdefault("annotations", {})
            for mark in (PROCESS,) if mine else (PROCESS, BEATS):
                kept.pop(mark, None)
            kept.update({PROCESS: self._process} if self._process else {})
            self._cluster.patch(LEASE, self._namespace, self.name, guarded_patch(found, after))
        self.until = _short(now + datetime.timedelta(seconds=self._seconds))


def whoever() -> tuple[str, str]:
    """Return who runs this task, and the mark of the process that runs the playbook; empty where that is not known."""
    pid, process = _runner()
    host = f" for {played_host}" if played_host not in ("", "localhost", "127.0.0.1") else ""
    return f"{_user()}@{socket.gethostname()}/{pid or secrets.token_hex(3)}{host}", process


def sees_processes() -> bool:
    """Return whether this system tells of its processes, so that whoever runs a task can be found among them."""
    return (_PROC / "self").exists()


def unlocked(service: ServiceRef) -> str:
    """Return the command that takes the lock from whoever has it; one who lives loses it to whoever is next."""
    return f"kubectl -n {service.namespace} delete lease {_name(service)}"


def _name(service: ServiceRef) -> str:
    return f"canary-{service.name}"


def _mark_of(lease: Object) -> str:
    return str((lease["metadata"].get("annotations") or {}).get(PROCESS, ""))


def stamp_of(moment: datetime.datetime) -> str:
    """Return a time as a Lease has it."""
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


def _runner() -> tuple[int, str]:
    """Return the process that runs the playbook, with its mark; (0, "") where that is not known.

    A task runs in a short-lived child, so the outermost ansible among its ancestors is meant. Where processes are not
    told, an action plugin's parent is the playbook; for a module the action says who runs it.
    """
    if not sees_processes():
        return os.getppid(), ""
    pid, found = os.getpid(), 0
    try:
        while pid > 0:  # in a container the playbook itself may be the first process
            words = (_PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if {Path(word).name for word in words[:3]} & _RUNNERS:
                found = pid
            pid = int(_stat(pid)[1])
    except (OSError, ValueError, IndexError):
        pass  # an ancestor of somebody else's, hidden from us: ours are below it
    try:
        return (found, _mark(found)) if found else (0, "")
    except (OSError, ValueError, IndexError):
        return 0, ""


def _mark(pid: int) -> str:
    """Return what no other process has: boot, process namespace, id and start (in ticks since the boot)."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot} {Path('/proc/self/ns/pid').readlink()} {pid} {_stat(pid)[19]}"


def _stat(pid: int) -> list[str]:
    """Return the fields of the process's status after its name, which may hold spaces: state, parent, ..."""
    return (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def is_dead(mark: str) -> bool:
    """Return whether the marked process certainly is no more: it was of this boot and namespace, and is gone."""
    words = mark.split(" ")
    if len(words) != 4:
        return False
    try:
        here = _mark(os.getpid()).split(" ")[:2]
        if words[:2] != here:
            return False
        return _mark(int(words[2])) != mark
    except FileNotFoundError:
        return True
    except (OSError, ValueError, IndexError):
        return False
