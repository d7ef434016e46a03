# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The charts of the report, as SVG text. Colors are CSS classes, for light and dark (style.css)."""

from __future__ import annotations

import collections
import dataclasses
import html
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .results import CohortHistory, DemoResult, ShareCheck, StageResult

WIDTH = 1120
LEFT, RIGHT = 92, 18
TOP, GAP, BOTTOM = 78, 36, 34
SHARE_HEIGHTS = (190, 96)
TRAFFIC_HEIGHT, PODS_HEIGHT = 64, 64
WINDOW = 3  # seconds over which a measured share is taken
NUMBER_RADIUS = 11
LETTER_WIDTH = 6.6  # on average


@dataclasses.dataclass(frozen=True)
class Axis:
    """Converts time to pixels."""

    began: float
    ended: float

    def x(self, at: float) -> float:
        inside = min(max(at, self.began), self.ended)
        return round(LEFT + (inside - self.began) / (self.ended - self.began) * (WIDTH - LEFT - RIGHT), 1)


def timeline(demo: DemoResult) -> str:
    """Return the chart over time: stages, shares of each cohort, requests a second, pods.

    Stages without a mesh are not in it: theirs is another service, in another namespace.
    """
    axis = _axis(demo)
    versions = versions_of(demo)
    parts: list[str] = []
    y = TOP
    heights = [SHARE_HEIGHTS[min(n, 1)] for n in range(len(demo.histories))]
    bottom = y + sum(heights) + TRAFFIC_HEIGHT + PODS_HEIGHT + GAP * (len(heights) + 1) + 8
    parts += _stages(_in_mesh(demo), axis, bottom)
    for history, height in zip(demo.histories, heights, strict=False):
        parts += _shares(history, versions, axis, y, height)
        y += height + GAP
    parts += _traffic(demo, axis, y)
    y += TRAFFIC_HEIGHT + GAP
    parts += _pods(demo.replicas, versions, axis, y)
    parts += _clock(axis, bottom)
    label = "Shares of requests by version, requests a second and pods over the time of the demo"
    return _svg(WIDTH, bottom + BOTTOM, label, parts)


def _axis(demo: DemoResult) -> Axis:
    """Return the axis, from shortly before the first request: until then only pods start."""
    seconds = [entry["at"] for history in demo.histories for entry in history.timeline]
    stages = [stage for _number, stage in _in_mesh(demo)] or demo.stages
    began = max(stages[0].began, min(seconds, default=0) - 10)
    return Axis(began, max(stages[-1].ended, began + 1))


def _in_mesh(demo: DemoResult) -> list[tuple[int, StageResult]]:
    return [(number, stage) for number, stage in enumerate(demo.stages, start=1) if not stage.without_mesh]


def share_bar(check: ShareCheck) -> str:
    """Return a bar of the measured shares with marks at the wanted ones."""
    width, height, x = 160, 20, 0.0
    answered = max(check.measured.answered, 1)
    parts = []
    for version, count in sorted(check.measured.counts.items()):
        part = width * count / answered
        tip = f"{version}: {count:,} of {answered:,} ({100 * count / answered:.2f} %)"
        parts.append(
            f'<rect class="fill {css(version)}" x="{x:.1f}" y="4" width="{part:.1f}" height="12">{_tip(tip)}</rect>'
        )
        x += part
    edge = 0.0
    for _version, percent in sorted(check.wanted.items())[:-1]:
        edge += percent
        if 0 < edge < 100:
            at = width * edge / 100
            parts.append(f'<path class="wanted" d="M{at:.1f} 0V{height}">{_tip(f"wanted: {edge} %")}</path>')
    return _svg(width, height, "measured shares", parts, css_class="bar")


def versions_of(demo: DemoResult) -> list[str]:
    """Return every version that was wanted, answered or had pods."""
    found = {version for history in demo.histories for _at, weights in history.weights for version in weights}
    found |= {version for history in demo.histories for entry in history.timeline for version in entry["counts"]}
    found |= {version for _at, pods in demo.replicas for version in pods}
    return sorted(found - {"failed", "injected"})


def css(version: str) -> str:
    """Return the CSS class of the version's color."""
    version = {"old": "v1", "stable": "v1", "new": "v2", "canary": "v2"}.get(version, version)
    return version if version in ("v1", "v2", "v3") else "other"


def _stages(stages: Sequence[tuple[int, StageResult]], axis: Axis, bottom: float) -> list[str]:
    parts = []
    for number, stage in stages:
        left, right = axis.x(stage.began), axis.x(stage.ended)
        shade = "shade" if number % 2 else "shade even"
        width, name = right - left, html.escape(stage.name)
        parts.append(f'<rect class="{shade}" x="{left}" y="0" width="{width:.1f}" height="{bottom}"/>')
        middle, mark = (left + right) / 2, "mark" if stage.passed else "mark bad"
        tip = _tip(f"{number}. {stage.name}: {'passed' if stage.passed else 'failed'}")
        parts.append(
            f'<g class="{mark}">{tip}<circle cx="{middle:.1f}" cy="18" r="{NUMBER_RADIUS}"/>'
            f'<text x="{middle:.1f}" y="22">{number}</text></g>'
        )
        if len(stage.name) * LETTER_WIDTH < width:
            parts.append(f'<text class="quiet middle" x="{middle:.1f}" y="45">{name}</text>')
    return parts


def _shares(history: CohortHistory, versions: Sequence[str], axis: Axis, y: float, height: float) -> list[str]:
    parts = _title(f"Share of requests: {history.cohort}", y)
    parts += _grid(y, height, [(0, "0 %"), (0.5, "50 %"), (1, "100 %")])
    for number, version in enumerate(versions):
        below, above = versions[:number], versions[: number + 1]
        area = _step_area(history.weights, below, above, axis, y, height)
        if area:
            parts.append(f'<path class="band {css(version)}" d="{area}">{_tip(f"{version}: wanted")}</path>')
    measured = rolling_shares(history.timeline)
    for number, version in enumerate(versions[:-1]):
        points = [
            (axis.x(at), y + height * (1 - sum(shares.get(name, 0.0) for name in versions[: number + 1])))
            for at, shares in measured
        ]
        if points:
            line = "M" + "L".join(f"{px} {py:.1f}" for px, py in points)
            parts.append(f'<path class="measured" d="{line}">{_tip(f"measured, upper edge of {version}")}</path>')
    return parts


def rolling_shares(entries: Sequence[Mapping[str, t.Any]]) -> list[tuple[float, dict[str, float]]]:
    """Return (middle of WINDOW seconds, version -> share of 1) for every second with requests."""
    by_second: dict[int, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for entry in entries:
        by_second[entry["at"]].update(entry["counts"])
    shares = []
    for second in sorted(by_second):
        total: collections.Counter[str] = collections.Counter()
        for near in range(second - WINDOW // 2, second + WINDOW // 2 + 1):
            total.update(by_second.get(near, {}))
        del total["failed"], total["injected"]
        answered = total.total()
        if answered:
            shares.append((second + 0.5, {version: count / answered for version, count in total.items()}))
    return shares


def _step_area(
    weights: Sequence[tuple[float, Mapping[str, int]]],
    below: Iterable[str],
    above: Iterable[str],
    axis: Axis,
    y: float,
    height: float,
) -> str:
    """Return the path of the area between two cumulated shares that change in steps; empty if it has no height."""
    lower, upper = tuple(below), tuple(above)
    upper_edge: list[str] = []
    lower_edge: list[str] = []
    for number, (at, shares) in enumerate(weights):
        until = weights[number + 1][0] if number + 1 < len(weights) else axis.ended
        total = sum(shares.values()) or 1
        low, high = (y + height * (1 - sum(shares.get(name, 0) for name in names) / total) for names in (lower, upper))
        upper_edge.append(f"{axis.x(at)} {high:.1f}L{axis.x(until)} {high:.1f}")
        lower_edge.insert(0, f"{axis.x(until)} {low:.1f}L{axis.x(at)} {low:.1f}")
    return "M" + "L".join(upper_edge + lower_edge) + "Z" if upper_edge else ""


def _traffic(demo: DemoResult, axis: Axis, y: float) -> list[str]:
    """Return requests a second as an area, and a line for every second with failures: red, or orange if injected."""
    sent: collections.Counter[int] = collections.Counter()
    failed: collections.Counter[int] = collections.Counter()
    injected: collections.Counter[int] = collections.Counter()
    for entry in (entry for history in demo.histories for entry in history.timeline):
        sent[entry["at"]] += sum(entry["counts"].values())
        failed[entry["at"]] += entry["counts"].get("failed", 0)
        injected[entry["at"]] += entry["counts"].get("injected", 0)
    most = _round_up(max(sent.values(), default=1))
    parts = _title("Requests a second", y) + _grid(y, TRAFFIC_HEIGHT, [(0, "0"), (1, f"{most:,}")])
    seconds = range(int(axis.began), int(axis.ended) + 1)
    floor = y + TRAFFIC_HEIGHT
    tops = [f"{axis.x(s)} {floor - TRAFFIC_HEIGHT * sent[s] / most:.1f}" for s in seconds]
    parts.append(
        f'<path class="traffic" d="M{axis.x(seconds[0])} {floor}L{"L".join(tops)}L{axis.x(seconds[-1])} {floor}Z"/>'
    )
    for css_class, counts, text in (("injected", injected, "failed on purpose"), ("failed", failed, "failed")):
        for second, count in counts.items():
            if count:
                tip = _tip(f"{count} {text}")
                parts.append(f'<path class="{css_class}" d="M{axis.x(second + 0.5)} {y}V{floor}">{tip}</path>')
    if not any(failed.values()):
        text = "no request failed but those on purpose" if any(injected.values()) else "no request failed"
        parts.append(f'<text class="quiet right" x="{WIDTH - RIGHT}" y="{y - 9}">{text}</text>')
    return parts


def _pods(
    replicas: Sequence[tuple[float, Mapping[str, int]]], versions: Sequence[str], axis: Axis, y: float
) -> list[str]:
    most = max((count for _at, pods in replicas for count in pods.values()), default=1)
    parts = _title("Ready pods", y) + _grid(y, PODS_HEIGHT, [(0, "0"), (1, str(most))])
    for number, version in enumerate(versions):
        offset = 2.0 * (number - (len(versions) - 1) / 2)  # so that equal numbers do not hide each other
        path: list[str] = []
        for at, pods in replicas:
            height = y + PODS_HEIGHT * (1 - pods.get(version, 0) / most) + offset
            path.append(f"H{axis.x(at)}V{height:.1f}" if path else f"M{axis.x(at)} {height:.1f}")
        if path:
            tip = _tip(f"{version}: ready pods")
            parts.append(f'<path class="line {css(version)}" d="{"".join(path)}H{axis.x(axis.ended)}">{tip}</path>')
    return parts


def _clock(axis: Axis, y: float) -> list[str]:
    seconds = axis.ended - axis.began
    step = next((step for step in (5, 10, 15, 30, 60, 120) if seconds / step <= 12), 300)
    parts = []
    for passed in range(0, int(seconds) + 1, step):
        x = axis.x(axis.began + passed)
        parts.append(f'<path class="tick" d="M{x} {y}v5"/>')
        parts.append(f'<text class="quiet middle" x="{x}" y="{y + 20}">{passed // 60}:{passed % 60:02d}</text>')
    return parts


def _grid(y: float, height: float, lines: Iterable[tuple[float, str]]) -> list[str]:
    parts = []
    for part, text in lines:
        at = y + height * (1 - part)
        parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="quiet right" x="{LEFT - 10}" y="{at + 4:.1f}">{text}</text>')
    return parts


def _title(text: str, y: float) -> list[str]:
    return [f'<text class="title" x="{LEFT}" y="{y - 9}">{html.escape(text)}</text>']


def _tip(text: str) -> str:
    return f"<title>{html.escape(text)}</title>"


def _round_up(number: int) -> int:
    step = int(10 ** max(0, len(str(number)) - 1))
    return max(1, -(-number // step) * step)


def _svg(width: float, height: float, label: str, parts: Iterable[str], css_class: str = "figure") -> str:
    name = html.escape(label, quote=True)
    head = f'<svg class="{css_class}" viewBox="0 0 {width} {height:.0f}" role="img" aria-label="{name}">'
    return f"{head}{''.join(parts)}</svg>"
