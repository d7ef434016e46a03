# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small API server on loopback that stores objects and loses answers: what a real one does only by bad luck."""

from __future__ import annotations

import contextlib
import copy
import itertools
import json
import socket
import threading
import typing as t
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jsonpatch

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Object = dict[str, t.Any]
Reply = tuple[int, t.Any]

PLURALS: t.Final = {
    "VirtualService": "virtualservices",
    "DestinationRule": "destinationrules",
    "ConfigMap": "configmaps",
    "Lease": "leases",
    "Deployment": "deployments",
    "Service": "services",
    "Pod": "pods",
    "Job": "jobs",
    "ServiceAccount": "serviceaccounts",
    "Role": "roles",
    "RoleBinding": "rolebindings",
}


class FaultyApi(ThreadingHTTPServer):
    """Serves `objects` (path -> object). Each request takes the next fault of its method.

    Faults: `lost`: carried out, but the connection ends without an answer. `never`: it ends before that. A number: it
    is carried out, and answered with that status. Bytes: carried out, and answered with them. None: no fault. A
    function: carried out and lost, and then called, as another writer would be. always: the fault after the last one.
    """

    daemon_threads = True

    def __init__(self, *objects: Object) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, Object] = {}
        self.faults: dict[str, list[t.Any]] = {}
        self.always: dict[str, t.Any] = {}
        self.requests: list[str] = []
        self.versions = itertools.count(100)
        self.lock = threading.RLock()
        for one in objects:
            self.store(self.path_of(one), one)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @staticmethod
    def path_of(obj: Object) -> str:
        version, metadata = obj["apiVersion"], obj["metadata"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        return f"{root}/namespaces/{metadata['namespace']}/{PLURALS[obj['kind']]}/{metadata['name']}"

    def stored(self, kind: str, name: str) -> Object:
        """Return the object of this kind and name."""
        return next(one for one in self.objects.values() if (one["kind"], one["metadata"]["name"]) == (kind, name))

    def edit(self, kind: str, name: str, change: Callable[[Object], t.Any]) -> None:
        """Change an object as another writer does."""
        obj = copy.deepcopy(self.stored(kind, name))
        change(obj)
        self.store(self.path_of(obj), obj)

    def store(self, path: str, obj: Object) -> Object:
        metadata = {"uid": f"uid-of-{path}", **obj["metadata"], "resourceVersion": str(next(self.versions))}
        self.objects[path] = {**copy.deepcopy(obj), "metadata": metadata}
        return self.objects[path]

    def carry_out(self, method: str, path: str, body: t.Any, *, dry_run: bool) -> Reply:
        with self.lock:
            before = copy.deepcopy(self.objects)
            reply = getattr(self, f"_{method.lower()}")(path, body)
            if dry_run:
                self.objects = before
            return t.cast(Reply, copy.deepcopy(reply))

    def _get(self, path: str, _body: t.Any) -> Reply:
        if path in self.objects:
            return 200, self.objects[path]
        parts = path.split("/")
        if parts[-2] in ("namespaces", *PLURALS.values()):
            return _status(404, "NotFound", f"{path} not found")
        root, _slash, plural = path.rpartition("/")
        items = [one for place, one in self.objects.items() if place.startswith(root) and f"/{plural}/" in place]
        return 200, {"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items}

    def _post(self, path: str, body: Object) -> Reply:
        place = f"{path}/{body['metadata']['name']}"
        if place in self.objects:
            return _status(409, "AlreadyExists", f"{place} already exists")
        return 201, self.store(place, body)

    def _patch(self, path: str, body: list[Object]) -> Reply:
        place = path.removesuffix("/scale")
        if place not in self.objects:
            return _status(404, "NotFound", f"{path} not found")
        before = self.objects[place]
        scaled = before
        if place != path:  # the subresource omits `replicas: 0`
            pods = before["spec"]["replicas"]
            scaled = {**before, "spec": {"replicas": pods} if pods else {}}
        try:
            after = jsonpatch.apply_patch(scaled, body)
        except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
            return _status(422, "Invalid", f"the server rejected our request due to an error in our request {error}")
        if place != path:
            after = {**before, "spec": {**before["spec"], "replicas": after["spec"].get("replicas", 0)}}
        return 200, self.store(place, after)

    def _delete(self, path: str, body: Object) -> Reply:
        if path not in self.objects:
            return _status(404, "NotFound", f"{path} not found")
        metadata = self.objects[path]["metadata"]
        for key, value in (body.get("preconditions") or {}).items():
            if metadata.get(key) != value:
                return _status(409, "Conflict", f"Precondition failed: {key}")
        if metadata.get("finalizers"):
            metadata.update(deletionTimestamp="2026-01-01T00:00:00Z", resourceVersion=str(next(self.versions)))
            return 200, self.objects[path]
        return 200, self.objects.pop(path)


def _status(code: int, reason: str, message: str) -> Reply:
    return code, {"kind": "Status", "code": code, "reason": reason, "message": message, "details": {}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyApi

    def handle_any(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else None
        path, _question, query = self.path.partition("?")
        dry_run = "dryRun=All" in query or (isinstance(body, dict) and body.get("dryRun") == ["All"])
        self.server.requests.append(f"{self.command} {path}{' (dry run)' if dry_run else ''}")
        planned = self.server.faults.get(self.command) or []
        fault = None if dry_run else planned.pop(0) if planned else self.server.always.get(self.command)
        if fault == "never":
            return self._hang_up()
        status, answer = self.server.carry_out(self.command, path, body, dry_run=dry_run)
        if callable(fault):
            fault()
        if fault == "lost" or callable(fault):
            return self._hang_up()
        if isinstance(fault, int):
            status, answer = _status(fault, "InternalError", "etcdserver: request timed out")
        self._answer(status, fault if isinstance(fault, bytes) else json.dumps(answer).encode())
        return None

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _hang_up(self) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    do_GET = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815 - the base class's names

    def log_message(self, format: str, *args: t.Any) -> None:  # noqa: A002 - the base class's name
        """Keep the test's output clean."""


@contextlib.contextmanager
def serving(*objects: Object) -> Iterator[FaultyApi]:
    """Serve the objects until the end of the block."""
    one = FaultyApi(*objects)
    thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield one
    finally:
        one.shutdown()
        thread.join()
        one.server_close()
