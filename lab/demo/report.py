# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report: one HTML file without any other file, for light and dark."""

from __future__ import annotations

import pathlib
import time
import typing as t
from html import escape

from . import charts
from .formatting import counts_text, duration, p_text, shares_text, weights_text

if t.TYPE_CHECKING:
    from .results import DemoResult, ShareCheck, StageResult

STYLE = (pathlib.Path(__file__).parent / "style.css").read_text(encoding="utf-8")
HOW_TO_READ = (
    "The colored areas are the wanted shares, read from the routing object; the line is the measured shares, over "
    f"{charts.WINDOW} seconds. The numbers are the stages below; those without a mesh are in the table alone. Point at "
    "a part of the chart to see what it shows."
)
HOW_MEASURED = (
    "Without a mesh, requests were sent from a pod, each on a new connection. With a mesh they were sent from the "
    "productpage pod through its sidecar, as productpage itself calls reviews, and through the ingress gateway as a "
    "browser does, signed in as testuser where the table says so. Every answer names its pod. The bar shows the "
    "measured shares, the mark in it the wanted one.",
    "p is the exact probability of counts at least this unlikely if the proxies split as configured (binomial, with "
    "three versions multinomial). A stage fails if p is below 0.001, if there were too few requests to detect a "
    "deviation of five points, or if a single request failed.",
)


def page(demo: DemoResult) -> str:
    """Return the report as HTML."""
    headline = "Every request got the version it should" if demo.passed else "Not every stage passed"
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>meshops.canary: {escape(headline)}</title><style>{STYLE}</style></head><body><main>
<header class="{"passed" if demo.passed else "failed"}">
<p class="over">meshops.canary demo</p><h1>{escape(headline)}</h1>
<p>Bookinfo on Kubernetes with Istio, three versions of reviews, operated by <code>ansible-playbook</code> alone.
{escape(demo.cluster)}, {time.strftime("%d %B %Y, %H:%M", time.localtime(demo.began))}.</p></header>
{_tiles(demo)}
<section><h2>Over time</h2><p>{escape(HOW_TO_READ)}</p>{_legend(demo)}{charts.timeline(demo)}</section>
<section><h2>By stage</h2><p>{"</p><p>".join(escape(text) for text in (*HOW_MEASURED, demo.slowdown_text))}</p>
<div class="scroll"><table><thead><tr><th>Stage</th><th>Requests of</th><th class="r">Wanted</th><th>Measured</th>
<th class="r">Shares</th><th class="r">Requests</th><th class="r">Failed</th><th class="r">p</th></tr></thead>
{"".join(_stage(number, stage) for number, stage in enumerate(demo.stages, start=1))}</table></div></section>
{_footer(demo)}
</main></body></html>
"""


def _tiles(demo: DemoResult) -> str:
    passed = sum(stage.passed for stage in demo.stages)
    checks = [check for stage in demo.stages for check in stage.checks]
    medians = sorted(check.measured.latency_ms["p50"] or 0.0 for check in checks if check.place == "sidecar")
    most = max((max(pods.values(), default=0) for _at, pods in demo.replicas), default=0)
    tiles = [
        (f"{passed} of {len(demo.stages)}", "stages passed", "good" if demo.passed else "bad"),
        (f"{demo.requests:,}", "requests sent", ""),
        (f"{demo.failed:,}", "requests failed", "bad" if demo.failed else "good"),
        (f"{medians[len(medians) // 2]:.1f} ms" if medians else "none", "median answer through two proxies", ""),
        (f"{most}", "pods of one version at most, set by its HPA", ""),
        *(
            [(f"{demo.injected_failures:,}", "failed on purpose by the bad version, until it was rolled back", "")]
            if demo.injected_failures
            else []
        ),
        (duration(demo.ended - demo.began), "from the start of the cluster to the end", ""),
    ]
    cells = "".join(
        f'<div class="tile {css}"><b>{escape(value)}</b><span>{escape(name)}</span></div>' for value, name, css in tiles
    )
    return f'<div class="tiles">{cells}</div>'


def _legend(demo: DemoResult) -> str:
    stars = {"v1": ", no stars", "v2": ", black stars", "v3": ", red stars"}
    items = [
        f'<li><i class="{charts.css(version)}"></i>{escape(version)}{stars.get(version, "")}</li>'
        for version in charts.versions_of(demo)
    ]
    return f'<ul class="legend">{"".join(items)}<li><i class="stroke"></i>measured</li></ul>'


def _stage(number: int, stage: StageResult) -> str:
    rows = max(len(stage.checks), 1)
    lines = [f'<p class="note">{escape(note)}</p>' for note in stage.notes]
    lines += [f'<p class="problem">{escape(problem)}</p>' for problem in stage.problems]
    lines += [f"<code>{escape(command)}</code>" for command in stage.commands]
    head = (
        f'<td class="stage" rowspan="{rows}"><span class="number{"" if stage.passed else " bad"}">{number}</span>'
        f"<b>{escape(stage.name)}</b><p>{escape(stage.purpose)}</p>{''.join(lines)}</td>"
    )
    cells = [_check(check) for check in stage.checks] or ['<td class="bad" colspan="7">not measured</td>']
    body = "".join(f"<tr>{head if row == 0 else ''}{cell}</tr>" for row, cell in enumerate(cells))
    return f"<tbody>{body}</tbody>"


def _check(check: ShareCheck) -> str:
    failed, shares = check.measured.failed, shares_text(check.measured, check.wanted)
    return (
        f'<td>{escape(check.cohort)}<br><span class="dim">{escape(PLACES.get(check.place, check.place))}</span></td>'
        f'<td class="r dim">{escape(weights_text(check.wanted))}</td>'
        f"<td>{charts.share_bar(check)}</td>"
        f'<td class="r" title="{escape(counts_text(check.measured.counts))}">{escape(shares)}</td>'
        f'<td class="r">{check.measured.requests:,}</td>'
        f'<td class="r {"bad" if failed else ""}">{failed}</td><td class="r">{p_text(check.p_value)}</td>'
    )


PLACES = {"client": "on new connections", "sidecar": "through the sidecar", "gateway": "through the gateway"}


def _footer(demo: DemoResult) -> str:
    facts = " · ".join(f"{escape(name)} {escape(text)}" for name, text in demo.facts.items())
    origin = "Written by <code>make demo</code> of meshops.canary, from the data of this run alone."
    return f"<footer><p>{facts}</p><p>{origin}</p></footer>"
