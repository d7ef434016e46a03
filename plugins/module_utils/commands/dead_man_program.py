# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program of the dead man's Job: it runs inside the cluster, alone, with nothing but Python's standard library.

It watches the Lease of a rollout. While somebody renews it, it does nothing. When nobody has for as long as agreed, it
takes the Lease, puts the routes back by the patches that the rollout left for it in its record, writes that into the
record, and ends. Each patch tests what it replaces: whatever somebody edited by hand is left as it is. It decides
nothing about routes.
"""

from __future__ import annotations

import dataclasses
import datetime
import email.utils
import hashlib
import http.client
import json
import os
import ssl
import sys
import time
import typing as t
from pathlib import Path

Object = dict[str, t.Any]

BEATS: t.Final = "canary.meshops.io/beats"
PROCESS: t.Final = "canary.meshops.io/process"
ENDS: t.Final = ("promoted", "rolled_back", "stopped")
HOLD_SECONDS: t.Final = 60
ACCOUNT: t.Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
JSON_PATCH: t.Final = "application/json-patch+json"


class Trouble(Exception):
    """The API server did not answer, or not as it should; what was to be done is tried again."""


class Refused(Exception):
    """Somebody edited the routes, so they are left as they are."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the Job was told. after: seconds of silence. record, lease: API paths."""

    namespace: str
    service: str
    service_uid: str
    job: str
    after: float
    record: str
    lease: str

    @classmethod
    def of(cls, env: t.Mapping[str, str]) -> Settings:
        """Return the settings from the environment."""
        space = f"namespaces/{env['NAMESPACE']}"
        return cls(
            env["NAMESPACE"],
            env["SERVICE"],
            env.get("SERVICE_UID", ""),
            env["JOB"],
            float(env["AFTER"]),
            f"/api/v1/{space}/configmaps/{env['RECORD']}",
            f"/apis/coordination.k8s.io/v1/{space}/leases/{env['LEASE']}",
        )


class Api:
    """The API server, as a pod reaches it with its own account. now: its clock at the last answer, epoch seconds."""

    def __init__(self, env: t.Mapping[str, str]) -> None:
        self._host, self._port = env["KUBERNETES_SERVICE_HOST"], int(env["KUBERNETES_SERVICE_PORT"])
        self.now = time.time()

    def send(self, method: str, path: str, body: t.Any = None, kind: str = "application/json") -> tuple[int, Object]:
        """Return status and answer. Raises Trouble for no answer, and for one that says nothing about the request."""
        try:
            # Both are read each time, for they are renewed while the pod lives.
            trust = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
            token = (ACCOUNT / "token").read_text(encoding="ascii").strip()
            link = http.client.HTTPSConnection(self._host, self._port, timeout=10, context=trust)
            try:
                headers = {"Authorization": f"Bearer {token}", "Content-Type": kind, "User-Agent": "meshops.canary"}
                link.request(method, path, None if body is None else json.dumps(body), headers)
                answer = link.getresponse()
                told = json.loads(answer.read() or b"{}")
                self.now = email.utils.parsedate_to_datetime(answer.headers["Date"]).timestamp()
            finally:
                link.close()
        except (OSError, http.client.HTTPException, ValueError, TypeError, KeyError) as error:
            raise Trouble(f"{method} {path}: {type(error).__name__}: {error}") from error
        if answer.status not in (200, 201, 404, 409, 422):
            raise Trouble(f"{method} {path}: {answer.status}: {told.get('message') or told}")
        return answer.status, told

    def get(self, path: str) -> Object | None:
        """Return the object, None if there is none. Raises Trouble."""
        status, told = self.send("GET", path)
        return told if status == 200 else None

    def patch(self, path: str, patch: t.Any, *, dry_run: bool = False) -> bool:
        """Apply a JSON Patch; return whether it fitted. Raises Trouble."""
        query = "?fieldManager=meshops.canary" + ("&dryRun=All" if dry_run else "")
        return self.send("PATCH", path + query, patch, JSON_PATCH)[0] == 200


class DeadMan:
    """One watch over one rollout."""

    def __init__(
        self,
        api: Api,
        settings: Settings,
        *,
        clock: t.Callable[[], float] = time.monotonic,
        sleep: t.Callable[[float], None] = time.sleep,
        say: t.Callable[[str], t.Any],
    ) -> None:
        self._api, self._settings, self._clock, self._sleep, self._say = api, settings, clock, sleep, say
        self._pause = min(5.0, settings.after / 5)
        self._me = f"dead-man/{settings.job}"
        self._moved = False

    def watch(self) -> str:
        """Return, in words, why there is nothing left to watch."""
        seen: tuple[str, ...] = ()
        heard = looked = self._clock()
        while True:
            try:
                record, lease = self._read()
                now = self._clock()
                sign = tuple(str(((one or {}).get("metadata") or {}).get("resourceVersion")) for one in (record, lease))
                # Who could not look has not heard silence: the holder gets its whole time again.
                if sign != seen or now - looked > 3 * self._pause + 10:
                    seen, heard = sign, now
                looked = now
                over = self._over(record)
                if over:
                    self._say(over)
                    return over
                if now - heard >= self._patience(lease) or _holder(lease) == self._me:
                    done = self._act(t.cast(Object, record), lease)
                    if done:
                        return done
            except Trouble as trouble:
                self._say(f"{trouble}; trying again")
                looked = -1e9
            self._sleep(self._pause)

    def _read(self) -> tuple[Object | None, Object | None]:
        return self._api.get(self._settings.record), self._api.get(self._settings.lease)

    def _over(self, record: Object | None) -> str:
        if record is None:
            return "the record of the rollout is gone"
        if _told(record).get("job") != self._settings.job:
            return "another rollout has begun, or another dead man watches"
        phase = json.loads(record["data"]["run"])["phase"]
        return f"the rollout is over: {phase}" if phase in ENDS else ""

    def _patience(self, lease: Object | None) -> float:
        """Return the seconds to wait: without a heart that beats, as long as the holder said it might be silent."""
        spec = (lease or {}).get("spec") or {}
        beats = ((lease or {}).get("metadata") or {}).get("annotations") or {}
        if lease is None or not spec.get("holderIdentity") or BEATS in beats:
            return self._settings.after
        return max(self._settings.after, float(spec.get("leaseDurationSeconds") or 0))

    def _act(self, record: Object, lease: Object | None) -> str:
        """Take the lock and the requests back; return what was done, empty if the holder was there after all."""
        told = _told(record)
        who = _holder(lease) or "nobody"
        if lease is not None and not self._take(lease):
            self._say("the lock was renewed at the last moment")
            return ""
        phase = json.loads(record["data"]["run"])["phase"]
        self._say(f"{who} was not heard of while the rollout is {phase}")
        try:
            if not told.get("words"):
                raise Refused(told.get("trouble") or f"a rollout that is {phase} is left as it is")
            self._put_back(told["ways"])
            if not self._moved and phase == "preparing":
                raise Refused("the canary has no requests to take back; the next run goes on")
            self._write(record, told["words"])
            done = f"{who} was not heard of: the requests are back, the next run cleans up"
        except Refused as left:
            done = f"{who} was not heard of, and nothing was changed: {left}"
        self._announce(done)
        self._release()
        return done

    def _take(self, lease: Object) -> bool:
        """Make the lock ours as it was read, so that a holder who comes back in between keeps it."""
        spec = dict(lease["spec"])
        changes = int(spec.get("leaseTransitions") or 0) + (0 if _holder(lease) == self._me else 1)
        stamp = _moment(self._api.now).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec.update(holderIdentity=self._me, leaseDurationSeconds=HOLD_SECONDS, renewTime=stamp)
        spec.update(acquireTime=stamp, leaseTransitions=changes)
        notes = lease["metadata"].get("annotations") or {}
        kept = {key: value for key, value in notes.items() if key not in (BEATS, PROCESS)}
        test = {"op": "test", "path": "/metadata/resourceVersion", "value": lease["metadata"]["resourceVersion"]}
        ours = {"/spec": spec, "/metadata/annotations": kept}
        patch = [test, *({"op": "add", "path": path, "value": value} for path, value in ours.items())]
        return self._api.patch(self._settings.lease, patch)

    def _put_back(self, ways: list[Object]) -> None:
        """Put every object back, or none. Raises Refused."""
        chosen: list[tuple[Object, t.Any]] = []
        for way in ways:
            fitting = (one for one in (way["safe"], *way["patches"]) if self._api.patch(way["path"], one, dry_run=True))
            if (patch := next(fitting, None)) is None:
                raise Refused(f"{way['object']} is not as the rollout wrote it; somebody edited or deleted it")
            chosen.append((way, patch))
        moves = [(way, patch) for way, patch in chosen if patch is not way["safe"]]
        self._moved |= bool(moves)  # before the first: its answer may be lost, and all is tried again
        for way, patch in moves:
            if not self._api.patch(way["path"], patch):
                raise Trouble(f"{way['object']} changed in between")
            self._say(f"{way['object']} is back")

    def _write(self, record: Object, words: Object) -> None:
        """Write into the record that the run goes back, and why, in the chain of its trail."""
        now = self._api.now
        events = json.loads(record["data"]["events"])
        moment = _moment(now).strftime("%Y-%m-%dT%H:%M:%SZ")
        entry = {"at": moment, "by": self._me, **words["entry"]}
        last = events[-1]["hash"] if events else ""
        events.append({**entry, "hash": hashlib.sha256((last + _canonical(entry)).encode()).hexdigest()})
        version = record["metadata"]["resourceVersion"]
        patch = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": version},
            {"op": "replace", "path": "/data/run", "value": _canonical({**words["run"], "since": now})},
            {"op": "replace", "path": "/data/events", "value": json.dumps(events)},
        ]
        if not self._api.patch(self._settings.record, patch):
            raise Trouble("the record was written by somebody else in between")

    def _announce(self, message: str) -> None:
        """Write an Event on the Service; without it the work is done all the same."""
        self._say(message)
        settings = self._settings
        moment = _moment(self._api.now).strftime("%Y-%m-%dT%H:%M:%SZ")
        target = {"apiVersion": "v1", "kind": "Service", "namespace": settings.namespace, "name": settings.service}
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{settings.job}.", "namespace": settings.namespace},
            "involvedObject": {**target, **({"uid": settings.service_uid} if settings.service_uid else {})},
            "reason": "CanaryDeadMan",
            "message": message[:1000],
            "type": "Warning",
            "source": {"component": "meshops.canary"},
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "count": 1,
        }
        try:
            self._api.send("POST", f"/api/v1/namespaces/{settings.namespace}/events", body)
        except Trouble as trouble:
            self._say(f"no Event was written: {trouble}")

    def _release(self) -> None:
        """Give the lock back, so that the next run has it at once; else it ends by itself."""
        ours = {"op": "test", "path": "/spec/holderIdentity", "value": self._me}
        nobody = {"op": "replace", "path": "/spec/holderIdentity", "value": ""}
        try:
            self._api.patch(self._settings.lease, [ours, nobody])
        except Trouble as trouble:
            self._say(f"the lock ends by itself: {trouble}")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _told(record: Object) -> Object:
    return t.cast(Object, json.loads((record.get("data") or {}).get("dead_man") or "{}"))


def _holder(lease: Object | None) -> str:
    return str(((lease or {}).get("spec") or {}).get("holderIdentity") or "")


def _moment(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)


def _canonical(value: t.Any) -> str:
    """Return the text that the record's hashes are made of (rollout/record.py)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


if __name__ == "__main__":
    DeadMan(Api(os.environ), Settings.of(os.environ), say=_say).watch()
