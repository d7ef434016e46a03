# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which moments of the past to judge again: those of a recorded rollout, or every so often in a span. Pure."""

from __future__ import annotations

import datetime
import typing as t

from ..errors import InvalidInput

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Moment = dict[str, t.Any]

MOST: t.Final = 500
_SHORTEST: t.Final = 1.0


def moments_of_span(
    begin: t.Any, end: t.Any, *, watch: float, warm_up: float = 0.0, every: float = 0.0
) -> list[Moment]:
    """Return the moments from `begin` to `end`, each judging the `warm_up` and `watch` seconds before it.

    begin, end: ISO times (UTC where they name no zone) or epoch seconds. every: seconds between two moments, 0 for
    `watch`. A moment is `{at, window, watch, warm_up, weight, decided, carry}`: at in epoch seconds; weight and
    decided are None, for nothing was recorded; carry: which evidence of the moment before goes on (none, stable, all).
    Raises InvalidInput for a span too short for one moment, or that holds more than 500.
    """
    first, last, span = epoch("begin", begin), epoch("end", end), watch + warm_up
    step = every or watch
    if watch < _SHORTEST or warm_up < 0 or step < _SHORTEST:
        raise InvalidInput(
            f"watch and every must be at least 1 second, warm_up 0; got {watch:g}, {step:g}, {warm_up:g}."
        )
    if last - first < span:
        raise InvalidInput(
            f"From begin to end it is {last - first:g} s, but one judgement takes {span:g} s (watch and warm_up). "
            "Move them apart, or give a smaller watch."
        )
    number = int((last - first - span) / step) + 1
    if number > MOST:
        raise InvalidInput(
            f"That makes {number} moments, at most {MOST} are judged: give a larger every, or a shorter span."
        )
    return [_moment(first + span + index * step, watch, warm_up) for index in range(number)]


def moments_of_record(report: Mapping[str, t.Any], *, warm_up: float = 0.0) -> list[Moment]:
    """Return the judgements that a rollout recorded, oldest first, as `moments_of_span` returns moments.

    report: of canary_rollout. Evidence goes on from one to the next as it did then. Raises InvalidInput without any.
    """
    found: list[Moment] = []
    carry = "none"
    for entry in report.get("events") or ():
        if "verdict" not in entry:
            continue
        watch = max(float(entry.get("seconds") or 0) - warm_up, _SHORTEST)
        told = {"weight": entry.get("weight"), "decided": entry["verdict"], "carry": carry}
        found.append({**_moment(epoch("at", entry["at"]), watch, warm_up), **told})
        carry = "stable" if entry.get("event") == "step_back" else "all"
    if not found:
        raise InvalidInput(
            f"No judgement of a rollout of {report.get('service') or 'this service'} is recorded. "
            "Name a span with begin and end."
        )
    return found


def carried(moment: Mapping[str, t.Any], before: Mapping[str, t.Sequence[float]]) -> dict[str, list[float]]:
    """Return the evidence to judge `moment` with. before: evidence after the moment before it."""
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
        raise InvalidInput(f"{name}: {given!r} is no time, such as 2026-11-22T12:00:00Z or epoch seconds.") from None
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
    """Return in a sentence what would have been decided, and where that is not what was."""
    counts = ", ".join(f"{verdicts.count(one)} {one}" for one in ("pass", "fail", "inconclusive"))
    first = next((clock(one["at"]) for one, said in zip(moments, verdicts, strict=True) if said == "fail"), None)
    told = f"{len(verdicts)} moments: {counts}." + (f" The first fail is at {first}." if first else "")
    recorded = [(one["decided"], said) for one, said in zip(moments, verdicts, strict=True) if one["decided"]]
    if recorded:
        other = sum(then != now for then, now in recorded)
        told += f" {other} of {len(recorded)} differ from what was decided." if other else " All as it was decided."
    return told


def clock(at: float) -> str:
    """Return epoch seconds as a time of day with its date, UTC."""
    return datetime.datetime.fromtimestamp(at, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
