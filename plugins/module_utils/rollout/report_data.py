# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Texts, table cells and data points of the report of canary_rollout, for Markdown, HTML and metrics. Pure."""

from __future__ import annotations

import datetime
import typing as t
from collections.abc import Mapping
from dataclasses import dataclass

Report = Mapping[str, t.Any]

ENDINGS: t.Final = {
    "promoted": "{canary} has replaced {stable}",
    "rolled_back": "{canary} was rolled back to {stable}",
    "stopped": "The rollout of {canary} was stopped",
}
GOOD: t.Final = frozenset({"promoted"})
BAD: t.Final = frozenset({"rolled_back", "stopped"})

VERDICTS: t.Final = (
    "Weight", "Measured", "Requests", "Canary failed", "Stable failed", "Canary p95", "Stable p95", "Verdict", "Reason",
)  # fmt: skip
EVENTS: t.Final = ("Time (UTC)", "Event", "New phase", "Reason", "By", "Hash")


@dataclass(frozen=True)
class Analysis:
    """One analysis. began, ended: epoch seconds. share, errors: percent. p95: milliseconds. None if unknown."""

    began: float
    ended: float
    weight: float
    verdict: str
    reason: str
    share: float | None
    errors: Mapping[str, float | None]
    p95: Mapping[str, float | None]
    requests: Mapping[str, int]
    failed_requests: int


def headline(report: Report) -> str:
    """Return the outcome as a sentence."""
    under_way = "{canary} is replacing {stable}"
    return ENDINGS.get(report["phase"], under_way).format(canary=report["canary"], stable=report["stable"])


def timestamp(text: str) -> float:
    """Return the epoch seconds of a time of the audit log."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def clock(text: str) -> str:
    """Return the time of day of a time of the audit log, UTC."""
    return text.partition("T")[2].rstrip("Z") or text


def analyses(report: Report) -> list[Analysis]:
    """Return the analyses in the audit log, oldest first."""
    return [_analysis(event) for event in report["events"] if "verdict" in event]


def canary_weights(report: Report) -> list[tuple[float, float]]:
    """Return (epoch seconds, weight of the canary from then on), oldest first."""
    weights: list[tuple[float, float]] = []
    for event in report["events"]:
        if event["event"] == "shifted":
            weights.append((timestamp(event["at"]), float(event["weight"])))
        elif event.get("to") == "rolled_back":
            weights.append((timestamp(event["at"]), 0.0))
    return weights


def span(report: Report) -> tuple[float, float]:
    """Return begin and end in epoch seconds, at least one second apart."""
    times = [timestamp(event["at"]) for event in report["events"]] or [0.0]
    begins = [analysis.began for analysis in analyses(report)]
    return min(times + begins), max(*times, min(times) + 1.0)


def reason(event: Report) -> str:
    """Return the reason or the note of an event."""
    return str(event.get("reason") or event.get("note") or "")


def verification(report: Report) -> str:
    """Return whether the audit log is verified, and the hash for checking the report later."""
    head = f" Head of the report: {report['head']}." if report.get("head") else ""
    if report["verified"]:
        number = len(report["events"])
        return f"The {number} entries of the audit log are verified: each hash follows from the one before.{head}"
    found = "; ".join(report.get("tampered") or [f"events: from entry {int(report['first_tampered']) + 1} on"])
    return f"The record was tampered with before the report was written. {found}.{head}"


def summary(report: Report) -> str:
    """Return the service, the run and the times of the rollout."""
    times = " to ".join(_seconds(str(report[name])) for name in ("began", "ended") if report.get(name))
    return f"{report['service']} in {report['namespace']}, run {report['id']}, {times or 'not started'}"


def outcome(report: Report) -> list[str]:
    """Return the reason, and the number of failed requests."""
    failed = int(report.get("failed_requests") or 0)
    return [str(report["reason"]) or "No reason was recorded.", "", f"Failed requests of {report['canary']}: {failed}."]


def reference(report: Report) -> str:
    """Return the version that the canary was compared with: `stable v1` or `baseline v1-new`."""
    baseline = (report.get("plan") or {}).get("baseline")
    return f"baseline {baseline}" if baseline else f"stable {report['stable']}"


def verdict_headings(report: Report) -> list[str]:
    """Return VERDICTS, with the baseline instead of stable if the canary was compared with a baseline."""
    role = reference(report).partition(" ")[0].capitalize()
    return [heading.replace("Stable", role) for heading in VERDICTS]


def verdict_cells(analysis: Analysis) -> list[str]:
    """Return the cells of an analysis, in the order of VERDICTS."""
    return [
        f"{analysis.weight:g} %",
        _number(analysis.share, "%"),
        f"{sum(analysis.requests.values()):,}",
        _number(analysis.errors["canary"], "%"),
        _number(analysis.errors["stable"], "%"),
        _number(analysis.p95["canary"], "ms"),
        _number(analysis.p95["stable"], "ms"),
        analysis.verdict,
        analysis.reason,
    ]


def event_cells(event: Report) -> list[str]:
    """Return the cells of an entry of the audit log, in the order of EVENTS."""
    phase = str(event.get("to") or "").replace("_", " ")
    name = str(event["event"]).replace("_", " ")
    times = f" ({event['count']} times)" if event.get("count") else ""
    by, digest = str(event.get("by") or ""), str(event.get("hash") or "")[:12]
    return [clock(event["at"]), f"{name}{times}", phase, reason(event), by, digest]


def _analysis(event: Report) -> Analysis:
    numbers: Report = event.get("numbers") or {}
    sides: dict[str, Report] = {side: numbers.get(side) or {} for side in ("canary", "stable")}
    ended = timestamp(event["at"])
    return Analysis(
        began=ended - float(event.get("seconds") or 0),
        ended=ended,
        weight=float(event.get("weight") or 0),
        verdict=str(event["verdict"]),
        reason=reason(event),
        share=numbers.get("share"),
        errors={side: counts.get("error_percent") for side, counts in sides.items()},
        p95={side: counts.get("p95") for side, counts in sides.items()},
        requests={side: int(counts.get("requests") or 0) for side, counts in sides.items()},
        failed_requests=int(event.get("failed_requests") or 0),
    )


def _seconds(text: str) -> str:
    """Return a time without fractions of a second."""
    return text.partition(".")[0].rstrip("Z") + "Z"


def _number(value: float | None, unit: str) -> str:
    return "?" if value is None else f"{value:.4g} {unit}"
