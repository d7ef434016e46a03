# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to say when the API server refuses or cannot be reached: attempt, object, answer, way out."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..errors import ApiError, CanaryError, Conflict
from ..objects import json_text
from .resources import ACCESS_REVIEW

if t.TYPE_CHECKING:
    from .resources import Resource

_DOING: t.Final = {
    "get": "Reading",
    "list": "Listing",
    "create": "Creating",
    "patch": "Changing",
    "delete": "Deleting",
}


@dataclass(frozen=True)
class Attempt:
    """One request in the user's words.

    verb: as RBAC names it. subresource: portforward, exec, proxy, log, scale or empty.
    """

    verb: str
    resource: Resource
    namespace: str | None = None
    name: str | None = None
    subresource: str = ""
    dry_run: bool = False

    @property
    def object(self) -> str:
        """Return `Kind namespace/name`, or what of it is known."""
        if self.name:
            where = f"{self.namespace}/{self.name}" if self.namespace else self.name
            return f"{self.resource.kind} {where}"
        where = f"in namespace {self.namespace}" if self.namespace else "in all namespaces"
        return f"{self.resource.qualified} {where}" if self.resource.namespaced else self.resource.qualified

    @property
    def writes(self) -> bool:
        """Return whether it changes something that is stored."""
        verbs, streams = ("create", "patch", "delete"), ("portforward", "exec")
        return (
            self.verb in verbs
            and self.subresource not in streams
            and not self.dry_run
            and self.resource != ACCESS_REVIEW
        )

    @property
    def doing(self) -> str:
        """Return the attempt as the beginning of a sentence: `Reading VirtualService shop/reviews`."""
        if self.subresource == "portforward":
            return f"Forwarding a port of {self.object}"
        if self.subresource == "exec":
            return f"Running a command in {self.object}"
        if self.subresource == "proxy":
            return f"Reading through the API server's proxy from {self.object}"
        doing = "Scaling" if self.subresource == "scale" else _DOING[self.verb]
        return f"{doing} {self.object}" + (" (dry run)" if self.dry_run else "")

    @property
    def grant(self) -> str:
        """Return the missing right as a sentence with the exact verb, resource and API group."""
        resource = f"{self.resource.plural}/{self.subresource}" if self.subresource else self.resource.plural
        if self.subresource in (
            "portforward",
            "exec",
        ):  # over a websocket, which is a GET; Kubernetes 1.35 asks for create too
            return f'Grant the verbs "get" and "create" on "{resource}" (API group "") in namespace {self.namespace}.'
        where = f"in namespace {self.namespace}" if self.namespace else "in a ClusterRole"
        return f'Grant the verb "{self.verb}" on "{resource}" (API group "{self.resource.group}") {where}.'


def status_message(body: bytes) -> tuple[str, dict[str, t.Any]]:
    """Return the server's sentence and its Status object ({} if it did not answer with one)."""
    try:
        status = json_text.parse_mapping(body)
    except ValueError:
        status = {}
    if status.get("kind") != "Status":
        return body.decode(errors="replace").strip()[:300], {}
    return str(status.get("message") or status.get("reason") or "no message"), status


def is_unknown_api(http_status: int, body: bytes) -> bool:
    """Tell a missing API (plain `404 page not found`) from a missing object (a Status that names it)."""
    return http_status == 404 and not status_message(body)[1]


def refused(attempt: Attempt, http_status: int, body: bytes) -> CanaryError:
    """Return the error for an answer outside 200..299."""
    message, status = status_message(body)
    reason = str(status.get("reason") or "")
    details = {"reason": reason or None, "object": attempt.object, "verb": attempt.verb}
    if http_status == 409 or _is_failed_test(http_status, message, status):
        return Conflict(
            f"{attempt.doing} conflicts with a concurrent change: {message}. Run the task again.",
            status=http_status,
            **details,
        )
    said = f"{attempt.doing} was refused by the API server ({http_status}{' ' + reason if reason else ''}): {message}"
    return ApiError(f"{said.rstrip('.')}. {_way_out(attempt, http_status, message, status)}", http_status, **details)


def _is_failed_test(http_status: int, message: str, status: dict[str, t.Any]) -> bool:
    """A JSON Patch whose `test` fails is 422 without causes; a schema violation is 422 with causes."""
    details = status.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    return http_status == 422 and not causes and ("test" in message or "request due to an error" in message)


def _way_out(attempt: Attempt, http_status: int, message: str, status: dict[str, t.Any]) -> str:
    if http_status == 401:
        return (
            "Log in again, or check api_key, client_cert or the user of the kubeconfig. The server does not "
            "accept these credentials."
        )
    if http_status == 403 and "exceeded quota" not in message and "admission webhook" not in message:
        return attempt.grant
    if http_status == 404 and not status:
        return (
            f"The server has no API {attempt.resource.qualified}: {attempt.resource.product} is not installed in "
            "this cluster, or host points to something that is not the API server."
        )
    if http_status == 404:
        return "Check that the names are correct and that the namespace exists."
    if "admission webhook" in message:
        return "The message of the webhook describes what it rejected. Nothing was written."
    if http_status == 429:
        return "The server is overloaded or limits this user, also after several attempts. Try again later."
    if http_status >= 500:
        return "The server failed, also after several attempts. Check its health and logs, then run the task again."
    return "Nothing was written."


# what the texts of urllib3, ssl and the socket have in common, by cause; the first that fits names it
_TRANSPORT: t.Final[tuple[tuple[tuple[str, ...], str, str], ...]] = (
    (
        ("ssleoferror", "eof occurred"),
        "connection closed",
        "The server, or a load balancer before it, closed the connection, also after several attempts. Check that the "
        "API server is running, then run the task again.",
    ),
    (
        ("certificate", "ssl"),
        "tls",
        "The server's certificate is not trusted, or the client certificate is not valid. Set ca_cert (or the CA in "
        "the kubeconfig), check that host is a name in the certificate, and that client_cert and client_key belong "
        "together.",
    ),
    (("proxy",), "proxy", "Check the option proxy, proxy-url of the kubeconfig, and no_proxy."),
    (
        ("refused",),
        "connection refused",
        "Nothing listens on that port. Check that the cluster is running, and that host and port are correct.",
    ),
    (
        ("resolve", "name or service", "getaddrinfo"),
        "unknown host name",
        "The host name cannot be resolved: check host or the kubeconfig's server.",
    ),
    (("timed out", "timeout"), "timeout", "Check the network, firewall or VPN, and the load of the server."),
    (("",), "no connection", "Check that the API server can be reached from the host that runs the task."),
)


def unreachable(attempt: Attempt, host: str, error: BaseException) -> ApiError:
    """Return the error for a request that got no answer. error: what urllib3 or the socket raised."""
    cause = _innermost(error)
    text = f"{type(error).__name__} {error} {type(cause).__name__} {cause}".lower()
    for marks, kind, way_out in _TRANSPORT:  # noqa: B007 - the last one fits all
        if any(mark in text for mark in marks):
            break
    return ApiError(
        f"{attempt.doing} failed: no answer from {host} ({kind}): {cause}. {way_out}",
        None,
        reason=kind,
        object=attempt.object,
        verb=attempt.verb,
    )


def _innermost(error: BaseException) -> BaseException:
    """Follow urllib3's `reason` chain down to what the socket said."""
    while isinstance(getattr(error, "reason", None), Exception):
        error = error.reason  # type: ignore[attr-defined]
    return error
