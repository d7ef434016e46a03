# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests that are under way: sent and not answered yet, as Envoy counts them for each of its clusters. Pure.

Envoy has them in two places: as counters of the cluster, which Istio hides unless told otherwise, and per endpoint on
its page `/clusters`, which is always there.
"""

from __future__ import annotations

import math
import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .traffic import Sample

    Place = tuple[str, str]
    """Who counts (a proxy, or one endpoint of it), and the version that is asked."""

SENT: t.Final = "upstream_rq_total"
WAITING: t.Final = "upstream_rq_active"
RESET: t.Final = ("upstream_cx_destroy_local_with_active_rq", "upstream_rq_tx_reset")
"""Requests that the caller ended: over HTTP/1 by the end of their connection, over HTTP/2 of their stream."""
TIMED_OUT: t.Final = ("upstream_rq_timeout", "upstream_rq_per_try_timeout")
COUNTERS: t.Final = (SENT, WAITING, *RESET, *TIMED_OUT)
_PREFIX: t.Final = "envoy_cluster_"


@dataclass(frozen=True)
class Flight:
    """One place's requests. sent: since it began, a counter. waiting: of them without an answer now.

    given_up: of them ended by the caller before an answer, a counter; a timeout of the route is an answer, of 504.
    """

    sent: float = 0.0
    waiting: float = 0.0
    given_up: float = 0.0

    @property
    def ended(self) -> float:
        """Return the requests that are not under way any more."""
        return self.sent - self.waiting

    def since(self, before: Flight) -> Flight:
        """Return what came since `before`; all of it where the place began anew meanwhile."""
        if self.sent < before.sent:
            return self
        gone = max(0.0, self.given_up - before.given_up)
        return Flight(self.sent - before.sent, self.waiting - before.waiting, gone)


def of_counters(samples: Iterable[Sample], version_of: Callable[[Mapping[str, str]], str | None]) -> dict[str, Flight]:
    """Return version -> its requests, from one proxy's counters; empty where the proxy does not show them.

    version_of: from a counter's labels to the version, None for another service's.
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
        version: Flight(
            counted[SENT],
            counted[WAITING],
            max(0.0, _sum(counted, RESET) - _sum(counted, TIMED_OUT)),
        )
        for version, counted in found.items()
        if SENT in counted and WAITING in counted
    }


def of_endpoints(
    source: str, samples: Iterable[Sample], version_of: Callable[[Mapping[str, str]], str | None]
) -> dict[Place, Flight]:
    """Return the requests of each endpoint, from one proxy's page `/clusters`; an endpoint counts for itself alone.

    Who gave up is not told: what is neither answered nor under way may also be an answer that is just coming in.
    """
    found: dict[Place, dict[str, float]] = {}
    for name, labels, value in samples:
        version = version_of(labels)
        if version is not None and math.isfinite(value):
            counted = found.setdefault((f"{source} {labels.get('address', '')}", version), {})
            counted[name] = counted.get(name, 0.0) + value
    return {
        place: Flight(counted["rq_total"], counted["rq_active"])
        for place, counted in found.items()
        if "rq_total" in counted and "rq_active" in counted
    }


def _sum(counted: Mapping[str, float], names: Iterable[str]) -> float:
    return sum(counted.get(name, 0.0) for name in names)
