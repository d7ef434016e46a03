# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The proxies of the versions' own pods: they know the requests of callers that cannot be read."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ..analysis import flight, sources, traffic
from ..cluster_resources import POD
from ..proxies import Proxy, in_parallel
from ..routes import pods
from ..routes.snapshot import identity

if t.TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ..analysis.sources import Reading
    from ..cluster import Cluster
    from ..errors import ApiError
    from ..proxies import Proxies
    from ..routes.hosts import ServiceRef
    from ..routes.snapshot import Snapshot

    Answers: t.TypeAlias = "list[tuple[tuple[str, Proxy], Reading | ApiError]]"

COUNTERS: t.Final = rf"(upstream_rq_([0-9]+|time)|{'|'.join(flight.COUNTERS)})$"
ISTIOS: t.Final = f"{traffic.ISTIO}|istio_request_duration_milliseconds"
_SERVED: t.Final = rf"(^cluster\.inbound\|.*\.{COUNTERS}|{ISTIOS})"

NO_CALLERS: t.Final = "No caller's proxy can be read; the versions' own proxies were, whoever called them."
INSTEAD: t.Final = (
    "Not every caller can be read, and those that can have counted no request; the versions' own proxies were read "
    "instead, whoever called them. Requests that reached no pod are not known there."
)
NO_GRPC: t.Final = (
    "The gRPC status of answers is not seen: a proxy that was read shows Envoy's own counters alone, for which most "
    "errors of gRPC are answers of 200. Let the proxies have istio_requests_total, or judge by checks of your own."
)


class Servers:
    """The versions' pods that have a proxy.

    grpc: the service's ports that speak gRPC. hides_grpc: whether a proxy was read that does not tell gRPC statuses.
    """

    def __init__(
        self,
        cluster: Cluster,
        door: Proxies,
        snapshot: Snapshot,
        service: ServiceRef,
        subsets: Mapping[str, Mapping[str, str]],
        grpc: Collection[str],
    ) -> None:
        self._cluster, self._door, self._grpc = cluster, door, grpc
        self.hides_grpc = False
        self._snapshot, self._service, self._subsets = snapshot, service, subsets

    def refresh(self) -> None:
        """List the pods anew, for they come and go. Raises ApiError; then those known before remain."""
        self._snapshot = replace(self._snapshot, pods=tuple(self._cluster.list(POD, self._service.namespace)))

    def proxies(self) -> list[tuple[str, Proxy]]:
        """Return each pod's proxy with the version that it serves."""
        return [
            (version, Proxy(*identity(pod)))
            for version, labels in self._subsets.items()
            for pod in pods.of_service(self._snapshot, self._service, labels) or ()
            if pods.has_proxy(pod)
        ]

    def read(self) -> Answers:
        """Return what each of them has counted as a server, or why it did not say."""
        return in_parallel(self._read_one, self.proxies())

    def _read_one(self, server: tuple[str, Proxy]) -> Reading:
        version, proxy = server
        samples = self._door.counters(proxy.namespace, proxy.name, _SERVED)
        self.hides_grpc = self.hides_grpc or traffic.hides_grpc(samples, self._grpc)
        # The pod may be a caller too: what it has counted as one says nothing about when it began to serve.
        return sources.of_server(f"{proxy} serving", samples, version)
