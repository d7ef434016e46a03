# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The source that counts answered requests by Prometheus, and requests in flight by the callers' proxies."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ..analysis.counter_deltas import Increment
from ..errors import CanaryError

if t.TYPE_CHECKING:
    from .prometheus_source import PrometheusSource
    from .proxy_source import ProxySource

_UNSEEN: t.Final = "Stalled requests are not seen: no proxy could be read for requests in flight"


class PrometheusAndProxies:
    """Prometheus' counts of the present, with the requests in flight that only proxies know, if they may be read.

    Both are of the same time: the proxies are read after Prometheus has answered, or not at all. Measurements are
    closer than with Prometheus alone: a request certainly stalls only if it waits for longer than between two of them.
    """

    name, interval, reads_in_flight = "prometheus", 2.0, True

    def __init__(self, prometheus: PrometheusSource, proxies: ProxySource) -> None:
        self._prometheus, self._proxies = prometheus, proxies
        self._started = self._unavailable = False
        self.notes, self.callers = prometheus.notes, 0

    def begin(self, at: float | None) -> None:
        self._prometheus.begin(at)
        self._measure_proxies()

    def measure(self, at: float | None) -> Increment:
        answered = self._prometheus.measure(at)
        by_proxies = self._measure_proxies()
        if self._unavailable:
            return answered
        if answered.first_reading:
            by_proxies = Increment()
        return replace(answered, ended=by_proxies.ended, in_flight=by_proxies.in_flight)

    def query_value(self, query: str, version: str, at: float | None) -> float | None:
        return self._prometheus.query_value(query, version, at)

    def _measure_proxies(self) -> Increment:
        """Return the increment since the last reading; an empty one at first, and where no proxy answers."""
        if self._unavailable:
            return Increment()
        try:
            if self._started:
                return self._proxies.measure(None)
            self._proxies.begin(None)
            self._started = bool(self._proxies.read)
            self._unavailable = not self._started and not self._proxies.callers
        except CanaryError as error:
            self._unavailable = not self._started and error.details.get("status") == 403
            self.notes.add(f"{_UNSEEN}: {error.msg}")
        else:
            if self._unavailable:
                self.notes.add(f"{_UNSEEN}: none was found.")
        finally:
            if not self._unavailable:
                self.callers = self._proxies.callers
                self.notes.add(*self._proxies.notes)
        return Increment()
