# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The result of a load."""

from __future__ import annotations

import collections
import dataclasses
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclasses.dataclass(frozen=True)
class Measurement:
    """The result of one load; times are seconds since the epoch on the machine that sent the requests.

    counts: version -> requests it answered (`{"v1": 903, "v2": 97}`). stars: color -> answers, "none" without stars.
    reasons: reason of failure -> requests. examples: the first failures, `{"at": time, "reason": text}`.
    latency_ms: p50, p90, p99, max; None without an answer.
    timeline: one entry per second in which a request was sent: `{"at": second, "counts": {"v1": 20, "failed": 1}}`.
    first_sent, last_sent: version -> when the first and the last request it answered was sent.
    ended_by: requests, seconds, limit or stop.
    """

    requests: int
    failed: int
    counts: Mapping[str, int]
    stars: Mapping[str, int]
    reasons: Mapping[str, int]
    examples: list[dict[str, t.Any]]
    latency_ms: Mapping[str, float | None]
    timeline: list[dict[str, t.Any]]
    first_sent: Mapping[str, float]
    last_sent: Mapping[str, float]
    began: float
    ended: float
    ended_by: str

    @property
    def answered(self) -> int:
        return sum(self.counts.values())

    @property
    def rate(self) -> float:
        """Requests per second, over the whole time."""
        return self.requests / max(self.ended - self.began, 1e-9)

    def share(self, version: str) -> float:
        """Return the percent of answers from `version`; 0 without answers."""
        return 100 * self.counts.get(version, 0) / self.answered if self.answered else 0.0


def total_counts(measurements: Iterable[Measurement]) -> dict[str, int]:
    """Return version -> answers, summed over several measurements of the same cohort."""
    total: collections.Counter[str] = collections.Counter()
    for measurement in measurements:
        total.update(measurement.counts)
    return dict(sorted(total.items()))
