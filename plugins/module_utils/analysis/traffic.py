# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests by version, from the proxies' counters. Pure.

Two kinds of counters have the same requests. Envoy's own name the cluster,
`outbound|9080|v2|reviews.shop.svc.cluster.local`, and so the subset; Istio's `istio_requests_total` names the version
label of the pod that answered, and of a request without an answer only the workload and the canonical revision it was
sent to, or neither. A counter restarts at 0 with its proxy, so its growth is counted; a counter that fell was reset.
"""

from __future__ import annotations

import math
import typing as t
from collections import Counter
from dataclasses import dataclass, field, replace

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

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
NO_VERSION: t.Final = ""
"""Requests sent to the service as a whole, which any pod may have answered, or without an answer."""
CANCELED: t.Final = "0"
"""Istio's code of a request that its caller canceled before there was an answer."""
GRPC: t.Final = "grpc "
GRPC_FAULTS: t.Final = frozenset({"2", "4", "12", "13", "14", "15"})
"""UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS: the statuses that are a server's fault
(source: OpenTelemetry, semantic conventions for gRPC spans)."""
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
    """

    hosts: Mapping[str, str | None]
    labels: Mapping[str, str]
    workloads: Mapping[str, str] = field(default_factory=dict)
    revisions: Mapping[str, str] = field(default_factory=dict)

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

    def label_of(self, version: str) -> str:
        """Return the label value of the version's pods, the version itself where it is not known."""
        known = (*self.labels.items(), *self.revisions.items())
        return next((value for value, named in known if named == version), version)

    def version_of_cluster(self, name: str) -> str | None:
        """Return the version for Envoy's cluster `outbound|PORT|SUBSET|HOST`, None for another service."""
        parts = name.rstrip(";").split("|")
        if len(parts) != 4 or parts[0] != "outbound" or parts[3] not in self.hosts:
            return None
        return self.hosts[parts[3]] or parts[2]


def code_of(labels: Mapping[str, str]) -> str:
    """Return how a request ended, by the labels of `istio_requests_total`.

    That is the HTTP status, CANCELED, or `grpc STATUS` for a gRPC status other than OK behind HTTP status 200. A stream
    that its caller ended after the first bytes has no status; Envoy reports UNKNOWN, which is not an error then.
    """
    code, status = labels.get("response_code", ""), labels.get("grpc_response_status", "")
    if code.startswith("5") or status in ("", "0"):
        return code
    if status in _GRPC_CALLER_LEFT and not _LEFT.isdisjoint(labels.get("response_flags", "").split(",")):
        return code
    return f"{GRPC}{status}" if status in GRPC_FAULTS or (status.isdecimal() and code.startswith("2")) else code


def is_error(code: str) -> bool:
    """Return whether a request failed: an answer of 500 and above, or a gRPC status that is a server's fault."""
    return code.startswith("5") or (code.startswith(GRPC) and code.removeprefix(GRPC) in GRPC_FAULTS)


def client_counters(source: str, samples: Iterable[Sample], names: Names) -> dict[Key, float]:
    """Return the counters of one proxy as a client; Envoy's own as duplicates where it has Istio's too."""
    by_envoy: dict[Key, float] = {}
    by_istio: dict[Key, float] = {}
    for name, labels, value in samples:
        if name == ISTIO and labels.get("reporter") == "source" and labels.get("destination_service") in names.hosts:
            _add(by_istio, Key(source, names.version_of(labels), code_of(labels)), value)
        elif name == ENVOY and "response_code" in labels:
            version = names.version_of_cluster(labels.get("cluster_name", ""))
            if version is not None:
                _add(by_envoy, Key(source, version, labels["response_code"]), value)
    if not by_istio:
        return by_envoy
    return {**by_istio, **{replace(key, duplicate=True): value for key, value in by_envoy.items()}}


def resolve_versions(counts: Mapping[Key, float]) -> dict[Key, float]:
    """Return the counts without duplicates, which give the version of failures that have none.

    Both have the same requests, so none is added: a failure moves from no version to the one of which Envoy counted
    more failures than Istio. Envoy counts attempts, so with retries it may have more than there are to move; then the
    version is certain only if there is just one, and else nothing is moved.
    """
    result = {key: value for key, value in counts.items() if not key.duplicate}
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
        if name == ISTIO and labels.get("reporter") == "source" and labels.get("destination_service") in names.hosts:
            return None
        version = names.version_of_cluster(labels.get("cluster_name", "")) if name == ENVOY_RETRY else None
        if version is not None:
            _add(found, Key(source, version, ""), value)
    return found


def server_counters(source: str, samples: Iterable[Sample], version: str) -> dict[Key, float]:
    """Return the counters of a pod of `version` as a server. Istio's metrics take precedence over Envoy's."""
    by_envoy: dict[Key, float] = {}
    by_istio: dict[Key, float] = {}
    for name, labels, value in samples:
        if name == ISTIO and labels.get("reporter") == "destination":
            _add(by_istio, Key(source, version, code_of(labels)), value)
        elif name == ENVOY and "response_code" in labels and labels.get("cluster_name", "").startswith("inbound|"):
            _add(by_envoy, Key(source, version, labels["response_code"]), value)
    return by_istio or by_envoy


def lacks_grpc_status(samples: Iterable[Sample], ports: Collection[str]) -> bool:
    """Return whether one proxy counted calls of the service's gRPC `ports` by Envoy's clusters alone.

    Those know the HTTP status only, which is 200 for most gRPC errors. A server's cluster has a port of the pod, so
    there any port counts.
    """
    found = False
    for name, labels, _value in samples:
        if name == ISTIO:
            return False
        side, _bar, rest = labels.get("cluster_name", "").partition("|")
        found = found or (name == ENVOY and (side == "inbound" or rest.partition("|")[0] in ports))
    return found and bool(ports)


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
