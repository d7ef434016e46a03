# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An exact test of request counts against intended shares.

A proxy draws the version of every request at random, so the counts are multinomial and the test is exact. The verdict
is `fail` when the counts contradict the shares, `pass` when they do not and were enough to detect a deviation that
matters, else `inconclusive`. No evidence is never success.
"""

from __future__ import annotations

import math
import typing as t
from dataclasses import asdict, dataclass

from ..errors import InvalidInput
from . import binomial

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Verdict = t.Literal["pass", "fail", "inconclusive"]

MAX_STEPS = 20_000
"""With more conditional steps the exact multinomial sum would take seconds; then the bound is used."""
NEGLIGIBLE_P_VALUE = 1e-12
"""Below this the bound is used too: the exact value would take long and decides nothing."""
MAX_REQUESTS_NEEDED = 100_000_000


@dataclass(frozen=True)
class SplitVerdict:
    """The result of the test.

    p_value: probability of counts at most as likely as these if the shares hold; None without any request.
    n: requests counted. power: probability of detecting a deviation of `detect` with this n.
    reasons: sentences; never empty. method: `exact` or `bound` (see `p_value`), `none` without a test.
    """

    verdict: Verdict
    p_value: float | None
    n: int
    power: float
    reasons: tuple[str, ...]
    method: str = "exact"

    def as_dict(self) -> dict[str, t.Any]:
        """Return the verdict as tasks return it."""
        return {**asdict(self), "reasons": list(self.reasons)}


def test_split(
    counts: Mapping[str, int],
    shares: Mapping[str, float],
    *,
    alpha: float = 0.001,  # noqa: PT028
    detect: float = 0.05,  # noqa: PT028
    power: float = 0.8,  # noqa: PT028
) -> SplitVerdict:
    """Return whether `counts` fit `shares`.

    counts: version -> requests seen. shares: version -> intended weight; only the ratios matter, 0 means none at all.
    alpha: probability of a false `fail`. detect: the deviation, in points of share (0.05 is five points of a hundred),
    that must be detectable with probability `power` before the verdict may be `pass`; a share smaller than `detect`
    must be distinguishable from none. Raises InvalidInput on negative numbers or when all shares are 0.
    """
    wanted = normalized(shares)
    _check_options(counts, alpha, detect, power)
    n = sum(counts.values())
    if n == 0:
        return SplitVerdict("inconclusive", None, 0, 0.0, ("no requests were counted",), "none")
    reached = power_to_detect(n, wanted, alpha=alpha, detect=detect)
    unexpected = [version for version, count in sorted(counts.items()) if count > 0 and wanted.get(version, 0.0) == 0]
    if unexpected:
        reasons = tuple(
            f"{version} answered {counts[version]} of {n} requests and should answer none" for version in unexpected
        )
        return SplitVerdict("fail", 0.0, n, reached, reasons)
    versions = [version for version, share in wanted.items() if share > 0]
    p, method = p_value([counts.get(version, 0) for version in versions], [wanted[version] for version in versions])
    if p < alpha:
        return SplitVerdict("fail", p, n, reached, _deviations(counts, wanted, n, alpha), method)
    if reached < power:
        needed = requests_needed(wanted, alpha=alpha, detect=detect, power=power)
        least = min(wanted[version] for version in versions)
        small = f", or none at all in place of a share of {100 * least:.3g}%," if least < detect else ""
        reason = (
            f"{n} requests are too few: a deviation of {detect * 100:g} points{small} would be detected with "
            f"probability {reached:.2f} only, {power:g} is required; about {needed} requests are needed"
        )
        return SplitVerdict("inconclusive", p, n, reached, (reason,), method)
    return SplitVerdict("pass", p, n, reached, (f"{n} requests fit the intended shares (p = {p:.3g})",), method)


def normalized(shares: Mapping[str, float]) -> dict[str, float]:
    """Return version -> share of 1. Raises InvalidInput on a negative, infinite or missing share."""
    for version, share in shares.items():
        if not (share >= 0 and math.isfinite(share)):
            raise InvalidInput(f"shares: {version} has {share}; a share is a number of 0 or more")
    total = math.fsum(shares.values())
    if total <= 0:
        raise InvalidInput("shares: all are 0, so there is nothing to test; give at least one version a share")
    return {version: share / total for version, share in shares.items()}


def p_value(counts: Sequence[int], shares: Sequence[float]) -> tuple[float, str]:
    """Return the p-value of `counts` under `shares` (sum 1), and the method.

    `exact`: the probability of all outcomes no likelier than the one seen (method of small p-values), summed by
    conditioning on one version after the other; with two versions this is the two-sided exact binomial test.
    `bound`: where that sum is too long, the smallest of the exact binomial p-values of each version times their number
    (Bonferroni). Its rate of false failures is at most alpha too.
    """
    n = sum(counts)
    each = [binomial.p_value(count, n, share) for count, share in zip(counts, shares, strict=True)]
    if len(shares) <= 2:
        return each[0], "exact"
    bound = min(1.0, min(each) * len(each))
    if bound < NEGLIGIBLE_P_VALUE or _steps(n, shares) > MAX_STEPS:
        return bound, "bound"
    limit = _log_probability(counts, shares) + binomial.TIE
    return min(1.0, _mass_at_most(limit, n, sorted(shares, reverse=True))), "exact"


def power_to_detect(n: int, shares: Mapping[str, float], *, alpha: float, detect: float) -> float:
    """Return the probability that `n` requests reveal one version off by `detect`, for the version where it is lowest.

    Each version has its own binomial test (with three or more at the level that `bound` gives it). A share
    cannot fall below 0 or rise above 1: the deviation is cut there, so a small share is tested against none at all.
    """
    positive = [share for share in normalized(shares).values() if share > 0]
    if len(positive) == 1:
        return 1.0 - (1.0 - detect) ** n
    # Two shares sum to 1: testing one tests both.
    tested = positive[:1] if len(positive) == 2 else positive
    level = alpha if len(positive) == 2 else alpha / len(positive)
    return min(
        binomial.rejection_probability(n, share, other, level)
        for share in sorted(set(tested))
        for other in (max(0.0, share - detect), min(1.0, share + detect))
    )


def requests_needed(
    shares: Mapping[str, float], *, alpha: float = 0.001, detect: float = 0.05, power: float = 0.8
) -> int:
    """Return about how many requests `test_split` needs for `pass`.

    The power of a discrete test is a saw-tooth, so a few requests fewer may reach it too.
    """
    enough = 1
    while power_to_detect(enough, shares, alpha=alpha, detect=detect) < power:
        enough *= 2
        if enough > MAX_REQUESTS_NEEDED:
            return MAX_REQUESTS_NEEDED
    low, high = enough // 2, enough
    while high - low > max(1, low // 200):
        middle = (low + high) // 2
        if power_to_detect(middle, shares, alpha=alpha, detect=detect) < power:
            low = middle
        else:
            high = middle
    return high


def _check_options(counts: Mapping[str, int], alpha: float, detect: float, power: float) -> None:
    for version, count in counts.items():
        if count < 0:
            raise InvalidInput(f"counts: {version} has {count}; a count is a whole number of 0 or more")
    if not 0 < alpha < 1:
        raise InvalidInput(f"alpha: {alpha} is not a probability between 0 and 1; 0.001 is usual")
    if not 0 < detect < 1:
        raise InvalidInput(f"detect: {detect} is not a share between 0 and 1; 0.05 means five percentage points")
    if not 0 < power < 1:
        raise InvalidInput(f"power: {power} is not a probability between 0 and 1; 0.8 is usual")


def _deviations(counts: Mapping[str, int], wanted: Mapping[str, float], n: int, alpha: float) -> tuple[str, ...]:
    """Return one sentence for each version outside its bounds, or for all if none is."""
    lines = {}
    outside = []
    for version, share in wanted.items():
        count = counts.get(version, 0)
        low, high = binomial.interval(n, share, alpha)
        lines[version] = (
            f"{version} answered {count} of {n} requests ({count / n:.2%}) where {share:.2%} is intended "
            f"({low} to {high} would fit)"
        )
        if not low <= count <= high:
            outside.append(version)
    return tuple(lines[version] for version in outside or lines)


def _log_probability(counts: Sequence[int], shares: Sequence[float]) -> float:
    total, rest, left = 0.0, sum(counts), 1.0
    for count, share in list(zip(counts, shares, strict=True))[:-1]:
        total += binomial.log_pmf(count, rest, min(1.0, share / left))
        rest, left = rest - count, left - share
    return total


def _mass_at_most(log_limit: float, n: int, shares: Sequence[float]) -> float:
    """Return the probability of all outcomes of `n` requests whose log probability is `log_limit` or less.

    shares: in descending order, relative to their sum. Goes outwards from the likeliest count of the first version;
    once that count alone is below the limit, so are all counts further out, whatever those of the other versions.
    """
    total = math.fsum(shares)
    share = shares[0] / total
    if len(shares) == 1:
        return 1.0 if log_limit >= 0 else 0.0
    if len(shares) == 2:
        return binomial.mass_at_most(log_limit, n, share)
    mass = []
    middle = min(n, int((n + 1) * share))
    for step, first in ((1, middle), (-1, middle - 1)):
        count = first
        while 0 <= count <= n:
            own = binomial.log_pmf(count, n, share)
            if own <= log_limit:
                tail = binomial.upper_tail if step > 0 else binomial.lower_tail
                mass.append(tail(count, n, share))
                break
            mass.append(math.exp(own) * _mass_at_most(log_limit - own, n - count, shares[1:]))
            count += step
    return math.fsum(mass)


def _steps(n: int, shares: Sequence[float]) -> float:
    """Return about how many binomial sums the exact p-value needs: twelve standard deviations for each free version."""
    ordered = sorted(shares, reverse=True)
    return math.prod(min(n + 1.0, 12 * math.sqrt(n * share * (1 - share)) + 12) for share in ordered[:-2])
