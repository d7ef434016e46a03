# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a request travels: connection pool, bounded retries, counting, the server's warnings and clock."""

from __future__ import annotations

import datetime
import json
import math
import ssl
import threading
import time
import typing as t
import warnings
from collections import Counter

from ..errors import ApiError
from ..objects.headers import parse_date
from . import config, lost_answers, pod_exec, port_forward
from .api_errors import Attempt, refused, unreachable

try:
    import urllib3
    from kubernetes.client.rest import RESTClientObject
    from urllib3 import HTTPHeaderDict, Retry

    IMPORT_ERROR: ImportError | None = config.IMPORT_ERROR
except ImportError as error:
    IMPORT_ERROR = error
    Retry = object  # type: ignore[assignment, misc]

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_Answer = t.TypeVar("_Answer")

CONNECT_TIMEOUT: t.Final = 5.0
READ_TIMEOUT: t.Final = 35.0  # longer than the 30 s the API server gives an admission webhook at most
LONGEST_PAUSE: t.Final = 10.0
RENEW_EVERY: t.Final = 5.0
"""Seconds between two readings of credentials that the server refuses."""
_UNAUTHORIZED: t.Final = 401
_COUNTED: t.Final = ("GET", "PATCH", "POST", "DELETE")


class BoundedRetry(Retry):
    """urllib3's retry, which without a bound would sleep for as long as a server's Retry-After says."""

    def get_retry_after(self, response: t.Any) -> float | None:
        """Return the server's wish in seconds, no more than LONGEST_PAUSE."""
        try:
            desired = super().get_retry_after(response)
            return None if desired is None else min(float(desired), LONGEST_PAUSE)
        except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError, TypeError):
            return None  # neither seconds nor a date: as if it were not there (RFC 9110, 10.2.3)

    def increment(self, *args: t.Any, **named: t.Any) -> BoundedRetry:
        """Return the retry that follows. The error of the last one has the earlier ones as `history`.

        A TLS connection that ends without a farewell is a lost connection, not a certificate that is refused.
        """
        error = named.get("error")
        if isinstance(error, urllib3.exceptions.SSLError) and isinstance(error.args[0], ssl.SSLEOFError):
            named["error"] = urllib3.exceptions.ProtocolError("Connection aborted.", error.args[0])
        try:
            return super().increment(*args, **named)
        except urllib3.exceptions.MaxRetryError as error:
            error.history = self.history  # type: ignore[attr-defined]  # read by lost_answers.py
            raise


def bounded_retry() -> BoundedRetry:
    """Repeat what may be repeated: all writes carry a precondition, so a repeated one cannot apply twice.

    lost_answers.py tells whether the first one was carried out.
    """
    return BoundedRetry(
        total=4,
        connect=2,
        read=2,
        status=3,
        redirect=0,
        other=0,  # a certificate does not become valid by asking again
        backoff_factor=0.2,
        status_forcelist=(429, 500, 502, 503, 504),
        allowed_methods=None,
        raise_on_status=False,
        respect_retry_after_header=True,
    )


class Answer(t.NamedTuple):
    """One answer. lost: an earlier try of the same request may have been carried out, and its answer was lost."""

    status: int
    body: bytes
    lost: bool = False


class Transport:
    """Sends requests as one user to one API server, from any number of threads."""

    def __init__(self, connection: config.Connection) -> None:
        self._use(connection)
        self._lock, self._renewing = threading.Lock(), threading.Lock()
        self._generation, self._renewed = 0, -math.inf
        self._requests: Counter[str] = Counter()
        self.server_time: datetime.datetime | None = None
        self.warnings: list[str] = []

    def _use(self, connection: config.Connection) -> None:
        self._connection = connection
        connection.configuration.retries = bounded_retry()
        self._pool = RESTClientObject(connection.configuration).pool_manager
        self._tunnels = port_forward.Tunnels(connection.configuration)
        if not connection.configuration.verify_ssl:
            warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)

    def _renew(self, generation: int) -> bool:
        """Read the credentials anew, since the server refuses them; return whether to send the request again.

        A token file is rotated, a plugin may not say when its token expires, and somebody logs in again: all of that
        happens while a task waits for an hour. generation: of the credentials that were refused. Raises ApiError where
        they cannot be read.
        """
        with self._renewing:
            if self._generation != generation:  # another thread was faster
                return True
            again = self._connection.again
            if again is None or time.monotonic() - self._renewed < RENEW_EVERY:
                return False
            self._renewed = time.monotonic()
            self._use(again())
            self._generation += 1
            return True

    @property
    def host(self) -> str:
        """Return the API server's URL."""
        return self._connection.host

    @property
    def requests(self) -> dict[str, int]:
        """Return how many requests were sent, by method: `{get, patch, post, delete}`. A retry counts once."""
        return {method.lower(): self._requests[method] for method in _COUNTED}

    def send(
        self, method: str, url: str, attempt: Attempt, body: t.Any = None, content_type: str = "application/json"
    ) -> Answer:
        """Return the answer, whatever it is. Raises ApiError if there is none."""
        content = None if body is None else json.dumps(body).encode()
        self._count(method)
        generation = self._generation
        response = self._request(method, url, attempt, content, content_type)
        tries = list(getattr(response.retries, "history", ()))
        if response.status == _UNAUTHORIZED and self._renew(generation):
            response = self._request(method, url, attempt, content, content_type)
            tries += getattr(response.retries, "history", ())
        self._note(response.headers)
        return Answer(response.status, response.data, lost_answers.was_tried(tries))

    def _request(self, method: str, url: str, attempt: Attempt, content: bytes | None, content_type: str) -> t.Any:
        headers = HTTPHeaderDict([("Accept", "application/json, */*"), ("User-Agent", "meshops.canary")])
        for name, value in self._connection.all_headers():
            headers.add(name, value)
        if content is not None:
            headers["Content-Type"] = content_type
        try:
            return self._pool.request(
                method,
                self.host + url,
                body=content,
                headers=headers,
                redirect=False,
                timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT),
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            failure = unreachable(attempt, self.host, error)
            failure.maybe_written = attempt.writes and lost_answers.may_have_arrived(error)
            raise failure from error

    def forward(self, url: str, attempt: Attempt, port: int, path: str, *, timeout: float) -> bytes:
        """Return the body of `GET path` at a pod's port, over the port-forward at `url`. Raises ApiError."""
        self._count("GET")
        try:
            status, body = self._with_renewed_credentials(
                lambda: self._tunnels.get(self.host + url, self._connection.all_headers(), path, timeout=timeout)
            )
        except port_forward.ForwardRefusedError as error:
            raise refused(attempt, error.status, error.body) from error
        except (port_forward.ForwardBrokenError, port_forward.WEBSOCKET_ERROR, OSError) as error:
            raise ApiError(
                f"{attempt.doing} failed: port {port} gave no answer to {path}: {error}. "
                "Check that the pod is running and that its proxy or istiod listens there.",
                None,
                reason="portforward",
                object=attempt.object,
            ) from error
        if status != 200:
            said = body[:200].decode(errors="replace")
            raise ApiError(
                f"{attempt.object}, port {port}, answered {path} with {status}: {said}",
                status,
                reason="portforward",
                object=attempt.object,
            )
        return body

    def execute(self, url: str, attempt: Attempt, *, timeout: float) -> str:
        """Return what the command at `url` printed in its container. Raises ApiError."""
        self._count("GET")

        def run() -> str:
            headers = self._connection.all_headers()
            return pod_exec.run(self._connection.configuration, self.host + url, headers, timeout=timeout)

        try:
            return self._with_renewed_credentials(run)
        except port_forward.ForwardRefusedError as error:
            raise refused(attempt, error.status, error.body) from error
        except (pod_exec.CommandFailedError, port_forward.WEBSOCKET_ERROR, OSError) as error:
            raise ApiError(
                f"{attempt.doing} failed: {error}. Check that the command exists in the container and ends in time.",
                None,
                reason="exec",
                object=attempt.object,
            ) from error

    def _with_renewed_credentials(self, send: Callable[[], _Answer]) -> _Answer:
        """Return what `send` returns, once again with renewed credentials if the server refuses the present ones."""
        generation = self._generation
        try:
            return send()
        except port_forward.ForwardRefusedError as error:
            if error.status != _UNAUTHORIZED or not self._renew(generation):
                raise
        return send()

    def _count(self, method: str) -> None:
        with self._lock:
            self._requests[method] += 1

    def _note(self, headers: Mapping[str, str]) -> None:
        """Keep the API's warnings (RFC 9111: code, agent, quoted text) and its clock."""
        getlist = getattr(headers, "getlist", None)
        texts = [_warning_text(value) for value in (getlist("Warning") if getlist else ())]
        with self._lock:
            self.warnings += [text for text in dict.fromkeys(texts) if text and text not in self.warnings]
            date = parse_date(headers.get("Date"))
            if date is not None:
                self.server_time = finely(date, datetime.datetime.now(datetime.timezone.utc))


def finely(date: datetime.datetime, here: datetime.datetime) -> datetime.datetime:
    """Return the server's time, of which it tells whole seconds, with the parts of a second that our clock has.

    here: our clock. It is believed within the second that the server named and no further.
    """
    return min(max(here, date), date + datetime.timedelta(milliseconds=999))


def _warning_text(value: str) -> str:
    text = value.split(" ", 2)[-1].strip()
    if text.startswith('"') and text.endswith('"'):
        text = text[1:-1].replace('\\"', '"')
    return text
