# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A share as a number of pods: which ratios a Service without a mesh can reach. Pure.

A Service spreads new connections evenly over its ready pods, so a canary of c pods beside s stable ones gets
c / (s + c) of them. Capacity never sinks: stable keeps what it had, the canary comes on top, unless a total is given.
"""

from __future__ import annotations

import math
import typing as t
from fractions import Fraction

from ..errors import InvalidInput


class Ratio(t.NamedTuple):
    """A reachable share. stable, canary: pods. The share is canary / (stable + canary) of new connections."""

    stable: int
    canary: int

    @property
    def share(self) -> float:
        """Return the percent of new connections that the canary gets."""
        return 100.0 * self.canary / (self.stable + self.canary)

    def error(self, wanted: float) -> float:
        """Return how far the share is from `wanted`, in percentage points, signed."""
        return self.share - wanted


def for_stable(wanted: float, stable: int) -> Ratio:
    """Return the canary count beside `stable` pods, as it is or as its HPA sets it, nearest to `wanted` percent.

    A share above 0 gets at least one pod. Of two equally near ones the smaller share is taken, the careful one.
    Raises InvalidInput for a share outside 0 (included) to 100 (excluded), or fewer than one stable pod.
    """
    exact = _share(wanted)
    if stable < 1:
        raise InvalidInput(f"stable has {stable} pods, but needs at least 1 to share connections with a canary")
    if not exact:
        return Ratio(stable, 0)
    ideal = stable * exact / (1 - exact)
    around = {max(1, math.floor(ideal)), max(1, math.ceil(ideal))}
    return _nearest((Ratio(stable, canary) for canary in around), exact)


def for_total(wanted: float, total: int) -> Ratio:
    """Return the split of `total` pods that comes nearest to `wanted` percent, never with 0 stable pods.

    A share above 0 gets at least one pod, so two pods are the least. Raises InvalidInput as `for_stable` does.
    """
    exact = _share(wanted)
    if total < (2 if exact else 1):
        raise InvalidInput(f"a total of {total} pods is too small for stable and canary; it must be at least 2")
    if not exact:
        return Ratio(total, 0)
    around = {min(total - 1, max(1, round_(total * exact))) for round_ in (math.floor, math.ceil)}
    return _nearest((Ratio(total - canary, canary) for canary in around), exact)


def within(wanted: float, points: float, stable: int = 1) -> Ratio:
    """Return the fewest pods with at least `stable` stable ones whose share is within `points` of `wanted` percent.

    Raises InvalidInput when `points` is negative or `wanted` is 0 or cannot be a share.
    """
    exact, bound = _share(wanted), Fraction(str(points)) / 100
    if not exact or bound < 0:
        raise InvalidInput(f"share must be above 0 and the error bound not negative, not {wanted:g} and {points:g}")
    # 100000 pods reach every share that has three decimals, so the search ends.
    total = stable + 1
    while True:
        canary = min(total - stable, max(1, round(total * exact)))
        if abs(Fraction(canary, total) - exact) <= bound:
            return Ratio(total - canary, canary)
        total += 1
        if total > stable + 100_000:
            raise InvalidInput(f"{wanted:g} percent is not reachable within {points:g} points by a ratio of pods")


def advice(wanted: float, ratio: Ratio) -> str:
    """Return one sentence for the user: what is reached, how far off, what it costs; the mesh way when it is dear."""
    pods = "1 pod" if ratio.canary == 1 else f"{ratio.canary} pods"
    reached = f"{ratio.share:.1f}% reached: {pods} and {ratio.stable} stable"
    result = f"{wanted:g}% requested, {reached} ({ratio.error(wanted):+.1f} points)"
    if abs(ratio.error(wanted)) <= 0.5 or not wanted:
        return result
    exact, near = _share(wanted).denominator, within(wanted, 0.5)
    nearly = f" ({near.stable + near.canary} within 0.5 points)" if near.stable + near.canary < exact else ""
    return (
        f"{result}. Exactly {wanted:g}% needs {exact} pods{nearly}; "
        "with Istio, meshops.canary.canary_weight sets the share with any number of pods"
    )


def _share(wanted: float) -> Fraction:
    exact = Fraction(str(wanted)) / 100 if math.isfinite(wanted) else Fraction(-1)
    if not 0 <= exact < 1:
        raise InvalidInput(f"share must be a percent from 0 to below 100, not {wanted}; use state: promoted for all")
    return exact


def _nearest(ratios: t.Iterable[Ratio], exact: Fraction) -> Ratio:
    return min(ratios, key=lambda one: (abs(Fraction(one.canary, one.stable + one.canary) - exact), one.canary))
