# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which moments of the past to analyze again: those of a recorded rollout, or every N seconds in a span. Pure."""

from __future__ import annotations

import datetime
import typing as t

from ..errors import InvalidInput

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Moment = dict[str, t.Any]

MAX_MOMENTS: t.Final = 500
_MIN_SECONDS: t.Final = 1.0


def moments_of_span(
    begin: t.Any, end: t.Any, *, watch: float, warm_up: float = 0.0, every: float = 0.0
) -> list[Moment]:
    """Return the moments from `begin` to `end`; each covers the `warm_up` and `watch` seconds before it.

    begin, end: ISO times (UTC without a zone) or epoch seconds. every: seconds between two moments, 0 for `watch`.
    A moment is `{at, window, watch, warm_up, weight, decided, carry}`: at in epoch seconds; weight and decided are
    None, because nothing was recorded; carry: which evidence of the previous moment is reused (none, stable, all).
    Raises InvalidInput for a span too short for one moment, or with more than 500.
    """
    first, last, span = epoch("begin", begin), epoch("end", end), watch + warm_up
    step = every or watch
    if watch < _MIN_SECONDS or warm_up < 0 or step < _MIN_SECONDS:
        raise InvalidInput(
            f"watch and every must be at least 1 second, warm_up 0; got {watch:g}, {step:g}, {warm_up:g}."
        )
    if last - first < span:
        raise InvalidInput(
            f"The span from begin to end is {last - first:g} s, but one analysis needs {span:g} s (watch and "
            "warm_up). Use a longer span or a smaller watch."
        )
    number = int((last - first - span) / step) + 1
    if number > MAX_MOMENTS:
        raise InvalidInput(
            f"The span has {number} moments; at most {MAX_MOMENTS} are possible. Use a larger every or a shorter span."
        )
    return [_moment(first + span + index * step, watch, warm_up) for index in range(number)]


def moments_of_record(report: Mapping[str, t.Any], *, warm_up: float = 0.0) -> list[Moment]:
    """Return the analyses that a rollout recorded, oldest first, in the form of `moments_of_span`.

    report: of canary_rollout. Evidence is carried from one to the next as in the rollout. Raises InvalidInput if there
    are none.
    """
    found: list[Moment] = []
    carry = "none"
    for entry in report.get("events") or ():
        if "verdict" not in entry:
            continue
        watch = max(float(entry.get("seconds") or 0) - warm_up, _MIN_SECONDS)
        recorded = {"weight": entry.get("weight"), "decided": entry["verdict"], "carry": carry}
        found.append({**_moment(epoch("at", entry["at"]), watch, warm_up), **recorded})
        carry = "stable" if entry.get("event") == "step_back" else "all"
    if not found:
        raise InvalidInput(
            f"The record of {report.get('service') or 'this service'} has no analysis. Set a span with begin and end."
        )
    return found


def carried_evidence(moment: Mapping[str, t.Any], before: Mapping[str, t.Sequence[float]]) -> dict[str, list[float]]:
    """Return the evidence to analyze `moment` with. before: evidence after the previous moment."""
    if moment["carry"] == "none":
        return {}
    return {key: list(state) for key, state in before.items() if moment["carry"] == "all" or key.endswith(".stable")}


def epoch(name: str, given: t.Any) -> float:
    """Return epoch seconds of an ISO time or a number. Raises InvalidInput naming the option."""
    try:
        return float(given)
    except (TypeError, ValueError):
        pass
    try:
        moment = datetime.datetime.fromisoformat(str(given).strip().replace("Z", "+00:00"))
    except ValueError:
        raise InvalidInput(f"{name}: {given!r} is not a time such as 2026-11-22T12:00:00Z or epoch seconds.") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)).timestamp()


def _moment(at: float, watch: float, warm_up: float) -> Moment:
    return {
        "at": round(at, 3),
        "window": round(watch + warm_up, 3),
        "watch": round(watch, 3),
        "warm_up": warm_up,
        "weight": None,
        "decided": None,
        "carry": "none",
    }


def agreement(moments: Sequence[Mapping[str, t.Any]], verdicts: Sequence[str]) -> str:
    """Return one sentence: the verdicts, and how many differ from the recorded ones."""
    counts = ", ".join(f"{verdicts.count(one)} {one}" for one in ("pass", "fail", "inconclusive"))
    pairs = list(zip(moments, verdicts, strict=True))
    first = next((clock(moment["at"]) for moment, verdict in pairs if verdict == "fail"), None)
    text = f"{len(verdicts)} moments: {counts}." + (f" The first fail is at {first}." if first else "")
    recorded = [(moment["decided"], verdict) for moment, verdict in pairs if moment["decided"]]
    if recorded:
        different = sum(before != now for before, now in recorded)
        differ = f" {different} of {len(recorded)} differ from the recorded verdicts."
        text += differ if different else " All match the recorded verdicts."
    return text


def clock(at: float) -> str:
    """Return epoch seconds as date and time, UTC."""
    return datetime.datetime.fromtimestamp(at, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
