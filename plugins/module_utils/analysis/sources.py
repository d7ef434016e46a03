# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What happened between two readings of the proxies' counters and histograms. Pure.

Counters only grow, and begin anew with their proxy. A proxy that was not read before tells nothing at its first
reading, for nobody knows when it counted what it shows; a proxy that is missing now is compared with its last reading
when it is back.
"""

from __future__ import annotations

import typing as t
from collections import Counter
from dataclasses import dataclass, field

from . import histogram, traffic
from .flight import Flight, of_counters
from .rates import Tally

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .flight import Place
    from .traffic import Key, Names, Sample

ENVOY_TIME: t.Final = "envoy_cluster_upstream_rq_time_bucket"
ISTIO_TIME: t.Final = "istio_request_duration_milliseconds_bucket"

Cumulative = dict[float, float]
"""Upper bound in milliseconds (inf for the last) -> requests up to it."""


@dataclass(frozen=True)
class Reading:
    """Counters at one moment.

    counts: each counter of requests. buckets: (source, version) -> histogram of response times. sources: proxies that
    were read, also those that have counted nothing yet; of Prometheus, those that a series is of. targets: source of a
    counter -> the proxy it is of, where it is not the same: a proxy has many series. flights: requests under way.
    """

    counts: Mapping[Key, float] = field(default_factory=dict)
    buckets: Mapping[tuple[str, str], Cumulative] = field(default_factory=dict)
    sources: frozenset[str] = frozenset()
    targets: Mapping[str, str] = field(default_factory=dict)
    flights: Mapping[Place, Flight] = field(default_factory=dict)

    def knows(self, source: str) -> bool:
        """Return whether a counter of `source` that is not here stood at 0."""
        return source in self.sources

    def updated(self, later: Reading) -> Reading:
        """Return the latest that is known of every counter: what `later` does not have stays as it was."""
        return Reading(
            {**self.counts, **later.counts},
            {**self.buckets, **later.buckets},
            self.sources | later.sources,
            {**self.targets, **later.targets},
            {**self.flights, **later.flights},
        )


@dataclass
class Increment:
    """What came between two readings. tallies: version -> requests and errors.

    times: version -> upper bound in milliseconds -> requests in that bucket alone. begins: there was no reading before,
    so what came is not known. ended: version -> requests that ended, with those that their callers gave up as errors.
    flights: of each place that was read, what was under way before and is now.
    """

    tallies: dict[str, Tally] = field(default_factory=dict)
    times: dict[str, Counter[float]] = field(default_factory=dict)
    begins: bool = False
    ended: dict[str, Tally] = field(default_factory=dict)
    flights: dict[Place, tuple[Flight, Flight]] = field(default_factory=dict)

    def tally(self, version: str) -> Tally:
        """Return the version's requests; none if it had none."""
        return self.tallies.get(version, Tally(0, 0))


def of_caller(source: str, samples: Iterable[Sample], names: Names) -> Reading:
    """Return what one proxy has counted as a client of the service. Istio's own metrics win where it has both."""
    listed = list(samples)
    by_envoy: dict[tuple[str, str], Cumulative] = {}
    by_istio: dict[tuple[str, str], Cumulative] = {}
    for name, labels, value in listed:
        if name == ISTIO_TIME and labels.get("reporter") == "source":
            if labels.get("destination_service") in names.hosts:
                _add(by_istio, (source, names.told(labels)), labels, value)
        elif name == ENVOY_TIME:
            version = names.of_cluster(labels.get("cluster_name", ""))
            if version is not None:
                _add(by_envoy, (source, version), labels, value)
    counts = traffic.counters(source, listed, names)
    flights = of_counters(listed, lambda labels: names.of_cluster(labels.get("cluster_name", "")))
    under_way = {(source, version): flight for version, flight in flights.items()}
    return Reading(counts, by_istio or by_envoy, frozenset((source,)), flights=under_way)


def of_server(source: str, samples: Iterable[Sample], version: str) -> Reading:
    """Return what the proxy of a pod of `version` has counted as a server, whoever asked. Istio's own metrics win."""
    listed = list(samples)
    by_envoy: dict[tuple[str, str], Cumulative] = {}
    by_istio: dict[tuple[str, str], Cumulative] = {}
    for name, labels, value in listed:
        if name == ISTIO_TIME and labels.get("reporter") == "destination":
            _add(by_istio, (source, version), labels, value)
        elif name == ENVOY_TIME and _is_inbound(labels):
            _add(by_envoy, (source, version), labels, value)
    flights = of_counters(listed, lambda labels: version if _is_inbound(labels) else None)
    under_way = {(source, served): flight for served, flight in flights.items()}
    counts = traffic.inbound(source, listed, version)
    return Reading(counts, by_istio or by_envoy, frozenset((source,)), flights=under_way)


def joined(readings: Iterable[Reading]) -> Reading:
    """Return the readings of several proxies as one."""
    result = Reading()
    for one in readings:
        result = result.updated(one)
    return result


def counted(before: Reading, after: Reading) -> dict[Key, float]:
    """Return how much each counter grew, of the sources that were known before; see `traffic.settled`."""
    known = {
        key: value for key, value in after.counts.items() if before.knows(after.targets.get(key.source, key.source))
    }
    return traffic.settled(traffic.growth(before.counts, known))


def grown(before: Reading, after: Reading) -> Increment:
    """Return what came between the two.

    A counter that fell began anew: all it shows came since. A histogram of which one bucket fell began anew as a whole.
    One that is no histogram (not cumulative, NaN) is left out.
    """
    counts = counted(before, after)
    summed = traffic.tally(counts)
    result = Increment({version: Tally(number, summed.errors[version]) for version, number in summed.requests.items()})
    for (source, version), now in after.buckets.items():
        if not before.knows(after.targets.get(source, source)):
            continue
        try:
            added = _between(before.buckets.get((source, version), {}), now)
        except histogram.BrokenHistogram:
            continue
        if any(added.values()):
            result.times.setdefault(version, Counter()).update(added)
    result.flights = {
        place: (before.flights.get(place, Flight()), now)
        for place, now in after.flights.items()
        if place in before.flights or before.knows(place[0])
    }
    result.ended = _ended(counts, result.flights, after)
    return result


def _ended(
    counts: Mapping[Key, float], flights: Mapping[Place, tuple[Flight, Flight]], after: Reading
) -> dict[str, Tally]:
    """Return version -> requests that ended and those given up: by the proxies' counters of requests under way.

    Where a proxy has none, Istio's own metrics say it by the code 0, which is no answer; it is told with a version
    only where the proxy knows whom it had asked. A proxy that has both told them with their version already.
    """
    ended: Counter[str] = Counter()
    gone: Counter[str] = Counter()
    for (source, version), (then, now) in flights.items():
        if source in after.sources:
            came = now.since(then)
            ended[version] += max(0, round(came.ended))
            gone[version] += round(came.given_up)
    told = {source for source, _version in after.flights}
    for key, value in counts.items():
        if (key.source, key.version) in after.flights or (key.version == traffic.NO_VERSION and key.source in told):
            continue
        ended[key.version] += round(value)
        gone[key.version] += round(value) if key.code == traffic.GIVEN_UP else 0
    return {version: Tally(number, min(number, gone[version])) for version, number in ended.items()}


def _is_inbound(labels: Mapping[str, str]) -> bool:
    return labels.get("cluster_name", "").startswith("inbound|")


def cumulative(times: Mapping[float, int]) -> Cumulative:
    """Return a histogram as the judges take it: upper bound -> requests up to it."""
    held, result = 0.0, {}
    for bound in sorted(times):
        held += times[bound]
        result[bound] = held
    return result


def _between(then: Mapping[float, float], now: Mapping[float, float]) -> dict[float, int]:
    """Return the requests in each bucket, also 0: a bucket's lower end is the bound of the one below it."""
    fell = any(now.get(bound, 0.0) < held for bound, held in then.items())
    added = {bound: held - (0.0 if fell else then.get(bound, 0.0)) for bound, held in now.items()}
    return {**dict.fromkeys(added, 0), **histogram.counts(added)}


def _add(
    buckets: dict[tuple[str, str], Cumulative], key: tuple[str, str], labels: Mapping[str, str], value: float
) -> None:
    try:
        bound = float(labels.get("le", ""))
    except ValueError:
        return
    own = buckets.setdefault(key, {})
    own[bound] = own.get(bound, 0.0) + value
