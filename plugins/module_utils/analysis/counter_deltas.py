# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The increments between two readings of the proxies' counters and histograms. Pure.

Counters only grow, and restart at 0 with their proxy. The first reading of a proxy gives no increment, for it is not
known when its requests were counted. A proxy that is missing from a reading is compared with its last one when it is
back.
"""

from __future__ import annotations

import typing as t
from collections import Counter
from dataclasses import dataclass, field

from . import grpc_statuses, histogram, traffic
from .error_rates import RequestCount
from .in_flight import InFlight, from_counters

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from .in_flight import InFlightKey
    from .traffic import Key, Names, Sample

ENVOY_TIME: t.Final = "envoy_cluster_upstream_rq_time_bucket"
ISTIO_TIME: t.Final = "istio_request_duration_milliseconds_bucket"
ISTIO_SIZE: t.Final = "istio_response_bytes_bucket"

Cumulative = dict[float, float]
"""Upper bound in milliseconds or bytes (inf for the last) -> requests up to it."""
Histograms = dict[tuple[str, str], Cumulative]
"""(source, version) -> histogram."""


@dataclass(frozen=True)
class Reading:
    """Counters at one moment.

    counts: each counter of requests. buckets: (source, version) -> histogram of response times. sources: proxies that
    were read, also those that have counted nothing yet; with Prometheus, those that have a series. targets: source of a
    counter -> its proxy, where they differ: in Prometheus a proxy has many series. in_flight: requests in flight.
    sizes: (source, version) -> histogram of the sizes of answers, empty where they were not read.
    """

    counts: Mapping[Key, float] = field(default_factory=dict)
    buckets: Mapping[tuple[str, str], Cumulative] = field(default_factory=dict)
    sources: frozenset[str] = frozenset()
    targets: Mapping[str, str] = field(default_factory=dict)
    in_flight: Mapping[InFlightKey, InFlight] = field(default_factory=dict)
    sizes: Mapping[tuple[str, str], Cumulative] = field(default_factory=dict)

    def knows(self, source: str) -> bool:
        """Return whether a counter of `source` that is missing here was 0."""
        return source in self.sources

    def updated(self, later: Reading) -> Reading:
        """Return the latest value of every counter; those that `later` does not have keep their value."""
        return Reading(
            {**self.counts, **later.counts},
            {**self.buckets, **later.buckets},
            self.sources | later.sources,
            {**self.targets, **later.targets},
            {**self.in_flight, **later.in_flight},
            {**self.sizes, **later.sizes},
        )


@dataclass
class Increment:
    """The requests between two readings. counts: version -> requests and errors. codes: version -> code -> requests.

    times: version -> upper bound in milliseconds -> requests in that bucket alone. first_reading: there was no reading
    before, so nothing is known. ended: version -> requests that ended; its errors are those canceled by their callers.
    in_flight: (who counts, version) -> the requests in flight before and now, of those that were read.
    sizes: version -> upper bound in bytes -> answers in that bucket alone.
    """

    counts: dict[str, RequestCount] = field(default_factory=dict)
    times: dict[str, Counter[float]] = field(default_factory=dict)
    first_reading: bool = False
    ended: dict[str, RequestCount] = field(default_factory=dict)
    in_flight: dict[InFlightKey, tuple[InFlight, InFlight]] = field(default_factory=dict)
    codes: dict[str, Counter[str]] = field(default_factory=dict)
    sizes: dict[str, Counter[float]] = field(default_factory=dict)

    def count_of(self, version: str) -> RequestCount:
        """Return the requests of a version."""
        return self.counts.get(version, RequestCount(0, 0))


def client_reading(source: str, samples: Iterable[Sample], names: Names, grpc: Collection[str] = ()) -> Reading:
    """Return the counters of one proxy as a client of the service. Istio's metrics take precedence over Envoy's.

    grpc: see `traffic.client_counters`.
    """
    listed = list(samples)
    by_envoy: Histograms = {}
    by_istio: Histograms = {}
    sizes: Histograms = {}
    for name, labels, value in listed:
        if name in (ISTIO_TIME, ISTIO_SIZE):
            if names.is_of_caller(labels):
                _add(sizes if name == ISTIO_SIZE else by_istio, (source, names.version_of(labels)), labels, value)
        elif name == ENVOY_TIME:
            version = names.version_of_cluster(labels.get("cluster_name", ""))
            if version is not None:
                _add(by_envoy, (source, version), labels, value)
    counts = traffic.client_counters(source, listed, names, grpc)
    in_flight = from_counters(listed, lambda labels: names.version_of_cluster(labels.get("cluster_name", "")))
    by_source = {(source, version): requests for version, requests in in_flight.items()}
    return Reading(counts, by_istio or by_envoy, frozenset((source,)), in_flight=by_source, sizes=sizes)


def server_reading(
    source: str,
    samples: Iterable[Sample],
    version: str,
    *,
    failures: Collection[str] = grpc_statuses.FAILURES,
    only_grpc: bool = False,
) -> Reading:
    """Return the counters of a pod of `version` as a server. Istio's metrics take precedence over Envoy's.

    failures, only_grpc: see `traffic.server_counters`.
    """
    listed = list(samples)
    by_envoy: Histograms = {}
    by_istio: Histograms = {}
    sizes: Histograms = {}
    for name, labels, value in listed:
        if name in (ISTIO_TIME, ISTIO_SIZE) and labels.get("reporter") == "destination":
            _add(sizes if name == ISTIO_SIZE else by_istio, (source, version), labels, value)
        elif name == ENVOY_TIME and _is_inbound(labels):
            _add(by_envoy, (source, version), labels, value)
    in_flight = from_counters(listed, lambda labels: version if _is_inbound(labels) else None)
    by_source = {(source, served): requests for served, requests in in_flight.items()}
    counts = traffic.server_counters(source, listed, version, failures=failures, only_grpc=only_grpc)
    return Reading(counts, by_istio or by_envoy, frozenset((source,)), in_flight=by_source, sizes=sizes)


def joined(readings: Iterable[Reading]) -> Reading:
    """Return the readings of several proxies as one."""
    result = Reading()
    for one in readings:
        result = result.updated(one)
    return result


def counted(before: Reading, after: Reading) -> dict[Key, float]:
    """Return how much each counter grew, of the sources that were known before; see `traffic.resolve_versions`."""
    known = {
        key: value for key, value in after.counts.items() if before.knows(after.targets.get(key.source, key.source))
    }
    return traffic.resolve_versions(traffic.growth(before.counts, known))


def grown(before: Reading, after: Reading) -> Increment:
    """Return the requests between the two readings.

    A counter that fell was reset: all it shows is new. A histogram of which one bucket fell was reset as a whole.
    An invalid histogram (not cumulative, NaN) is left out.
    """
    counts = counted(before, after)
    # A call whose gRPC status is not known may have failed: it is no request to judge by.
    summed = traffic.count_by_version({key: value for key, value in counts.items() if key.code != traffic.GRPC_UNKNOWN})
    result = Increment(
        {version: RequestCount(number, summed.errors[version]) for version, number in summed.requests.items()},
        codes=summed.codes,
    )
    result.times = _grown_histograms(before, after, before.buckets, after.buckets)
    result.sizes = _grown_histograms(before, after, before.sizes, after.sizes)
    result.in_flight = {
        key: (before.in_flight.get(key, InFlight()), now)
        for key, now in after.in_flight.items()
        if key in before.in_flight or before.knows(key[0])
    }
    result.ended = _ended(counts, result.in_flight, after)
    return result


def _grown_histograms(
    before: Reading,
    after: Reading,
    then: Mapping[tuple[str, str], Cumulative],
    now: Mapping[tuple[str, str], Cumulative],
) -> dict[str, Counter[float]]:
    """Return version -> upper bound -> requests in that bucket alone since the reading before."""
    result: dict[str, Counter[float]] = {}
    for (source, version), held in now.items():
        if not before.knows(after.targets.get(source, source)):
            continue
        try:
            added = _between(then.get((source, version), {}), held)
        except histogram.InvalidHistogram:
            continue
        if any(added.values()):
            result.setdefault(version, Counter()).update(added)
    return result


def _ended(
    counts: Mapping[Key, float], in_flight: Mapping[InFlightKey, tuple[InFlight, InFlight]], after: Reading
) -> dict[str, RequestCount]:
    """Return version -> requests that ended; its errors are those canceled, by the counters of requests in flight.

    Where a proxy has no such counters, Istio's metrics count canceled requests with code 0, with a version only where
    the proxy knows which pod it sent the request to. Of a proxy that has both, those without a version are left out.
    """
    ended: Counter[str] = Counter()
    canceled: Counter[str] = Counter()
    for (source, version), (then, now) in in_flight.items():
        if source in after.sources:
            new = now.since(then)
            ended[version] += max(0, round(new.ended))
            canceled[version] += round(new.canceled)
    counted_in_flight = {source for source, _version in after.in_flight}
    for key, value in counts.items():
        without_version = key.version == traffic.NO_VERSION and key.source in counted_in_flight
        if without_version or (key.source, key.version) in after.in_flight:
            continue
        ended[key.version] += round(value)
        canceled[key.version] += round(value) if key.code == traffic.CANCELED else 0
    return {version: RequestCount(number, min(number, canceled[version])) for version, number in ended.items()}


def _is_inbound(labels: Mapping[str, str]) -> bool:
    return labels.get("cluster_name", "").startswith("inbound|")


def cumulative(times: Mapping[float, int]) -> Cumulative:
    """Return a cumulative histogram: upper bound -> requests up to it."""
    held, result = 0.0, {}
    for bound in sorted(times):
        held += times[bound]
        result[bound] = held
    return result


def _between(then: Mapping[float, float], now: Mapping[float, float]) -> dict[float, int]:
    """Return the requests in each bucket, empty ones included: a bucket begins at the bound of the one below it."""
    fell = any(now.get(bound, 0.0) < held for bound, held in then.items())
    added = {bound: held - (0.0 if fell else then.get(bound, 0.0)) for bound, held in now.items()}
    return {**dict.fromkeys(added, 0), **histogram.counts(added)}


def _add(buckets: Histograms, key: tuple[str, str], labels: Mapping[str, str], value: float) -> None:
    try:
        bound = float(labels.get("le", ""))
    except ValueError:
        return
    own = buckets.setdefault(key, {})
    own[bound] = own.get(bound, 0.0) + value
