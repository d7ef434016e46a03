# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a rollout's record lies: one ConfigMap a service, written only in the state it was read in."""

from __future__ import annotations

import copy
import json
import typing as t
from dataclasses import asdict, dataclass, field, replace

from ..cluster_resources import CONFIG_MAP
from ..errors import Conflict, InvalidInput, Refused
from ..rollout import record
from ..rollout.plan import Rollout, Step
from ..routes.patch import guarded_patch
from .lease import MANAGED

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..cluster import Cluster
    from ..rollout.record import Run
    from ..routes.hosts import ServiceRef

    Object = dict[str, t.Any]

LARGEST: t.Final = 900_000
"""Bytes of the trail; a ConfigMap may have 1 MiB in all."""


class Superseded(Refused):
    """A task of a run whose place another one has taken."""

    code = "superseded"

    def __init__(self, run: str, stored: Stored) -> None:
        now = stored.run
        super().__init__(
            f"This task belongs to the rollout {run} of {now.service}, and the record is of {now.id} now, which took "
            "its place. Nothing was changed. Let this run end; how the rollout stands is told by the playbook status.",
            run=now.id,
        )


class Over(Refused):
    """A task of a run that has come to its end, or goes back to it."""

    code = "over"


@dataclass
class Stored:
    """A record as it was read or is to be written. obj: the ConfigMap, None before the first writing.

    dead_man: what the dead man's Job needs to know, None without one; see commands/dead_man.py.
    superseded: the run whose place this one has taken, for its report.
    """

    rollout: Rollout
    run: Run
    events: list[dict[str, t.Any]] = field(default_factory=list)
    obj: Object | None = None
    dead_man: dict[str, t.Any] | None = None
    superseded: Stored | None = None

    def add(self, entry: Mapping[str, t.Any]) -> None:
        """Put an entry at the end of the trail; a look that decided nothing again is counted instead."""
        last = self.events[-1] if self.events else {}
        looked = entry["event"] in ("pass", "inconclusive") and entry["from"] == entry["to"]
        if looked and all(last.get(key) == entry[key] for key in ("event", "step", "from")):
            entry = {**entry, "count": last.get("count", 1) + 1}
            self.events.pop()
        self.events.append(record.chained(self.events, entry))


class RunStore:
    """Reads and writes the ConfigMap `canary-rollout-SERVICE`."""

    def __init__(self, cluster: Cluster, service: ServiceRef) -> None:
        self._cluster, self._service = cluster, service
        self.name = f"canary-rollout-{service.name}"

    @property
    def object(self) -> str:
        """Return what messages call it."""
        return f"ConfigMap {self._service.namespace}/{self.name}"

    def exists(self) -> bool:
        """Return whether there is a record, readable or not."""
        return self._get() is not None

    def read(self) -> Stored | None:
        """Return the record, None if there is none. Raises Refused if it cannot be understood."""
        obj = self._get()
        if obj is None:
            return None
        data = obj.get("data") or {}
        try:
            stored = _stored(data)
            stored.obj = obj
            stored.dead_man = json.loads(data["dead_man"]) if "dead_man" in data else None
            stored.superseded = _stored(json.loads(data["superseded"])) if "superseded" in data else None
            return stored
        except (record.Broken, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Refused(
                f"{self.object} holds the record of the last rollout of {self._service.name} but cannot be read: "
                f"{error}. Look at it; if no rollout is under way, delete it with: "
                f"kubectl -n {self._service.namespace} delete configmap {self.name}"
            ) from error

    def write(self, stored: Stored) -> None:
        """Write the record. Raises Conflict if somebody else wrote it since it was read."""
        last = stored.superseded
        while last and len(json.dumps(last.events)) > LARGEST // 4 and len(last.events) > 1:
            last.events = _shortened(last.events)
        room = LARGEST - len(_data(stored).get("superseded", ""))
        while len(json.dumps(stored.events)) > room and len(stored.events) > 1:
            stored.events = _shortened(stored.events)
        try:
            stored.obj = self._create(stored) if stored.obj is None else self._replace(stored, stored.obj)
        except Conflict as error:
            if self._is_there(stored):  # it was stored, the answer was lost, and the door sent it again
                return
            raise Conflict(
                f"{self.object} was written by somebody else since this task read it: two rollouts of "
                f"{self._service.name} run at the same time. Stop one of them, and run the other again: it goes on "
                "from what is recorded."
            ) from error

    def _get(self) -> Object | None:
        return self._cluster.get(CONFIG_MAP, self._service.namespace, self.name)

    def _is_there(self, stored: Stored) -> bool:
        found = self._get()
        same = found is not None and found.get("data") == _data(stored)
        stored.obj = found if same else stored.obj
        return same

    def _create(self, stored: Stored) -> Object:
        labels = {**MANAGED, "canary.meshops.io/service": self._service.name[:63]}
        metadata = {"name": self.name, "namespace": self._service.namespace, "labels": labels}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": _data(stored)}
        return self._cluster.create(CONFIG_MAP, self._service.namespace, body)

    def _replace(self, stored: Stored, before: Object) -> Object:
        after = {**copy.deepcopy(before), "data": _data(stored)}
        version = before["metadata"]["resourceVersion"]
        patch = [one for one in guarded_patch(before, after) if one["op"] != "test"]
        # The version says it all; repeating the old trail as a test would double what is sent.
        test = {"op": "test", "path": "/metadata/resourceVersion", "value": version}
        return self._cluster.patch(CONFIG_MAP, self._service.namespace, self.name, [test, *patch])


def plan_of(rollout: Rollout) -> dict[str, t.Any]:
    """Return the plan as it is stored and hashed."""
    return json.loads(json.dumps(asdict(rollout)))  # type: ignore[no-any-return]


def _data(stored: Stored) -> dict[str, str]:
    return {
        "run": stored.run.dump(),
        "plan": json.dumps(plan_of(stored.rollout), sort_keys=True),
        "events": json.dumps(stored.events),
        **({"dead_man": json.dumps(stored.dead_man)} if stored.dead_man else {}),
        **(
            {"superseded": json.dumps(_data(replace(stored.superseded, dead_man=None, superseded=None)))}
            if stored.superseded
            else {}
        ),
    }


def _stored(data: Mapping[str, str]) -> Stored:
    plan = json.loads(data["plan"])
    steps = tuple(Step(**step) for step in plan.pop("steps"))
    return Stored(Rollout(**plan, steps=steps), record.load(data["run"]), list(json.loads(data["events"])))


def _shortened(events: list[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Return the trail without its older half, chained anew; its first entry says so, and when the rollout began."""
    half, first = len(events) // 2, events[0]
    gone = half - 1 + first.get("count", 1) if first["event"] == "shortened" else half
    dropped = {"event": "shortened", "from": "", "to": "", "step": 0, "reason": f"{gone} older entries were dropped"}
    since = {"at": first["at"], "by": first["by"], "count": gone, "last": events[half - 1]["hash"]}
    harmed = sum(int(entry.get("harmed") or 0) for entry in events[:half])
    kept: list[dict[str, t.Any]] = [record.chained([], {**dropped, **since, **({"harmed": harmed} if harmed else {})})]
    for entry in events[half:]:
        kept.append(record.chained(kept, {key: value for key, value in entry.items() if key != "hash"}))
    return kept


def under_way(cluster: Cluster, service: ServiceRef, run: str | None) -> Callable[[], None] | None:
    """Return what raises Superseded or Over unless `run` is under way and not going back; None for no run.

    Whoever takes a rollout back says so to the record first, and may then find nothing to write: no resourceVersion
    moves, and without this look a write that was planned before would undo it.
    """

    def look() -> None:
        store = RunStore(cluster, service)
        stored = store.read()
        if stored is None:
            raise missing(store, service)
        if stored.run.id != run:
            raise Superseded(str(run), stored)
        if stored.run.over or stored.run.phase == "rolling_back":
            raise Over(
                f"The rollout {run} of {service.name} is {stored.run.phase.replace('_', ' ')}, so nothing was written: "
                f"somebody has ended it meanwhile. {stored.run.reason}",
                run=run,
            )

    return look if run else None


def missing(store: RunStore, service: ServiceRef) -> InvalidInput:
    """Return the error for a task that needs a rollout where none was opened."""
    return InvalidInput(
        f"No rollout of {service.name} in {service.namespace} is recorded ({store.object} is not there). "
        "Open one first, with state: opened."
    )
