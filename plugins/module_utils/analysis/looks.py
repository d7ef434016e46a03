# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is asked of a canary, and what each look brings. Pure."""

from __future__ import annotations

import typing as t
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .rates import Tally

if t.TYPE_CHECKING:
    from .flight import Flight
    from .metrics import Metric
    from .verdict import Judgement

Evidence = Mapping[str, Sequence[float]]
Pair: t.TypeAlias = "tuple[float | None, float | None]"
Kind = t.Literal["errors", "latency", "hanging", "rate", "value", "http"]


@dataclass(frozen=True)
class Question:
    """One metric to watch.

    Of a number (kinds value and http), looks in a row: consecutive: beyond its bounds before it is an alarm, >= 1;
    missing: without a number, unanswered: without an answer, for which the last one stands, >= 0.
    """

    metric: Metric
    kind: Kind
    consecutive: int = 3
    missing: int = 0
    unanswered: int = 0


@dataclass(frozen=True)
class Came:
    """What came since the last look, within `seconds`.

    times: of both versions, upper bound in milliseconds -> requests in that bucket. value: the canary's number and
    stable's, each None where there is none; None if the question had no answer at all. ended: of both versions, the
    requests that are not under way any more, with those that their callers gave up as errors. flights: of both
    versions, place -> its requests under way at the look before and now, of the places that were read now.
    """

    canary: Tally
    stable: Tally
    seconds: float = 0.0
    times: tuple[Counter[float], Counter[float]] = field(default_factory=lambda: (Counter(), Counter()))
    value: Pair | None = (None, None)
    ended: tuple[Tally, Tally] = (Tally(0, 0), Tally(0, 0))
    flights: tuple[Mapping[str, tuple[Flight, Flight]], Mapping[str, tuple[Flight, Flight]]] = ({}, {})


class Watched(t.Protocol):
    """One metric's memory of all looks."""

    def add(self, came: Came) -> None:
        """Take in what came since the last look."""

    def alarm(self) -> Judgement | None:
        """Return a failure that needs no more evidence, None while there is none."""

    def judgement(self) -> Judgement:
        """Return what there is to say at the end."""

    def evidence(self) -> dict[str, list[float]]:
        """Return what a later watch needs to go on from here."""
