# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The source that counts a service's requests by the proxies' own counters.

A source is read once at the start; each measurement returns the increment since the one before.
"""

from __future__ import annotations

import math
import re
import time
import typing as t
from dataclasses import replace

from ..analysis import counter_deltas, in_flight, traffic
from ..analysis.counter_deltas import Increment, Reading
from ..errors import ApiError
from ..kube.resources import POD
from ..mesh.proxies import Proxies, Proxy, in_parallel
from ..objects import pods
from ..objects.metadata import identity
from ..preflight.service_ports import grpc_ports, serves_only_grpc
from . import measuring
from .notes import Notes

if t.TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ..analysis.traffic import Names
    from ..kube.client import Cluster
    from ..objects.hosts import ServiceRef
    from ..objects.snapshot import Snapshot
    from ..routing.overview import Place

    Answers: t.TypeAlias = "list[tuple[tuple[str, Proxy], Reading | ApiError]]"

COUNTERS: t.Final = rf"(upstream_rq_([0-9]+|time)|grpc\.(.*\.)?[0-9]+|{'|'.join(in_flight.COUNTERS)})$"
ISTIO_METRICS: t.Final = f"{traffic.ISTIO}|istio_request_duration_milliseconds"
ISTIO_SIZES: t.Final = "istio_response_bytes"

NO_CALLERS: t.Final = "No caller's proxy can be read; the proxies of the versions' own pods were read instead."
SERVERS_READ_INSTEAD: t.Final = (
    "Not every caller's proxy can be read, and the others have counted no request; the proxies of the versions' own "
    "pods were read instead. They do not know requests that reached no pod."
)
NO_GRPC: t.Final = (
    "The gRPC status of answers is not known: a proxy counts them by HTTP status, which is 200 for most gRPC errors. "
    "They are not judged. Enable istio_requests_total with its label grpc_response_status in the proxies, or Envoy's "
    "counters of gRPC calls by the annotation sidecar.istio.io/statsInclusionPrefixes: cluster.outbound on the pods of "
    "the callers; or judge by HTTP status alone with grpc_failures: []."
)
ALL_CALLERS_EVERY: t.Final = 5
"""Every n-th measurement reads all proxies, the others those that have counted requests to the service."""
REFRESH_EVERY: t.Final = 30.0
"""Seconds between two listings of the proxies, for callers' pods come and go."""
IN_FLIGHT_EVERY: t.Final = 2
"""Every n-th measurement reads the requests in flight of a proxy whose counters Istio hides, by a second request."""
MAX_PAGE_BYTES: t.Final = 2_000_000
"""Bytes of such an answer above which it is not read again: an older Envoy returns the endpoints of all services."""
_STALLED_UNSEEN: t.Final = "Stalled requests are not seen everywhere"
IDLE_MEASUREMENTS: t.Final = 2 * ALL_CALLERS_EVERY
"""Measurements without a request after which the versions' own proxies are read, if some callers cannot be."""


class Source(t.Protocol):
    """Where requests are counted. interval: default seconds between measurements. callers: number of proxies read.

    reads_in_flight: whether requests in flight are known there.
    """

    name: str
    reads_in_flight: bool
    interval: float
    callers: int
    notes: Notes

    def begin(self, at: float | None) -> None:
        """Read the counters to count from. at: Unix time in the past, None for now. Raises CanaryError."""

    def measure(self, at: float | None) -> Increment:
        """Return the increment since the last measurement; what cannot be read now comes with a later one.

        Raises CanaryError.
        """

    def query_value(self, query: str, version: str, at: float | None) -> float | None:
        """Return the result of a custom query for a version, None without one."""


class ServerProxies:
    """The proxies of the versions' own pods: they know the requests of callers whose proxies cannot be read.

    places: version -> the Service and the labels that select its pods. failures: gRPC statuses that are failures.
    only_grpc: whether the service has no other ports. metrics: pattern of Istio's metrics to read.
    lacks_grpc_status: whether a proxy was read that does not count gRPC statuses.
    """

    def __init__(
        self,
        cluster: Cluster,
        client: Proxies,
        snapshot: Snapshot,
        service: ServiceRef,
        places: Mapping[str, Place],
        *,
        failures: Collection[str],
        only_grpc: bool,
        metrics: str = ISTIO_METRICS,
    ) -> None:
        self._cluster, self._client = cluster, client
        self._failures, self._only_grpc = failures, only_grpc
        self._pattern = rf"(^cluster\.inbound\|.*\.{COUNTERS}|{metrics})"
        self.lacks_grpc_status = False
        self._snapshot, self._service, self._places = snapshot, service, places

    def refresh(self) -> None:
        """List the pods again. Raises ApiError, and then keeps those known before."""
        self._snapshot = replace(self._snapshot, pods=tuple(self._cluster.list(POD, self._service.namespace)))

    def proxies(self) -> list[tuple[str, Proxy]]:
        """Return each pod's proxy with its version.

        Where the service itself is a version, it may select the pods of the others too, and these have their own.
        """
        found: dict[Proxy, list[str]] = {}
        for version, (owner, labels) in self._places.items():
            for pod in pods.of_service(self._snapshot, owner, labels) or ():
                if pods.has_proxy(pod):
                    found.setdefault(Proxy(*identity(pod)), []).append(version)
        return [
            (version, proxy)
            for proxy, versions in found.items()
            for version in versions
            if len(versions) == 1 or version != self._service.name
        ]

    def read(self) -> Answers:
        """Return the server counters of each proxy, or its error."""
        return in_parallel(self._read_one, self.proxies())

    def _read_one(self, server: tuple[str, Proxy]) -> Reading:
        version, proxy = server
        samples = self._client.counters(proxy.namespace, proxy.name, self._pattern)
        # The pod may be a caller too, whose reading as a client does not say when it began to serve.
        source = f"{proxy} serving"
        reading = counter_deltas.server_reading(
            source, samples, version, failures=self._failures, only_grpc=self._only_grpc
        )
        self.lacks_grpc_status = self.lacks_grpc_status or traffic.lacks_grpc_status(reading.counts)
        return reading


class ProxySource:
    """The counters of the callers' proxies; those of the versions' own pods where no caller can be read.

    sizes: whether the sizes of answers are read too.
    """

    name, interval, reads_in_flight = "proxies", 1.0, True

    def __init__(
        self,
        cluster: Cluster,
        snapshot: Snapshot,
        service: ServiceRef,
        names: Names,
        places: Mapping[str, Place],
        params: Mapping[str, t.Any],
        *,
        in_flight_every: int = IN_FLIGHT_EVERY,
        sizes: bool = False,
    ) -> None:
        self._cluster, self._snapshot, self._service, self._names = cluster, snapshot, service, names
        self._params, self._in_flight_every = params, in_flight_every
        self._client = Proxies(cluster, params["istio_namespace"])
        # Without gRPC failures to see, the HTTP status is all there is to judge.
        self._grpc = grpc_ports(snapshot, service, names.hosts) if names.grpc_failures else frozenset()
        metrics = f"{ISTIO_METRICS}|{ISTIO_SIZES}" if sizes else ISTIO_METRICS
        self._servers = ServerProxies(
            cluster,
            self._client,
            snapshot,
            service,
            places,
            failures=names.grpc_failures,
            only_grpc=bool(self._grpc) and serves_only_grpc(snapshot, service, names.hosts),
            metrics=metrics,
        )
        self._reads_servers = self._requests_counted = self._incomplete = False
        self._idle_measurements = 0
        self._callers: list[Proxy] = []
        self._refreshed, self._looks = -math.inf, 0
        self._last = Reading()
        self._without_in_flight: set[Proxy] = set()
        self.callers = 0
        self.notes = Notes()
        hosts = "|".join(re.escape(host) for host in sorted(names.hosts))
        self._pattern = rf"((outbound|inbound-vip)\|[0-9]+\|[^|]*\|({hosts});?\.{COUNTERS}|{metrics})"
        self._clusters = rf"^(outbound|inbound-vip)\|[0-9]+\|[^|]*\|({hosts})$"

    @property
    def read(self) -> frozenset[str]:
        """Return the proxies that were read so far."""
        return self._last.sources

    def begin(self, at: float | None) -> None:
        del at
        self._last = self._read()

    def measure(self, at: float | None) -> Increment:
        del at
        now = self._read()
        increment = counter_deltas.grown(self._last, now)
        self._last = self._last.updated(now)
        self._requests_counted = self._requests_counted or bool(increment.ended)
        return increment

    def query_value(self, query: str, version: str, at: float | None) -> float | None:
        del query, version, at
        return None

    def _read(self) -> Reading:
        if not self._reads_servers and time.monotonic() - self._refreshed > REFRESH_EVERY:
            missing: list[str] = []
            _client, found = measuring.callers(self._cluster, self._snapshot, self._service, self._params, missing)
            self._incomplete = bool(missing)
            self.notes.add(*missing)
            self._callers = found or self._callers
            self._refreshed, self._looks = time.monotonic(), 0
        all_callers = self._looks % ALL_CALLERS_EVERY == 0
        self._looks += 1
        self._idle_measurements += 1
        busy = {key.source for key in self._last.counts} | {source for source, _version in self._last.in_flight}
        chosen = [one for one in self._callers if all_callers or str(one) in busy or str(one) not in self._last.sources]
        self.callers = 0 if self._reads_servers else len(self._callers)
        if not self.callers:
            return self._read_servers(all_callers)
        answers = in_parallel(self._read_caller, chosen)
        if self._must_read_servers(answers, all_callers):
            self._reads_servers, self.callers = True, 0
            return self._read_servers(all_callers)
        if not all_callers and not any(str(proxy) in busy for proxy, _answer in answers):
            answers = [pair for pair in answers if isinstance(pair[1], Reading)]  # no caller with requests failed
        return self._join(answers)

    def _read_caller(self, proxy: Proxy) -> Reading:
        samples = self._client.counters(proxy.namespace, proxy.name, self._pattern)
        reading = counter_deltas.client_reading(str(proxy), samples, self._names, self._grpc)
        if traffic.lacks_grpc_status(reading.counts):
            self._note(NO_GRPC)
        its_turn = (self._looks - 1) % self._in_flight_every == 0
        if reading.in_flight or not reading.counts or not its_turn or proxy in self._without_in_flight:
            return reading
        return replace(reading, in_flight=self._by_endpoints(proxy))

    def _by_endpoints(self, proxy: Proxy) -> dict[in_flight.InFlightKey, in_flight.InFlight]:
        """Return the requests in flight of a proxy whose counters Istio hides, empty if they cannot be read."""
        try:
            samples, size = self._client.endpoints(proxy, self._clusters)
        except ApiError as error:
            if error.status == 403:
                self._without_in_flight.add(proxy)
            self._note(f"{_STALLED_UNSEEN}: the requests in flight of {proxy} cannot be read: {error.msg}")
            return {}
        if size > MAX_PAGE_BYTES:
            self._without_in_flight.add(proxy)
            self._note(
                f"{_STALLED_UNSEEN}: reading the requests in flight of {proxy} takes {size / 1e6:.0f} MB. The "
                "annotation sidecar.istio.io/statsInclusionPrefixes: cluster.outbound on the caller's pods adds "
                "counters for them."
            )
        return in_flight.from_endpoints(
            str(proxy), samples, lambda labels: self._names.version_of_cluster(labels.get("cluster_name", ""))
        )

    def _read_servers(self, all_callers: bool) -> Reading:
        if all_callers:
            try:
                self._servers.refresh()
            except ApiError as error:
                self._note(f"The pods could not be listed again: {error.msg}")
        self._note(SERVERS_READ_INSTEAD if self._reads_servers else NO_CALLERS)
        answers = self._servers.read()
        if self._servers.lacks_grpc_status:
            self._note(NO_GRPC)
        return self._join([(proxy, answer) for (_version, proxy), answer in answers])

    def _must_read_servers(self, answers: Sequence[tuple[Proxy, Reading | ApiError]], all_callers: bool) -> bool:
        """Return whether to read the versions' own proxies from now on.

        They know the requests of callers that may not be read, such as a gateway of another namespace; else the
        service would look idle. Once a caller has counted a request, only callers are read.
        """
        refused = [isinstance(answer, ApiError) and answer.status == 403 for _proxy, answer in answers]
        self._incomplete = self._incomplete or any(refused)
        missing = (all_callers and all(refused)) or (self._incomplete and self._idle_measurements > IDLE_MEASUREMENTS)
        return not self._requests_counted and missing and bool(self._servers.proxies())

    def _join(self, answers: Sequence[tuple[t.Any, Reading | ApiError]]) -> Reading:
        failed = [(who, answer) for who, answer in answers if isinstance(answer, ApiError)]
        if failed and len(failed) == len(answers):
            raise failed[0][1]
        if failed:
            self._note(
                f"Not every proxy answered at every measurement; the first is {failed[0][0]}: {failed[0][1].msg}"
            )
        return counter_deltas.joined(answer for _who, answer in answers if isinstance(answer, Reading))

    def _note(self, sentence: str) -> None:
        self.notes.add_once(sentence.split(":")[0], sentence)
