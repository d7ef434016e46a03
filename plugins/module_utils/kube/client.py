# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The only access to the Kubernetes API: dictionaries in, dictionaries out, and nothing decided.

The kubernetes library does what is hard to do right (kubeconfig, credential plugins, TLS, proxies); requests go
over its connection pool directly, for its models and its discovery cost more time than the cluster does.
"""

from __future__ import annotations

import typing as t
from urllib.parse import quote, urlencode

from ..errors import ApiError, CanaryError
from ..objects import json_text
from . import config, lost_answers
from .api_errors import Attempt, is_unknown_api, refused
from .http import Transport
from .resources import ACCESS_REVIEW, POD, Resource

if t.TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Mapping, Sequence

Object = dict[str, t.Any]

PAGE: t.Final = 500
_JSON_PATCH: t.Final = "application/json-patch+json"


class Cluster:
    """One API server, as one user, during one task. Safe to read from several threads."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._versions: dict[Resource, str] = {}
        self._notes: list[str] = []

    @classmethod
    def connect(cls, params: Mapping[str, t.Any], env: Mapping[str, str]) -> Cluster:
        """Return the cluster that the options and `K8S_AUTH_*`, `KUBECONFIG` of `env` describe. Sends nothing yet."""
        return cls(Transport(config.load(params, env)))

    @property
    def host(self) -> str:
        """Return the API server's URL."""
        return self._transport.host

    @property
    def requests(self) -> dict[str, int]:
        """Return how many requests were sent, by method: `{get, patch, post, delete}`. A retry counts once."""
        return self._transport.requests

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return what the API server warned of, and which writes were recognized by reading; each sentence once."""
        return (*self._transport.warnings, *self._notes)

    @property
    def server_time(self) -> datetime.datetime | None:
        """Return the API server's clock at its last answer, None before the first."""
        return self._transport.server_time

    def get(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        """Return one object, None if it (or its namespace) does not exist.

        Raises ApiError, also if the server does not know the API at all.
        """
        attempt = Attempt("get", resource, namespace, name)
        try:
            return self._named(attempt, self._json("GET", attempt))
        except ApiError as error:
            if error.status == 404 and error.details.get("reason") == "NotFound":
                return None
            raise

    def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> list[Object]:
        """Return all objects of a namespace, or of the cluster; each with its apiVersion and kind."""
        attempt = Attempt("list", resource, namespace)
        query = {"limit": str(PAGE), "labelSelector": label_selector, "fieldSelector": field_selector}
        found: list[Object] = []
        while True:
            page = self._json("GET", attempt, query)
            found += self._items(attempt, page)
            following = str((page.get("metadata") or {}).get("continue") or "")
            if following and following == query.get("continue"):
                raise self._odd(attempt, f"the page {following[:50]!r} again and again")
            query["continue"] = following
            if not following:
                return found

    def create(self, resource: Resource, namespace: str | None, body: Object, *, dry_run: bool = False) -> Object:
        """Create an object and return it as stored. Raises Conflict if it exists already."""
        name = str((body.get("metadata") or {}).get("name") or "")
        attempt = Attempt("create", resource, namespace, name, dry_run=dry_run)
        try:
            return self._json("POST", attempt, _strict(dry_run), body)
        except CanaryError as error:
            return self._recognized(error, attempt, lambda found: lost_answers.is_stored(found, body))

    def patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        patch: Sequence[Mapping[str, t.Any]],
        *,
        after: Object | None = None,
        subresource: str = "",
        dry_run: bool = False,
    ) -> Object:
        """Apply a JSON Patch and return the object as stored, or its subresource `scale`.

        after: the object with the patch applied, by which a patch is recognized whose answer was lost.
        Raises Conflict if a `test` fails or the resourceVersion is no longer the one in the patch.
        """
        attempt = Attempt("patch", resource, namespace, name, subresource, dry_run)
        try:
            return self._json("PATCH", attempt, _strict(dry_run), list(patch), _JSON_PATCH)
        except CanaryError as error:
            if after is None:
                raise
            return self._recognized(
                error,
                attempt,
                lambda found: lost_answers.is_patched(found, after, patch),
                lambda found: lost_answers.is_untouched(found, patch),
            )

    def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        resource_version: str | None = None,
        uid: str | None = None,
        dry_run: bool = False,
        cascade: bool = False,
    ) -> None:
        """Delete an object. A missing one is no error.

        resource_version: only in that state, else Conflict. uid: only that very object, not a later one of its name.
        cascade: what it owns goes too, for a Job does not take its pods along by itself.
        """
        attempt = Attempt("delete", resource, namespace, name, dry_run=dry_run)
        body: Object = {"kind": "DeleteOptions", "apiVersion": "v1"}
        wanted = {"resourceVersion": resource_version, "uid": uid}
        body["preconditions"] = {key: value for key, value in wanted.items() if value}
        if dry_run:
            body["dryRun"] = ["All"]
        if cascade:
            body["propagationPolicy"] = "Background"
        try:
            self._json("DELETE", attempt, {}, body)
        except CanaryError as error:
            if isinstance(error, ApiError) and error.status == 404 and error.details.get("reason") == "NotFound":
                return
            self._recognized(
                error,
                attempt,
                lambda found: (
                    (not found or bool(uid and found["metadata"].get("uid") != uid))
                    or bool(found["metadata"].get("deletionTimestamp"))
                ),
                lambda found: found["metadata"].get("resourceVersion") == resource_version,
            )

    def access_review(
        self, verb: str, resource: Resource, namespace: str | None, *, name: str = "", subresource: str = ""
    ) -> bool:
        """Ask whether we may; every user may ask (SelfSubjectAccessReview). name: empty asks for all names."""
        requested = {"verb": verb, "group": resource.group, "resource": resource.plural}
        extra = {"namespace": namespace or "", "name": name, "subresource": subresource}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {**requested, **{key: value for key, value in extra.items() if value}}},
        }
        attempt = Attempt("create", ACCESS_REVIEW)
        answer = self._json("POST", attempt, {}, body)
        return (answer.get("status") or {}).get("allowed") is True

    def pod_proxy_get(self, namespace: str, pod: str, port: int, path: str) -> bytes:
        """Return the body of `GET path` at a pod's port, through the API server (right: get on pods/proxy)."""
        attempt = Attempt("get", POD, namespace, f"{pod}:{port}", subresource="proxy")
        separator = "?" if "?" in path else ""
        route, _question, query = path.partition("?")
        url = f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(pod)}:{port}/proxy/{route.lstrip('/')}"
        status, body, _lost = self._transport.send("GET", f"{url}{separator}{query}", attempt)
        if not 200 <= status < 300:
            raise refused(attempt, status, body)
        return body

    def pod_log(self, namespace: str, pod: str, container: str, *, lines: int = 10, previous: bool = False) -> str:
        """Return the last lines a container wrote (right: get on pods/log). previous: those of its last run."""
        attempt = Attempt("get", POD, namespace, pod, subresource="log")
        query = {"container": container, "tailLines": str(lines), "previous": "true" if previous else "false"}
        url = f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(pod)}/log?{urlencode(query)}"
        status, body, _lost = self._transport.send("GET", url, attempt)
        if not 200 <= status < 300:
            raise refused(attempt, status, body)
        return body.decode(errors="replace")

    def port_forward(self, namespace: str, pod: str, port: int, path: str, *, timeout: float = 10.0) -> bytes:
        """Return the body of `GET path` at a pod's port, requested from the pod's own loopback.

        Rights: get and create on pods/portforward. timeout: seconds for each wait on the connection.
        Raises ApiError if forwarding is refused or the port does not answer with status 200.
        """
        attempt = Attempt("create", POD, namespace, pod, subresource="portforward")
        url = f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(pod)}/portforward?ports={port}"
        return self._transport.forward(url, attempt, port, path, timeout=timeout)

    def execute(
        self, namespace: str, pod: str, command: Sequence[str], *, container: str = "", timeout: float = 10.0
    ) -> str:
        """Run a command in a pod's container (default: its first) and return what it printed.

        Right: get and create on pods/exec. timeout: seconds without any output. Raises ApiError, also if it fails.
        """
        attempt = Attempt("create", POD, namespace, pod, subresource="exec")
        fields = [("stdout", "true"), ("stderr", "true"), *(("command", part) for part in command)]
        query = urlencode([*fields, ("container", container)] if container else fields)
        url = f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(pod)}/exec?{query}"
        return self._transport.execute(url, attempt, timeout=timeout)

    def _json(
        self,
        method: str,
        attempt: Attempt,
        query: Mapping[str, str] | None = None,
        body: t.Any = None,
        content_type: str = "application/json",
    ) -> Object:
        """Send to the first version of the API that the server knows; remember it for the rest of the task."""
        remembered = self._versions.get(attempt.resource)
        versions = (remembered,) if remembered else attempt.resource.versions
        status, answer, lost = 0, b"", False
        for version in versions:
            url = _path(attempt, version)
            given = {key: value for key, value in (query or {}).items() if value}
            content = body
            if isinstance(body, dict) and attempt.verb == "create":
                content = {**body, "apiVersion": f"{attempt.resource.group}/{version}".lstrip("/")}
            status, answer, lost = self._transport.send(
                method, f"{url}?{urlencode(given)}" if given else url, attempt, content, content_type
            )
            if not is_unknown_api(status, answer):
                self._versions[attempt.resource] = version
                break
        if not 200 <= status < 300:
            error = refused(attempt, status, answer)
            error.maybe_written = attempt.writes and (lost or status >= 500)
            raise error
        try:
            return _checked(json_text.parse_mapping(answer))
        except ValueError as problem:
            error = self._odd(attempt, f"{answer[:200]!r}, which is not JSON of the API ({problem})", status)
            error.maybe_written = attempt.writes
            raise error from problem

    def _named(self, attempt: Attempt, found: Object) -> Object:
        """Return the requested object, raise ApiError for another one."""
        name = (found.get("metadata") or {}).get("name")
        if name != attempt.name:
            raise self._odd(attempt, f"an object of the name {name!r}")
        return found

    def _items(self, attempt: Attempt, page: Object) -> t.Sequence[Object]:
        """Return the objects of one page of a list, each with its apiVersion and kind."""
        items = page.get("items")
        if not isinstance(items, (list, type(None))):
            raise self._odd(attempt, f"{json_text.json_type(items)} as the items of a list")
        common = {"apiVersion": page.get("apiVersion"), "kind": attempt.resource.kind}
        try:
            return [_checked({**common, **item}, named=True) for item in items or ()]
        except (ValueError, TypeError) as problem:
            raise self._odd(attempt, f"a list with something else than objects ({problem})") from problem

    def _odd(self, attempt: Attempt, answer: str, status: int | None = None) -> ApiError:
        """Return the error for an answer that the API does not give."""
        return ApiError(
            f"{attempt.doing}: {self.host} answered with {answer}. "
            "Check that host is the API server and not a login page or a proxy.",
            status,
            reason="NotTheApi",
            object=attempt.object,
            verb=attempt.verb,
        )

    def _recognized(
        self,
        error: CanaryError,
        attempt: Attempt,
        is_done: Callable[[Object], bool],
        is_untouched: Callable[[Object], bool] = lambda _found: False,
    ) -> Object:
        """Return the object if the write that ended in `error` was carried out nevertheless; raise `error` if not.

        is_done, is_untouched: whether the object as it is now shows that it was, or was not; {} for a missing one.
        """
        if not error.maybe_written or not attempt.name:
            raise error
        try:
            found = self.get(attempt.resource, attempt.namespace, attempt.name) or {}
        except CanaryError as unread:
            error.msg += (
                f" It is not known whether it was carried out nevertheless, for reading failed too: {unread.msg}"
            )
            raise error from unread
        if attempt.subresource == "scale":
            found = _as_scale(found)
        if is_done(found):
            self._notes.append(
                f"{attempt.doing} got no answer, or not to the first try ({error.details.get('reason')}); "
                f"the object shows that it was carried out."
            )
            return found
        if is_untouched(found) or (not found and attempt.verb == "create"):
            error.maybe_written = False
            error.msg += f" {attempt.object} was read afterwards: nothing was written so far."
        else:
            error.msg += f" It is not known whether it was carried out, for {attempt.object} has changed since."
        raise error


def _checked(answer: Object, *, named: bool = False) -> Object:
    """Return the answer if its parts are of the API's types. Raises ValueError.

    named: it must have a name. `spec` and `data` are what the kind says; the API server validates them.
    """
    for key in ("metadata", "spec", "status", "data"):
        if not isinstance(answer.get(key), (dict, type(None))) and (key, answer.get("kind")) != ("status", "Status"):
            raise ValueError(f"its {key} is {json_text.json_type(answer[key])}")
    metadata = answer.get("metadata") or {}
    for key in ("annotations", "labels"):
        if not isinstance(metadata.get(key), (dict, type(None))):
            raise ValueError(f"its {key} are {json_text.json_type(metadata[key])}")
    if named and not isinstance(metadata.get("name"), str):
        raise ValueError("an object has no name")
    return answer


def _as_scale(found: Object) -> Object:
    """Return a Deployment as its subresource scale shows it, which omits `replicas: 0`."""
    pods = (found.get("spec") or {}).get("replicas")
    return {**found, "spec": {"replicas": pods} if pods else {}}


def _strict(dry_run: bool) -> dict[str, str]:
    """An unknown field is refused instead of silently dropped."""
    return {"fieldValidation": "Strict", "fieldManager": "meshops.canary", "dryRun": "All" if dry_run else ""}


def _path(attempt: Attempt, version: str) -> str:
    resource = attempt.resource
    parts = ["apis", resource.group, version] if resource.group else ["api", version]
    if resource.namespaced and attempt.namespace:
        parts += ["namespaces", attempt.namespace]
    parts.append(resource.plural)
    if attempt.name and attempt.verb != "create":
        parts.append(attempt.name)
    if attempt.subresource:
        parts.append(attempt.subresource)
    return "/" + "/".join(quote(part, safe="") for part in parts)
