# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Statistical tests: does the canary fail more often than stable? Pure.

One test at the end: Fisher's exact test. Repeated tests every few seconds: a test martingale, whose rate of false
alarms holds however often it is evaluated.
"""

from __future__ import annotations

import math
import typing as t
from dataclasses import dataclass

from .distributions import hypergeometric_tail, log_add, log_noncentral_ratio, log_sum


@dataclass(frozen=True)
class RequestCount:
    """Requests answered by one version, and how many of them failed. Counts, not rates."""

    requests: int
    errors: int

    def __post_init__(self) -> None:
        if not 0 <= self.errors <= self.requests:
            raise ValueError(f"errors must be between 0 and the {self.requests} requests, not {self.errors}")

    def __add__(self, other: RequestCount) -> RequestCount:
        """Return the requests and errors of both."""
        return RequestCount(self.requests + other.requests, self.errors + other.errors)

    @property
    def rate(self) -> float:
        """Return errors per request; NaN without a request."""
        return self.errors / self.requests if self.requests else math.nan


def worse_p_value(canary: RequestCount, stable: RequestCount) -> float:
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
    """The base of both sequential tests: the mean of likelihood ratios, over alternatives and starting intervals.

    A ratio that was multiplied over a long good period is so small that a late fault would take as long to be noticed.
    So a part of the mass joins only at the t-th interval, for a fault that begins there: the mass that has not joined
    after t intervals is `_prior_mass(t)`, whose decrements are the prior of the starting interval. The mean of
    martingales that all start at 1 is a martingale that starts at 1, so Ville's bound holds over all intervals.
    Source: G. Lorden, Procedures for reacting to a change in distribution, Ann. Math. Stat. 42 (1971); the mixture over
    the starting interval is A. N. Shiryaev's, On optimum methods in quickest detection problems, 1963.

    State: the logarithms of the mass for each alternative, and the number of intervals with information.
    """

    def __init__(self, size: int, state: t.Sequence[float] | None) -> None:
        if state is not None and len(state) != size + 1:
            raise ValueError(f"state must hold {size + 1} numbers, not {len(state)}")
        self._logs = [_LOG_NO_MASS] * size if state is None else list(state[:-1])
        self._intervals = 0 if state is None else int(state[-1])
        self.evidence = self._mean()
        """The evidence against the hypothesis: 1 is none, 100 is p = 0.01."""

    def _multiply(self, ratios: t.Iterable[float]) -> None:
        """Multiply by the likelihood ratios of one interval, given as logarithms."""
        joining = math.log(_prior_mass(self._intervals) - _prior_mass(self._intervals + 1))
        self._intervals += 1
        pairs = zip(self._logs, ratios, strict=True)
        self._logs = [max(_LOG_NO_MASS, log_add(held, joining) + ratio) for held, ratio in pairs]
        self.evidence = self._mean()

    def _mean(self) -> float:
        joined = math.exp(min(700.0, log_sum(self._logs) - math.log(len(self._logs))))
        return joined + _prior_mass(self._intervals)

    def rejects(self, alpha: float) -> bool:
        """Return whether the hypothesis is rejected, wrong with probability `alpha` at most over all intervals."""
        return self.evidence >= 1.0 / alpha

    def state(self) -> list[float]:
        """Return the state with which a later test continues."""
        return [*self._logs, float(self._intervals)]


_LOG_NO_MASS: t.Final = -700.0
"""Logarithm of zero mass; JSON has no infinity."""


def _prior_mass(intervals: int) -> float:
    """Return the mass that has not joined yet: it falls so slowly that a fault may begin at any time."""
    return 1.0 / (1.0 + math.log1p(intervals))


class SequentialRate(_Mixture):
    """A test that may be evaluated after every request: does the canary fail more often than stable?

    Given how many requests of an interval failed, and how many each version answered, the number of failures on the
    canary is hypergeometric when both fail equally often. For an odds ratio w > 1 the likelihood ratio of the
    intervals since any moment is a martingale under that hypothesis, and so is its mean over odds ratios and moments.
    By Ville's inequality it exceeds 1 / alpha with probability at most alpha, over all evaluations together; below a
    tolerated odds ratio it is a supermartingale, so the bound holds there too.
    Sources: J. Ville, Etude critique de la notion de collectif, 1939; H. Robbins, Statistical methods related to the
    law of the iterated logarithm, Ann. Math. Stat. 41 (1970); R. Turner, A. Ly, P. Gruenwald, Generic E-variables for
    exact sequential k-sample tests, 2024.

    tolerated: the odds ratio that still counts as equal, >= 1. Counts are increments since the last `add`.
    state: what `state()` returned of an earlier test.
    """

    ODDS: t.Final = (1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0, 1000.0)

    def __init__(self, tolerated: float = 1.0, state: t.Sequence[float] | None = None) -> None:
        if tolerated < 1.0:
            raise ValueError(f"tolerated must be an odds ratio of at least 1, not {tolerated}")
        self.tolerated = tolerated
        self._odds = tuple(tolerated * odds for odds in self.ODDS)
        super().__init__(len(self._odds), state)

    def add(self, canary: RequestCount, stable: RequestCount) -> float:
        """Add the increments of one interval; return the evidence so far (see `evidence`)."""
        total = canary.requests + stable.requests
        errors = canary.errors + stable.errors
        if errors and canary.requests and stable.requests:
            margins = (canary.errors, total, canary.requests, errors)
            base = log_noncentral_ratio(*margins, self.tolerated)
            self._multiply(log_noncentral_ratio(*margins, odds) - base for odds in self._odds)
        return self.evidence


class SequentialLimit(_Mixture):
    """The same test against a fixed limit: does the canary fail more often than `limit` of its requests?

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
        # The logarithm that a failed request adds for each rate, and a good one.
        self._failed = tuple(math.log(rate / limit) for rate in rates)
        self._good = tuple(math.log((1 - rate) / (1 - limit)) for rate in rates)
        super().__init__(len(rates), state)

    def add(self, canary: RequestCount) -> float:
        """Add the increments of one interval; return the evidence so far."""
        if canary.requests:
            bad, good = canary.errors, canary.requests - canary.errors
            self._multiply(bad * mine + good * theirs for mine, theirs in zip(self._failed, self._good, strict=True))
        return self.evidence
