# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Counts a service's requests by version, from Prometheus or from the proxies.

Both take the difference of raw counters at two times, not Prometheus' `increase`, which extrapolates: an exact test
needs whole requests.
"""

from __future__ import annotations

import math
import re
import time
import typing as t
from dataclasses import dataclass, field

from ..analysis import counter_deltas, scrape_labels, traffic
from ..errors import ApiError
from ..mesh.proxies import Proxies, Proxy, in_parallel
from .notes import Notes

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..analysis.traffic import Key, Names, VersionCounts
    from ..prometheus import Prometheus

    Log = Callable[[str], None]


NO_GRPC: t.Final = (
    "The gRPC status of answers is not known: a proxy counts them by HTTP status, which is 200 for most gRPC errors, "
    "so these are not among the errors. Enable istio_requests_total with its label grpc_response_status in the "
    "proxies, or Envoy's counters of gRPC calls by the annotation sidecar.istio.io/statsInclusionPrefixes: "
    "cluster.outbound on the pods of the callers."
)


@dataclass
class Count:
    """The counted requests. source: prometheus or proxies. seconds: of what span, None for since each proxy started.

    callers: proxies read. by_caller: proxy -> its own counts. notes: what was not counted, and why.
    """

    versions: VersionCounts
    source: str
    seconds: float | None
    callers: int = 0
    by_caller: dict[str, VersionCounts] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def from_prometheus(server: Prometheus, names: Names, seconds: float, at: float | None = None) -> Count:
    """Return what the callers' proxies reported in the `seconds` before `at` (Unix time, default now).

    Raises MetricsError.
    """
    end = time.time() if at is None else at
    before, _notes = reported(server, names, end - seconds)
    after, notes = reported(server, names, end)
    if not after.sources <= before.sources:
        before = before.updated(_first_values(server, names, seconds, end, before.sources))
    return Count(traffic.count_by_version(counter_deltas.counted(before, after)), "prometheus", seconds, notes=notes)


def _first_values(
    server: Prometheus, names: Names, seconds: float, end: float, known: frozenset[str]
) -> counter_deltas.Reading:
    """Return the first values of targets that were not known `seconds` before `end`: new pods, and returned ones."""
    promql = f"min_over_time({selector(server, names)}[{math.ceil(seconds)}s])"
    found, _notes = reported(server, names, end, promql)
    first = {key: value for key, value in found.counts.items() if found.targets[key.source] not in known}
    return counter_deltas.Reading(first, sources=found.sources)


def reported(
    server: Prometheus, names: Names, moment: float | None, promql: str = ""
) -> tuple[counter_deltas.Reading, list[str]]:
    """Return the counters of the service's callers in Prometheus, and notes on them.

    moment: Unix time, None for the server's now. promql: another query than the counters. Raises MetricsError.
    """
    series = server.query(promql or selector(server, names), moment)
    found = [one for one in series if math.isfinite(one.value)]  # NaN is no count
    identified = [(_identity(one.labels), one) for one in found]
    numbers = {
        traffic.Key(source, names.version_of(one.labels), names.code_of(one.labels)): one.value
        for source, one in identified
    }
    targets = {source: scrape_labels.target(one.labels) for source, one in identified}
    notes = scrape_labels.aggregation_notes([one.labels for one in found]) if found else [no_series(server, names)]
    return counter_deltas.Reading(numbers, sources=frozenset(targets.values()), targets=targets), notes


def selector(server: Prometheus, names: Names, metric: str = traffic.ISTIO) -> str:
    """Return PromQL for the series of the service's callers."""
    hosts = "|".join(re.escape(host) for host in sorted(names.hosts)).replace("\\", "\\\\")
    # Metrics do not tell whether a gateway or a sidecar reports.
    reporters = traffic.WAYPOINT if names.gateways_use_waypoint else "|".join(sorted(names.reporters))
    equals = "=~" if "|" in reporters else "="
    return server.selector(metric, f'reporter{equals}"{reporters}"', f'destination_service=~"{hosts}"')


def no_series(server: Prometheus, names: Names) -> str:
    """Return the note that the service has no such series."""
    narrowed = "".join(f" and {name} {value}" for name, value in server.labels.items())
    return f"Prometheus has no {traffic.ISTIO} with destination_service {', '.join(names.hosts)}{narrowed}."


def _identity(labels: Mapping[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items()) if name != "__name__")


class ProxyCounters:
    """The counters of callers' proxies: read once, or before and after a span of time.

    grpc: the ports of the service that are declared as gRPC, where calls are judged by their own status.
    """

    def __init__(
        self, client: Proxies, callers: Sequence[Proxy], names: Names, grpc: frozenset[str] = frozenset()
    ) -> None:
        self._client, self._callers, self._names, self._grpc = client, callers, names, grpc
        hosts = "|".join(re.escape(host) for host in sorted(names.hosts))
        clusters = rf"(outbound|inbound-vip)\|[0-9]+\|[^|]*\|({hosts});?"
        self._pattern = rf"({clusters}\.(upstream_rq_|grpc\.(.*\.)?)[0-9]+$|{traffic.ISTIO})"
        self.notes = Notes()

    def read(self) -> dict[Key, float]:
        """Return the counters of all callers now; a proxy that does not answer is left out with a note."""
        found: dict[Key, float] = {}
        failed: list[tuple[Proxy, ApiError]] = []
        for proxy, counted in in_parallel(self._read_one, self._callers):
            if isinstance(counted, ApiError):
                failed.append((proxy, counted))
            else:
                found.update(counted)
        if failed:
            proxy, error = failed[0]
            self.notes.add(
                f"{len(failed)} of {len(self._callers)} proxies were not read; the first is {proxy}: {error.msg}"
            )
        return found

    def since_start(self) -> Count:
        """Return the requests since each proxy started."""
        return self._count(self.read(), None)

    def during(self, seconds: float, wait: Callable[[float], None] = time.sleep) -> Count:
        """Return the requests within the next `seconds`."""
        started = time.monotonic()
        before = self.read()
        wait(max(0.0, seconds - (time.monotonic() - started)))
        return self.grown_since(before, time.monotonic() - started)

    def grown_since(self, before: Mapping[Key, float], seconds: float) -> Count:
        """Return the requests since `before` was read, `seconds` ago."""
        return self._count(traffic.growth(before, self.read()), seconds)

    def _count(self, counters: Mapping[Key, float], seconds: float | None) -> Count:
        by_caller = {
            source: traffic.count_by_version({key: value for key, value in counters.items() if key.source == source})
            for source in sorted({key.source for key in counters})
        }
        if traffic.lacks_grpc_status(counters):
            self.notes.add(NO_GRPC)
        return Count(traffic.count_by_version(counters), "proxies", seconds, len(self._callers), by_caller, self.notes)

    def _read_one(self, proxy: Proxy) -> dict[Key, float]:
        samples = self._client.counters(proxy.namespace, proxy.name, self._pattern)
        return traffic.client_counters(str(proxy), samples, self._names, self._grpc)
