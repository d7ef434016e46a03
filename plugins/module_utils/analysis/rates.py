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

from .distributions import hypergeometric_tail, log_noncentral_ratio, log_sum


@dataclass(frozen=True)
class Tally:
    """Requests answered by one version, and how many of them failed. Counts, not rates."""

    requests: int
    errors: int

    def __post_init__(self) -> None:
        if not 0 <= self.errors <= self.requests:
            raise ValueError(f"errors must be between 0 and the {self.requests} requests, not {self.errors}")

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
    """The mean of several likelihood ratios, kept as logarithms: what both sequential tests accumulate."""

    def __init__(self, size: int, state: t.Sequence[float] | None) -> None:
        if state is not None and len(state) != size:
            raise ValueError(f"state must hold {size} numbers, not {len(state)}")
        self._logs = [0.0] * size if state is None else list(state)

    @property
    def evidence(self) -> float:
        """Return the evidence against the hypothesis: 1 says nothing, 100 is alpha = 0.01."""
        return math.exp(min(700.0, log_sum(self._logs) - math.log(len(self._logs))))

    def rejects(self, alpha: float) -> bool:
        """Say whether the hypothesis is rejected, at most wrong with probability `alpha` over all looks."""
        return self.evidence >= 1.0 / alpha

    def state(self) -> list[float]:
        """Return what a later run needs to go on from here."""
        return list(self._logs)


class SequentialRate(_Mixture):
    """A test that may be looked at after every request: does the canary fail more often than stable?

    Given how many requests of an interval failed, and how many each version answered, the number of failures on the
    canary is hypergeometric when both fail alike. For an odds ratio w > 1 the likelihood ratio of the intervals seen so
    far is a martingale under that hypothesis, and so is its mean over a set of odds ratios. By Ville's inequality it
    exceeds 1 / alpha with probability at most alpha, over all looks together; below a tolerated odds ratio it
    is a supermartingale, so the bound holds there too.
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
            for index, odds in enumerate(self._odds):
                self._logs[index] += log_noncentral_ratio(*margins, odds) - base
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
        self._rates = (*(step * limit / (1.0 + (step - 1.0) * limit) for step in self.ODDS), (1.0 + limit) / 2)
        super().__init__(len(self._rates), state)

    def add(self, canary: Tally) -> float:
        """Take in one interval's increments and return the evidence so far."""
        for index, rate in enumerate(self._rates):
            self._logs[index] += canary.errors * math.log(rate / self.limit)
            self._logs[index] += (canary.requests - canary.errors) * math.log((1 - rate) / (1 - self.limit))
        return self.evidence
