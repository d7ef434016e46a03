# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters of the playbook backtest: the moments to analyze, the evidence for each, and a table of the results."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence

from ansible.errors import AnsibleFilterError
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.rollout import backtest

Result = Mapping[str, t.Any]

UNKNOWN: t.Final = "-"
HEADINGS: t.Final = (
    "TIME (UTC)", "CANARY", "DECIDED", "WOULD DECIDE", "REQUESTS", "CANARY FAILED", "STABLE FAILED", "P95 MS", "REASON",
)  # fmt: skip


def backtest_moments(
    report: Result | None,
    *,
    begin: t.Any = "",
    end: t.Any = "",
    watch: float = 60.0,
    warm_up: float = 0.0,
    every: float = 0.0,
) -> list[dict[str, t.Any]]:
    """Return the moments of the span; without begin and end those at which the recorded rollout was analyzed."""
    try:
        if begin or end:
            return backtest.moments_of_span(
                begin, end, watch=float(watch), warm_up=float(warm_up), every=float(every or 0)
            )
        if not isinstance(report, Mapping):
            raise AnsibleFilterError("backtest_moments requires the report of canary_rollout, or begin and end.")
        return backtest.moments_of_record(report, warm_up=float(warm_up))
    except InvalidInput as error:
        raise AnsibleFilterError(f"backtest_moments: {error.msg}") from error


def backtest_evidence(moment: Result, analyses: Sequence[Result]) -> dict[str, list[float]]:
    """Return the evidence for the moment, from the results of canary_analysis for the moments before."""
    return backtest.carried_evidence(moment, analyses[-1]["evidence"] if analyses else {})


def backtest_table(moments: Sequence[Result], analyses: Sequence[Result]) -> list[str]:
    """Return a line for each moment with its recorded verdict and the verdict of the backtest, and a summary line."""
    if len(moments) != len(analyses):
        raise AnsibleFilterError(f"backtest_table: {len(analyses)} analyses for {len(moments)} moments.")
    rows = [HEADINGS, *(_row(moment, result) for moment, result in zip(moments, analyses, strict=True))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [*lines, backtest.agreement(moments, [str(result["verdict"]) for result in analyses])]


def _row(moment: Result, result: Result) -> tuple[str, ...]:
    canary, stable = result["numbers"]["canary"], result["numbers"]["stable"]
    weight = moment["weight"]
    return (
        backtest.clock(moment["at"]),
        UNKNOWN if weight is None else f"{float(weight):g}%",
        str(moment["decided"] or UNKNOWN),
        str(result["verdict"]),
        f"{canary['requests']} of {canary['requests'] + stable['requests']}",
        _failed(canary),
        _failed(stable),
        f"{_number(canary.get('p95'))} / {_number(stable.get('p95'))}",
        "; ".join(map(str, result["reasons"])),
    )


def _failed(side: Result) -> str:
    percent = side.get("error_percent")
    return UNKNOWN if percent is None else f"{side['errors']} ({percent:.3g}%)"


def _number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.3g}"


class FilterModule:
    """Filters of the playbook backtest."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {
            "backtest_moments": backtest_moments,
            "backtest_evidence": backtest_evidence,
            "backtest_table": backtest_table,
        }
