# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looking at a service's requests again and again, at the proxies; observe_prometheus does in Prometheus.

A source is read once to begin with; each further look returns what came since the one before.
"""

from __future__ import annotations

import math
import re
import time
import typing as t
from dataclasses import replace

from ..analysis import flight, sources
from ..analysis.sources import Increment, Reading
from ..cluster_resources import POD
from ..errors import ApiError
from ..proxies import Proxies, Proxy, in_parallel
from ..routes import pods
from ..routes.snapshot import identity
from . import measuring

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..analysis.traffic import Names
    from ..cluster import Cluster
    from ..routes.hosts import ServiceRef
    from ..routes.snapshot import Snapshot

ALL_EVERY: t.Final = 5
"""Every so many looks all proxies are asked, and between them those that have counted requests to the service."""
REFRESH_EVERY: t.Final = 30.0
"""Seconds after which the list of proxies is made anew, for callers' pods come and go."""
UNDER_WAY_EVERY: t.Final = 2
"""Looks after which a proxy whose counters Istio hides is asked for its requests under way, by a request of its own."""
LARGE_PAGE: t.Final = 2_000_000
"""Bytes of such an answer above which the proxy is not asked again: an older Envoy tells of all services."""
_COUNTERS: t.Final = rf"(upstream_rq_([0-9]+|time)|{'|'.join(flight.COUNTERS)})$"
_SERVED: t.Final = rf"^cluster\.inbound\|.*\.{_COUNTERS}"


class Source(t.Protocol):
    """Where requests are counted. interval: usual seconds between looks. callers: how many proxies are read.

    under_way: whether requests without an answer can be seen there.
    """

    name: str
    under_way: bool
    interval: float
    callers: int
    notes: list[str]

    def begin(self, at: float | None) -> None:
        """Read for the first time. at: Unix time in the past, None for now. Raises CanaryError."""

    def look(self, at: float | None) -> Increment:
        """Return what came since the last look; what cannot be read now comes with a later one. Raises CanaryError."""

    def ask(self, query: str, version: str, at: float | None) -> float | None:
        """Return one number for a version, None if there is none."""


class ProxySource:
    """The counters of the callers' proxies; where none can be read, those of the versions' own pods."""

    name, interval, under_way = "proxies", 1.0, True

    def __init__(
        self,
        cluster: Cluster,
        snapshot: Snapshot,
        service: ServiceRef,
        names: Names,
        subsets: Mapping[str, Mapping[str, str]],
        params: Mapping[str, t.Any],
        *,
        under_way_every: int = UNDER_WAY_EVERY,
    ) -> None:
        self._cluster, self._snapshot, self._service, self._names = cluster, snapshot, service, names
        self._subsets, self._params, self._under_way_every = subsets, params, under_way_every
        self._door = Proxies(cluster, params["istio_namespace"])
        self._callers: list[Proxy] = []
        self._refreshed, self._looks = -math.inf, 0
        self._last = Reading()
        self._silent: set[Proxy] = set()
        self.callers = 0
        self.notes: list[str] = []
        hosts = "|".join(re.escape(host) for host in sorted(names.hosts))
        self._pattern = (
            rf"(outbound\|[0-9]+\|[^|]*\|({hosts});?\.{_COUNTERS}"
            r"|istio_requests_total|istio_request_duration_milliseconds)"
        )
        self._clusters = rf"^outbound\|[0-9]+\|[^|]*\|({hosts})$"

    @property
    def read(self) -> frozenset[str]:
        """Return the proxies that have answered so far."""
        return self._last.sources

    def begin(self, at: float | None) -> None:
        del at
        self._last = self._read()

    def look(self, at: float | None) -> Increment:
        del at
        now = self._read()
        increment = sources.grown(self._last, now)
        self._last = self._last.updated(now)
        return increment

    def ask(self, query: str, version: str, at: float | None) -> float | None:
        del query, version, at
        return None

    def _read(self) -> Reading:
        if time.monotonic() - self._refreshed > REFRESH_EVERY:
            _door, found = measuring.callers(self._cluster, self._snapshot, self._service, self._params, self.notes)
            self._callers = found or self._callers
            self._refreshed, self._looks = time.monotonic(), 0
        everyone = self._looks % ALL_EVERY == 0
        if everyone and not self._callers:
            self._find_pods()
        self._looks += 1
        busy = {key.source for key in self._last.counts} | {source for source, _version in self._last.flights}
        asked = [one for one in self._callers if everyone or str(one) in busy or str(one) not in self._last.sources]
        self.callers = len(self._callers)
        if not self._callers:
            return self._of_servers()
        return self._gather(in_parallel(self._of_caller, asked))

    def _find_pods(self) -> None:
        """List the versions' pods anew, for they come and go too; without an answer those known before remain."""
        try:
            found = tuple(self._cluster.list(POD, self._service.namespace))
        except ApiError as error:
            self._note(f"The pods could not be listed again: {error.msg}")
            return
        self._snapshot = replace(self._snapshot, pods=found)

    def _of_caller(self, proxy: Proxy) -> Reading:
        samples = self._door.counters(proxy.namespace, proxy.name, self._pattern)
        reading = sources.of_caller(str(proxy), samples, self._names)
        its_turn = (self._looks - 1) % self._under_way_every == 0
        if reading.flights or not reading.counts or not its_turn or proxy in self._silent:
            return reading
        return replace(reading, flights=self._by_endpoints(proxy))

    def _by_endpoints(self, proxy: Proxy) -> dict[flight.Place, flight.Flight]:
        """Return the requests under way of a proxy whose counters do not tell them; it may be that nothing does."""
        try:
            samples, size = self._door.endpoints(proxy, self._clusters)
        except ApiError as error:
            if error.status == 403:
                self._silent.add(proxy)
            self._note(
                f"Requests that hang are not seen everywhere: {proxy} does not tell those under way: {error.msg}"
            )
            return {}
        if size > LARGE_PAGE:
            self._silent.add(proxy)
            self._note(
                f"Requests that hang are not seen everywhere: it takes {size / 1e6:.0f} MB to read those under way at "
                f"{proxy}. The annotation sidecar.istio.io/statsInclusionPrefixes: cluster.outbound on the caller's "
                "pods lets it show them by itself."
            )
        return flight.of_endpoints(
            str(proxy), samples, lambda labels: self._names.of_cluster(labels.get("cluster_name", ""))
        )

    def _of_servers(self) -> Reading:
        self._note("No caller's proxy can be read; the versions' own proxies were, whoever called them.")
        servers = [
            (version, *identity(pod))
            for version, labels in self._subsets.items()
            for pod in pods.of_service(self._snapshot, self._service, labels) or ()
            if pods.has_proxy(pod)
        ]

        def read(server: tuple[str, str, str]) -> Reading:
            version, namespace, name = server
            samples = self._door.counters(namespace, name, _SERVED)
            return sources.of_server(f"{namespace}/{name}", samples, version)

        return self._gather(in_parallel(read, servers))

    def _gather(self, answers: Sequence[tuple[t.Any, Reading | ApiError]]) -> Reading:
        failed = [(who, answer) for who, answer in answers if isinstance(answer, ApiError)]
        if failed and len(failed) == len(answers):
            raise failed[0][1]
        if failed:
            self._note(f"Not every proxy answered at every look; the first is {failed[0][0]}: {failed[0][1].msg}")
        return sources.joined(answer for _who, answer in answers if isinstance(answer, Reading))

    def _note(self, sentence: str) -> None:
        if not any(note.split(":")[0] == sentence.split(":")[0] for note in self.notes):
            self.notes.append(sentence)
