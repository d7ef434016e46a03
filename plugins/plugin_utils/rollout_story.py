# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a report of a rollout shows, taken from the record that canary_rollout returns."""

from __future__ import annotations

import datetime
import typing as t
from collections.abc import Mapping
from dataclasses import dataclass

Told = Mapping[str, t.Any]

ENDINGS: t.Final = {
    "promoted": "{canary} has taken over from {stable}",
    "rolled_back": "{canary} was taken back, {stable} serves",
    "stopped": "The rollout of {canary} was stopped",
}
GOOD: t.Final = frozenset({"promoted"})
BAD: t.Final = frozenset({"rolled_back", "stopped"})

VERDICTS: t.Final = (
    "Wanted", "Measured", "Requests", "Canary failed", "Stable failed", "Canary p95", "Stable p95", "Verdict", "Why",
)  # fmt: skip
EVENTS: t.Final = ("Time (UTC)", "Event", "Then", "Why", "By", "Hash")


@dataclass(frozen=True)
class Look:
    """One judgement. began, ended: epoch seconds. share, errors: percent; p95: milliseconds; None where not known."""

    began: float
    ended: float
    weight: float
    verdict: str
    reason: str
    share: float | None
    errors: Mapping[str, float | None]
    p95: Mapping[str, float | None]
    requests: Mapping[str, int]
    harmed: int


def headline(report: Told) -> str:
    """Return the outcome as a sentence."""
    under_way = "{canary} is taking over from {stable}"
    return ENDINGS.get(report["phase"], under_way).format(canary=report["canary"], stable=report["stable"])


def moment(text: str) -> float:
    """Return the epoch seconds of a time as the trail has it."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def clock(text: str) -> str:
    """Return only the time of the day, UTC."""
    return text.partition("T")[2].rstrip("Z") or text


def looks(report: Told) -> list[Look]:
    """Return every judgement in the trail, oldest first."""
    return [_look(event) for event in report["events"] if "verdict" in event]


def shares_wanted(report: Told) -> list[tuple[float, float]]:
    """Return (epoch seconds, percent of the canary from then on), oldest first."""
    wanted: list[tuple[float, float]] = []
    for event in report["events"]:
        if event["event"] == "shifted":
            wanted.append((moment(event["at"]), float(event["weight"])))
        elif event.get("to") == "rolled_back":
            wanted.append((moment(event["at"]), 0.0))
    return wanted


def span(report: Told) -> tuple[float, float]:
    """Return begin and end in epoch seconds, at least one second apart."""
    times = [moment(event["at"]) for event in report["events"]] or [0.0]
    begins = [look.began for look in looks(report)]
    return min(times + begins), max(*times, min(times) + 1.0)


def why(event: Told) -> str:
    """Return why something happened, in words."""
    return str(event.get("reason") or event.get("note") or "")


def trust(report: Told) -> str:
    """Say whether the record was as it was written, and by which hash the report can be checked."""
    head = f" Head of the report: {report['head']}." if report.get("head") else ""
    if report["intact"]:
        number = len(report["events"])
        return (
            f"The {number} entries of the trail are as they were written: each hash follows from the one before.{head}"
        )
    found = "; ".join(report.get("altered") or [f"events: from entry {int(report['first_altered']) + 1} on"])
    return f"Somebody altered the record before the report was made. {found}.{head}"


def where(report: Told) -> str:
    """Return which rollout it was, and when."""
    times = " to ".join(_whole(str(report[name])) for name in ("began", "ended") if report.get(name))
    return f"{report['service']} in {report['namespace']}, run {report['id']}, {times or 'nothing happened yet'}"


def prose(report: Told) -> list[str]:
    """Return the reason, and what it cost."""
    harmed = int(report.get("harmed") or 0)
    cost = f"{report['canary']} failed {harmed} requests while it was judged."
    return [str(report["reason"]) or "No reason was recorded.", "", cost]


def beside(report: Told) -> str:
    """Return whom the canary was judged beside: `stable v1`, or `baseline v1-new`."""
    baseline = (report.get("plan") or {}).get("baseline")
    return f"baseline {baseline}" if baseline else f"stable {report['stable']}"


def verdict_headings(report: Told) -> list[str]:
    """Return VERDICTS, with the baseline in stable's place where the canary was judged beside one."""
    role = beside(report).partition(" ")[0].capitalize()
    return [heading.replace("Stable", role) for heading in VERDICTS]


def verdict_cells(look: Look) -> list[str]:
    """Return a judgement under the headings VERDICTS."""
    return [
        f"{look.weight:g} %",
        _number(look.share, "%"),
        f"{sum(look.requests.values()):,}",
        _number(look.errors["canary"], "%"),
        _number(look.errors["stable"], "%"),
        _number(look.p95["canary"], "ms"),
        _number(look.p95["stable"], "ms"),
        look.verdict,
        look.reason,
    ]


def event_cells(event: Told) -> list[str]:
    """Return an entry of the trail under the headings EVENTS."""
    then = str(event.get("to") or "").replace("_", " ")
    name = str(event["event"]).replace("_", " ")
    times = f" ({event['count']} times)" if event.get("count") else ""
    by, proof = str(event.get("by") or ""), str(event.get("hash") or "")[:12]
    return [clock(event["at"]), f"{name}{times}", then, why(event), by, proof]


def _look(event: Told) -> Look:
    numbers: Told = event.get("numbers") or {}
    of: dict[str, Told] = {who: numbers.get(who) or {} for who in ("canary", "stable")}
    ended = moment(event["at"])
    return Look(
        began=ended - float(event.get("seconds") or 0),
        ended=ended,
        weight=float(event.get("weight") or 0),
        verdict=str(event["verdict"]),
        reason=why(event),
        share=numbers.get("share"),
        errors={who: told.get("error_percent") for who, told in of.items()},
        p95={who: told.get("p95") for who, told in of.items()},
        requests={who: int(told.get("requests") or 0) for who, told in of.items()},
        harmed=int(event.get("harmed") or 0),
    )


def _whole(text: str) -> str:
    """Return a time without parts of a second."""
    return text.partition(".")[0].rstrip("Z") + "Z"


def _number(value: float | None, unit: str) -> str:
    return "?" if value is None else f"{value:.4g} {unit}"
