# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Formats numbers as text, the same for the terminal and for the report."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.traffic import Measurement


def weights_text(weights: Mapping[str, int]) -> str:
    """{"v1": 90, "v2": 10, "v3": 0} -> "v1 90, v2 10"."""
    return ", ".join(f"{version} {percent}" for version, percent in sorted(weights.items()) if percent) or "nothing"


def shares_text(measured: Measurement, expected: Mapping[str, int]) -> str:
    """Return the measured percentages of every version that was expected or answered: "v1 89.6, v2 10.4"."""
    if not measured.answered:
        return "nothing"
    versions = sorted({version for version, percent in expected.items() if percent} | set(measured.counts))
    return ", ".join(f"{version} {_percent(measured.share(version))}" for version in versions)


def counts_text(counts: Mapping[str, int]) -> str:
    """{"v1": 2250, "v2": 250} -> "v1: 2,250, v2: 250"."""
    return ", ".join(f"{version}: {count:,}" for version, count in sorted(counts.items())) or "nothing"


def p_text(p_value: float | None) -> str:
    """Return a p-value with three decimals, a smaller one as a power of ten."""
    if p_value is None:
        return "none"
    return f"{p_value:.3f}" if p_value >= 0.001 else f"{p_value:.0e}" if p_value else "0"


def duration(seconds: float) -> str:
    """75.4 -> "1 min 15 s"."""
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"


def _percent(share: float) -> str:
    return f"{share:.0f}" if share in (0.0, 100.0) else f"{share:.1f}"
