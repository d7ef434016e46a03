# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The labels that scraping adds to Istio's: which proxy a series in Prometheus belongs to. Pure."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Labels = Mapping[str, str]

PODS: t.Final = ("pod", "pod_name", "kubernetes_pod_name")
TARGET: t.Final = ("instance", *PODS)
"""The usual labels that identify a proxy."""
SCRAPING: t.Final = frozenset(
    {
        "job",
        "scrape_job",
        "endpoint",
        "metrics_path",
        "container",
        "service",
        "monitor",
        "prometheus",
        "prometheus_replica",
        "replica",
        "receive",
        "receive_replica",
        "rule_replica",
        "ruler_replica",
        "__replica__",
    }
)
"""Labels that describe the scraping, not the request."""
CLUSTER: t.Final = "cluster"


def target(labels: Labels) -> str:
    """Return the proxy of a series; the same for all where Prometheus has none of the labels."""
    return "/".join(labels.get(name, "") for name in TARGET)


def aggregation_notes(series: Sequence[Labels]) -> list[str]:
    """Return notes on series that are summed and perhaps should not be: duplicates, several clusters."""
    notes = []
    duplicates = _differing(series)
    if duplicates:
        names = ", ".join(f"{name} ({', '.join(values)})" for name, values in duplicates.items())
        notes.append(
            f"Requests are counted more than once: a proxy has series that differ only in {names}. "
            "Select one with prometheus_labels."
        )
    clusters = sorted({one[CLUSTER] for one in series if one.get(CLUSTER)})
    if len(clusters) > 1:
        notes.append(
            f"Requests of several clusters ({', '.join(clusters)}) are counted together. To count one, set "
            f"prometheus_labels, as {{{CLUSTER}: {clusters[0]}}}."
        )
    return notes


def _differing(series: Iterable[Labels]) -> dict[str, list[str]]:
    """Return the labels, with their values, in which series of the same proxy and requests differ."""
    groups: dict[frozenset[tuple[str, str]], list[Labels]] = {}
    for one in series:
        pod = any(one.get(name) for name in PODS)
        if pod or one.get("instance"):  # else the proxy is not known; one pod may be scraped at two ports
            left_out = SCRAPING | {"instance"} if pod else SCRAPING
            key = frozenset((name, value) for name, value in one.items() if name not in left_out)
            groups.setdefault(key, []).append(one)
    found: dict[str, set[str]] = {}
    for group in groups.values():
        for name in sorted({name for one in group for name in one}) if len(group) > 1 else ():
            values = {one.get(name, "") for one in group}
            if len(values) > 1:
                found.setdefault(name, set()).update(values)
    return {name: sorted(value or "none" for value in values) for name, values in sorted(found.items())}
