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

from ..analysis import flight, sources, traffic
from ..analysis.sources import Increment, Reading
from ..errors import ApiError
from ..proxies import Proxies, Proxy, in_parallel
from ..routes.preflight_ports import grpc_ports
from . import measuring, serving

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
SILENT_LOOKS: t.Final = 2 * ALL_EVERY
"""Looks without any request after which the versions' own proxies are read, where some callers cannot be."""


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
        self._params, self._under_way_every = params, under_way_every
        self._door = Proxies(cluster, params["istio_namespace"])
        self._grpc = grpc_ports(snapshot, service, names.hosts)
        self._servers = serving.Servers(cluster, self._door, snapshot, service, subsets, self._grpc)
        self._serving = self._heard = self._incomplete = False
        self._silence = 0
        self._callers: list[Proxy] = []
        self._refreshed, self._looks = -math.inf, 0
        self._last = Reading()
        self._silent: set[Proxy] = set()
        self.callers = 0
        self.notes: list[str] = []
        hosts = "|".join(re.escape(host) for host in sorted(names.hosts))
        self._pattern = rf"(outbound\|[0-9]+\|[^|]*\|({hosts});?\.{serving.COUNTERS}|{serving.ISTIOS})"
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
        self._heard = self._heard or bool(increment.ended)
        return increment

    def ask(self, query: str, version: str, at: float | None) -> float | None:
        del query, version, at
        return None

    def _read(self) -> Reading:
        if not self._serving and time.monotonic() - self._refreshed > REFRESH_EVERY:
            missing: list[str] = []
            _door, found = measuring.callers(self._cluster, self._snapshot, self._service, self._params, missing)
            self._incomplete = bool(missing)
            self.notes += [note for note in missing if note not in self.notes]
            self._callers = found or self._callers
            self._refreshed, self._looks = time.monotonic(), 0
        everyone = self._looks % ALL_EVERY == 0
        self._looks += 1
        self._silence += 1
        busy = {key.source for key in self._last.counts} | {source for source, _version in self._last.flights}
        asked = [one for one in self._callers if everyone or str(one) in busy or str(one) not in self._last.sources]
        self.callers = 0 if self._serving else len(self._callers)
        if not self.callers:
            return self._of_servers(everyone)
        answers = in_parallel(self._of_caller, asked)
        if self._turns(answers, everyone):
            self._serving, self.callers = True, 0
            return self._of_servers(everyone)
        if not everyone and not any(str(proxy) in busy for proxy, _answer in answers):
            answers = [pair for pair in answers if isinstance(pair[1], Reading)]  # nobody who calls was missed
        return self._gather(answers)

    def _of_caller(self, proxy: Proxy) -> Reading:
        samples = self._door.counters(proxy.namespace, proxy.name, self._pattern)
        reading = sources.of_caller(str(proxy), samples, self._names)
        if traffic.hides_grpc(samples, self._grpc):
            self._note(serving.NO_GRPC)
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

    def _of_servers(self, everyone: bool) -> Reading:
        if everyone:
            try:
                self._servers.refresh()
            except ApiError as error:
                self._note(f"The pods could not be listed again: {error.msg}")
        self._note(serving.INSTEAD if self._serving else serving.NO_CALLERS)
        answers = self._servers.read()
        if self._servers.hides_grpc:
            self._note(serving.NO_GRPC)
        return self._gather([(proxy, answer) for (_version, proxy), answer in answers])

    def _turns(self, answers: Sequence[tuple[Proxy, Reading | ApiError]], everyone: bool) -> bool:
        """Return whether to read the versions' own proxies from now on.

        They know what those count who may not be read, as a gateway of another namespace; its silence must not be
        taken for a service that nobody calls. Once a caller has counted something, callers it is.
        """
        refused = [isinstance(answer, ApiError) and answer.status == 403 for _proxy, answer in answers]
        self._incomplete = self._incomplete or any(refused)
        missed = (everyone and all(refused)) or (self._incomplete and self._silence > SILENT_LOOKS)
        return not self._heard and missed and bool(self._servers.proxies())

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
