# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Counting a service's requests by version, from Prometheus or from the proxies themselves.

Both ways take the difference of raw counters at two moments and not Prometheus' `increase`, which estimates: an
exact test needs whole requests.
"""

from __future__ import annotations

import math
import re
import time
import typing as t
from dataclasses import dataclass, field

from ..analysis import scraped, sources, traffic
from ..errors import ApiError
from ..proxies import Proxies, Proxy, in_parallel

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..analysis.traffic import Key, Names, Tally
    from ..prometheus import Prometheus

    Log = Callable[[str], None]


@dataclass
class Count:
    """What was counted. source: prometheus or proxies. seconds: of what span, None for since each proxy started.

    callers: proxies read. by_caller: proxy -> its own tally. notes: what was not counted, and why.
    """

    tally: Tally
    source: str
    seconds: float | None
    callers: int = 0
    by_caller: dict[str, Tally] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def from_prometheus(server: Prometheus, names: Names, seconds: float, at: float | None = None) -> Count:
    """Return what callers' proxies reported in the `seconds` before `at` (Unix time, default now).

    Raises MetricsError.
    """
    end = time.time() if at is None else at
    before, _notes = reported(server, names, end - seconds)
    after, notes = reported(server, names, end)
    if not after.sources <= before.sources:
        before = before.updated(_first(server, names, seconds, end, before.sources))
    return Count(traffic.tally(sources.counted(before, after)), "prometheus", seconds, notes=notes)


def _first(server: Prometheus, names: Names, seconds: float, end: float, known: frozenset[str]) -> sources.Reading:
    """Return what the targets that came later than `seconds` before `end` showed first: new pods, and old ones back."""
    question = f"min_over_time({selector(server, names)}[{math.ceil(seconds)}s])"
    found, _notes = reported(server, names, end, question)
    came = {key: value for key, value in found.counts.items() if found.targets[key.source] not in known}
    return sources.Reading(came, sources=found.sources)


def reported(
    server: Prometheus, names: Names, moment: float | None, question: str = ""
) -> tuple[sources.Reading, list[str]]:
    """Return the counters Prometheus has of the service's callers, and what is to be said of them.

    moment: Unix time, None for the server's now. question: another than for what they are then. Raises MetricsError.
    """
    found = server.query(question or selector(server, names), moment)
    identified = [(_identity(one.labels), one) for one in found]
    numbers = {
        traffic.Key(source, names.told(one.labels), traffic.code_of(one.labels)): one.value
        for source, one in identified
    }
    targets = {source: scraped.target(one.labels) for source, one in identified}
    notes = scraped.together([one.labels for one in found]) if found else [nothing(server, names)]
    return sources.Reading(numbers, sources=frozenset(targets.values()), targets=targets), notes


def selector(server: Prometheus, names: Names, metric: str = traffic.ISTIO) -> str:
    """Return PromQL for the series in which the service's callers count."""
    hosts = "|".join(re.escape(host) for host in sorted(names.hosts)).replace("\\", "\\\\")
    return server.selector(metric, 'reporter="source"', f'destination_service=~"{hosts}"')


def nothing(server: Prometheus, names: Names) -> str:
    """Return in words that the service has no such series."""
    narrowed = "".join(f" and {name} {value}" for name, value in server.labels.items())
    return f"Prometheus has no {traffic.ISTIO} with destination_service {', '.join(names.hosts)}{narrowed}."


def _identity(labels: Mapping[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items()) if name != "__name__")


class ProxyCounters:
    """The counters of callers' proxies: read once, or before and after a while."""

    def __init__(self, door: Proxies, callers: Sequence[Proxy], names: Names) -> None:
        self._door, self._callers, self._names = door, callers, names
        hosts = "|".join(re.escape(host) for host in sorted(names.hosts))
        self._pattern = rf"(outbound\|[0-9]+\|[^|]*\|({hosts});?\.upstream_rq_[0-9]+$|{traffic.ISTIO})"
        self.notes: list[str] = []

    def read(self) -> dict[Key, float]:
        """Return all callers' counters now; a proxy that does not answer is noted and left out."""
        found: dict[Key, float] = {}
        failed: list[tuple[Proxy, ApiError]] = []
        for proxy, counted in in_parallel(self._read_one, self._callers):
            if isinstance(counted, ApiError):
                failed.append((proxy, counted))
            else:
                found.update(counted)
        if failed:
            proxy, error = failed[0]
            self._note(
                f"{len(failed)} of {len(self._callers)} proxies were not read; the first is {proxy}: {error.msg}"
            )
        return found

    def since_start(self) -> Count:
        """Return what was counted since each proxy started."""
        return self._count(self.read(), None)

    def during(self, seconds: float, wait: Callable[[float], None] = time.sleep) -> Count:
        """Return what is counted within the next `seconds`."""
        started = time.monotonic()
        before = self.read()
        wait(max(0.0, seconds - (time.monotonic() - started)))
        return self.grown_since(before, time.monotonic() - started)

    def grown_since(self, before: Mapping[Key, float], seconds: float) -> Count:
        """Return what was counted since `before` was read, `seconds` ago."""
        return self._count(traffic.growth(before, self.read()), seconds)

    def _count(self, counters: Mapping[Key, float], seconds: float | None) -> Count:
        by_caller = {
            source: traffic.tally({key: value for key, value in counters.items() if key.source == source})
            for source in sorted({key.source for key in counters})
        }
        return Count(traffic.tally(counters), "proxies", seconds, len(self._callers), by_caller, self.notes)

    def _read_one(self, proxy: Proxy) -> dict[Key, float]:
        samples = self._door.counters(proxy.namespace, proxy.name, self._pattern)
        return traffic.counters(str(proxy), samples, self._names)

    def _note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)
