# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Request counts for canary_verify: by probes, by Prometheus or by proxies; and by pods where no route decides."""

from __future__ import annotations

import datetime
import time
import typing as t
from dataclasses import dataclass, field

from ..analysis import traffic
from ..errors import ApiError, InvalidInput
from ..istio import find
from ..istio.service_version_planner import with_subsets
from ..mesh.proxies import Proxies, Proxy, in_parallel
from ..objects import pods
from ..objects.metadata import full_name, identity, last_write
from ..preflight.service_ports import grpc_ports
from ..replicas import tracks
from ..routing import overview
from ..task.reading import Reader
from . import counts, measuring
from . import probes as probing

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..analysis.traffic import Key, Names
    from ..kube.client import Cluster
    from ..objects.hosts import ServiceRef
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot
    from ..prometheus import Prometheus

COUNTER_OPTIONS: t.Final[dict[str, dict[str, t.Any]]] = {
    "query": {"type": "str", "required": True},
    "label": {"type": "str", "default": "pod"},
}
ISTIO_RETRIES: t.Final = 2
ROUTE_DELAY: t.Final = 5.0
"""Seconds after a route was written in which proxies may still use the previous one."""
LOOKBACK: t.Final = 300.0
"""Seconds for which Prometheus returns an old sample where it has no newer one."""
MAX_STEPS: t.Final = 600
"""Maximum steps of the range query for the first usable sample."""


@dataclass
class SplitCount:
    """counts: version -> requests. errors: answers of 500 and above, or probes without answer.

    by_caller: proxy -> version -> requests. outside: requests the pods answered beyond those counted, None if unknown.
    retried: version -> attempts counted beyond the first, None if not known. why: reason if nothing was counted.
    """

    source: str
    counts: Mapping[str, int]
    errors: int = 0
    seconds: float | None = None
    callers: int = 0
    by_caller: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    outside: int | None = None
    retried: Mapping[str, int] | None = None
    notes: list[str] = field(default_factory=list)
    why: str = ""


def by_probes(cluster: Cluster, service: ServiceRef, probes: Mapping[str, t.Any], number: int) -> SplitCount:
    """Send test requests and read the version from each answer."""
    started = time.monotonic()
    answers = probing.send(cluster, service.namespace, probes, number)
    notes = []
    if answers.failed:
        notes.append(f"{answers.failed} of {number} probes named no version: {'; '.join(answers.examples)}")
    seconds = round(time.monotonic() - started, 3)
    return SplitCount("probes", dict(answers.counts), answers.failed, seconds, 1, notes=notes)


def by_prometheus(
    cluster: Cluster, snapshot: Snapshot, service: ServiceRef, names: Names, server: Prometheus, seconds: float
) -> SplitCount:
    """Count the past `seconds`, but nothing from before the routes were last written. Raises MetricsError."""
    change = PastChange("The routes were written", last_write(overview.routing_objects(snapshot, service)), ROUTE_DELAY)
    span = span_since(change, cluster, server, counts.selector(server, names), seconds)
    if not span.seconds:
        return SplitCount("prometheus", {}, why=span.why)
    count = counts.from_prometheus(server, names, span.seconds, span.end)
    return SplitCount(
        "prometheus",
        count.versions.sent_by_version,
        sum(count.versions.errors.values()),
        round(span.seconds, 3),
        notes=[*span.notes, *count.notes, *_unattributed_notes(count)],
        why=span.why,
    )


class PastChange(t.NamedTuple):
    """A change before which nothing counts. what: text before `N s ago`. delay: seconds until it has an effect."""

    what: str
    at: datetime.datetime | None
    delay: float = 0.0


class Span(t.NamedTuple):
    """The part of the past to count: the `seconds` before `end` (Unix time). why: reason that there may be nothing."""

    end: float
    seconds: float
    notes: tuple[str, ...] = ()
    why: str = ""


def span_since(change: PastChange, cluster: Cluster, server: Prometheus, query: str, seconds: float) -> Span:
    """Return the last `seconds`, shortened to begin with no sample from before the change.

    At any time Prometheus has the last sample before it, up to a scrape interval older. The time is the API server's,
    as is that of the change. Raises MetricsError.
    """
    now = cluster.server_time or datetime.datetime.now(datetime.timezone.utc)
    end = now.timestamp()
    if change.at is None or (ago := (now - change.at).total_seconds()) > seconds + change.delay + LOOKBACK:
        return Span(end, seconds)
    start, effective = end - seconds, end - ago + change.delay
    step = max(1.0, seconds / MAX_STEPS)
    found = server.query_range(f"min(timestamp({query}))", start, end, step)
    oldest = [point for one in found for point in one.values]
    first = next((moment for moment, sample in oldest if sample >= effective), end if oldest else start)
    if first < start + step / 2:  # Prometheus rounds times
        return Span(end, seconds)
    wait = max(0.0, effective - start) + end - oldest[-1][1]
    changed = f"{change.what} {max(ago, 0.0):.0f} s ago"
    why = f"{changed}, and Prometheus has too few samples from after that; wait for {wait:.0f} s and verify again"
    return Span(end, end - first, (f"{changed}; only requests after that are counted.",), why)


def by_proxies(
    cluster: Cluster, snapshot: Snapshot, service: ServiceRef, names: Names, params: Mapping[str, t.Any]
) -> SplitCount:
    """Count the next `seconds` at the callers' proxies, and at the service's own pods for comparison."""
    notes: list[str] = []
    client, callers = measuring.callers(cluster, snapshot, service, params, notes)
    counters = counts.ProxyCounters(client, callers, names, grpc_ports(snapshot, service, names.hosts))
    servers = _servers(snapshot, service)
    before, served_before, retries_before = counters.read(), _served(client, servers), _retries(client, callers, names)
    started = time.monotonic()
    time.sleep(params["seconds"])
    count = counters.grown_since(before, time.monotonic() - started)
    served, retries = _served(client, servers), _retries(client, callers, names)
    outside = None
    if served_before is not None and served is not None:
        outside = sum(traffic.growth(served_before, served).values()) - count.versions.sent
    if not callers:
        notes.append("No proxy was found to read.")
    return SplitCount(
        source="proxies",
        counts=count.versions.sent_by_version,
        errors=sum(count.versions.errors.values()),
        seconds=round(count.seconds or 0.0, 3),
        callers=len(callers),
        by_caller={caller: versions.sent_by_version for caller, versions in count.by_caller.items()},
        outside=outside,
        retried=_grown(retries_before, retries),
        notes=[*notes, *count.notes, *_unattributed_notes(count)],
    )


def _unattributed_notes(count: counts.Count) -> list[str]:
    """Return a note on failed and canceled requests without a version."""
    if not count.versions.unattributed_failures:
        return []
    return [
        f"{count.versions.unattributed_failures} requests failed or were canceled and have no version, so they are not "
        f"part of the split. response_flags of {traffic.ISTIO} say why."
    ]


def _servers(snapshot: Snapshot, service: ServiceRef) -> list[Object]:
    found = pods.of_service(snapshot, service, {}) or []
    return [pod for pod in found if pods.has_proxy(pod)]


def _served(client: Proxies, servers: Sequence[Object]) -> dict[Key, float] | None:
    """Return the server counters of the service's own proxies; None if one cannot be read."""
    found: dict[Key, float] = {}

    def read(pod: Object) -> dict[Key, float]:
        namespace, name = identity(pod)
        samples = client.counters(namespace, name, r"^cluster\.inbound\|.*\.upstream_rq_[0-9]+$")
        return traffic.server_counters(f"{namespace}/{name}", samples, pods.labels_of(pod).get("version", ""))

    for _pod, counted in in_parallel(read, servers):
        if isinstance(counted, ApiError):
            return None
        found.update(counted)
    return found or None


def _retries(client: Proxies, callers: Sequence[Proxy], names: Names) -> dict[Key, float] | None:
    """Return the retries in the counters of the callers' proxies; None if those count requests, not attempts."""
    pattern = rf"(^cluster\.(outbound|inbound-vip)\|.*\.upstream_rq_retry$|{traffic.ISTIO})"

    def read(proxy: Proxy) -> dict[Key, float] | None:
        return traffic.client_retries(str(proxy), client.counters(proxy.namespace, proxy.name, pattern), names)

    found: dict[Key, float] = {}
    for _proxy, counted in in_parallel(read, callers):
        if counted is None:
            return None
        if not isinstance(counted, ApiError):  # the note on it is added where requests are counted
            found.update(counted)
    return found


def _grown(before: Mapping[Key, float] | None, after: Mapping[Key, float] | None) -> dict[str, int] | None:
    """Return version -> retries between two readings: empty where requests are counted, None if not known."""
    if before is None or after is None:
        return {}
    return dict(traffic.count_by_version(traffic.growth(before, after)).requests) if after else None


def route_retries(snapshot: Snapshot, service: ServiceRef) -> dict[str, int]:
    """Return route -> retries it allows, for the http routes to the service; Istio's default is 2."""
    if snapshot.virtual_services is None:
        return {}
    return {
        f"{full_name(obj)} route {key}": int((route.get("retries") or {}).get("attempts", ISTIO_RETRIES))
        for obj in with_subsets(snapshot, service).virtual_services or ()
        for key, protocol, route in find.routes_to(obj, service, ())
        if protocol == "http" and (route.get("retries") or {}).get("attempts", ISTIO_RETRIES)
    }


class PodSplit:
    """Request counts by the pods behind the Service at the start. Raises InvalidInput."""

    def __init__(self, cluster: Cluster, service: ServiceRef) -> None:
        self._cluster, self._service = cluster, service
        self._tracks = self._read_tracks()

    @property
    def weights(self) -> dict[str, float]:
        """Return owner -> ready pods: the ratio of new connections that each gets."""
        return {owner: float(number) for owner, number in self._tracks.ready.items()}

    def by_probes(self, probes: Mapping[str, t.Any], number: int) -> SplitCount:
        """Send test requests and read the pod from each answer."""
        counted = by_probes(self._cluster, self._service, probes, number)
        counted.counts = self._tracks.by_owner(counted.counts)
        return counted

    def by_prometheus(self, server: Prometheus, counter: Mapping[str, t.Any] | None, seconds: float) -> SplitCount:
        """Count the past `seconds` by the user's counter, but nothing from before the pods last changed."""
        if counter is None:
            raise InvalidInput(
                "counter: without a mesh Prometheus has no standard metric; name one that counts requests, "
                "and its label that names the pod."
            )
        change = PastChange("The pods last changed", self._tracks.changed_at())
        span = span_since(change, self._cluster, server, counter["query"], seconds)
        before, after = (_counters(server, counter, moment) for moment in (span.end - span.seconds, span.end))
        notes = list(span.notes)
        if not after:
            notes.append(f"Prometheus has nothing for {counter['query']} with the label {counter['label']}.")
        versions = traffic.count_by_version(traffic.growth(before, after))
        counts = self._tracks.by_owner(versions.sent_by_version)
        errors = sum(versions.errors.values())
        return SplitCount("prometheus", counts, errors, round(span.seconds, 3), notes=notes, why=span.why)

    def causes(self, counts: Mapping[str, int]) -> list[str]:
        """Return likely causes why the pods did not get their share."""
        try:
            after: Mapping[str, int] = self._read_tracks().ready
        except InvalidInput:
            after = {}
        return tracks.causes(self._tracks, after, counts)

    def _read_tracks(self) -> tracks.Tracks:
        reader = Reader(self._cluster, self._service, wide=False)
        return tracks.Tracks(reader.snapshot(("services", "pods")), self._service)


def _counters(server: Prometheus, counter: Mapping[str, t.Any], moment: float) -> dict[traffic.Key, float]:
    """Return the counters at a time; a series without the label is not the service's."""
    return {
        traffic.Key(
            ",".join(f"{name}={value}" for name, value in sorted(one.labels.items())),
            one.labels[counter["label"]],
            one.labels.get("code") or one.labels.get("status") or one.labels.get("response_code") or "",
        ): one.value
        for one in server.query(counter["query"], moment)
        if one.labels.get(counter["label"])
    }
