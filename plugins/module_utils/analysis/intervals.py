# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The values of an analysis: what to judge, the requests of each interval, and the interface of evaluators. Pure."""

from __future__ import annotations

import typing as t
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .error_rates import RequestCount

if t.TYPE_CHECKING:
    from .in_flight import InFlight
    from .metrics import Metric
    from .verdict import Judgement, Outcome

Evidence = Mapping[str, Sequence[float]]
ValuePair: t.TypeAlias = "tuple[float | None, float | None]"


@dataclass(frozen=True)
class MetricSpec:
    """One metric to judge. kind: a key of `kinds.KINDS`.

    For the kinds value and http, numbers of measurements in a row: consecutive: out of bounds before it is an alarm,
    >= 1. missing: without a number, and unanswered: without an answer, while the last number is kept, >= 0.
    """

    metric: Metric
    kind: str
    consecutive: int = 3
    missing: int = 0
    unanswered: int = 0
    ignored: frozenset[str] = frozenset()
    verdict: Outcome = "fail"
    alarm_only: bool = False


@dataclass(frozen=True)
class Interval:
    """The requests since the last measurement, within `seconds`. Pairs are the canary's and stable's.

    times: upper bound in milliseconds -> requests in that bucket. value: a number, None where there is none; the whole
    is None if the query had no answer. ended: requests that are no longer in flight; its errors are those canceled by
    their callers. in_flight: who counts -> the requests in flight at the last measurement and now. codes: how a request
    ended (see `traffic.code_of`) -> requests. sizes: upper bound in bytes -> answers in that bucket.
    """

    canary: RequestCount
    stable: RequestCount
    seconds: float = 0.0
    times: tuple[Counter[float], Counter[float]] = field(default_factory=lambda: (Counter(), Counter()))
    value: ValuePair | None = (None, None)
    ended: tuple[RequestCount, RequestCount] = (RequestCount(0, 0), RequestCount(0, 0))
    in_flight: tuple[Mapping[str, tuple[InFlight, InFlight]], Mapping[str, tuple[InFlight, InFlight]]] = ({}, {})
    codes: tuple[Mapping[str, int], Mapping[str, int]] = ({}, {})
    sizes: tuple[Mapping[float, int], Mapping[float, int]] = ({}, {})


class Evaluator(t.Protocol):
    """Judges one metric from all intervals."""

    def add(self, interval: Interval) -> None:
        """Add one interval."""

    def alarm(self) -> Judgement | None:
        """Return a failure that is already certain, None without one."""

    def judgement(self) -> Judgement:
        """Return the judgement at the end."""

    def evidence(self) -> dict[str, list[float]]:
        """Return the state with which a later analysis continues."""
