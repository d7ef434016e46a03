# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looking at a service's requests in Prometheus, now or in the past."""

from __future__ import annotations

import string
import time
import typing as t
from dataclasses import replace

from ..analysis import scraped, sources, traffic
from ..errors import MetricsError
from . import counts

if t.TYPE_CHECKING:
    from ..analysis.sources import Increment, Reading
    from ..analysis.traffic import Names
    from ..prometheus import Prometheus, Series
    from ..routes.hosts import ServiceRef

STILL_FOR: t.Final = 60.0
STILL_LOOKS: t.Final = 4
"""Seconds and looks, both, in which no new sample has come where scraping stands still: it may be once a minute."""
_TOLD_BY: t.Final = (*scraped.TARGET, *traffic.TELLING)
"""Labels by which response times are summed: whose they are, and all that tells the version."""


class PrometheusSource:
    """Istio's metrics in Prometheus, as callers' proxies report them; also of the past."""

    name, interval, callers, under_way = "prometheus", 5.0, 0, False

    def __init__(self, server: Prometheus, service: ServiceRef, names: Names) -> None:
        self._server, self._service, self._names = server, service, names
        self._last: Reading | None = None
        self._newest, self._moved, self._still = 0.0, 0.0, 0
        self.notes: list[str] = []

    def begin(self, at: float | None) -> None:
        try:
            self._last = self._begun(self._read(at))
            self._check_new(at)
        except MetricsError as error:
            if error.details.get("reason") != "unreachable":
                raise
            self.notes.append(f"At the beginning: {error.msg}")

    @staticmethod
    def _begun(now: Reading) -> Reading | None:
        """Return the reading to count from. One without any series is none: a server that was just started, or has not
        found its targets yet, will show all they ever counted at once."""
        return now if now.counts else None

    def look(self, at: float | None) -> Increment:
        now = self._read(at)
        if self._last is None:
            self._last = self._begun(now)
            return sources.Increment(begins=True)
        if not now.counts:
            gone = counts.nothing(self._server, self._names)
            raise MetricsError(f"{gone} It had before: see whether the callers are still scraped.", reason="gone")
        self._check_new(at)
        increment = sources.grown(self._last, now)
        self._last = self._last.updated(now)
        return increment

    def ask(self, query: str, version: str, at: float | None) -> float | None:
        """Return the answer to `query` with its placeholders filled in; None if it has no value, or several."""
        words = {
            "version": self._names.label_of(version),
            "service": self._service.name,
            "namespace": self._service.namespace,
            "host": self._service.fqdn,
        }
        found = self._server.query(string.Template(query).safe_substitute(words), at)
        if len(found) > 1:
            self._note(f"A query has {len(found)} series where one number is needed, so it counts as none: {query}")
        return found[0].value if len(found) == 1 else None

    def _read(self, at: float | None) -> Reading:
        now, notes = counts.reported(self._server, self._names, at)
        for note in notes:
            self._note(note)
        # What a pod counts begins anew as a whole, so its series may be summed and a restart still shows.
        chosen = counts.selector(self._server, self._names, sources.ISTIO_TIME)
        buckets: dict[tuple[str, str], dict[float, float]] = {}
        targets: dict[str, str] = {}
        for one in self._server.query(f"sum by ({', '.join(_TOLD_BY)}, le) ({chosen})", at):
            who = "/".join(one.labels.get(name, "") for name in _TOLD_BY)
            targets[who] = scraped.target(one.labels)
            _sort_in(buckets, who, one, self._names)
        return replace(now, buckets=buckets, targets={**now.targets, **targets})

    def _check_new(self, at: float | None) -> None:
        """Raise MetricsError where no sample has come for so long that the same numbers mean nothing any more.

        Where scraping stands still Prometheus answers with what it had last for five minutes.
        """
        moment = time.time() if at is None else at
        question = f"max(timestamp({counts.selector(self._server, self._names)}))"
        newest = max((one.value for one in self._server.query(question, at)), default=0.0)
        if newest > self._newest:
            self._newest, self._moved, self._still = newest, moment, 0
            return
        self._still += 1
        if self._still >= STILL_LOOKS and moment - self._moved >= STILL_FOR:
            when = time.strftime("%H:%M:%S", time.gmtime(newest))
            raise MetricsError(
                f"Scraping stands still: Prometheus has no {traffic.ISTIO} of {self._service.name} from after {when} "
                "UTC. See its page of targets.",
                reason="stale",
            )

    def _note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)


def _sort_in(buckets: dict[tuple[str, str], dict[float, float]], who: str, one: Series, names: Names) -> None:
    try:
        bound = float(one.labels.get("le", ""))
    except ValueError:
        return
    own = buckets.setdefault((who, names.told(one.labels)), {})
    own[bound] = own.get(bound, 0.0) + one.value
