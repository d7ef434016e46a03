# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests in flight: sent and not answered yet, as Envoy counts them for each of its clusters. Pure.

Envoy has them in two places: as counters of the cluster, which Istio hides by default, and per endpoint on its page
`/clusters`, which is always there.
"""

from __future__ import annotations

import math
import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .traffic import Sample

    InFlightKey = tuple[str, str]
    """Who counts (a proxy, or one endpoint of it), and the version that the requests were sent to."""

SENT: t.Final = "upstream_rq_total"
WAITING: t.Final = "upstream_rq_active"
RESET: t.Final = ("upstream_cx_destroy_local_with_active_rq", "upstream_rq_tx_reset")
"""Requests that the caller canceled: over HTTP/1 by closing the connection, over HTTP/2 by resetting the stream."""
TIMED_OUT: t.Final = ("upstream_rq_timeout", "upstream_rq_per_try_timeout")
COUNTERS: t.Final = (SENT, WAITING, *RESET, *TIMED_OUT)
_PREFIX: t.Final = "envoy_cluster_"


@dataclass(frozen=True)
class InFlight:
    """Requests to one version. sent: counter. waiting: those without an answer now, a gauge.

    canceled: counter of those that the caller ended before an answer. A timeout of the route is an answer, 504.
    """

    sent: float = 0.0
    waiting: float = 0.0
    canceled: float = 0.0

    @property
    def ended(self) -> float:
        """Return the requests that are no longer in flight."""
        return self.sent - self.waiting

    def since(self, before: InFlight) -> InFlight:
        """Return the increment since `before`; all of it where the counters were reset in between."""
        if self.sent < before.sent:
            return self
        canceled = max(0.0, self.canceled - before.canceled)
        return InFlight(self.sent - before.sent, self.waiting - before.waiting, canceled)


def from_counters(
    samples: Iterable[Sample], version_of: Callable[[Mapping[str, str]], str | None]
) -> dict[str, InFlight]:
    """Return version -> requests, from the counters of one proxy; empty where the proxy does not show them.

    version_of: from a counter's labels to the version, None for another service.
    """
    found: dict[str, dict[str, float]] = {}
    for name, labels, value in samples:
        counter = name.removeprefix(_PREFIX)
        if counter not in COUNTERS or not math.isfinite(value):
            continue
        version = version_of(labels)
        if version is not None:
            counted = found.setdefault(version, {})
            counted[counter] = counted.get(counter, 0.0) + value
    return {
        version: InFlight(
            counted[SENT],
            counted[WAITING],
            max(0.0, _sum(counted, RESET) - _sum(counted, TIMED_OUT)),
        )
        for version, counted in found.items()
        if SENT in counted and WAITING in counted
    }


def from_endpoints(
    source: str, samples: Iterable[Sample], version_of: Callable[[Mapping[str, str]], str | None]
) -> dict[InFlightKey, InFlight]:
    """Return the requests to each endpoint, from the page `/clusters` of one proxy.

    Canceled requests are not known there: a request neither answered nor in flight may be an answer just coming in.
    """
    found: dict[InFlightKey, dict[str, float]] = {}
    for name, labels, value in samples:
        version = version_of(labels)
        if version is not None and math.isfinite(value):
            counted = found.setdefault((f"{source} {labels.get('address', '')}", version), {})
            counted[name] = counted.get(name, 0.0) + value
    return {
        key: InFlight(counted["rq_total"], counted["rq_active"])
        for key, counted in found.items()
        if "rq_total" in counted and "rq_active" in counted
    }


def _sum(counted: Mapping[str, float], names: Iterable[str]) -> float:
    return sum(counted.get(name, 0.0) for name in names)
