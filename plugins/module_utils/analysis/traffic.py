# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who answered how many requests, from counters that only grow. Pure.

Two vocabularies say the same. Envoy's own counters name the cluster, `outbound|9080|v2|reviews.shop.svc.cluster.local`,
and so the subset; Istio's `istio_requests_total` names the version label of the pod that answered, and of a request
that nobody answered only the workload and the canonical revision it was sent to, or not even that. A counter begins
anew with its proxy, so what counts is its growth; a counter that fell began anew in between.
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
TELLING: t.Final = (
    "destination_service",
    "destination_version",
    "destination_workload",
    "destination_workload_namespace",
    "destination_canonical_revision",
)
"""The labels of Istio's metrics that tell the version (see `Names.told`)."""
UNKNOWN: t.Final = "unknown"
NO_VERSION: t.Final = ""
"""Requests sent to the service as a whole, which any pod may have answered; or which nobody answered."""
GIVEN_UP: t.Final = "0"
"""Istio's code of a request that its caller ended before there was an answer."""
GRPC: t.Final = "grpc "
GRPC_FAULTS: t.Final = frozenset({"2", "4", "12", "13", "14", "15"})
"""UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS: the statuses that are a server's fault
(source: OpenTelemetry, semantic conventions for gRPC spans)."""
_LEFT: t.Final = frozenset({"DC", "DR"})
"""Response flags: the caller closed its connection, or reset its stream."""


@dataclass(frozen=True)
class Key:
    """One counter: who counted it (a proxy or a series), the version that answered, how (see `code_of`).

    beside: Envoy's own counter of a proxy that has Istio's too. It is of the same requests, so it counts none; it says
    which version those are of that Istio's leaves without one (see `settled`).
    """

    source: str
    version: str
    code: str
    beside: bool = False


@dataclass
class Tally:
    """Requests that were answered, errors among them (see `is_error`), and requests given up before, by version."""

    requests: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    given_up: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """Return the requests of all versions that were answered."""
        return sum(self.requests.values())

    @property
    def sent(self) -> int:
        """Return the requests of all versions, answered or given up."""
        return self.total + sum(self.given_up.values())

    @property
    def dealt(self) -> dict[str, int]:
        """Return version -> requests that were sent to it, answered or given up.

        Those without a version that failed or were given up are left out: no version was the wrong one, for nobody
        answered (see `unanswered`).
        """
        sent = self.requests + self.given_up
        sent[NO_VERSION] -= self.unanswered
        return {version: number for version, number in sent.items() if number > 0}

    @property
    def unanswered(self) -> int:
        """Return the requests without a version that failed or were given up."""
        return self.errors[NO_VERSION] + self.given_up[NO_VERSION]

    def share(self, version: str) -> float | None:
        """Return the version's percent of the requests, None without any request."""
        return 100.0 * self.requests[version] / self.total if self.total else None


@dataclass(frozen=True)
class Names:
    """How the service's versions are told apart.

    hosts: full host name -> the version it stands for (Gateway API: a Service each), or None if its subsets do.
    The rest is for Istio's own metrics. labels: value of the pods' label `version` -> version. workloads:
    `namespace/name` of a Deployment or what else owns pods -> version. revisions: canonical revision -> version. What
    stands for several versions is in none of them.
    """

    hosts: Mapping[str, str | None]
    labels: Mapping[str, str]
    workloads: Mapping[str, str] = field(default_factory=dict)
    revisions: Mapping[str, str] = field(default_factory=dict)

    def told(self, labels: Mapping[str, str]) -> str:
        """Return the version for the labels of `istio_requests_total`; NO_VERSION where Istio did not know.

        A proxy learns the pod's version from its answer. Without one it has only what istiod told of the endpoint: the
        workload and the canonical revision.
        """
        fixed = self.hosts.get(labels.get("destination_service", ""))
        if fixed is not None:
            return fixed
        said = labels.get("destination_version", "")
        workload = f"{labels.get('destination_workload_namespace')}/{labels.get('destination_workload')}"
        for known, value in (
            (self.labels, said),
            (self.workloads, workload),
            (self.revisions, labels.get("destination_canonical_revision", "")),
        ):
            if value in known:
                return known[value]
        return NO_VERSION if said == UNKNOWN else said

    def label_of(self, version: str) -> str:
        """Return the value of the label that the version's pods have, the version itself where that is not known."""
        told = (*self.labels.items(), *self.revisions.items())
        return next((value for value, named in told if named == version), version)

    def of_cluster(self, name: str) -> str | None:
        """Return the version for Envoy's cluster `outbound|PORT|SUBSET|HOST`, None for another service's."""
        parts = name.rstrip(";").split("|")
        if len(parts) != 4 or parts[0] != "outbound" or parts[3] not in self.hosts:
            return None
        return self.hosts[parts[3]] or parts[2]


def code_of(labels: Mapping[str, str]) -> str:
    """Return how a request ended, by the labels of `istio_requests_total`.

    That is the HTTP status, GIVEN_UP, or `grpc STATUS` where a server's fault hides behind 200. Of a stream that its
    caller ended after the first bytes there is no status; Envoy makes UNKNOWN of that, and nobody is at fault.
    """
    code, status = labels.get("response_code", ""), labels.get("grpc_response_status", "")
    left = status == "2" and not _LEFT.isdisjoint(labels.get("response_flags", "").split(","))
    return code if code.startswith("5") or status not in GRPC_FAULTS or left else f"{GRPC}{status}"


def is_error(code: str) -> bool:
    """Return whether a request failed: an answer of 500 and above, or a gRPC status that is a server's fault."""
    return code.startswith(("5", GRPC))


def counters(source: str, samples: Iterable[Sample], names: Names) -> dict[Key, float]:
    """Return what one proxy has counted as a client of the service; Envoy's own beside Istio's where it has both."""
    by_envoy: dict[Key, float] = {}
    by_istio: dict[Key, float] = {}
    for name, labels, value in samples:
        if name == ISTIO and labels.get("reporter") == "source" and labels.get("destination_service") in names.hosts:
            _add(by_istio, Key(source, names.told(labels), code_of(labels)), value)
        elif name == ENVOY and "response_code" in labels:
            version = names.of_cluster(labels.get("cluster_name", ""))
            if version is not None:
                _add(by_envoy, Key(source, version, labels["response_code"]), value)
    if not by_istio:
        return by_envoy
    return {**by_istio, **{replace(key, beside=True): value for key, value in by_envoy.items()}}


def settled(counts: Mapping[Key, float]) -> dict[Key, float]:
    """Return the counts without those beside Istio's, and with what these tell of failures without a version.

    Both are of the same requests, so none is added: a failure moves from no version to the one of which Envoy counted
    more failures than Istio. Envoy counts attempts, so retries may make that more than there are to move; then it is
    certain only if it is one version, and else nothing is moved.
    """
    result = {key: value for key, value in counts.items() if not key.beside}
    for source in {key.source for key in counts if key.beside}:
        more: Counter[str] = Counter()
        for key, value in counts.items():
            if key.source == source and is_error(key.code) and (key.beside or key.version != NO_VERSION):
                more[key.version] += round(value) if key.beside else -round(value)
        more = +more
        lost = [key for key in result if key.source == source and key.version == NO_VERSION and is_error(key.code)]
        if len(more) == 1 or sum(more.values()) <= sum(result[key] for key in lost):
            del more[NO_VERSION]
            _move(result, lost, more)
    return result


def _move(counts: dict[Key, float], lost: Iterable[Key], more: Counter[str]) -> None:
    for key in lost:
        for version in more:
            moved = min(counts[key], more[version])
            more[version] -= round(moved)
            counts[key] -= moved
            _add(counts, replace(key, version=version), moved)


def retries(source: str, samples: Iterable[Sample], names: Names) -> dict[Key, float] | None:
    """Return the attempts beyond the first that one proxy has made as a client of the service, by version.

    None where Istio's own metrics are: they count a request once, however often it was tried.
    """
    found: dict[Key, float] = {}
    for name, labels, value in samples:
        if name == ISTIO and labels.get("reporter") == "source" and labels.get("destination_service") in names.hosts:
            return None
        version = names.of_cluster(labels.get("cluster_name", "")) if name == ENVOY_RETRY else None
        if version is not None:
            _add(found, Key(source, version, ""), value)
    return found


def inbound(source: str, samples: Iterable[Sample], version: str) -> dict[Key, float]:
    """Return what the proxy of a pod of `version` has counted as a server, whoever asked. Istio's own metrics win."""
    by_envoy: dict[Key, float] = {}
    by_istio: dict[Key, float] = {}
    for name, labels, value in samples:
        if name == ISTIO and labels.get("reporter") == "destination":
            _add(by_istio, Key(source, version, code_of(labels)), value)
        elif name == ENVOY and "response_code" in labels and labels.get("cluster_name", "").startswith("inbound|"):
            _add(by_envoy, Key(source, version, labels["response_code"]), value)
    return by_istio or by_envoy


def hides_grpc(samples: Iterable[Sample], ports: Collection[str]) -> bool:
    """Return whether one proxy counted calls of the service's gRPC `ports` by Envoy's clusters alone.

    Those know the HTTP status only, which is 200 for most errors of gRPC. A server's cluster has a port of the pod, so
    there any counts.
    """
    found = False
    for name, labels, _value in samples:
        if name == ISTIO:
            return False
        side, _bar, rest = labels.get("cluster_name", "").partition("|")
        found = found or (name == ENVOY and (side == "inbound" or rest.partition("|")[0] in ports))
    return found and bool(ports)


def growth(before: Mapping[Key, float], after: Mapping[Key, float]) -> dict[Key, int]:
    """Return how much each counter grew; one that is new or fell began at 0. Those that are gone are not known."""
    grown: dict[Key, int] = {}
    for key, value in after.items():
        earlier = before.get(key, 0.0)
        amount = value - earlier if value >= earlier else value
        if math.isfinite(amount) and amount > 0:
            grown[key] = round(amount)
    return grown


def tally(counts: Mapping[Key, float]) -> Tally:
    """Return requests and errors by version, over all sources."""
    result = Tally()
    finite = {key: value for key, value in counts.items() if math.isfinite(value) and value > 0}
    for key, value in settled(finite).items():
        kind = result.given_up if key.code == GIVEN_UP else result.requests
        kind[key.version] += round(value)
        if is_error(key.code):
            result.errors[key.version] += round(value)
    return result


def _add(counts: dict[Key, float], key: Key, value: float) -> None:
    counts[key] = counts.get(key, 0.0) + value
