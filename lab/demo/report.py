# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report: one HTML file that needs nothing else, in light and dark."""

from __future__ import annotations

import pathlib
import time
import typing as t
from html import escape

from . import charts
from .words import counts_text, duration, p_text, shares_text, weights_text

if t.TYPE_CHECKING:
    from .result import Reading, Stage, Story

STYLE = (pathlib.Path(__file__).parent / "style.css").read_text(encoding="utf-8")
HOW_TO_READ = (
    "The coloured areas are what was asked for, read from the routing object; the line is what the requests got, over "
    f"{charts.WINDOW} seconds. The numbers are the stages below; those without a mesh are only there. Point at "
    "anything to see what it is."
)
HOW_MEASURED = (
    "Without a mesh, requests were sent from a pod, each on a connection of its own. With it they were sent from the "
    "productpage pod through its sidecar, as productpage itself calls reviews, and as a browser through the ingress "
    "gateway, signing in as testuser where it says so. Every answer names the pod it came from. The bar shows the "
    "measured shares, the mark in it the wanted one.",
    "p is the exact probability of counts at least this unlikely if the proxies split as asked (binomial, with three "
    "versions multinomial). A stage fails if p is below 0.001, if there were too few requests to notice five points "
    "of deviation, or if a single request failed.",
)


def page(story: Story) -> str:
    """Return the report as HTML."""
    headline = "Every request went where it should" if story.passed else "Not every stage passed"
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>meshops.canary: {escape(headline)}</title><style>{STYLE}</style></head><body><main>
<header class="{"passed" if story.passed else "failed"}">
<p class="over">meshops.canary demo</p><h1>{escape(headline)}</h1>
<p>Bookinfo on Kubernetes with Istio, three versions of reviews, driven by <code>ansible-playbook</code> alone.
{escape(story.cluster)}, {time.strftime("%d %B %Y, %H:%M", time.localtime(story.began))}.</p></header>
{_tiles(story)}
<section><h2>The course of it</h2><p>{escape(HOW_TO_READ)}</p>{_legend(story)}{charts.timeline(story)}</section>
<section><h2>Stage by stage</h2><p>{"</p><p>".join(escape(text) for text in HOW_MEASURED)}</p>
<div class="scroll"><table><thead><tr><th>Stage</th><th>Requests of</th><th class="r">Wanted</th><th>Measured</th>
<th class="r">Shares</th><th class="r">Requests</th><th class="r">Failed</th><th class="r">p</th></tr></thead>
{"".join(_stage(number, stage) for number, stage in enumerate(story.stages, start=1))}</table></div></section>
{_footer(story)}
</main></body></html>
"""


def _tiles(story: Story) -> str:
    passed = sum(stage.passed for stage in story.stages)
    readings = [reading for stage in story.stages for reading in stage.readings]
    middle = sorted(reading.seen.latency_ms["p50"] or 0.0 for reading in readings if reading.place == "sidecar")
    most = max((max(pods.values(), default=0) for _at, pods in story.replicas), default=0)
    tiles = [
        (f"{passed} of {len(story.stages)}", "stages passed", "good" if story.passed else "bad"),
        (f"{story.requests:,}", "requests sent", ""),
        (f"{story.failed:,}", "requests failed", "bad" if story.failed else "good"),
        (f"{middle[len(middle) // 2]:.1f} ms" if middle else "none", "median answer through two proxies", ""),
        (f"{most}", "pods of one version at most, by its HPA", ""),
        *([(f"{story.harmed:,}", "more failed by the bad version, until taken back", "")] if story.harmed else []),
        (duration(story.ended - story.began), "from nothing to the end", ""),
    ]
    cells = "".join(
        f'<div class="tile {css}"><b>{escape(value)}</b><span>{escape(name)}</span></div>' for value, name, css in tiles
    )
    return f'<div class="tiles">{cells}</div>'


def _legend(story: Story) -> str:
    stars = {"v1": ", no stars", "v2": ", black stars", "v3": ", red stars"}
    items = [
        f'<li><i class="{charts.css(version)}"></i>{escape(version)}{stars.get(version, "")}</li>'
        for version in charts.versions_of(story)
    ]
    return f'<ul class="legend">{"".join(items)}<li><i class="stroke"></i>measured</li></ul>'


def _stage(number: int, stage: Stage) -> str:
    rows = max(len(stage.readings), 1)
    lines = [f'<p class="note">{escape(note)}</p>' for note in stage.notes]
    lines += [f'<p class="trouble">{escape(trouble)}</p>' for trouble in stage.troubles]
    lines += [f"<code>{escape(command)}</code>" for command in stage.commands]
    head = (
        f'<td class="stage" rowspan="{rows}"><span class="number{"" if stage.passed else " bad"}">{number}</span>'
        f"<b>{escape(stage.name)}</b><p>{escape(stage.purpose)}</p>{''.join(lines)}</td>"
    )
    cells = [_reading(reading) for reading in stage.readings] or ['<td class="bad" colspan="7">not measured</td>']
    body = "".join(f"<tr>{head if row == 0 else ''}{cell}</tr>" for row, cell in enumerate(cells))
    return f"<tbody>{body}</tbody>"


def _reading(reading: Reading) -> str:
    failed, shares = reading.seen.failed, shares_text(reading.seen, reading.wanted)
    return (
        f'<td>{escape(reading.who)}<br><span class="dim">{escape(PLACES.get(reading.place, reading.place))}</span></td>'
        f'<td class="r dim">{escape(weights_text(reading.wanted))}</td>'
        f"<td>{charts.share_bar(reading)}</td>"
        f'<td class="r" title="{escape(counts_text(reading.seen.counts))}">{escape(shares)}</td>'
        f'<td class="r">{reading.seen.requests:,}</td>'
        f'<td class="r {"bad" if failed else ""}">{failed}</td><td class="r">{p_text(reading.p_value)}</td>'
    )


PLACES = {"client": "on new connections", "sidecar": "through the sidecar", "gateway": "through the gateway"}


def _footer(story: Story) -> str:
    facts = " · ".join(f"{escape(name)} {escape(text)}" for name, text in story.facts.items())
    return (
        f"<footer><p>{facts}</p><p>Made by <code>make demo</code> of meshops.canary from this run alone.</p></footer>"
    )
