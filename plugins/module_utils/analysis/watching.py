# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judging while watching: an alarm at any look, a verdict at the end, and few false ones over all looks. Pure."""

from __future__ import annotations

import copy
import math
import typing as t
from collections import Counter
from dataclasses import replace

from . import histogram
from .looks import Came, Question
from .metrics import Metric
from .rates import Tally
from .sources import cumulative
from .traffic import NO_VERSION
from .verdict import Verdict, combine
from .watched_flight import Hanging
from .watched_numbers import Rate, Value
from .watched_requests import Errors, Latency

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .looks import Evidence, Kind, Pair, Watched
    from .sources import Increment
    from .verdict import Judgement

MAKERS: t.Final[Mapping[Kind, t.Callable[[Question, Evidence], Watched]]] = {
    "errors": Errors,
    "latency": Latency,
    "hanging": Hanging,
    "rate": Rate,
    "value": Value,
    "http": Value,
}
GIVEN_UP: t.Final = "given up"
"""Where no metric of kind hanging is asked for, whether callers give up on the canary is looked at all the same."""


class Observation:
    """A canary beside stable over many looks.

    canary, stable: the versions' names. evidence: what `evidence` returned of a watch before; with it the sequential
    tests go on, and a canary that has all requests is compared with what stable did before.
    seen: version -> requests that were answered, of all versions. lost: those that failed or were given up and belong
    to no version.

    Two things keep it from passing without being metrics. Callers gave up on the canary, and nobody asked for that to
    be judged. Or requests failed and belong to no version: then a second memory of failures is kept, in which all of
    those are the canary's, and what fails by that one does not pass.
    Raises ValueError for evidence of another set of metrics.
    """

    def __init__(
        self, questions: Sequence[Question], canary: str, stable: str, evidence: Evidence | None = None
    ) -> None:
        self._canary, self._stable = canary, stable
        self._watched = {one.metric.name: MAKERS[one.kind](one, evidence or {}) for one in questions}
        self._also: dict[str, Watched] = {}
        if not any(one.kind == "hanging" for one in questions):
            self._also[GIVEN_UP] = Hanging(Question(Metric(GIVEN_UP, critical=True), "hanging"), evidence or {})
        self._charged: dict[str, Watched] = {}
        self.lost = 0
        self.seen: Counter[str] = Counter()

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
        came = Came(canary, stable, seconds, times, (None, None), (mine, theirs), (flights[0], flights[1]))
        self._charge(increment, came)
        for name, memory in self._watched.items():
            memory.add(replace(came, value=(values or {}).get(name, (None, None))))
        for memory in self._also.values():
            memory.add(replace(came, flights=({}, {})))
        self.seen.update({version: tally.requests for version, tally in increment.tallies.items()})

    def _charge(self, increment: Increment, came: Came) -> None:
        """Take in what came as if all that failed for nobody had been the canary's; before it is taken in as it is."""
        failed = increment.tally(NO_VERSION).errors
        gone = increment.ended.get(NO_VERSION, Tally(0, 0)).errors
        self.lost += failed + gone
        if self.lost and not self._charged:
            everything = {**self._watched, **self._also}
            self._charged = {
                name: copy.deepcopy(memory)
                for name, memory in everything.items()
                if isinstance(memory, (Errors, Hanging))
            }
        mine, theirs = came.ended
        more = replace(came, canary=came.canary + Tally(failed, failed), ended=(mine + Tally(gone, gone), theirs))
        for name, memory in self._charged.items():
            memory.add(replace(more, flights=({}, {})) if name in self._also else more)

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
        said = combine([memory.judgement() for memory in self._watched.values()])
        doubts = self._given_up()
        if said.outcome == "inconclusive":
            return replace(said, reasons=(*said.reasons, *doubts))
        if said.outcome == "pass" and (doubts := doubts or self._if_all_were_the_canarys()):
            return replace(said, outcome="inconclusive", reasons=doubts)
        return said

    def _given_up(self) -> tuple[str, ...]:
        """Return that callers give up on the canary, where no metric says so."""
        alarms = [memory.alarm() for memory in self._also.values()]
        told = "No metric judges that; name one of kind hanging to have it judged."
        return tuple(f"{alarm.reason}. {told}" for alarm in alarms if alarm)

    def _if_all_were_the_canarys(self) -> tuple[str, ...]:
        """Return that it would fail if it had all the failures without a version; nothing if it would not."""
        worst = combine([_at_worst(self._charged.get(name, memory)) for name, memory in self._watched.items()])
        reasons = list(worst.reasons) if worst.outcome == "fail" else []
        alarms = (self._charged[name].alarm() for name in self._also if name in self._charged)
        reasons += [alarm.reason for alarm in alarms if alarm]
        if not reasons:
            return ()
        return (
            f"{self.lost} requests failed or were given up, and the counters name no version for them. Were they all "
            f"the canary's, it would fail ({'; '.join(reasons)}). Their response_flags in istio_requests_total say why "
            "they failed; source proxies can name the version where the callers' pods show Envoy's own counters "
            "(annotation sidecar.istio.io/statsInclusionPrefixes: cluster.outbound).",
        )

    def unanswered(self) -> int:
        """Return the canary's requests that wait too long now, as far as a metric looks for them."""
        return max((memory.overdue for memory in self._watched.values() if isinstance(memory, Hanging)), default=0)

    def evidence(self) -> dict[str, list[float]]:
        """Return the state of the sequential tests and stable's numbers, for the next watch."""
        memories = (*self._watched.values(), *self._also.values())
        return {key: state for memory in memories for key, state in memory.evidence().items()}


def _at_worst(memory: Watched) -> Judgement:
    return memory.alarm() or memory.judgement()


def fresh(evidence: Evidence) -> dict[str, list[float]]:
    """Return the evidence without the tests' state: what stable did stays true when the canary begins anew."""
    return {key: list(state) for key, state in evidence.items() if key.endswith(".stable")}


def quantiles(times: Mapping[float, int], shares: Sequence[float] = (0.5, 0.95, 0.99)) -> dict[str, float | None]:
    """Return p50, p95 and p99 in milliseconds for results; None without requests."""
    held = cumulative(times)
    found = {f"p{share * 100:g}": histogram.quantile(held, share) for share in shares}
    return {name: None if math.isnan(value) else round(value, 2) for name, value in found.items()}
