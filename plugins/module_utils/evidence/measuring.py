# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Request counts for canary_info; never fails the task, and returns None for `not measured`, not 0."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ..envoy.expected_routes import RoutedService
from ..errors import CanaryError
from ..istio import waypoints
from ..mesh import affected
from ..mesh.proxies import Proxies
from ..preflight.service_ports import grpc_ports
from ..routing.kinds import ROUTE_KINDS
from . import counts

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..analysis.traffic import Names
    from ..kube.client import Cluster
    from ..mesh.proxies import Proxy
    from ..objects.hosts import ServiceRef
    from ..objects.snapshot import Snapshot
    from ..prometheus import Prometheus
    from .counts import Count


def measure(
    cluster: Cluster,
    snapshot: Snapshot,
    service: ServiceRef,
    names: Names,
    server: Prometheus | None,
    params: Mapping[str, t.Any],
    notes: list[str],
) -> dict[str, t.Any] | None:
    """Return the counted requests as `as_result` does, None if they are not known."""
    if params["measure"] == "none":
        return None
    try:
        if server is not None:
            count = counts.from_prometheus(server, names, params["window"])
        else:
            count = _by_proxies(cluster, snapshot, service, names, params, notes)
    except CanaryError as error:
        notes.append(f"The requests were not counted: {error.msg}")
        return None
    notes += [note for note in count.notes if note not in notes]
    if count.source == "proxies" and not count.callers:
        notes.append("The requests were not counted: no proxy was found to read.")
        return None
    return as_result(count)


def as_result(count: Count) -> dict[str, t.Any]:
    """Return the count as JSON; seconds None: since each proxy started."""
    versions = count.versions
    return {
        "source": count.source,
        "seconds": None if count.seconds is None else round(count.seconds, 3),
        "callers": count.callers,
        "requests": versions.total,
        "errors": sum(versions.errors.values()),
        "by_version": {
            version: {
                "requests": requests,
                "errors": versions.errors[version],
                "share": _rounded(versions.share(version)),
            }
            for version, requests in sorted(versions.requests.items())
        },
    }


def callers(
    cluster: Cluster, snapshot: Snapshot, service: ServiceRef, params: Mapping[str, t.Any], notes: list[str]
) -> tuple[Proxies, list[Proxy]]:
    """Return the client and the proxies that can call the service, about `proxy_sample` of them (0: all)."""
    client = Proxies(cluster, params["istio_namespace"])
    routed = RoutedService(service, snapshot)
    # Sidecars send requests also where only gateways have routes.
    kind = replace(ROUTE_KINDS[0], reaches_sidecars=lambda _routed: True)
    found = affected.find(cluster, client, kind, routed, routed)
    notes += [note for note in found.notes if note not in notes]
    # Callers in the service's own namespace first; beyond the sample the others are left out.
    candidates = found.proxies
    if waypoints.is_used_by_gateways(snapshot, service):  # the waypoint counts their requests
        candidates = {proxy: known for proxy, known in found.proxies.items() if not proxy.is_gateway}
    near = sorted(candidates, key=lambda one: (one.namespace != service.namespace, one))
    chosen = affected.sample(near, params["proxy_sample"])
    if len(chosen) < len(near):
        notes.append(f"Only {len(chosen)} of {len(near)} proxies were read (proxy_sample).")
    return client, chosen


def _by_proxies(
    cluster: Cluster,
    snapshot: Snapshot,
    service: ServiceRef,
    names: Names,
    params: Mapping[str, t.Any],
    notes: list[str],
) -> Count:
    client, proxies = callers(cluster, snapshot, service, params, notes)
    counters = counts.ProxyCounters(client, proxies, names, grpc_ports(snapshot, service, names.hosts))
    return counters.during(params["sample_seconds"]) if params["sample_seconds"] else counters.since_start()


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 3)
