# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The store of a rollout's record: one ConfigMap per service, written with optimistic locking."""

from __future__ import annotations

import copy
import hmac
import json
import typing as t
from dataclasses import asdict, dataclass, field, replace

from ..errors import Conflict, InvalidInput, Refused
from ..kube.resources import CONFIG_MAP
from ..objects.patch import guarded_patch
from ..rollout import parsing, record
from .lock import MANAGED

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..kube.client import Cluster
    from ..objects.hosts import ServiceRef
    from ..rollout.record import Run
    from ..rollout.steps import Rollout

    Object = dict[str, t.Any]

SIGNATURE: t.Final = "signature"
MAX_BYTES: t.Final = 900_000
"""Bytes of the audit log; a ConfigMap may have 1 MiB in all."""


class Superseded(Refused):
    """A task of a superseded run."""

    code = "superseded"

    def __init__(self, run: str, stored: Stored) -> None:
        now = stored.run
        super().__init__(
            f"The rollout {now.id} of {now.service} superseded the rollout {run}, which this task belongs to. Nothing "
            "was changed. Let this run end; the playbook status shows the state of the new rollout.",
            run=now.id,
        )


class RolloutOver(Refused):
    """A task of a run that has ended or is rolling back."""

    code = "over"

    @classmethod
    def by_another(cls, service: ServiceRef, stored: Stored, *, who: str = "", written: str = "") -> RolloutOver:
        """Return the error for a run that another one has ended. who: `, by IDENTITY at TIME`. written: a sentence."""
        run = stored.run
        state = f"{run.phase.replace('_', ' ')}{who}."
        what = " ".join(one for one in (state, written, run.reason) if one)
        return cls(f"The rollout {run.id} of {service.name} was ended by another run: it is {what}", run=run.id)


@dataclass
class Stored:
    """A record as it was read or is to be written. obj: the ConfigMap, None before the first write.

    watchdog: the instructions for the watchdog Job, None without one; see watchdog.py.
    superseded: the superseded run, for its report.
    returned: `{at, verdict}` while the playbook runs tasks of its own, None otherwise; see session.py.
    signed: whether it was read with a valid signature by the store's key.
    paused: objects (`Kind namespace/name`) for which the run pauses a GitOps tool; see gitops.py.
    """

    rollout: Rollout
    run: Run
    events: list[dict[str, t.Any]] = field(default_factory=list)
    obj: Object | None = None
    watchdog: dict[str, t.Any] | None = None
    superseded: Stored | None = None
    returned: dict[str, t.Any] | None = None
    signed: bool = False
    paused: tuple[str, ...] = ()

    def add(self, entry: Mapping[str, t.Any]) -> None:
        """Put an entry at the end of the audit log; a look that decided nothing again is counted instead."""
        last = self.events[-1] if self.events else {}
        looked = entry["event"] in ("pass", "inconclusive") and entry["from"] == entry["to"]
        if looked and all(last.get(key) == entry[key] for key in ("event", "step", "from")):
            entry = {**entry, "count": last.get("count", 1) + 1}
            self.events.pop()
        self.events.append(record.chained(self.events, entry))


class RunStore:
    """Reads and writes the ConfigMap `canary-rollout-SERVICE`. key: signs the record; empty for no signature."""

    def __init__(self, cluster: Cluster, service: ServiceRef, key: str = "") -> None:
        self._cluster, self._service, self._key = cluster, service, key
        self.name = f"canary-rollout-{service.name}"

    @property
    def object(self) -> str:
        """Return the name of the ConfigMap for messages."""
        return f"ConfigMap {self._service.namespace}/{self.name}"

    def exists(self) -> bool:
        """Return whether there is a record, readable or not."""
        return self._get() is not None

    def raw(self) -> Object | None:
        """Return the ConfigMap as it is, None if there is none."""
        return self._get()

    def read(self) -> Stored | None:
        """Return the record, None if there is none. Raises Refused if it is not readable."""
        obj = self._get()
        if obj is None:
            return None
        data = obj.get("data") or {}
        try:
            stored = _stored(data)
            stored.obj = obj
            stored.signed = self._is_signed(data)
            stored.watchdog = parsing.parse_mapping(data["watchdog"], "watchdog") if "watchdog" in data else None
            stored.returned = parsing.parse_mapping(data["returned"], "returned") if "returned" in data else None
            if "paused" in data:
                stored.paused = tuple(map(str, parsing.parse_mapping(data["paused"], "paused")))
            if "superseded" in data:
                stored.superseded = _stored(parsing.parse_mapping(data["superseded"], "superseded"))
            return stored
        except (record.InvalidRecord, KeyError) as error:
            raise Refused(
                f"{self.object} has the record of the last rollout of {self._service.name}, but it is not readable: "
                f"{error}. Inspect it; if no rollout is in progress, delete it with: "
                f"kubectl -n {self._service.namespace} delete configmap {self.name}"
            ) from error

    def write(self, stored: Stored) -> None:
        """Write the record. Raises Conflict if it was changed since it was read."""
        last = stored.superseded
        while last and len(json.dumps(last.events)) > MAX_BYTES // 4 and len(last.events) > 1:
            last.events = _shortened(last.events)
        available = MAX_BYTES - len(_data(stored).get("superseded", ""))
        while len(json.dumps(stored.events)) > available and len(stored.events) > 1:
            stored.events = _shortened(stored.events)
        try:
            stored.obj = self._create(stored) if stored.obj is None else self._replace(stored, stored.obj)
        except Conflict as error:
            raise Conflict(
                f"Conflict: {self.object} was changed after this task read it: two rollouts of {self._service.name} "
                "run at the same time. Stop one of them and run the other again; it resumes from the record."
            ) from error

    def digest(self, stored: Stored) -> str:
        """Return the ID of the run and the hash of its record, by which a later task knows that nobody changed it."""
        return f"{stored.run.id}.{record.digest(_data(stored))}"

    def _is_signed(self, data: Mapping[str, str]) -> bool:
        expected = self._signed({name: value for name, value in data.items() if name != SIGNATURE}).get(SIGNATURE, "")
        return bool(expected) and hmac.compare_digest(data.get(SIGNATURE, "").encode(), expected.encode())

    def _signed(self, data: Mapping[str, str]) -> dict[str, str]:
        """Return the data with its signature. It belongs to this service: another one's record is none."""
        if not self._key:
            return dict(data)
        content = {"namespace": self._service.namespace, "name": self.name, "data": data}
        return {**data, SIGNATURE: record.signature(self._key, content)}

    def _get(self) -> Object | None:
        return self._cluster.get(CONFIG_MAP, self._service.namespace, self.name)

    def _create(self, stored: Stored) -> Object:
        labels = {**MANAGED, "canary.meshops.io/service": self._service.name[:63].rstrip("-.")}
        metadata = {"name": self.name, "namespace": self._service.namespace, "labels": labels}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": self._signed(_data(stored))}
        return self._cluster.create(CONFIG_MAP, self._service.namespace, body)

    def _replace(self, stored: Stored, before: Object) -> Object:
        after = {**copy.deepcopy(before), "data": self._signed(_data(stored))}
        version = before["metadata"]["resourceVersion"]
        patch = [one for one in guarded_patch(before, after) if one["op"] != "test"]
        # The version is enough; a test of the old audit log would double the size of the request.
        test = {"op": "test", "path": "/metadata/resourceVersion", "value": version}
        return self._cluster.patch(CONFIG_MAP, self._service.namespace, self.name, [test, *patch], after=after)


def plan_of(rollout: Rollout) -> dict[str, t.Any]:
    """Return the plan as it is stored and hashed."""
    return json.loads(json.dumps(asdict(rollout)))  # type: ignore[no-any-return]


def _data(stored: Stored) -> dict[str, str]:
    return {
        "run": stored.run.dump(),
        "plan": json.dumps(plan_of(stored.rollout), sort_keys=True),
        "events": json.dumps(stored.events),
        **({"watchdog": json.dumps(stored.watchdog)} if stored.watchdog else {}),
        **({"returned": json.dumps(stored.returned)} if stored.returned else {}),
        **({"paused": json.dumps(dict.fromkeys(stored.paused, True))} if stored.paused else {}),
        **({"superseded": json.dumps(_data(_alone(stored.superseded)))} if stored.superseded else {}),
    }


def _alone(stored: Stored) -> Stored:
    """Return a superseded record without what belongs to its run alone."""
    return replace(stored, watchdog=None, superseded=None, returned=None, paused=())


def _stored(data: Mapping[str, str]) -> Stored:
    rollout, run = parsing.parse_plan(data["plan"]), parsing.parse_run(data["run"])
    run = replace(run, at=min(run.at, len(rollout.steps) - 1))
    return Stored(rollout, run, parsing.parse_events(data["events"]))


def _shortened(events: list[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Return the audit log without its older half, with new hashes. Its first entry has the start of the rollout."""
    half, first = len(events) // 2, events[0]
    count = half - 1 + first.get("count", 1) if first["event"] == "shortened" else half
    dropped = {"event": "shortened", "from": "", "to": "", "step": 0, "reason": f"{count} older entries were dropped"}
    since = {"at": first["at"], "by": first["by"], "count": count, "last": events[half - 1]["hash"]}
    failed_requests = sum(int(entry.get("failed_requests") or 0) for entry in events[:half])
    shortened: list[dict[str, t.Any]] = [
        record.chained([], {**dropped, **since, **({"failed_requests": failed_requests} if failed_requests else {})})
    ]
    for entry in events[half:]:
        shortened.append(record.chained(shortened, {key: value for key, value in entry.items() if key != "hash"}))
    return shortened


def active_run_check(cluster: Cluster, service: ServiceRef, run: str | None) -> Callable[[], None] | None:
    """Return a check that raises Superseded or RolloutOver unless `run` is in progress; None without a run.

    A rollback is recorded first, and may then have no routes to write. Then no resourceVersion changes, and without
    this check a write that was planned earlier would undo the rollback.
    """

    def check() -> None:
        store = RunStore(cluster, service)
        stored = store.read()
        if stored is None:
            raise missing_record(store, service)
        if stored.run.id != run:
            raise Superseded(str(run), stored)
        if stored.run.over or stored.run.phase == "rolling_back":
            raise RolloutOver.by_another(service, stored, written="Nothing was written.")

    return check if run else None


def missing_record(store: RunStore, service: ServiceRef) -> InvalidInput:
    """Return the error for a task that needs a rollout when none is recorded."""
    return InvalidInput(
        f"No rollout of {service.name} in {service.namespace} is recorded ({store.object} does not exist). "
        "Start one first, with state: promoted."
    )
