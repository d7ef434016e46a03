# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HTML page of a rollout's report: one self-contained file, for light and dark screens."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping
from html import escape

from ..module_utils.rollout import report_data as data
from . import report_chart

Report = Mapping[str, t.Any]

STYLE: t.Final = """
:root { color-scheme: light dark; --page: #f6f7f9; --card: #fff; --ink: #17212d; --quiet: #66758a; --rule: #e2e7ee;
  --stable: #3f7fd6; --canary: #e08a00; --good: #1f8a5b; --bad: #c62f3b }
@media (prefers-color-scheme: dark) { :root { --page: #0e131a; --card: #171e28; --ink: #e8edf4; --quiet: #93a1b5;
  --rule: #2a3442; --stable: #5b98ec; --canary: #f2b544; --good: #43c78c; --bad: #ff6b76 } }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif }
main { max-width: 1130px; margin: 0 auto; padding: 32px 24px }
h1 { margin: 0; font-size: 30px; line-height: 1.25 }
h2 { margin: 0 0 8px; font-size: 18px }
header p, footer { color: var(--quiet) }
.good { color: var(--good) } .bad { color: var(--bad) }
section { background: var(--card); border: 1px solid var(--rule); border-radius: 12px;
  padding: 20px 24px; margin: 18px 0 }
.scroll { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th { text-align: left; font-size: 12.5px; color: var(--quiet) }
th, td { padding: 6px 14px 6px 0; border-bottom: 1px solid var(--rule); vertical-align: top }
tr:last-child td { border: 0 }
.short { white-space: nowrap }
.plan { margin: 0; padding: 0; list-style: none }
section p { margin: 0 0 6px }
svg { display: block; width: 100%; height: auto }
svg text { font-size: 12px; fill: var(--ink) }
svg .title { font-weight: 600 }
svg .quiet { fill: var(--quiet) }
svg .right { text-anchor: end }
svg .middle { text-anchor: middle }
svg .grid { stroke: var(--rule) }
svg .event { stroke: var(--quiet); stroke-dasharray: 2 4; opacity: .5 }
svg .weight { fill: var(--canary); fill-opacity: .25 }
svg .line { stroke-width: 3; stroke: var(--ink); fill: none }
svg .line.stable { stroke: var(--stable) }
svg .line.canary { stroke: var(--canary) }
svg circle { fill: var(--quiet); stroke: var(--card); stroke-width: 2 }
svg circle.pass { fill: var(--good) }
svg circle.fail { fill: var(--bad) }
.legend { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: 4px 20px;
  font-size: 13px; color: var(--quiet) }
.legend i { display: inline-block; width: 14px; height: 4px; margin-right: 6px; vertical-align: 3px;
  background: var(--c) }
.legend .area { height: 12px; vertical-align: -1px; opacity: .3 }
.legend .dot { width: 10px; height: 10px; border-radius: 5px; vertical-align: 0 }
.legend .event { width: 0; height: 14px; border-left: 2px dotted var(--quiet); background: none; vertical-align: -2px }
"""
SHORT: t.Final = 24
HINT: t.Final = "Hover over an element for details."


def page(report: Report) -> str:
    """Return the report as HTML."""
    headline = escape(data.headline(report))
    tone = "good" if report["phase"] in data.GOOD else "bad" if report["phase"] in data.BAD else ""
    plan = "".join(f"<li>{escape(line)}</li>" for line in report["plan_text"])
    legend = "".join(
        f'<li><i class="{css}" style="--c: var({ink})"></i>{escape(name)}</li>' for css, ink, name in _legend(report)
    )
    outcome = "".join(f"<p>{escape(line)}</p>" for line in data.outcome(report) if line)
    events = _table(data.EVENTS, [data.event_cells(event) for event in report["events"]])
    verdicts = _table(data.verdict_headings(report), [data.verdict_cells(one) for one in data.analyses(report)])
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>{headline}</title><style>{STYLE}</style></head><body><main>
<header><h1 class="{tone}">{headline}</h1><p>{escape(data.summary(report))}</p></header>
<section>{outcome}</section>
<section><h2>Timeline</h2><ul class="legend">{legend}<li>{HINT}</li></ul>
{report_chart.chart(report)}</section>
<section><h2>Verdicts</h2>{verdicts}</section>
<section><h2>Plan</h2><ul class="plan">{plan}</ul></section>
<section><h2>Events</h2>{events}</section>
<footer><p class="{"" if report["verified"] else "bad"}">{escape(data.verification(report))}</p></footer>
</main></body></html>
"""


def _legend(report: Report) -> tuple[tuple[str, str, str], ...]:
    """Return the legend of the charts: CSS class, color, label."""
    return (
        ("line", "--canary", f"canary {report['canary']}"),
        ("line", "--stable", data.reference(report)),
        ("area", "--canary", "weight"),
        ("line", "--ink", "measured share"),
        ("dot", "--good", "pass"),
        ("dot", "--bad", "fail"),
        ("dot", "--quiet", "no verdict"),
        ("event", "--quiet", "entry of the audit log"),
    )


def _table(headings: t.Iterable[str], rows: list[list[str]]) -> str:
    if not rows:
        return "<p>None.</p>"
    head = "".join(f"<th>{escape(name)}</th>" for name in headings)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(text: str) -> str:
    """Return a cell; short texts, such as numbers with units, times and names, are not wrapped."""
    classes = ["short"] if len(text) <= SHORT else []
    classes += {"pass": ["good"], "fail": ["bad"]}.get(text, [])
    return f'<td class="{" ".join(classes)}">{escape(text)}</td>'
