# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a version still gets requests, as the proxies of its callers count them."""

from __future__ import annotations

import typing as t

from ..errors import CanaryError
from ..istio import waypoints
from ..objects.snapshot import PLURALS
from ..routing import overview, plan, version_labels
from ..task.reading import Reader
from . import counts, measuring

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..kube.client import Cluster
    from ..objects.hosts import ServiceRef


def requests_to(
    cluster: Cluster, service: ServiceRef, version: str, seconds: float, params: Mapping[str, t.Any]
) -> int | None:
    """Count the requests to a version for `seconds`; None if they cannot be counted, which is not 0.

    params: proxy_sample, istio_namespace and route_api.
    """
    notes: list[str] = []
    try:
        snapshot = Reader(cluster, service, wide=True).snapshot(PLURALS.values(), if_allowed=True)
        try:
            description = plan.describe(snapshot, service, api=params["route_api"], versions=[version])
        except CanaryError:
            description = overview.unknown_description(snapshot, service)
        if waypoints.is_ambient(snapshot, service) and waypoints.trouble(snapshot, service) is not None:
            return None  # ztunnels count no requests
        client, proxies = measuring.callers(cluster, snapshot, service, params, notes)
        if not proxies:
            return None
        names = version_labels.names(snapshot, service, description)
        count = counts.ProxyCounters(client, proxies, names).during(seconds)
    except CanaryError:
        return None
    missing = ("proxies were not read", "The waypoint ", "No proxy of the waypoint ")
    if any(text in note for note in (*notes, *count.notes) for text in missing) or not count.callers:
        return None
    return int(count.versions.requests.get(version, 0))
