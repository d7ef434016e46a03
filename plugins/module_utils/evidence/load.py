# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The load of a service now: requests per second to all its versions, from Prometheus or from the callers' proxies."""

from __future__ import annotations

import time
import typing as t

from ..errors import CanaryError
from ..objects.snapshot import PLURALS
from ..routing import overview, plan, version_labels
from ..task.reading import Reader, api_of_routes
from . import counts, measuring
from .analysis_options import prometheus_of

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..analysis.traffic import Key
    from ..kube.client import Cluster
    from ..objects.hosts import ServiceRef

MIN_SECONDS: t.Final = 1.5
"""A shorter sample of the proxies would count too few requests."""
PAST_SECONDS: t.Final = 300.0


class Load:
    """One measurement, begun when it is made: what else the task does meanwhile costs no extra time.

    params: of canary_rollout. clock, sleep: seconds.
    """

    def __init__(
        self,
        cluster: Cluster,
        service: ServiceRef,
        params: Mapping[str, t.Any],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._known: float | None = None
        self._counters: counts.ProxyCounters | None = None
        self._before: Mapping[Key, float] = {}
        self._began = clock()
        try:
            self._begin(cluster, service, params)
        except CanaryError:  # the load is only for an estimate
            self._counters = None

    def _begin(self, cluster: Cluster, service: ServiceRef, params: Mapping[str, t.Any]) -> None:
        snapshot = Reader(cluster, service, wide=True).snapshot(PLURALS.values(), if_allowed=True)
        try:
            description = plan.describe(snapshot, service, api=api_of_routes(params["route_api"]))
        except CanaryError:
            description = overview.unknown_description(snapshot, service)
        names = version_labels.names(snapshot, service, description)
        server = prometheus_of(params)
        if server is not None:
            counted = counts.from_prometheus(server, names, PAST_SECONDS)
            self._known = None if counted.notes else counted.versions.total / PAST_SECONDS
            return
        client, proxies = measuring.callers(cluster, snapshot, service, params, [])
        if not proxies:
            return
        self._counters = counts.ProxyCounters(client, proxies, names)
        self._before, self._began = self._counters.read(), self._clock()

    def per_second(self) -> float | None:
        """Return the requests per second; None if they are not known, which is not 0."""
        if self._counters is None:
            return self._known
        self._sleep(max(0.0, MIN_SECONDS - (self._clock() - self._began)))
        try:
            count = self._counters.grown_since(self._before, 0.0)
        except CanaryError:
            return None
        seconds = self._clock() - self._began
        unread = [note for note in count.notes if note != counts.NO_GRPC]
        return None if unread or seconds <= 0 else count.versions.total / seconds
