# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The charts of a rollout's report, as SVG text. Colors are CSS classes, for light and dark screens."""

from __future__ import annotations

import datetime
import typing as t
from collections.abc import Callable, Mapping, Sequence
from html import escape

from ..module_utils.rollout import report_data as data

Report = Mapping[str, t.Any]

WIDTH: t.Final = 1080
LEFT, RIGHT = 74, 16
TOP, HEIGHT, GAP, BOTTOM = 34, 120, 48, 48
STEPS: t.Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600)
TICKS: t.Final = 10


def chart(report: Report) -> str:
    """Return shares, errors and response times over the time of the rollout, with verdicts and events."""
    began, ended = data.span(report)

    def x(at: float) -> float:
        inside = min(max(at, began), ended)
        return round(LEFT + (inside - began) / (ended - began) * (WIDTH - LEFT - RIGHT), 1)

    analyses = data.analyses(report)
    rows = [TOP + number * (HEIGHT + GAP) for number in range(3)]
    bottom = rows[-1] + HEIGHT
    parts = _events(report, x, bottom)
    parts += _shares(report, analyses, x, rows[0], ended)
    parts += _compared("Failed requests", "%", [one.errors for one in analyses], analyses, x, rows[1])
    parts += _compared("Response time, 95th percentile", "ms", [one.p95 for one in analyses], analyses, x, rows[2])
    parts += _clock(began, ended, x, bottom)
    label = "Share of requests, failed requests and response times of both versions over the time of the rollout"
    size = f"0 0 {WIDTH} {bottom + BOTTOM}"
    return f'<svg viewBox="{size}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _shares(
    report: Report, analyses: Sequence[data.Analysis], x: Callable[[float], float], y: float, ended: float
) -> list[str]:
    parts = _frame("Canary's share of requests", y, 100.0, "%")
    weights = data.canary_weights(report)
    if weights:
        path = f"M{x(weights[0][0])} {y + HEIGHT}"
        for at, percent in weights:
            path += f"H{x(at)}V{_height(percent, 100.0, y)}"
        parts.append(f'<path class="weight" d="{path}H{x(ended)}V{y + HEIGHT}Z"><title>weight</title></path>')
    for analysis in analyses:
        if analysis.share is not None:
            total = sum(analysis.requests.values())
            tip = f"measured {analysis.share:g} % of {total:,} requests, weight {analysis.weight:g} %"
            parts.append(
                _span("measured", x(analysis.began), x(analysis.ended), _height(analysis.share, 100.0, y), tip)
            )
    for analysis in analyses:
        tip = f"{analysis.verdict}: {analysis.reason}"
        height = _height(analysis.weight, 100.0, y)
        parts.append(
            f'<circle class="{escape(analysis.verdict)}" cx="{x(analysis.ended)}" cy="{height}" r="6">'
            f"<title>{escape(tip)}</title></circle>"
        )
    return parts


def _compared(
    title: str,
    unit: str,
    values: Sequence[Mapping[str, float | None]],
    analyses: Sequence[data.Analysis],
    x: Callable[[float], float],
    y: float,
) -> list[str]:
    """Return one row with a line for each version and analysis."""
    known = [value for both in values for value in both.values() if value is not None]
    maximum = _round_up(max(known, default=0.0))
    parts = _frame(title if known else f"{title}: not measured", y, maximum, unit)
    for side in ("stable", "canary"):
        for both, analysis in zip(values, analyses, strict=True):
            value = both[side]
            if value is not None:
                tip = f"{side}: {value:g} {unit} of {analysis.requests[side]:,} requests"
                parts.append(_span(side, x(analysis.began), x(analysis.ended), _height(value, maximum, y), tip))
    return parts


def _events(report: Report, x: Callable[[float], float], bottom: float) -> list[str]:
    parts = []
    for event in report["events"]:
        tip = f"{data.clock(event['at'])} {event['event'].replace('_', ' ')}: {data.reason(event)}"
        at = x(data.timestamp(event["at"]))
        parts.append(f'<path class="event" d="M{at} {TOP - 8}V{bottom}"><title>{escape(tip)}</title></path>')
    return parts


def _frame(title: str, y: float, maximum: float, unit: str) -> list[str]:
    parts = [f'<text class="title" x="{LEFT}" y="{y - 11}">{escape(title)}</text>']
    for part in (0.0, 0.5, 1.0):
        at = _height(part, 1.0, y)
        parts.append(f'<path class="grid" d="M{LEFT} {at}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="quiet right" x="{LEFT - 8}" y="{at + 4}">{maximum * part:g} {unit}</text>')
    return parts


def _span(css: str, left: float, right: float, at: float, tip: str) -> str:
    return f'<path class="line {css}" d="M{left} {at}H{max(right, left + 3)}"><title>{escape(tip)}</title></path>'


def _height(value: float, maximum: float, y: float) -> float:
    return round(y + HEIGHT * (1.0 - min(value, maximum) / maximum), 1)


def _round_up(value: float) -> float:
    """Return the next of 1, 2 and 5 times a power of ten, 1 at least."""
    power = 1.0
    while True:
        for factor in (1.0, 2.0, 5.0):
            if value <= factor * power:
                return factor * power
        power *= 10.0


def _clock(began: float, ended: float, x: Callable[[float], float], y: float) -> list[str]:
    seconds = ended - began
    step = next((step for step in STEPS if seconds / step <= TICKS), int(seconds / TICKS) + 1)
    parts = []
    for passed in range(0, int(seconds) + 1, step):
        at = x(began + passed)
        parts.append(f'<path class="grid" d="M{at} {y}v5"/>')
        parts.append(f'<text class="quiet middle" x="{at}" y="{y + 20}">{passed // 60}:{passed % 60:02d}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    since = datetime.datetime.fromtimestamp(began, datetime.timezone.utc).strftime("%H:%M:%S")
    parts.append(f'<text class="quiet middle" x="{middle}" y="{y + 40}">minutes and seconds since {since} UTC</text>')
    return parts
