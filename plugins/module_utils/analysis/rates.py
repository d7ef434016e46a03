# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Are the canary's requests failing more often than stable's? Tests for two counts of errors. Pure.

One look: Fisher's exact test. Many looks (every few seconds): a test martingale, whose false-alarm rate holds however
often one looks.
"""

from __future__ import annotations

import math
import typing as t
from dataclasses import dataclass

from .distributions import hypergeometric_tail, log_add, log_noncentral_ratio, log_sum


@dataclass(frozen=True)
class Tally:
    """Requests answered by one version, and how many of them failed. Counts, not rates."""

    requests: int
    errors: int

    def __post_init__(self) -> None:
        if not 0 <= self.errors <= self.requests:
            raise ValueError(f"errors must be between 0 and the {self.requests} requests, not {self.errors}")

    def __add__(self, other: Tally) -> Tally:
        """Return the requests and errors of both."""
        return Tally(self.requests + other.requests, self.errors + other.errors)

    @property
    def rate(self) -> float:
        """Return errors per request; NaN without a request."""
        return self.errors / self.requests if self.requests else math.nan


def worse_p_value(canary: Tally, stable: Tally) -> float:
    """Return the one-sided p-value of "the canary fails no more often than stable".

    Fisher's exact test at every size: an approximation is wrong where errors are rare, however many requests there
    are (source: A. Agresti, Categorical Data Analysis, 3rd ed., section 3.5). 1.0 when nothing can be said.
    """
    total = canary.requests + stable.requests
    errors = canary.errors + stable.errors
    if not canary.requests or not stable.requests or errors in (0, total):
        return 1.0
    return hypergeometric_tail(canary.errors, total, canary.requests, errors)


class _Mixture:
    """What both sequential tests accumulate: the mean of likelihood ratios, over what is looked for and since when.

    A ratio that was multiplied over a long good time is so small that a fault that begins late needs as long to make up
    for it. So a share of the mass joins only at the t-th interval, for a fault that begins there: what is still
    waiting after t intervals is `_waiting(t)`, whose decrements are the prior of the beginning. The mean of martingales
    that all begin at 1 is one, and so Ville's bound holds over all looks as before.
    Source: G. Lorden, Procedures for reacting to a change in distribution, Ann. Math. Stat. 42 (1971); the mixture over
    the beginning is A. N. Shiryaev's, On optimum methods in quickest detection problems, 1963.

    State: the logarithms of the mass for each alternative, and the number of intervals that told something.
    """

    def __init__(self, size: int, state: t.Sequence[float] | None) -> None:
        if state is not None and len(state) != size + 1:
            raise ValueError(f"state must hold {size + 1} numbers, not {len(state)}")
        self._logs = [_NOTHING] * size if state is None else list(state[:-1])
        self._intervals = 0 if state is None else int(state[-1])
        self.evidence = self._weighed()
        """The evidence against the hypothesis: 1 says nothing, 100 is alpha = 0.01."""

    def _take(self, ratios: t.Iterable[float]) -> None:
        """Multiply one interval's likelihood ratios in, given as logarithms."""
        joining = math.log(_waiting(self._intervals) - _waiting(self._intervals + 1))
        self._intervals += 1
        pairs = zip(self._logs, ratios, strict=True)
        self._logs = [max(_NOTHING, log_add(held, joining) + ratio) for held, ratio in pairs]
        self.evidence = self._weighed()

    def _weighed(self) -> float:
        joined = math.exp(min(700.0, log_sum(self._logs) - math.log(len(self._logs))))
        return joined + _waiting(self._intervals)

    def rejects(self, alpha: float) -> bool:
        """Say whether the hypothesis is rejected, at most wrong with probability `alpha` over all looks."""
        return self.evidence >= 1.0 / alpha

    def state(self) -> list[float]:
        """Return what a later run needs to go on from here."""
        return [*self._logs, float(self._intervals)]


_NOTHING: t.Final = -700.0
"""Logarithm of a mass that is none, for JSON knows no infinity."""


def _waiting(intervals: int) -> float:
    """Return the mass that has not joined yet: it falls so slowly that a fault may begin at any time."""
    return 1.0 / (1.0 + math.log1p(intervals))


class SequentialRate(_Mixture):
    """A test that may be looked at after every request: does the canary fail more often than stable?

    Given how many requests of an interval failed, and how many each version answered, the number of failures on the
    canary is hypergeometric when both fail alike. For an odds ratio w > 1 the likelihood ratio of the intervals since
    any moment is a martingale under that hypothesis, and so is its mean over odds ratios and moments. By Ville's
    inequality it exceeds 1 / alpha with probability at most alpha, over all looks together; below a tolerated odds
    ratio it is a supermartingale, so the bound holds there too.
    Sources: J. Ville, Etude critique de la notion de collectif, 1939; H. Robbins, Statistical methods related to the
    law of the iterated logarithm, Ann. Math. Stat. 41 (1970); R. Turner, A. Ly, P. Gruenwald, Generic E-variables for
    exact sequential k-sample tests, 2024.

    odds: the odds ratios looked for, each above `tolerated`. tolerated: the odds ratio still called equal, >= 1.
    Counts are increments: what came since the last `add`. State fits in `state()`, a list of floats, and returns by it.
    """

    ODDS: t.Final = (1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0, 1000.0)

    def __init__(self, tolerated: float = 1.0, state: t.Sequence[float] | None = None) -> None:
        if tolerated < 1.0:
            raise ValueError(f"tolerated must be an odds ratio of at least 1, not {tolerated}")
        self.tolerated = tolerated
        self._odds = tuple(tolerated * odds for odds in self.ODDS)
        super().__init__(len(self._odds), state)

    def add(self, canary: Tally, stable: Tally) -> float:
        """Take in one interval's increments and return the evidence so far (see `evidence`)."""
        total = canary.requests + stable.requests
        errors = canary.errors + stable.errors
        if errors and canary.requests and stable.requests:
            margins = (canary.errors, total, canary.requests, errors)
            base = log_noncentral_ratio(*margins, self.tolerated)
            self._take(log_noncentral_ratio(*margins, odds) - base for odds in self._odds)
        return self.evidence


class SequentialLimit(_Mixture):
    """The same against a fixed limit: does the canary fail more often than `limit` of its requests?

    The mean over several rates p > limit of the likelihood ratio (p/limit)^errors ((1-p)/(1-limit))^(requests-errors):
    Wald's ratio, mixed; a supermartingale while the true rate is at most the limit.
    Source: A. Wald, Sequential Analysis, 1947; mixture and bound as in SequentialRate.
    """

    ODDS: t.Final = (1.5, 2.0, 4.0, 8.0, 16.0)

    def __init__(self, limit: float, state: t.Sequence[float] | None = None) -> None:
        if not 0.0 < limit < 1.0:
            raise ValueError(f"limit must be a rate above 0 and below 1, not {limit}")
        self.limit = limit
        rates = (*(step * limit / (1.0 + (step - 1.0) * limit) for step in self.ODDS), (1.0 + limit) / 2)
        # What a failed request adds for each rate, and what a good one does.
        self._failed = tuple(math.log(rate / limit) for rate in rates)
        self._good = tuple(math.log((1 - rate) / (1 - limit)) for rate in rates)
        super().__init__(len(rates), state)

    def add(self, canary: Tally) -> float:
        """Take in one interval's increments and return the evidence so far."""
        if canary.requests:
            bad, good = canary.errors, canary.requests - canary.errors
            self._take(bad * mine + good * theirs for mine, theirs in zip(self._failed, self._good, strict=True))
        return self.evidence
