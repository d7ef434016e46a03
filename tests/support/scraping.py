# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Prometheus with the series of a test, and the source of an analysis that queries it."""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.canary.plugins.module_utils.errors import MetricsError
from ansible_collections.meshops.canary.plugins.module_utils.evidence.prometheus_source import PrometheusSource
from ansible_collections.meshops.canary.plugins.module_utils.prometheus import Prometheus, Series

from .metered import HOST, NAMES, SERVICE


class Server(Prometheus):
    """Answers what the test set, by the start of the query.

    scraped: time of the newest sample; None: always a new one.
    """

    def __init__(self, **labels: str) -> None:
        super().__init__("http://prometheus.example.com", labels=labels)
        self.answers: dict[str, list[Series] | MetricsError] = {}
        self.queries: list[tuple[str, float | None]] = []
        self.scraped: float | None = None

    def query(self, promql: str, at: float | None = None) -> list[Series]:
        self.queries.append((promql, at))
        if promql.startswith("max(timestamp("):
            return [Series({}, ((0.0, float(len(self.queries)) if self.scraped is None else self.scraped),))]
        answer = next((one for start, one in self.answers.items() if promql.startswith(start)), [])
        if isinstance(answer, MetricsError):
            raise answer
        return answer


def reported(number: float, code: str = "200", pod: str = "page", **labels: str) -> list[Series]:
    """Return the series of one caller's requests to v2."""
    own = {"destination_service": HOST, "destination_version": "1.16.1", "response_code": code}
    return [Series({**own, "pod": pod, "instance": f"{pod}:15090", **labels}, ((0.0, number),))]


def times(pod: str = "page", **held: float) -> list[Series]:
    """Return the series of one caller's response times: `_5=60` are sixty of at most five milliseconds."""
    labels = {"destination_service": HOST, "destination_version": "1.16.1", "pod": pod, "instance": f"{pod}:15090"}
    return [Series({**labels, "le": le.strip("_")}, ((0.0, value),)) for le, value in held.items()]


def prometheus(server: Server) -> PrometheusSource:
    return PrometheusSource(t.cast("t.Any", server), SERVICE, NAMES)
