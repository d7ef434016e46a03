# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who answered how many requests, from counters that only grow. Pure.

Two vocabularies say the same. Envoy's own counters name the cluster, `outbound|9080|v2|reviews.shop.svc.cluster.local`,
and so the subset; Istio's `istio_requests_total` names the version label of the pod that answered. A counter begins
anew with its proxy, so what counts is its growth; a counter that fell began anew in between.
"""

from __future__ import annotations

import math
import typing as t
from collections import Counter
from dataclasses import dataclass, field

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Sample = tuple[str, Mapping[str, str], float]

ENVOY: t.Final = "envoy_cluster_upstream_rq"
ENVOY_RETRY: t.Final = "envoy_cluster_upstream_rq_retry"
ISTIO: t.Final = "istio_requests_total"
NO_VERSION: t.Final = ""
"""Requests sent to the service as a whole: any pod may have answered."""


@dataclass(frozen=True)
class Key:
    """One counter: who counted it (a proxy or a series), the version that answered, the HTTP status."""

    source: str
    version: str
    code: str


@dataclass
class Tally:
    """Requests and errors by version; errors are answers of 500 and above."""

    requests: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """Return the requests of all versions."""
        return sum(self.requests.values())

    def share(self, version: str) -> float | None:
        """Return the version's percent of the requests, None without any request."""
        return 100.0 * self.requests[version] / self.total if self.total else None


@dataclass(frozen=True)
class Names:
    """How the service's versions are told apart.

    hosts: full host name -> the version it stands for (Gateway API: a Service each), or None if its subsets do.
    labels: value of the pods' version label -> version, for Istio's own metrics.
    """

    hosts: Mapping[str, str | None]
    labels: Mapping[str, str]

    def told(self, labels: Mapping[str, str]) -> str:
        """Return the version for the labels of `istio_requests_total`; NO_VERSION where Istio did not know."""
        fixed = self.hosts.get(labels.get("destination_service", ""))
        if fixed is not None:
            return fixed
        said = labels.get("destination_version", "")
        return NO_VERSION if said in ("", "unknown") else self.labels.get(said, said)

    def of_cluster(self, name: str) -> str | None:
        """Return the version for Envoy's cluster `outbound|PORT|SUBSET|HOST`, None for another service's."""
        parts = name.rstrip(";").split("|")
        if len(parts) != 4 or parts[0] != "outbound" or parts[3] not in self.hosts:
            return None
        return self.hosts[parts[3]] or parts[2]


def counters(source: str, samples: Iterable[Sample], names: Names) -> dict[Key, float]:
    """Return what one proxy has counted as a client of the service. Istio's own metrics win where it has both."""
    by_envoy: dict[Key, float] = {}
    by_istio: dict[Key, float] = {}
    for name, labels, value in samples:
        if name == ISTIO and labels.get("reporter") == "source" and labels.get("destination_service") in names.hosts:
            _add(by_istio, Key(source, names.told(labels), labels.get("response_code", "")), value)
        elif name == ENVOY and "response_code" in labels:
            version = names.of_cluster(labels.get("cluster_name", ""))
            if version is not None:
                _add(by_envoy, Key(source, version, labels["response_code"]), value)
    return by_istio or by_envoy


def retries(source: str, samples: Iterable[Sample], names: Names) -> dict[Key, float] | None:
    """Return the attempts beyond the first that one proxy has made as a client of the service, by version.

    None where Istio's own metrics are: they count a request once, however often it was tried.
    """
    found: dict[Key, float] = {}
    for name, labels, value in samples:
        if name == ISTIO and labels.get("reporter") == "source" and labels.get("destination_service") in names.hosts:
            return None
        version = names.of_cluster(labels.get("cluster_name", "")) if name == ENVOY_RETRY else None
        if version is not None:
            _add(found, Key(source, version, ""), value)
    return found


def inbound(source: str, samples: Iterable[Sample], version: str) -> dict[Key, float]:
    """Return what the proxy of a pod of `version` has counted as a server, whoever asked."""
    found: dict[Key, float] = {}
    for name, labels, value in samples:
        if name == ENVOY and "response_code" in labels and labels.get("cluster_name", "").startswith("inbound|"):
            _add(found, Key(source, version, labels["response_code"]), value)
    return found


def growth(before: Mapping[Key, float], after: Mapping[Key, float]) -> dict[Key, int]:
    """Return how much each counter grew; one that is new or fell began at 0. Those that are gone are not known."""
    grown: dict[Key, int] = {}
    for key, value in after.items():
        earlier = before.get(key, 0.0)
        amount = value - earlier if value >= earlier else value
        if math.isfinite(amount) and amount > 0:
            grown[key] = round(amount)
    return grown


def tally(counts: Mapping[Key, float]) -> Tally:
    """Return requests and errors by version, over all sources."""
    result = Tally()
    for key, value in counts.items():
        if not math.isfinite(value) or value <= 0:
            continue
        result.requests[key.version] += round(value)
        if key.code.startswith("5"):
            result.errors[key.version] += round(value)
    return result


def _add(counts: dict[Key, float], key: Key, value: float) -> None:
    counts[key] = counts.get(key, 0.0) + value
