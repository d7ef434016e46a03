# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Counting for canary_verify: three ways to learn who answered, each with what else it learnt."""

from __future__ import annotations

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


@dataclass
class Counted:
    """counts: version -> requests. errors: answers of 500 and above, or probes without answer.

    by_caller: proxy -> version -> requests. outside: requests the pods answered beyond those counted, None if unknown.
    retried: version -> attempts counted beyond the first, None if no proxy says.
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
    cluster: Cluster,
    snapshot: Snapshot,
    service: ServiceRef,
    names: Names,
    server: Prometheus,
    seconds: float,
    *,
    now: float,
) -> Counted:
    """Count the past `seconds`, but nothing from before the routes were last written. Raises MetricsError."""
    written = last_write(overview.routing_objects(snapshot, service))
    notes = []
    span = seconds
    if written is not None and cluster.server_time is not None:
        since = (cluster.server_time - written).total_seconds() - SETTLED
        if since < seconds:
            span = max(since, 0.0)
            notes.append(f"The routes were written {since + SETTLED:.0f} s ago; only what came after is counted.")
    if span <= 0:
        return Counted("prometheus", {}, notes=notes)
    count = counts.from_prometheus(server, names, span, now)
    tally = count.tally
    errors = sum(tally.errors.values())
    return Counted("prometheus", dict(tally.requests), errors, round(span, 3), notes=[*notes, *count.notes])


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
        outside = sum(traffic.growth(served_before, served).values()) - count.tally.total
    if not callers:
        notes.append("No proxy was found that could be asked.")
    return Counted(
        source="proxies",
        counts=dict(count.tally.requests),
        errors=sum(count.tally.errors.values()),
        seconds=round(count.seconds or 0.0, 3),
        callers=len(callers),
        by_caller={caller: dict(tally.requests) for caller, tally in count.by_caller.items()},
        outside=outside,
        retried=_grown(again_before, again),
        notes=[*notes, *count.notes],
    )


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
