# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The client of Prometheus (or of another server with its HTTP API: Thanos, Mimir, VictoriaMetrics).

An empty answer is an empty list and NaN stays NaN. Every failure is a MetricsError with a `reason`.
"""

from __future__ import annotations

import re
import typing as t
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

from .errors import InvalidInput, MetricsError
from .objects import json_text
from .objects.headers import can_be_value, checked_headers

try:
    import urllib3
    from urllib3.util import make_headers

    IMPORT_ERROR: ImportError | None = None
except ImportError as error:
    IMPORT_ERROR = error

if t.TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_URL: t.Final = 4000
LONGEST_TIMEOUT: t.Final = 3600.0
SHOWN: t.Final = 300
_LABEL: t.Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_KINDS: t.Final = {401: "refused", 403: "refused", 407: "refused"}


class Series(t.NamedTuple):
    """One series of an answer. values: (Unix time in seconds, value) in order; a value may be NaN or infinite."""

    labels: Mapping[str, str]
    values: tuple[tuple[float, float], ...]

    @property
    def value(self) -> float:
        """Return the latest value."""
        return self.values[-1][1]


class Prometheus:
    """One server, as one user.

    url: its address, with a path if it has one; the API is below it. token: bearer token; or username and password.
    ca_cert: file with the authorities to trust. timeout: seconds for each answer. headers: further ones, such as
    X-Scope-OrgID. labels: those that `selector` requires. warnings: those of the server, each once.
    requests: number of requests sent.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        username: str | None = None,
        password: str | None = None,
        ca_cert: str | None = None,
        validate_certs: bool = True,
        timeout: float = 10.0,
        headers: Mapping[str, str] | None = None,
        labels: Mapping[str, t.Any] | None = None,
    ) -> None:
        self.url = _checked_url(url)
        self.labels = _label_matchers(labels or {})
        self.warnings: list[str] = []
        self.requests = 0
        self._timeout = timeout
        if not 0 < timeout <= LONGEST_TIMEOUT:
            raise InvalidInput(f"prometheus_timeout must be above 0 and at most {LONGEST_TIMEOUT:g}, not {timeout:g}.")
        own = checked_headers("prometheus_headers", headers)
        self._headers = {"Accept": "application/json", "User-Agent": "meshops.canary", **own}
        if token and not can_be_value(token):
            raise InvalidInput("prometheus_token has a line break, or another character that no header can have.")
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        elif username:
            basic = make_headers(basic_auth=f"{username}:{password or ''}")
            self._headers["Authorization"] = basic["authorization"]
        self._pool = _pool(self.url, ca_cert, validate_certs)

    @classmethod
    def from_params(cls, params: Mapping[str, t.Any]) -> Prometheus | None:
        """Return the server that the `prometheus_*` options describe, None if no URL is given."""
        if not params.get("prometheus_url"):
            return None
        return cls(
            params["prometheus_url"],
            token=params.get("prometheus_token"),
            username=params.get("prometheus_username"),
            password=params.get("prometheus_password"),
            ca_cert=params.get("prometheus_ca_cert"),
            validate_certs=params.get("prometheus_validate_certs", True),
            timeout=params.get("prometheus_timeout", 10.0),
            headers=params.get("prometheus_headers"),
            labels=params.get("prometheus_labels"),
        )

    def selector(self, metric: str, *matchers: str) -> str:
        """Return PromQL that selects the metric's series by `matchers` (as `code="200"`) and by the server's labels."""
        own = (f"{name}={_quoted(value)}" for name, value in self.labels.items())
        return f"{metric}{{{','.join((*matchers, *own))}}}"

    def query(self, promql: str, at: float | None = None) -> list[Series]:
        """Return the value of each series at one time. at: Unix time, None for the server's now.

        A scalar is one series without labels; nothing found is an empty list. Raises MetricsError.
        """
        data = self._call("query", {"query": promql, **({} if at is None else {"time": f"{at:.3f}"})})
        kind, result = data.get("resultType"), data.get("result")
        if kind not in ("scalar", "vector"):
            raise self._error("query", "unexpected", f"a {kind} where a vector or a scalar was expected: {promql}")
        try:
            if kind == "scalar":
                return [Series({}, (_point(result),))]
            return [Series(_labels(one), (_point(one["value"]),)) for one in _list(result) if "value" in one]
        except _OTHER_SHAPE as error:
            raise self._error("query", "not_prometheus", _unreadable(kind, result)) from error

    def query_range(self, promql: str, start: float, end: float, step: float) -> list[Series]:
        """Return the values of each series from `start` to `end` (Unix times), every `step` seconds.

        Times without a value are left out; nothing found is an empty list. Raises MetricsError.
        """
        span = {"start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}
        data = self._call("query_range", {"query": promql, **span})
        if data.get("resultType") != "matrix":
            raise self._error("query_range", "unexpected", f"a {data.get('resultType')} where a matrix was expected")
        result = data.get("result")
        try:
            series = [(_labels(one), _list(one.get("values"))) for one in _list(result)]
            return [Series(labels, tuple(_point(value) for value in values)) for labels, values in series if values]
        except _OTHER_SHAPE as error:
            raise self._error("query_range", "not_prometheus", _unreadable("matrix", result)) from error

    def _call(self, endpoint: str, fields: Mapping[str, str]) -> dict[str, t.Any]:
        url = f"{self.url}/api/v1/{endpoint}"
        content = urlencode({**fields, "timeout": f"{self._timeout:g}"})
        self.requests += 1
        try:
            if len(url) + len(content) < LONGEST_URL:
                answer = self._request("GET", f"{url}?{content}", None)
            else:
                answer = self._request("POST", url, content)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._error(endpoint, "unreachable", _cause(error)) from error
        return self._read(endpoint, answer.status, answer.data, answer.headers.get("Location"))

    def _request(self, method: str, url: str, body: str | None) -> t.Any:
        form = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        timeout = urllib3.Timeout(connect=min(5.0, self._timeout), read=self._timeout)
        return self._pool.request(
            method, url, body=body, headers={**self._headers, **form}, redirect=False, timeout=timeout
        )

    def _read(self, endpoint: str, status: int, body: bytes, location: str | None) -> dict[str, t.Any]:
        if location:
            raise self._error(
                endpoint, "refused", f"{status}, a redirection to {location}; is there a login page?", status
            )
        text = body[:SHOWN].decode(errors="replace").strip()
        try:
            answer = json_text.parse_mapping(body)
        except ValueError:
            answer = {}
        if answer.get("status") not in ("success", "error"):
            reason = _KINDS.get(status, "unreachable" if _is_busy(status) else "not_prometheus")
            raise self._error(endpoint, reason, f"{status} and not Prometheus' JSON: {text!r}", status)
        warnings = answer.get("warnings")
        listed = [str(one) for one in warnings] if isinstance(warnings, list) else []
        self.warnings += [one for one in dict.fromkeys(listed) if one not in self.warnings]
        if answer["status"] != "success" or not isinstance(answer.get("data"), dict):
            kind = str(answer.get("errorType") or "error")
            reason = "unreachable" if _is_busy(status) else _KINDS.get(status, "query")
            raise self._error(endpoint, reason, f"{status}, {kind}: {answer.get('error') or text}", status)
        return t.cast("dict[str, t.Any]", answer["data"])

    def _error(self, endpoint: str, reason: str, problem: str, status: int | None = None) -> MetricsError:
        remedy = {
            "unreachable": "Check that it is up, prometheus_url and prometheus_ca_cert; "
            "it must be reachable from where the task runs.",
            "refused": "Check prometheus_token, or prometheus_username and prometheus_password.",
            "not_prometheus": "prometheus_url must be the address below which api/v1/query is found.",
            "query": "Check the query, for example with promtool query instant.",
            "unexpected": "Check the query.",
        }[reason]
        return MetricsError(
            f"Prometheus at {self.url} answered {endpoint} with {problem}. {remedy}", reason=reason, status=status
        )


def _is_busy(status: int) -> bool:
    """Return whether the server has a problem of its own that may pass."""
    return status == 429 or status >= 500


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:  # http://[
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInput(f"prometheus_url: {url!r} is not an address such as http://prometheus.example.com:9090.")
    if parts.username or parts.password:
        raise InvalidInput("prometheus_url: give the credentials as prometheus_username and prometheus_password.")
    if parts.query or parts.fragment:
        raise InvalidInput(f"prometheus_url: {url!r} must end before `?` and `#`; api/v1/query is appended to it.")
    return url.rstrip("/").removesuffix("/api/v1")


def _label_matchers(labels: Mapping[str, t.Any]) -> dict[str, str]:
    """Return label -> value, both valid in PromQL. Raises InvalidInput."""
    for name, value in labels.items():
        if not _LABEL.fullmatch(str(name)):
            raise InvalidInput(f"prometheus_labels: {name!r} is not a label name; it has letters, digits and _.")
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise InvalidInput(f"prometheus_labels: {name} must have one value, as {{{name}: prod}}, not {value!r}.")
    return {str(name): str(value) for name, value in labels.items()}


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _pool(url: str, ca_cert: str | None, validate_certs: bool) -> t.Any:
    """Return the connection pool. Queries change nothing, so they are retried; proxies of the environment apply."""
    retries = urllib3.Retry(
        total=3,
        connect=2,
        read=1,
        status=2,
        redirect=0,
        other=0,
        backoff_factor=0.2,
        status_forcelist=(429, 502, 503, 504),
        allowed_methods=None,
        raise_on_status=False,
        respect_retry_after_header=False,
    )
    options: dict[str, t.Any] = {"retries": retries}
    parts = urlsplit(url)
    if parts.scheme == "https":
        options.update(cert_reqs="CERT_REQUIRED" if validate_certs else "CERT_NONE", ca_certs=ca_cert)
        if not validate_certs:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    proxies = getproxies_environment()
    proxy = proxies.get(parts.scheme)
    if proxy and not proxy_bypass_environment(parts.netloc, proxies):
        return urllib3.ProxyManager(proxy, **options)
    return urllib3.PoolManager(**options)


def _cause(error: Exception) -> str:
    """Return the innermost reason: urllib3 wraps the same failure several times."""
    reason: t.Any = error
    while isinstance(getattr(reason, "reason", None), Exception):
        reason = reason.reason
    return f"no answer ({type(reason).__name__}: {reason})"


_OTHER_SHAPE: t.Final = (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError)
"""What reading a value raises that is not of the type that Prometheus documents."""


def _point(pair: t.Any) -> tuple[float, float]:
    """Return time and value; Prometheus writes the value as a text, because JSON has no NaN."""
    moment, value = pair
    if not isinstance(moment, (int, float)) or not isinstance(value, (int, float, str)):
        raise TypeError("a time and a number were expected")
    return float(moment), float(value)


def _labels(one: t.Any) -> dict[str, str]:
    return {str(name): str(value) for name, value in (one.get("metric") or {}).items()}


def _list(value: t.Any) -> list[t.Any]:
    if not isinstance(value, (list, type(None))):
        raise TypeError(f"a list was expected, not {json_text.json_type(value)}")
    return value or []


def _unreadable(kind: str, result: t.Any) -> str:
    return f"a {kind} that cannot be read: {str(result)[:SHOWN]}"
