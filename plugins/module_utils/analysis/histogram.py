# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Percentiles and counts from cumulative histogram buckets, as Prometheus and Envoy return them. Pure."""

from __future__ import annotations

import math
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping


class InvalidHistogram(ValueError):
    """The buckets are not cumulative, or have no values."""


def counts(cumulative: Mapping[float, float]) -> dict[float, int]:
    """Return upper bound -> requests in that bucket alone.

    cumulative: upper bound (any unit; inf for the last) -> requests up to it. Buckets without requests are left out.
    Raises InvalidHistogram where a bucket has less than the one below it, as after a counter reset in between.
    """
    before, result = 0.0, {}
    for bound in sorted(cumulative):
        count = cumulative[bound]
        if math.isnan(count) or count < before:
            raise InvalidHistogram(f"the bucket up to {bound} has {count}, less than the {before} of the one below it")
        if round(count - before):
            result[bound] = round(count - before)
        before = count
    return result


def quantile(cumulative: Mapping[float, float], share: float) -> float:
    """Return the value below which `share` (0..1) of the requests lie, linear within a bucket; NaN when there are none.

    In the last, open bucket it is the highest finite bound, as in Prometheus' histogram_quantile.
    """
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"share must be between 0 and 1, not {share}")
    bounds = sorted(cumulative)
    counts(cumulative)
    total = cumulative[bounds[-1]] if bounds else 0.0
    if total <= 0:
        return math.nan
    rank, low, below = share * total, 0.0, 0.0
    for bound in bounds:
        held = cumulative[bound]
        if held >= rank and held > below:
            if math.isinf(bound):
                return low
            return low + (bound - low) * (rank - below) / (held - below)
        low, below = bound, held
    return low
