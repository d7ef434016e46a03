# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Counting for canary_verify: three ways to learn who answered, each with what else it learnt."""

from __future__ import annotations

import datetime
import time
import typing as t
from dataclasses import dataclass, field

from ..analysis import traffic
from ..errors import ApiError
from ..proxies import Proxies, Proxy, in_parallel
from ..routes import find, overview, pods
from ..routes.snapshot import identity, label, last_write
from . import counts, measuring, probing

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..analysis.traffic import Key, Names
    from ..cluster import Cluster
    from ..prometheus import Prometheus
    from ..routes.hosts import ServiceRef
    from ..routes.snapshot import Object, Snapshot

ISTIO_RETRIES: t.Final = 2
SETTLED: t.Final = 5.0
"""Seconds after a route was written in which proxies may still split as before."""
LOOKBACK: t.Final = 300.0
"""Seconds for which Prometheus answers with an old sample where it has no newer one."""
MOMENTS: t.Final = 600
"""At how many moments at most is looked for the first one that counts."""


@dataclass
class Counted:
    """counts: version -> requests. errors: answers of 500 and above, or probes without answer.

    by_caller: proxy -> version -> requests. outside: requests the pods answered beyond those counted, None if unknown.
    retried: version -> attempts counted beyond the first, None if no proxy says. why: reason if nothing was counted.
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


def by_probes(cluster: Cluster, service: ServiceRef, probes: Mapping[str, t.Any], number: int) -> Counted:
    """Send our own requests and read from each answer who gave it."""
    started = time.monotonic()
    answers = probing.send(cluster, service.namespace, probes, number)
    notes = []
    if answers.failed:
        notes.append(f"{answers.failed} of {number} probes named no version: {'; '.join(answers.examples)}")
    seconds = round(time.monotonic() - started, 3)
    return Counted("probes", dict(answers.counts), answers.failed, seconds, 1, notes=notes)


def by_prometheus(
    cluster: Cluster, snapshot: Snapshot, service: ServiceRef, names: Names, server: Prometheus, seconds: float
) -> Counted:
    """Count the past `seconds`, but nothing from before the routes were last written. Raises MetricsError."""
    change = Change("The routes were written", last_write(overview.routing_objects(snapshot, service)), SETTLED)
    span = span_since(change, cluster, server, counts.selector(server, names), seconds)
    if not span.seconds:
        return Counted("prometheus", {}, why=span.why)
    count = counts.from_prometheus(server, names, span.seconds, span.end)
    return Counted(
        "prometheus",
        count.tally.dealt,
        sum(count.tally.errors.values()),
        round(span.seconds, 3),
        notes=[*span.notes, *count.notes, *_unanswered(count)],
        why=span.why,
    )


class Change(t.NamedTuple):
    """What must be over. what: a sentence that ends before `so many seconds ago`. settled: seconds that it took."""

    what: str
    at: datetime.datetime | None
    settled: float = 0.0


class Span(t.NamedTuple):
    """The part of the past to count: the `seconds` before `end` (Unix time). why: reason that there may be nothing."""

    end: float
    seconds: float
    notes: tuple[str, ...] = ()
    why: str = ""


def span_since(change: Change, cluster: Cluster, server: Prometheus, query: str, seconds: float) -> Span:
    """Return the last `seconds`, or as many of them that begin with no sample from before the change.

    At a moment Prometheus has the last sample before it, which is up to a scrape interval older. The time is the API
    server's, as that of the change is. Raises MetricsError.
    """
    now = cluster.server_time or datetime.datetime.now(datetime.timezone.utc)
    end = now.timestamp()
    if change.at is None or (ago := (now - change.at).total_seconds()) > seconds + change.settled + LOOKBACK:
        return Span(end, seconds)
    start, settled = end - seconds, end - ago + change.settled
    step = max(1.0, seconds / MOMENTS)
    found = server.query_range(f"min(timestamp({query}))", start, end, step)
    oldest = [point for one in found for point in one.values]
    first = next((moment for moment, sample in oldest if sample >= settled), end if oldest else start)
    if first < start + step / 2:  # Prometheus rounds moments
        return Span(end, seconds)
    wait = max(0.0, settled - start) + end - oldest[-1][1]
    told = f"{change.what} {max(ago, 0.0):.0f} s ago"
    why = f"{told}, and Prometheus has too few samples from after that; wait for {wait:.0f} s and verify again"
    return Span(end, end - first, (f"{told}; only what came after is counted.",), why)


def by_proxies(
    cluster: Cluster, snapshot: Snapshot, service: ServiceRef, names: Names, params: Mapping[str, t.Any]
) -> Counted:
    """Count the next `seconds` at the callers' proxies, and at the service's own pods for comparison."""
    notes: list[str] = []
    door, callers = measuring.callers(cluster, snapshot, service, params, notes)
    counters = counts.ProxyCounters(door, callers, names)
    servers = _servers(snapshot, service)
    before, served_before, again_before = counters.read(), _served(door, servers), _retries(door, callers, names)
    started = time.monotonic()
    time.sleep(params["seconds"])
    count = counters.grown_since(before, time.monotonic() - started)
    served, again = _served(door, servers), _retries(door, callers, names)
    outside = None
    if served_before is not None and served is not None:
        outside = sum(traffic.growth(served_before, served).values()) - count.tally.sent
    if not callers:
        notes.append("No proxy was found that could be asked.")
    return Counted(
        source="proxies",
        counts=count.tally.dealt,
        errors=sum(count.tally.errors.values()),
        seconds=round(count.seconds or 0.0, 3),
        callers=len(callers),
        by_caller={caller: tally.dealt for caller, tally in count.by_caller.items()},
        outside=outside,
        retried=_grown(again_before, again),
        notes=[*notes, *count.notes, *_unanswered(count)],
    )


def _unanswered(count: counts.Count) -> list[str]:
    """Return what to say of requests that no version was dealt, as far as anybody knows."""
    if not count.tally.unanswered:
        return []
    return [
        f"{count.tally.unanswered} requests failed or were given up and belong to no version, so they are not part of "
        f"the split; response_flags of {traffic.ISTIO} say why."
    ]


def _servers(snapshot: Snapshot, service: ServiceRef) -> list[Object]:
    found = pods.of_service(snapshot, service, {}) or []
    return [pod for pod in found if pods.has_proxy(pod)]


def _served(door: Proxies, servers: Sequence[Object]) -> dict[Key, float] | None:
    """Return what the service's own proxies counted as servers; None if they do not all say."""
    found: dict[Key, float] = {}

    def read(pod: Object) -> dict[Key, float]:
        namespace, name = identity(pod)
        samples = door.counters(namespace, name, r"^cluster\.inbound\|.*\.upstream_rq_[0-9]+$")
        return traffic.inbound(f"{namespace}/{name}", samples, pods.labels_of(pod).get("version", ""))

    for _pod, counted in in_parallel(read, servers):
        if isinstance(counted, ApiError):
            return None
        found.update(counted)
    return found or None


def _retries(door: Proxies, callers: Sequence[Proxy], names: Names) -> dict[Key, float] | None:
    """Return the retries that the callers' proxies have counted; None if attempts are not what is counted."""
    pattern = rf"(^cluster\.outbound\|.*\.upstream_rq_retry$|{traffic.ISTIO})"

    def read(proxy: Proxy) -> dict[Key, float] | None:
        return traffic.retries(str(proxy), door.counters(proxy.namespace, proxy.name, pattern), names)

    found: dict[Key, float] = {}
    for _proxy, counted in in_parallel(read, callers):
        if counted is None:
            return None
        if not isinstance(counted, ApiError):  # a proxy that is not read is noted where its requests are counted
            found.update(counted)
    return found


def _grown(before: Mapping[Key, float] | None, after: Mapping[Key, float] | None) -> dict[str, int] | None:
    """Return version -> retries between two readings: none where requests are counted, None where nobody says."""
    if before is None or after is None:
        return {}
    return dict(traffic.tally(traffic.growth(before, after)).requests) if after else None


def retrying(snapshot: Snapshot, service: ServiceRef) -> dict[str, int]:
    """Return route -> how often proxies try again, for the http routes to the service; Istio's default is 2."""
    return {
        f"{label(obj)} route {key}": int((route.get("retries") or {}).get("attempts", ISTIO_RETRIES))
        for obj in snapshot.virtual_services or ()
        for key, protocol, route in find.selected(obj, service, ())
        if protocol == "http" and (route.get("retries") or {}).get("attempts", ISTIO_RETRIES)
    }
