# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Percents and the order of versions."""

from __future__ import annotations

import typing as t
from fractions import Fraction

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.objects import (
    weights,
)


@pytest.mark.parametrize(
    ("value", "shown"), [(Fraction(10), 10), (Fraction(1, 3) * 100, 33.333), (Fraction(1, 2), 0.5), (Fraction(0), 0)]
)
def test_percents_are_rounded_to_int_or_float(value: Fraction, shown: float) -> None:
    assert weights.rounded_percent(value) == shown
    assert type(weights.rounded_percent(value)) is type(shown)


@pytest.mark.parametrize("versions", [["v10", "v2", "v1"], ["v2-rc1", "v2", "v10-rc2"], ["canary", "stable", "1"]])
def test_versions_are_in_natural_order(versions: list[str]) -> None:
    ordered = sorted(versions, key=weights.natural_key)
    assert (
        ordered
        == {"v1": ["v1", "v2", "v10"], "v2": ["v2", "v2-rc1", "v10-rc2"], "1": ["1", "canary", "stable"]}[ordered[0]]
    )


@pytest.mark.parametrize("percent", [-1, 100.0001, "x", None, True, float("inf"), [], 0.00001])
def test_invalid_percents_are_refused(percent: t.Any) -> None:
    with pytest.raises(InvalidInput, match="percent"):
        weights.parse_percent(percent, "percent")
