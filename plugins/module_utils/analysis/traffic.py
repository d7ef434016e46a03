# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests by version, from the proxies' counters. Pure.

Two kinds of counters have the same requests. Envoy's own name the cluster,
`outbound|9080|v2|reviews.shop.svc.cluster.local` (in a waypoint `inbound-vip|9080|http/v2|...`), and so the subset;
Istio's `istio_requests_total` names the version label of the pod that answered, and of a request without an answer only
the workload and the canonical revision it was sent to, or neither. A counter restarts at 0 with its proxy, so its
growth is counted; a counter that fell was reset.

gRPC calls that fail are answers with HTTP status 200. Istio's counter has their gRPC status; Envoy has it in counters
of its own, `grpc.STATUS` of the cluster, which count each call once, at its end.
"""

from __future__ import annotations

import math
import re
import typing as t
from collections import Counter
from dataclasses import dataclass, field, replace

from . import grpc_statuses

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    Sample = tuple[str, Mapping[str, str], float]

ENVOY: t.Final = "envoy_cluster_upstream_rq"
ENVOY_RETRY: t.Final = "envoy_cluster_upstream_rq_retry"
ISTIO: t.Final = "istio_requests_total"
VERSION_LABELS: t.Final = (
    "destination_service",
    "destination_version",
    "destination_workload",
    "destination_workload_namespace",
    "destination_canonical_revision",
)
"""The labels of Istio's metrics that tell the version (see `Names.version_of`)."""
UNKNOWN: t.Final = "unknown"
SOURCE: t.Final = "source"
"""The value of the label `reporter` of sidecars and gateways that send a request."""
WAYPOINT: t.Final = "waypoint"
NO_VERSION: t.Final = ""
"""Requests sent to the service as a whole, which any pod may have answered, or without an answer."""
CANCELED: t.Final = "0"
"""Istio's code of a request that its caller canceled before there was an answer."""
GRPC: t.Final = "grpc "
FAILED_GRPC: t.Final = "failed grpc "
GRPC_UNKNOWN: t.Final = "grpc without status"
"""A gRPC call whose status is not known: no evidence of either."""
ATTEMPT: t.Final = "attempt "
"""An HTTP status by Envoy's counter, where Envoy counts gRPC calls by their status too (see `resolve_calls`)."""
_GRPC_OK: t.Final = f"{GRPC}{grpc_statuses.OK}"
_HTTP_OK: t.Final = "200"
_ENVOY_GRPC: t.Final = re.compile(r"envoy_cluster_grpc_(?:.*_)?([0-9]{1,2})")
_GRPC_CALLER_LEFT: t.Final = frozenset({"1", "2"})
"""CANCELLED, UNKNOWN: what Envoy reports of a stream that its caller ended."""
_LEFT: t.Final = frozenset({"DC", "DR"})
"""Response flags: the caller closed its connection, or reset its stream."""


@dataclass(frozen=True)
class Key:
    """One counter: its source (a proxy or a series), the version that answered, and the code (see `code_of`).

    duplicate: Envoy's own counter of a proxy that has Istio's too. It has the same requests and is not counted; it
    gives the version of those that Istio's has without one (see `resolve_versions`).
    """

    source: str
    version: str
    code: str
    duplicate: bool = False


@dataclass
class VersionCounts:
    """By version: requests that were answered, errors among them (see `is_error`), and canceled requests.

    codes: version -> code -> answered requests.
    """

    requests: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    canceled: Counter[str] = field(default_factory=Counter)
    codes: dict[str, Counter[str]] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Return the answered requests of all versions."""
        return sum(self.requests.values())

    @property
    def sent(self) -> int:
        """Return the requests of all versions, answered or canceled."""
        return self.total + sum(self.canceled.values())

    @property
    def sent_by_version(self) -> dict[str, int]:
        """Return version -> requests that were sent to it, answered or canceled.

        Failed and canceled requests without a version are left out: no version answered them.
        """
        sent = self.requests + self.canceled
        sent[NO_VERSION] -= self.unattributed_failures
        return {version: number for version, number in sent.items() if number > 0}

    @property
    def unattributed_failures(self) -> int:
        """Return the failed and canceled requests without a version."""
        return self.errors[NO_VERSION] + self.canceled[NO_VERSION]

    def share(self, version: str) -> float | None:
        """Return the version's percent of the requests, None without any request."""
        return 100.0 * self.requests[version] / self.total if self.total else None


@dataclass(frozen=True)
class Names:
    """How a request's version is found.

    hosts: full host name -> the version it stands for (Gateway API: a Service each), or None if its subsets do.
    The rest is for Istio's own metrics. labels: value of the pods' label `version` -> version. workloads:
    `namespace/name` of a Deployment or another owner of pods -> version. revisions: canonical revision -> version.
    Values that several versions share are left out.
    reporters: values of the label `reporter` of the proxies that choose the version. gateways_use_waypoint: whether
    gateways leave that to the waypoint, and report the same requests.
    grpc_failures: gRPC statuses that are failures. only_grpc: whether the service has no port but those of gRPC.
    """

    hosts: Mapping[str, str | None]
    labels: Mapping[str, str]
    workloads: Mapping[str, str] = field(default_factory=dict)
    revisions: Mapping[str, str] = field(default_factory=dict)
    grpc_failures: frozenset[str] = grpc_statuses.FAILURES
    only_grpc: bool = False
    reporters: frozenset[str] = frozenset({SOURCE})
    gateways_use_waypoint: bool = False

    def is_of_caller(self, labels: Mapping[str, str]) -> bool:
        """Return whether the labels of a metric of Istio's are of a proxy that sent the service a request."""
        return labels.get("reporter") in self.reporters and labels.get("destination_service") in self.hosts

    def version_of(self, labels: Mapping[str, str]) -> str:
        """Return the version for the labels of `istio_requests_total`; NO_VERSION where they do not identify it.

        A proxy learns the pod's version from its answer. Without one it has only what istiod knows of the endpoint:
        the workload and the canonical revision.
        """
        fixed = self.hosts.get(labels.get("destination_service", ""))
        if fixed is not None:
            return fixed
        label = labels.get("destination_version", "")
        workload = f"{labels.get('destination_workload_namespace')}/{labels.get('destination_workload')}"
        for known, value in (
            (self.labels, label),
            (self.workloads, workload),
            (self.revisions, labels.get("destination_canonical_revision", "")),
        ):
            if value in known:
                return known[value]
        return NO_VERSION if label == UNKNOWN else label

    def code_of(self, labels: Mapping[str, str]) -> str:
        """Return how a request ended, as the function `code_of` does.

        A recording rule that left the protocol out has calls of gRPC where the service serves nothing else.
        """
        protocol = {"request_protocol": "grpc"} if self.only_grpc else {}
        return code_of({**protocol, **labels}, self.grpc_failures)

    def label_of(self, version: str) -> str:
        """Return the label value of the version's pods, the version itself where it is not known."""
        known = (*self.labels.items(), *self.revisions.items())
        return next((value for value, named in known if named == version), version)

    def version_of_cluster(self, name: str) -> str | None:
        """Return the version for Envoy's cluster `outbound|PORT|SUBSET|HOST`, None for another service.

        Also for that of a waypoint, `inbound-vip|PORT|PROTOCOL/SUBSET|HOST`.
        """
        parts = name.rstrip(";").split("|")
        if len(parts) != 4 or parts[0] not in ("outbound", "inbound-vip") or parts[3] not in self.hosts:
            return None
        return self.hosts[parts[3]] or (parts[2] if parts[0] == "outbound" else parts[2].partition("/")[2])


def code_of(labels: Mapping[str, str], failures: Collection[str] = grpc_statuses.FAILURES) -> str:
    """Return how a request ended, by the labels of `istio_requests_total`.

    That is the HTTP status, CANCELED, GRPC_UNKNOWN, or `grpc STATUS` for a gRPC status other than OK behind HTTP status
    200; `failed grpc STATUS` for one of `failures`. A stream that its caller ended after the first bytes has no status;
    Envoy reports UNKNOWN, which is not an error then.
    """
    code, status = labels.get("response_code", ""), labels.get("grpc_response_status", "")
    if code.startswith("5") or status == grpc_statuses.OK:
        return code
    if not status:
        # Istio's proxies always give the status of a call; a Telemetry resource may have removed the label.
        is_call = code.startswith("2") and labels.get("request_protocol") == "grpc"
        return GRPC_UNKNOWN if is_call and failures else code
    if status in _GRPC_CALLER_LEFT and not _LEFT.isdisjoint(labels.get("response_flags", "").split(",")):
        return code
    if status in failures:
        return f"{FAILED_GRPC}{status}"
    return f"{GRPC}{status}" if status.isdecimal() and code.startswith("2") else code


def is_error(code: str) -> bool:
    """Return whether a request failed: an answer of 500 and above, or a gRPC status that is a failure."""
    return code.startswith(("5", FAILED_GRPC))


def client_counters(
    source: str, samples: Iterable[Sample], names: Names, grpc: Collection[str] = ()
) -> dict[Key, float]:
    """Return the counters of one proxy as a client; Envoy's own as duplicates where it has Istio's too.

    grpc: the ports of the service that are declared as gRPC. There an HTTP status of 200 says nothing, so only calls
    whose gRPC status is known are counted.
    """
    by_envoy = _EnvoyCounters(source, names.grpc_failures)
    by_istio: dict[Key, float] = {}
    for name, labels, value in samples:
        if name == ISTIO and names.is_of_caller(labels):
            _add(by_istio, Key(source, names.version_of(labels), names.code_of(labels)), value)
            continue
        cluster = labels.get("cluster_name", "")
        version = names.version_of_cluster(cluster)
        if version is not None:
            by_envoy.add(name, labels, value, version)
    if not by_istio:
        return by_envoy.keys(lambda cluster: _port_of(cluster) in grpc)
    return {**by_istio, **{replace(key, duplicate=True): value for key, value in by_envoy.requests().items()}}


class _EnvoyCounters:
    """Envoy's own counters of one proxy, by cluster: HTTP statuses, and statuses of gRPC calls."""

    def __init__(self, source: str, failures: Collection[str]) -> None:
        self._source, self._failures = source, failures
        self._http: dict[tuple[str, str], dict[str, float]] = {}
        self._grpc: dict[tuple[str, str], dict[str, float]] = {}

    def add(self, name: str, labels: Mapping[str, str], value: float, version: str) -> None:
        """Add a sample if it is a counter of answers."""
        cluster = (labels.get("cluster_name", "").rstrip(";"), version)
        call = _ENVOY_GRPC.fullmatch(name)
        if call:
            counted, code = self._grpc.setdefault(cluster, {}), call[1]
        elif name == ENVOY and "response_code" in labels:
            counted, code = self._http.setdefault(cluster, {}), labels["response_code"]
        else:
            return
        counted[code] = counted.get(code, 0.0) + value

    def requests(self) -> dict[Key, float]:
        """Return the counters of HTTP statuses alone."""
        found: dict[Key, float] = {}
        for (_cluster, version), http in self._http.items():
            for code, value in http.items():
                _add(found, Key(self._source, version, code), value)
        return found

    def keys(self, is_grpc: Callable[[str], bool]) -> dict[Key, float]:
        """Return all counters. is_grpc: whether a cluster serves gRPC alone."""
        found: dict[Key, float] = {}
        for (cluster, version), http in self._http.items():
            only_grpc, calls = is_grpc(cluster), (cluster, version) in self._grpc
            prefix = ATTEMPT if calls else ""
            for code, value in http.items():
                if not only_grpc or not code.startswith("2"):
                    _add(found, Key(self._source, version, f"{prefix}{code}"), value)
                elif not self._grpc:  # else the calls have not ended, or their caller left
                    _add(found, Key(self._source, version, GRPC_UNKNOWN), value)
        for (_cluster, version), counted in self._grpc.items():
            for status, value in counted.items():
                prefix = FAILED_GRPC if status in self._failures else GRPC
                _add(found, Key(self._source, version, f"{prefix}{status}"), value)
        return found


def _port_of(cluster: str) -> str:
    return cluster.partition("|")[2].partition("|")[0]


def resolve_calls(counts: Mapping[Key, float]) -> dict[Key, float]:
    """Return the counts without `attempt CODE`, where these are requests that the counters of gRPC calls have too.

    A call is counted once at its end with its gRPC status, and each attempt with its HTTP status: 200 mostly, or that
    of an answer that the proxy makes itself, as 503 (UNAVAILABLE). What remains of the attempts are requests that are
    no gRPC calls, and attempts that were repeated.
    """
    result: dict[Key, float] = {}
    calls: dict[tuple[str, str], dict[str, float]] = {}
    for key, value in counts.items():
        if key.code.startswith((GRPC, FAILED_GRPC)) and key.code != GRPC_UNKNOWN:
            calls.setdefault((key.source, key.version), {})[key.code.rpartition(" ")[2]] = value
        if not key.code.startswith(ATTEMPT):
            _add(result, replace(key, code=_HTTP_OK) if key.code == _GRPC_OK else key, value)
    attempts = (key for key in counts if key.code.startswith(ATTEMPT))
    for key in sorted(attempts, key=lambda one: one.code, reverse=True):  # errors first: the other calls have 200
        code, remaining = key.code.removeprefix(ATTEMPT), counts[key]
        own = calls.get((key.source, key.version), {})
        for status in tuple(own) if code.startswith("2") else grpc_statuses.of_http(code):
            counted = min(remaining, own.get(status, 0.0))
            own[status] = own.get(status, 0.0) - counted
            remaining -= counted
        if remaining > 0:
            _add(result, replace(key, code=code), remaining)
    return result


def resolve_versions(counts: Mapping[Key, float]) -> dict[Key, float]:
    """Return the counts without duplicates, which give the version of failures that have none.

    Both have the same requests, so none is added: a failure moves from no version to the one of which Envoy counted
    more failures than Istio. Envoy counts attempts, so with retries it may have more than there are to move; then the
    version is certain only if there is just one, and else nothing is moved.
    """
    result = resolve_calls({key: value for key, value in counts.items() if not key.duplicate})
    for source in {key.source for key in counts if key.duplicate}:
        more: Counter[str] = Counter()
        for key, value in counts.items():
            if key.source == source and is_error(key.code) and (key.duplicate or key.version != NO_VERSION):
                more[key.version] += round(value) if key.duplicate else -round(value)
        more = +more
        unattributed = [
            key for key in result if key.source == source and key.version == NO_VERSION and is_error(key.code)
        ]
        if len(more) == 1 or sum(more.values()) <= sum(result[key] for key in unattributed):
            del more[NO_VERSION]
            _move(result, unattributed, more)
    return result


def _move(counts: dict[Key, float], unattributed: Iterable[Key], more: Counter[str]) -> None:
    for key in unattributed:
        for version in more:
            moved = min(counts[key], more[version])
            more[version] -= round(moved)
            counts[key] -= moved
            _add(counts, replace(key, version=version), moved)


def client_retries(source: str, samples: Iterable[Sample], names: Names) -> dict[Key, float] | None:
    """Return the retries of one proxy as a client of the service, by version.

    None if it has Istio's metrics, which count a request once, however often it was tried.
    """
    found: dict[Key, float] = {}
    for name, labels, value in samples:
        if name == ISTIO and names.is_of_caller(labels):
            return None
        version = names.version_of_cluster(labels.get("cluster_name", "")) if name == ENVOY_RETRY else None
        if version is not None:
            _add(found, Key(source, version, ""), value)
    return found


def server_counters(
    source: str,
    samples: Iterable[Sample],
    version: str,
    *,
    failures: Collection[str] = grpc_statuses.FAILURES,
    only_grpc: bool = False,
) -> dict[Key, float]:
    """Return the counters of a pod of `version` as a server. Istio's metrics take precedence over Envoy's.

    failures: gRPC statuses that are failures. only_grpc: whether the service has no other ports; the clusters of a
    server have the ports of the pod.
    """
    by_envoy = _EnvoyCounters(source, failures)
    by_istio: dict[Key, float] = {}
    for name, labels, value in samples:
        if name == ISTIO and labels.get("reporter") == "destination":
            _add(by_istio, Key(source, version, code_of(labels, failures)), value)
        elif labels.get("cluster_name", "").startswith("inbound|"):
            by_envoy.add(name, labels, value, version)
    return by_istio or by_envoy.keys(lambda _cluster: only_grpc)


def lacks_grpc_status(counts: Mapping[Key, float]) -> bool:
    """Return whether one proxy counted gRPC calls without their status, by Envoy's HTTP statuses or by Istio's metrics.

    The HTTP status is 200 for most gRPC errors.
    """
    return any(key.code == GRPC_UNKNOWN and value > 0 for key, value in counts.items())


def growth(before: Mapping[Key, float], after: Mapping[Key, float]) -> dict[Key, int]:
    """Return how much each counter grew; one that is new or fell began at 0. Missing ones are left out."""
    grown: dict[Key, int] = {}
    for key, value in after.items():
        earlier = before.get(key, 0.0)
        amount = value - earlier if value >= earlier else value
        if math.isfinite(amount) and amount > 0:
            grown[key] = round(amount)
    return grown


def count_by_version(counts: Mapping[Key, float]) -> VersionCounts:
    """Return the requests by version, over all sources."""
    result = VersionCounts()
    finite = {key: value for key, value in counts.items() if math.isfinite(value) and value > 0}
    for key, value in resolve_versions(finite).items():
        counter = result.canceled if key.code == CANCELED else result.requests
        counter[key.version] += round(value)
        if key.code != CANCELED:
            result.codes.setdefault(key.version, Counter())[key.code] += round(value)
        if is_error(key.code):
            result.errors[key.version] += round(value)
    return result


def _add(counts: dict[Key, float], key: Key, value: float) -> None:
    counts[key] = counts.get(key, 0.0) + value
