# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The source that counts a service's requests by Prometheus, now or in the past."""

from __future__ import annotations

import math
import string
import time
import typing as t
from dataclasses import replace

from ..analysis import counter_deltas, scrape_labels, traffic
from ..errors import MetricsError
from . import counts
from .notes import Notes

if t.TYPE_CHECKING:
    from ..analysis.counter_deltas import Histograms, Increment, Reading
    from ..analysis.traffic import Names
    from ..objects.hosts import ServiceRef
    from ..prometheus import Prometheus, Series

STALE_SECONDS: t.Final = 60.0
STALE_MEASUREMENTS: t.Final = 4
"""Scraping has stopped after so many seconds and measurements without a new sample; it may be once a minute."""
_GROUP_LABELS: t.Final = (*scrape_labels.TARGET, *traffic.VERSION_LABELS)
"""Labels by which histograms are summed: those of the proxy and of the version."""


class PrometheusSource:
    """Istio's metrics in Prometheus, as the callers' proxies report them; also of the past."""

    name, interval, callers, reads_in_flight = "prometheus", 5.0, 0, False

    def __init__(self, server: Prometheus, service: ServiceRef, names: Names, *, sizes: bool = False) -> None:
        self._server, self._service, self._names, self._sizes = server, service, names, sizes
        self._last: Reading | None = None
        self._newest, self._newest_at, self._unchanged = 0.0, 0.0, 0
        self.notes = Notes()

    def begin(self, at: float | None) -> None:
        try:
            self._last = self._usable(self._read(at))
            self._check_fresh(at)
        except MetricsError as error:
            if error.details.get("reason") != "unreachable":
                raise
            self.notes.append(f"At the start: {error.msg}")

    @staticmethod
    def _usable(now: Reading) -> Reading | None:
        """Return the reading, None if it has no series.

        A server that has just started, or has not found its targets yet, shows their whole counters at once later.
        """
        return now if now.counts else None

    def measure(self, at: float | None) -> Increment:
        now = self._read(at)
        if self._last is None:
            self._last = self._usable(now)
            return counter_deltas.Increment(first_reading=True)
        if not now.counts:
            gone = counts.no_series(self._server, self._names)
            raise MetricsError(f"{gone} It had before: check that the callers are still scraped.", reason="gone")
        self._check_fresh(at)
        increment = counter_deltas.grown(self._last, now)
        self._last = self._last.updated(now)
        return increment

    def query_value(self, query: str, version: str, at: float | None) -> float | None:
        """Return the result of `query` with its placeholders replaced; None for no value, or several."""
        placeholders = {
            "version": self._names.label_of(version),
            "service": self._service.name,
            "namespace": self._service.namespace,
            "host": self._service.fqdn,
        }
        found = self._server.query(string.Template(query).safe_substitute(placeholders), at)
        if len(found) > 1:
            self.notes.add(
                f"A query returned {len(found)} series instead of one number, which counts as no number: {query}"
            )
        return found[0].value if len(found) == 1 else None

    def _read(self, at: float | None) -> Reading:
        now, notes = counts.reported(self._server, self._names, at)
        self.notes.add(*notes)
        targets = dict(now.targets)
        buckets = self._histograms(counter_deltas.ISTIO_TIME, at, targets)
        sizes = self._histograms(counter_deltas.ISTIO_SIZE, at, targets) if self._sizes else {}
        return replace(now, buckets=buckets, sizes=sizes, targets=targets)

    def _histograms(self, metric: str, at: float | None, targets: dict[str, str]) -> Histograms:
        """Return the histograms of a metric, and add the proxy of each source to `targets`.

        All counters of a pod are reset together, so a reset still shows in the sum of its series.
        """
        chosen = counts.selector(self._server, self._names, metric)
        buckets: Histograms = {}
        for one in self._server.query(f"sum by ({', '.join(_GROUP_LABELS)}, le) ({chosen})", at):
            source = "/".join(one.labels.get(name, "") for name in _GROUP_LABELS)
            targets[source] = scrape_labels.target(one.labels)
            _add_bucket(buckets, source, one, self._names)
        return buckets

    def _check_fresh(self, at: float | None) -> None:
        """Raise MetricsError where no sample has come for so long that unchanged numbers mean nothing.

        After scraping stops, Prometheus answers with the last samples for five minutes.
        """
        moment = time.time() if at is None else at
        promql = f"max(timestamp({counts.selector(self._server, self._names)}))"
        newest = max((one.value for one in self._server.query(promql, at) if math.isfinite(one.value)), default=0.0)
        if newest > self._newest:
            self._newest, self._newest_at, self._unchanged = newest, moment, 0
            return
        self._unchanged += 1
        if self._unchanged >= STALE_MEASUREMENTS and moment - self._newest_at >= STALE_SECONDS:
            when = time.strftime("%H:%M:%S", time.gmtime(newest))
            raise MetricsError(
                f"Scraping has stopped: Prometheus has no {traffic.ISTIO} of {self._service.name} from after {when} "
                "UTC. Check its targets.",
                reason="stale",
            )


def _add_bucket(buckets: Histograms, source: str, one: Series, names: Names) -> None:
    try:
        bound = float(one.labels.get("le", ""))
    except ValueError:
        return
    if not math.isfinite(one.value):
        return
    own = buckets.setdefault((source, names.version_of(one.labels)), {})
    own[bound] = own.get(bound, 0.0) + one.value
