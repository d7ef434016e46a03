# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""canary_verify where the share is made by the ratio of pods: who should answer, who did, and why not."""

from __future__ import annotations

import typing as t

from ..analysis import traffic
from ..errors import InvalidInput
from ..replicas import tracks
from . import verify_counts
from .reading import Reader
from .verify_counts import Counted

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..cluster import Cluster
    from ..prometheus import Prometheus
    from ..routes.hosts import ServiceRef

COUNTER: t.Final[dict[str, dict[str, t.Any]]] = {
    "query": {"type": "str", "required": True},
    "label": {"type": "str", "default": "pod"},
}
_LISTS: t.Final = ("services", "pods")


class ByPods:
    """The pods behind the Service at the beginning, and how they are counted. Raises InvalidInput."""

    def __init__(self, cluster: Cluster, service: ServiceRef) -> None:
        self._cluster, self._service = cluster, service
        self._tracks = self._look()

    @property
    def weights(self) -> dict[str, float]:
        """Return owner -> ready pods: what each of them gets of the new connections, as a ratio."""
        return {owner: float(number) for owner, number in self._tracks.ready.items()}

    def by_probes(self, probes: Mapping[str, t.Any], number: int) -> Counted:
        """Send requests and read from each answer whose pod gave it."""
        counted = verify_counts.by_probes(self._cluster, self._service, probes, number)
        counted.counts = self._tracks.by_owner(counted.counts)
        return counted

    def by_prometheus(self, server: Prometheus, counter: Mapping[str, t.Any] | None, seconds: float) -> Counted:
        """Count the past `seconds` by a counter of the user's own, but nothing from before the pods last changed."""
        if counter is None:
            raise InvalidInput(
                "counter: without a mesh Prometheus has no metric that everybody knows; name one that counts requests, "
                "and its label that names the pod."
            )
        change = verify_counts.Change("The pods last changed", self._tracks.changed_at())
        span = verify_counts.span_since(change, self._cluster, server, counter["query"], seconds)
        before, after = (_counters(server, counter, moment) for moment in (span.end - span.seconds, span.end))
        notes = list(span.notes)
        if not after:
            notes.append(f"Prometheus has nothing for {counter['query']} with the label {counter['label']}.")
        tally = traffic.tally(traffic.growth(before, after))
        counts = self._tracks.by_owner(tally.dealt)
        errors = sum(tally.errors.values())
        return Counted("prometheus", counts, errors, round(span.seconds, 3), notes=notes, why=span.why)

    def causes(self, counts: Mapping[str, int]) -> list[str]:
        """Return why the pods may not have had the share that is theirs."""
        try:
            after: Mapping[str, int] = self._look().ready
        except InvalidInput:
            after = {}
        return tracks.causes(self._tracks, after, counts)

    def _look(self) -> tracks.Tracks:
        reader = Reader(self._cluster, self._service, wide=False)
        return tracks.Tracks(reader.snapshot(_LISTS), self._service)


def _counters(server: Prometheus, counter: Mapping[str, t.Any], moment: float) -> dict[traffic.Key, float]:
    """Return the counters at a moment; a series without the label is somebody else's."""
    return {
        traffic.Key(
            ",".join(f"{name}={value}" for name, value in sorted(one.labels.items())),
            one.labels[counter["label"]],
            one.labels.get("code") or one.labels.get("status") or one.labels.get("response_code") or "",
        ): one.value
        for one in server.query(counter["query"], moment)
        if one.labels.get(counter["label"])
    }
