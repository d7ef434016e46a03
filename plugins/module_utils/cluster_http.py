# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a request travels: connection pool, bounded retries, counting, the server's warnings and clock."""

from __future__ import annotations

import datetime
import email.utils
import json
import threading
import typing as t
import warnings
from collections import Counter

from . import cluster_config, cluster_exec, cluster_forward
from .cluster_errors import Attempt, refused, unreachable
from .errors import ApiError

try:
    import urllib3
    from kubernetes.client.rest import RESTClientObject
    from urllib3 import HTTPHeaderDict, Retry

    IMPORT_ERROR: ImportError | None = cluster_config.IMPORT_ERROR
except ImportError as error:
    IMPORT_ERROR = error
    Retry = object  # type: ignore[assignment, misc]

if t.TYPE_CHECKING:
    from collections.abc import Mapping

CONNECT_TIMEOUT: t.Final = 5.0
READ_TIMEOUT: t.Final = 35.0  # longer than the 30 s the API server gives an admission webhook at most
LONGEST_PAUSE: t.Final = 10.0
_COUNTED: t.Final = ("GET", "PATCH", "POST", "DELETE")


class BoundedRetry(Retry):
    """urllib3's retry, which without a bound would sleep for as long as a server's Retry-After says."""

    def get_retry_after(self, response: t.Any) -> float | None:
        """Return the server's wish in seconds, no more than LONGEST_PAUSE."""
        wish = super().get_retry_after(response)
        return None if wish is None else min(float(wish), LONGEST_PAUSE)


def bounded_retry() -> BoundedRetry:
    """Repeat what may be repeated: all writes carry a precondition, so a repeated one cannot apply twice."""
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


class Transport:
    """Sends requests as one user to one API server, from any number of threads."""

    def __init__(self, connection: cluster_config.Connection) -> None:
        self._connection = connection
        connection.configuration.retries = bounded_retry()
        self._pool = RESTClientObject(connection.configuration).pool_manager
        self._tunnels = cluster_forward.Tunnels(connection.configuration)
        self._lock = threading.Lock()
        self._requests: Counter[str] = Counter()
        self.server_time: datetime.datetime | None = None
        self.warnings: list[str] = []
        if not connection.configuration.verify_ssl:
            warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)

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
    ) -> tuple[int, bytes]:
        """Return status and body of the answer, whatever it is. Raises ApiError if there is none."""
        headers = HTTPHeaderDict([("Accept", "application/json, */*"), ("User-Agent", "meshops.canary")])
        for name, value in self._connection.all_headers():
            headers.add(name, value)
        content = None
        if body is not None:
            headers["Content-Type"] = content_type
            content = json.dumps(body).encode()
        self._count(method)
        try:
            response = self._pool.request(
                method,
                self.host + url,
                body=content,
                headers=headers,
                redirect=False,
                timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT),
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise unreachable(attempt, self.host, error) from error
        self._note(response.headers)
        return response.status, response.data

    def forward(self, url: str, attempt: Attempt, port: int, path: str, *, timeout: float) -> bytes:
        """Return the body of `GET path` at a pod's port, over the port-forward at `url`. Raises ApiError."""
        self._count("GET")
        headers = self._connection.all_headers()
        try:
            status, body = self._tunnels.get(self.host + url, headers, path, timeout=timeout)
        except cluster_forward.ForwardRefusedError as error:
            raise refused(attempt, error.status, error.body) from error
        except (cluster_forward.ForwardBrokenError, cluster_forward.WEBSOCKET_ERROR, OSError) as error:
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
        configuration, headers = self._connection.configuration, self._connection.all_headers()
        try:
            return cluster_exec.run(configuration, self.host + url, headers, timeout=timeout)
        except cluster_forward.ForwardRefusedError as error:
            raise refused(attempt, error.status, error.body) from error
        except (cluster_exec.CommandFailedError, cluster_forward.WEBSOCKET_ERROR, OSError) as error:
            raise ApiError(
                f"{attempt.doing} failed: {error}. Check that the command exists in the container and ends in time.",
                None,
                reason="exec",
                object=attempt.object,
            ) from error

    def _count(self, method: str) -> None:
        with self._lock:
            self._requests[method] += 1

    def _note(self, headers: Mapping[str, str]) -> None:
        """Keep the API's warnings (RFC 9111: code, agent, quoted text) and its clock."""
        getlist = getattr(headers, "getlist", None)
        texts = [_warning_text(value) for value in (getlist("Warning") if getlist else ())]
        with self._lock:
            self.warnings += [text for text in dict.fromkeys(texts) if text and text not in self.warnings]
            if headers.get("Date"):
                date = email.utils.parsedate_to_datetime(headers["Date"])
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
