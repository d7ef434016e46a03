# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judging while watching: an alarm at any look, a verdict at the end, and few false ones over all looks. Pure."""

from __future__ import annotations

import math
import typing as t
from collections import Counter
from dataclasses import replace

from . import histogram
from .looks import Came
from .rates import Tally
from .sources import cumulative
from .verdict import Verdict, combine
from .watched_flight import Hanging
from .watched_numbers import Rate, Value
from .watched_requests import Errors, Latency

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .looks import Evidence, Kind, Pair, Question, Watched
    from .sources import Increment

MAKERS: t.Final[Mapping[Kind, t.Callable[[Question, Evidence], Watched]]] = {
    "errors": Errors,
    "latency": Latency,
    "hanging": Hanging,
    "rate": Rate,
    "value": Value,
    "http": Value,
}


class Observation:
    """A canary beside stable over many looks.

    canary, stable: the versions' names. evidence: what `evidence` returned of a watch before; with it the sequential
    tests go on, and a canary that has all requests is compared with what stable did before.
    Raises ValueError for evidence of another set of metrics.
    """

    def __init__(
        self, questions: Sequence[Question], canary: str, stable: str, evidence: Evidence | None = None
    ) -> None:
        self._canary, self._stable = canary, stable
        self._watched = {one.metric.name: MAKERS[one.kind](one, evidence or {}) for one in questions}

    def add(
        self, increment: Increment, values: Mapping[str, Pair | None] | None = None, *, seconds: float = 0.0
    ) -> None:
        """Take in what came since the last look, `seconds` ago.

        values: metric -> (canary's, stable's number), each None where there is none; None if nobody answered.
        """
        canary, stable = increment.tally(self._canary), increment.tally(self._stable)
        times = (increment.times.get(self._canary, Counter()), increment.times.get(self._stable, Counter()))
        sides = (self._canary, self._stable)
        mine, theirs = (increment.ended.get(version, Tally(0, 0)) for version in sides)
        flights = tuple(
            {at: pair for (at, of), pair in increment.flights.items() if of == version} for version in sides
        )
        for name, memory in self._watched.items():
            value = (values or {}).get(name, (None, None))
            memory.add(Came(canary, stable, seconds, times, value, (mine, theirs), (flights[0], flights[1])))

    def alarm(self) -> Verdict | None:
        """Return the verdict `fail` as soon as nothing the other metrics may say could change it."""
        alarms = {name: memory.alarm() for name, memory in self._watched.items()}
        if not any(alarms.values()):
            return None
        others = {name: memory.judgement() for name, memory in self._watched.items() if not alarms[name]}
        at_best = [alarm or replace(others[name], outcome="pass") for name, alarm in alarms.items()]
        if combine(at_best).outcome != "fail":
            return None
        return combine([alarm or others[name] for name, alarm in alarms.items()])

    def verdict(self) -> Verdict:
        """Return the verdict on everything seen so far."""
        return combine([memory.judgement() for memory in self._watched.values()])

    def unanswered(self) -> int:
        """Return the canary's requests that wait too long now, as far as a metric looks for them."""
        return max((memory.overdue for memory in self._watched.values() if isinstance(memory, Hanging)), default=0)

    def evidence(self) -> dict[str, list[float]]:
        """Return the state of the sequential tests and stable's numbers, for the next watch."""
        return {key: state for memory in self._watched.values() for key, state in memory.evidence().items()}


def fresh(evidence: Evidence) -> dict[str, list[float]]:
    """Return the evidence without the tests' state: what stable did stays true when the canary begins anew."""
    return {key: list(state) for key, state in evidence.items() if key.endswith(".stable")}


def quantiles(times: Mapping[float, int], shares: Sequence[float] = (0.5, 0.95, 0.99)) -> dict[str, float | None]:
    """Return p50, p95 and p99 in milliseconds for results; None without requests."""
    held = cumulative(times)
    found = {f"p{share * 100:g}": histogram.quantile(held, share) for share in shares}
    return {name: None if math.isnan(value) else round(value, 2) for name, value in found.items()}
