# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measuring for canary_info: never fails the task, and never takes `not measured` for none."""

from __future__ import annotations

import typing as t

from ..errors import CanaryError
from ..proxies import Proxies
from . import concerned, counts

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..analysis.traffic import Names
    from ..cluster import Cluster
    from ..prometheus import Prometheus
    from ..proxies import Proxy
    from ..routes.hosts import ServiceRef
    from ..routes.snapshot import Snapshot
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
    """Return what was counted, as `as_result` gives it (seconds None: since each proxy started); None if unknown."""
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
        notes.append("The requests were not counted: no proxy was found that could be asked.")
        return None
    return as_result(count)


def as_result(count: Count) -> dict[str, t.Any]:
    """Return the count as JSON."""
    tally = count.tally
    return {
        "source": count.source,
        "seconds": None if count.seconds is None else round(count.seconds, 3),
        "callers": count.callers,
        "requests": tally.total,
        "errors": sum(tally.errors.values()),
        "by_version": {
            version: {"requests": requests, "errors": tally.errors[version], "share": _rounded(tally.share(version))}
            for version, requests in sorted(tally.requests.items())
        },
    }


def callers(
    cluster: Cluster, snapshot: Snapshot, service: ServiceRef, params: Mapping[str, t.Any], notes: list[str]
) -> tuple[Proxies, list[Proxy]]:
    """Return the door and the proxies that can call the service, about `proxy_sample` of them (0: all)."""
    door = Proxies(cluster, params["istio_namespace"])
    found = concerned.find(cluster, door, service, [snapshot])
    notes += [note for note in found.notes if note not in notes]
    # Callers in the service's own namespace first: if there are too many, the rest is left out.
    near = sorted(found.proxies, key=lambda one: (one.namespace != service.namespace, one))
    chosen = concerned.sample(near, params["proxy_sample"])
    if len(chosen) < len(near):
        notes.append(f"Only {len(chosen)} of {len(near)} proxies were asked for their counters (proxy_sample).")
    return door, chosen


def _by_proxies(
    cluster: Cluster,
    snapshot: Snapshot,
    service: ServiceRef,
    names: Names,
    params: Mapping[str, t.Any],
    notes: list[str],
) -> Count:
    door, proxies = callers(cluster, snapshot, service, params, notes)
    counters = counts.ProxyCounters(door, proxies, names)
    return counters.during(params["sample_seconds"]) if params["sample_seconds"] else counters.since_start()


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 3)
