# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program of the watchdog Job: it runs inside the cluster with Python's standard library only.

It watches the Lease of a rollout and does nothing while the Lease is renewed. After the watchdog timeout without a
renewal it takes the Lease, applies the rollback patches in the rollout's record, writes that into the record, and ends.
Each patch tests what it replaces, so external changes stay as they are.

Others can write the record. So a patch is only applied if all it does is to take requests from other versions and give
them to the destinations that the Job names, and if it patches an object that the Job names. The Job itself, with this
program in its command, is immutable.
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

HEARTBEAT: t.Final = "canary.meshops.io/heartbeat-seconds"
PROCESS: t.Final = "canary.meshops.io/process"
ENDS: t.Final = ("promoted", "rolled_back", "stopped")
HOLD_SECONDS: t.Final = 60
ACCOUNT: t.Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
JSON_PATCH: t.Final = "application/json-patch+json"
RULES: t.Final = ("http", "tls", "tcp", "rules")
DESTINATIONS: t.Final = ("route", "backendRefs")
STATE: t.Final = "canary.meshops.io/state"
CHANGING: t.Final = ("resourceVersion", "generation", "managedFields")


class ApiFailure(Exception):
    """The API server did not answer, or with an error; the action is tried again."""


class Refused(Exception):
    """The routes are not as the rollout wrote them, so they stay unchanged."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """The Job's environment. after: watchdog timeout in seconds. record, lease: API paths.

    back_to: API path of each object that may be patched -> the destinations that may get more requests, see `gaining`.
    """

    namespace: str
    service: str
    service_uid: str
    job: str
    after: float
    record: str
    lease: str
    back_to: t.Mapping[str, t.Sequence[str]]

    @classmethod
    def of(cls, env: t.Mapping[str, str]) -> Settings:
        """Return the settings from the environment."""
        namespace = f"namespaces/{env['NAMESPACE']}"
        return cls(
            env["NAMESPACE"],
            env["SERVICE"],
            env.get("SERVICE_UID", ""),
            env["JOB"],
            float(env["AFTER"]),
            f"/api/v1/{namespace}/configmaps/{env['RECORD']}",
            f"/apis/coordination.k8s.io/v1/{namespace}/leases/{env['LEASE']}",
            json.loads(env["BACK_TO"]),
        )


class Api:
    """The API server with the pod's own account. now: its clock at the last answer, epoch seconds."""

    def __init__(self, env: t.Mapping[str, str]) -> None:
        self._host, self._port = env["KUBERNETES_SERVICE_HOST"], int(env["KUBERNETES_SERVICE_PORT"])
        self.now = time.time()

    def send(self, method: str, path: str, body: t.Any = None, kind: str = "application/json") -> tuple[int, Object]:
        """Return status and answer. Raises ApiFailure without an answer, and for statuses other than of the object."""
        try:
            # Both files are rotated during the life of the pod.
            trust = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
            token = (ACCOUNT / "token").read_text(encoding="ascii").strip()
            connection = http.client.HTTPSConnection(self._host, self._port, timeout=10, context=trust)
            try:
                headers = {"Authorization": f"Bearer {token}", "Content-Type": kind, "User-Agent": "meshops.canary"}
                connection.request(method, path, None if body is None else json.dumps(body), headers)
                answer = connection.getresponse()
                content = json.loads(answer.read() or b"{}")
                self.now = email.utils.parsedate_to_datetime(answer.headers["Date"]).timestamp()
            finally:
                connection.close()
        except (OSError, http.client.HTTPException, ValueError, TypeError, KeyError) as error:
            raise ApiFailure(f"{method} {path}: {type(error).__name__}: {error}") from error
        if answer.status not in (200, 201, 404, 409, 422):
            raise ApiFailure(f"{method} {path}: {answer.status}: {content.get('message') or content}")
        return answer.status, content

    def get(self, path: str) -> Object | None:
        """Return the object, None if there is none. Raises ApiFailure."""
        status, content = self.send("GET", path)
        return content if status == 200 else None

    def patch(self, path: str, patch: t.Any, *, dry_run: bool = False) -> Object | None:
        """Apply a JSON Patch; return the object after it, None if it did not apply. Raises ApiFailure."""
        query = "?fieldManager=meshops.canary" + ("&dryRun=All" if dry_run else "")
        status, content = self.send("PATCH", path + query, patch, JSON_PATCH)
        return content if status == 200 else None


class Watchdog:
    """Watches one rollout."""

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
        self._me = f"watchdog/{settings.job}"
        self._moved = False

    def watch(self) -> str:
        """Watch until there is nothing left to watch; return the reason."""
        last_versions: tuple[str, ...] = ()
        last_change = last_read = self._clock()
        while True:
            try:
                record, lease = self._read()
                now = self._clock()
                versions = tuple(
                    str(((one or {}).get("metadata") or {}).get("resourceVersion")) for one in (record, lease)
                )
                # Without reads there is no evidence of silence, so the holder's time starts again.
                if versions != last_versions or now - last_read > 3 * self._pause + 10:
                    last_versions, last_change = versions, now
                last_read = now
                over = self._over(record)
                if over:
                    self._say(over)
                    return over
                if now - last_change >= self._timeout(lease) or _holder(lease) == self._me:
                    done = self._act(t.cast(Object, record), lease)
                    if done:
                        return done
            except ApiFailure as failure:
                self._say(f"{failure}; trying again")
                last_read = -1e9
            self._sleep(self._pause)

    def _read(self) -> tuple[Object | None, Object | None]:
        return self._api.get(self._settings.record), self._api.get(self._settings.lease)

    def _over(self, record: Object | None) -> str:
        if record is None:
            return "the record of the rollout was deleted"
        if _instructions(record).get("job") != self._settings.job:
            return "another rollout began, or another watchdog took over"
        phase = json.loads(record["data"]["run"])["phase"]
        return f"the rollout has ended: {phase}" if phase in ENDS else ""

    def _timeout(self, lease: Object | None) -> float:
        """Return the seconds to wait: without heartbeats, at least the lease duration."""
        spec = (lease or {}).get("spec") or {}
        annotations = ((lease or {}).get("metadata") or {}).get("annotations") or {}
        if lease is None or not spec.get("holderIdentity") or HEARTBEAT in annotations:
            return self._settings.after
        return max(self._settings.after, float(spec.get("leaseDurationSeconds") or 0))

    def _act(self, record: Object, lease: Object | None) -> str:
        """Take the lock and roll back; return what was done, empty if the holder is alive after all."""
        instructions = _instructions(record)
        holder = _holder(lease) or "no holder"
        if lease is not None and not self._take(lease):
            self._say("the lock was renewed at the last moment")
            return ""
        phase = json.loads(record["data"]["run"])["phase"]
        self._say(f"no sign of life from {holder} while the rollout is {phase}")
        try:
            if not instructions.get("final_record"):
                raise Refused(instructions.get("problem") or f"a rollout that is {phase} stays as it is")
            self._roll_back(instructions["rollback_patches"])
            if not self._moved and phase == "preparing":
                raise Refused("the canary has no requests yet; the next run continues")
            self._write(record, instructions["final_record"])
            done = f"no sign of life from {holder}: the routes are rolled back, the next run cleans up"
        except Refused as refusal:
            done = f"no sign of life from {holder}, but nothing was changed: {refusal}"
        self._announce(done)
        self._release()
        return done

    def _take(self, lease: Object) -> bool:
        """Take the lock with its resourceVersion, so that a holder that renews in between keeps it."""
        spec = dict(lease["spec"])
        changes = int(spec.get("leaseTransitions") or 0) + (0 if _holder(lease) == self._me else 1)
        stamp = _moment(self._api.now).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec.update(holderIdentity=self._me, leaseDurationSeconds=HOLD_SECONDS, renewTime=stamp)
        spec.update(acquireTime=stamp, leaseTransitions=changes)
        annotations = lease["metadata"].get("annotations") or {}
        others = {key: value for key, value in annotations.items() if key not in (HEARTBEAT, PROCESS)}
        test = {"op": "test", "path": "/metadata/resourceVersion", "value": lease["metadata"]["resourceVersion"]}
        ours = {"/spec": spec, "/metadata/annotations": others}
        patch = [test, *({"op": "add", "path": path, "value": value} for path, value in ours.items())]
        return self._api.patch(self._settings.lease, patch) is not None

    def _roll_back(self, entries: list[Object]) -> None:
        """Roll back every object, or none. Raises Refused."""
        moves = [(entry, patch) for entry in entries if (patch := self._chosen(entry))]
        self._moved |= bool(moves)  # before the first: its answer may be lost, and all is tried again
        for entry, patch in moves:
            if self._api.patch(entry["path"], patch) is None:
                raise ApiFailure(f"{entry['object']} changed in between")
            self._say(f"{entry['object']} is rolled back")

    def _chosen(self, entry: Object) -> list[Object]:
        """Return the patch that applies to the object as it is now; [] if it is rolled back. Raises Refused."""
        path, name = str(entry["path"]), entry["object"]
        if path not in self._settings.back_to:
            raise Refused(f"the record names {name}, which this Job was not made for; somebody has changed the record")
        before = self._api.get(path)
        version = ((before or {}).get("metadata") or {}).get("resourceVersion")
        test = {"op": "test", "path": "/metadata/resourceVersion", "value": version}
        for patch in (entry["safe"], *entry["patches"]):
            after = self._api.patch(path, [test, *patch], dry_run=True) if before else None
            if before is None or after is None:
                continue
            if patch is entry["safe"]:
                return []
            if beyond := beyond_rollback(before, after, self._settings.back_to[path]):
                raise Refused(f"the patch in the record {beyond} in {name}; somebody has changed the record")
            return [test, *patch]
        raise Refused(f"{name} was changed externally or deleted")

    def _write(self, record: Object, final_record: Object) -> None:
        """Write the rolled back run into the record, with an entry in the audit log."""
        now = self._api.now
        events = json.loads(record["data"]["events"])
        moment = _moment(now).strftime("%Y-%m-%dT%H:%M:%SZ")
        entry = {"at": moment, "by": self._me, **final_record["entry"]}
        last = events[-1]["hash"] if events else ""
        events.append({**entry, "hash": hashlib.sha256((last + _canonical(entry)).encode()).hexdigest()})
        version = record["metadata"]["resourceVersion"]
        patch = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": version},
            {"op": "replace", "path": "/data/run", "value": _canonical({**final_record["run"], "since": now})},
            {"op": "replace", "path": "/data/events", "value": json.dumps(events)},
        ]
        if self._api.patch(self._settings.record, patch) is None:
            raise ApiFailure("the record changed in between")

    def _announce(self, message: str) -> None:
        """Write an Event on the Service; a failure is only logged."""
        self._say(message)
        settings = self._settings
        moment = _moment(self._api.now).strftime("%Y-%m-%dT%H:%M:%SZ")
        target = {"apiVersion": "v1", "kind": "Service", "namespace": settings.namespace, "name": settings.service}
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{settings.job}.", "namespace": settings.namespace},
            "involvedObject": {**target, **({"uid": settings.service_uid} if settings.service_uid else {})},
            "reason": "CanaryWatchdog",
            "message": message[:1000],
            "type": "Warning",
            "source": {"component": "meshops.canary"},
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "count": 1,
        }
        try:
            self._api.send("POST", f"/api/v1/namespaces/{settings.namespace}/events", body)
        except ApiFailure as failure:
            self._say(f"the Event could not be written: {failure}")

    def _release(self) -> None:
        """Release the lock for the next run; after a failure it expires."""
        ours = {"op": "test", "path": "/spec/holderIdentity", "value": self._me}
        released = {"op": "replace", "path": "/spec/holderIdentity", "value": ""}
        try:
            self._api.patch(self._settings.lease, [ours, released])
        except ApiFailure as failure:
            self._say(f"the lock was not released and expires: {failure}")


def beyond_rollback(before: Object, after: Object, back_to: t.Collection[str]) -> str:
    """Return what a patch does beside taking requests away and giving them to `back_to`; empty if nothing.

    before, after: a VirtualService, an HTTPRoute, or another object with rules like theirs. back_to: destinations, as
    `gaining` returns them.
    """
    if _rest(before) != _rest(after):
        return "changes more than the routes"
    left = iter(_rules(before))
    for rule, shares in _rules(after):
        for old_rule, old_shares in left:
            if rule == old_rule:
                break
            if any(old_shares.get(one) for one in back_to):
                return "adds, removes or changes a rule"
        else:
            return "adds, removes or changes a rule"
        more = [one for one, share in shares.items() if share > old_shares.get(one, 0.0) and one not in back_to]
        if more:
            return f"gives more requests to {more[0]}"
    return ""


def gaining(before: Object, after: Object) -> list[str]:
    """Return the destinations that get more requests: entries of routes without weight, as canonical JSON."""
    old = dict(_rules(before))
    found = set()
    for rule, shares in _rules(after):
        found |= {one for one, share in shares.items() if share > old.get(rule, {}).get(one, 0.0)}
    return sorted(found)


def _rules(obj: Object) -> list[tuple[str, dict[str, float]]]:
    """Return each rule without its destinations, as canonical JSON, and destination -> share of its requests."""
    found = []
    for kind in RULES:
        for rule in obj["spec"].get(kind) or ():
            entries = [one for name in DESTINATIONS for one in rule.get(name) or ()]
            weights = [_weight(one, alone=len(entries) == 1) for one in entries]
            shares: dict[str, float] = {}
            for entry, weight in zip(entries, weights, strict=True):
                key = _canonical({name: value for name, value in entry.items() if name != "weight"})
                shares[key] = shares.get(key, 0.0) + weight / (sum(weights) or 1)
            rest = {name: value for name, value in rule.items() if name not in DESTINATIONS}
            found.append((_canonical([kind, rest]), shares))
    return found


def _weight(entry: Object, *, alone: bool) -> float:
    """Return the weight of a destination. Without one it is 1 in the Gateway API, and in Istio all or nothing."""
    return float(entry.get("weight", 1 if alone or "destination" not in entry else 0))


def _rest(obj: Object) -> Object:
    """Return what a rollback leaves as it is."""
    metadata = {name: value for name, value in obj["metadata"].items() if name not in CHANGING}
    notes = {name: value for name, value in (metadata.get("annotations") or {}).items() if name != STATE}
    spec = {name: value for name, value in obj["spec"].items() if name not in RULES}
    return {"kind": obj.get("kind"), "metadata": {**metadata, "annotations": notes}, "spec": spec}


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _instructions(record: Object) -> Object:
    return t.cast(Object, json.loads((record.get("data") or {}).get("watchdog") or "{}"))


def _holder(lease: Object | None) -> str:
    return str(((lease or {}).get("spec") or {}).get("holderIdentity") or "")


def _moment(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)


def _canonical(value: t.Any) -> str:
    """Return the text that the record's hashes are computed of (rollout/record.py)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


if __name__ == "__main__":
    Watchdog(Api(os.environ), Settings.of(os.environ), say=_say).watch()
