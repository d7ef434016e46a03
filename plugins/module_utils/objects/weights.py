# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Percents, shares, and the integer weights of a route that express them. Pure.

Istio: a destination's share is its weight divided by the sum of the weights, the sum need not be 100, and a
single destination gets everything whatever its weight says.
"""

from __future__ import annotations

import math
import typing as t
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from ..errors import ForeignDestination, InvalidInput

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Percent = float  # or int: what a user writes

HUNDRED: t.Final = Fraction(100)
DECIMALS: t.Final = 3
INT32_MAX: t.Final = 2**31 - 1
TOLERANCE: t.Final = 0.0005
"""Half of the smallest difference between two weights, in percent."""
_PREFERRED_SUMS: t.Final = (100, 1000, 10_000, 100_000)


def parse_weights(weights: Mapping[str, t.Any], option: str = "weights") -> dict[str, Fraction]:
    """Return version -> exact percent, validated as one set: numbers from 0 to 100, sum 100, three decimals at most.

    The versions are in natural order (v2 before v10). Raises InvalidInput naming `option`.
    """
    if not weights:
        raise InvalidInput(
            f"{option} is empty. Give every version its percent of requests, for example {{v1: 90, v2: 10}}."
        )
    percents = {str(version): _percent(version, value, option) for version, value in weights.items()}
    total = sum(percents.values(), Fraction(0))
    if total != HUNDRED:
        shown = ", ".join(f"{version} {rounded_percent(value)}" for version, value in percents.items())
        raise InvalidInput(f"{option} must add up to 100 percent, but {shown} add up to {rounded_percent(total)}.")
    return {version: percents[version] for version in sorted(percents, key=natural_key)}


def parse_percent(value: t.Any, option: str) -> Fraction:
    """Return a percent from 0 to 100 with at most three decimals. Raises InvalidInput naming `option`."""
    try:
        if isinstance(value, bool):
            raise InvalidOperation
        exact = Decimal(str(value))
    except InvalidOperation:
        raise InvalidInput(f"{option} must be a number of percent, not {value!r}.") from None
    if not exact.is_finite() or not 0 <= exact <= 100:
        raise InvalidInput(f"{option} is {value}, but a percent lies between 0 and 100.")
    fraction = Fraction(exact)
    if (fraction * 10**DECIMALS).denominator != 1:
        raise InvalidInput(f"{option} is {value}, but a percent may have at most {DECIMALS} decimals.")
    return fraction


def _percent(version: str, value: t.Any, option: str) -> Fraction:
    if not str(version):
        raise InvalidInput(f"{option} has a version without a name.")
    return parse_percent(value, f"{option}.{version}")


def natural_key(text: str) -> list[tuple[int, int, str]]:
    """Return a sort key by which v2 comes before v10."""
    parts: list[tuple[int, int, str]] = []
    digits = ""
    for char in text + "\0":
        if char.isdecimal() and char.isascii():
            digits += char
            continue
        if digits:
            parts.append((0, int(digits), ""))
            digits = ""
        parts.append((1, 0, char))
    return parts


def rounded_percent(value: Fraction) -> Percent:
    """Return a percent as an int or a float: 10, 0.5, 33.333 (rounded to three decimals)."""
    rounded = round(float(value), DECIMALS)
    return int(rounded) if rounded == int(rounded) else rounded


def same_split(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Return whether two splits (version -> percent) are the same; a version that is missing has 0."""
    return all(abs(one.get(version, 0.0) - other.get(version, 0.0)) <= TOLERANCE for version in {*one, *other})


def weights_text(weights: Mapping[str, t.Any]) -> str:
    """Return version -> percent as text: `v1 90%, v2 10%`; the empty version is all pods."""
    return ", ".join(f"{version or 'all pods'} {float(percent):g}%" for version, percent in weights.items())


def shares(weights: Sequence[int]) -> list[Fraction]:
    """Return each destination's share of the requests, 0 to 1, as Envoy splits them.

    Two or more weights that are all 0 (Envoy rejects such a route) have shares of 0.
    """
    if len(weights) == 1:
        return [Fraction(1)]
    total = sum(weights)
    return [Fraction(weight, total) if total > 0 else Fraction(0) for weight in weights]


def integer_weights(wanted: Sequence[Fraction], current_sum: int, where: str) -> list[int]:
    """Return integer weights whose shares are exactly `wanted` (fractions that sum to 1).

    current_sum: of the route's weights; it is kept where it is fine enough, so that unchanged weights keep their
    numbers. Else the sum is 100, 1000, 10,000 or 100,000, else the smallest that is exact.
    Raises ForeignDestination (naming `where`) if Istio's 32 bits are too few.
    """
    smallest = math.lcm(*(share.denominator for share in wanted))
    for total in (current_sum, *_PREFERRED_SUMS, smallest):
        if total > 0 and total % smallest == 0:
            break
    if total > INT32_MAX:
        raise ForeignDestination(
            f"{where}: the other destinations' shares and the wanted ones have no common weights below {INT32_MAX}. "
            "Round the weights of the other destinations, or use weights with fewer decimals."
        )
    return [int(share * total) for share in wanted]
