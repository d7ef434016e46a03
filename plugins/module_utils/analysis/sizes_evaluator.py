# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Evaluator of the sizes of answers: an empty page, or one that has grown, has status 200 too. Pure.

The buckets of `istio_response_bytes` are compared one by one: where sizes differ, some bucket has more of the canary's
answers than of stable's. All answers count, of whatever code.
"""

from __future__ import annotations

import math
import typing as t
from collections import Counter

from .error_rates import RequestCount
from .groups_evaluator import Answers, GroupsEvaluator

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .intervals import Evidence, Interval, MetricSpec

MAX_BUCKETS: t.Final = 40
"""Proxies have about 20 buckets, their operator may choose others. Those above share the last group."""
_LAST: t.Final = "more"


class SizesEvaluator(GroupsEvaluator):
    """The sizes of both versions' answers, the canary compared with stable."""

    noun = "sizes"

    def __init__(self, spec: MetricSpec, evidence: Evidence) -> None:
        super().__init__(spec, evidence)
        self._groups = {_LAST, *self._tests}

    def _requests(self, interval: Interval, answers: tuple[Answers, Answers]) -> tuple[RequestCount, RequestCount]:
        """Return the answers whose size was counted: where proxies do not count sizes there is no evidence."""
        del interval
        (canary, _groups), (stable, _others) = answers
        return RequestCount(canary, 0), RequestCount(stable, 0)

    def _sorted(self, interval: Interval) -> tuple[Answers, Answers]:
        canary, stable = interval.sizes
        return self._by_bucket(canary), self._by_bucket(stable)

    def _by_bucket(self, sizes: Mapping[float, int]) -> Answers:
        """Return the answers, and group -> answers. sizes: upper bound in bytes -> answers in that bucket."""
        counts: Counter[str] = Counter()
        for bound, number in sorted(sizes.items()):
            if number:
                counts[self._group_of(bound)] += number
        return counts.total(), counts

    def _group_of(self, bound: float) -> str:
        group = f"{bound:.15g}" if math.isfinite(bound) else _LAST
        if len(self._groups) < MAX_BUCKETS:
            self._groups.add(group)
        return group if group in self._groups else _LAST

    def _share_of_alpha(self, group: str) -> float:
        del group
        return 1.0 / MAX_BUCKETS

    @staticmethod
    def _shown(group: str) -> str:
        return "the largest sizes" if group == _LAST else f"up to {float(group):,.0f} bytes"

    def _hint(self, named: Sequence[str]) -> str:
        del named
        return "If the release is meant to do that, raise max_ratio or leave the metric of kind sizes out"
