# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What people get of a rollout: the Markdown and the page, from a record made by the state machine itself."""

from __future__ import annotations

import html.parser
import re
import typing as t
from xml.etree import ElementTree

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.meshops.canary.plugins.filter.rollout_report import (
    FilterModule,
    rollout_report,
    rollout_tampered,
)
from support.rollout_results import BAD, PROMOTED, ROLLED_BACK, report_after


class Page(html.parser.HTMLParser):
    """Collects the tags, and fails on one that is closed and not open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def drawing(page: str) -> ElementTree.Element:
    return ElementTree.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])


def test_markdown_of_a_rollback() -> None:
    text = rollout_report(report_after(*ROLLED_BACK))
    assert text.startswith("# v2 was rolled back to v1\n\nreviews in shop, run ab12, 2026-11-22T12:00:00Z to ")
    assert "Failed requests of v2: 11." in text
    assert "| 10 % | 10.1 % | 208 | 52.38 % | 0 % | 8.4 ms | 7.9 ms | fail |" in text
    assert re.search(r"\| 12:00:30\.000 \| fail \| rolling back \|.*\| me@here/7 \| [0-9a-f]{12} \|", text)
    report = report_after(*ROLLED_BACK)
    assert text.endswith(
        "The 5 entries of the audit log are verified: each hash follows from the one before. "
        f"Head of the report: {report['head']}.\n"
    )


def test_every_table_row_has_the_columns_of_its_heading() -> None:
    report = report_after(*ROLLED_BACK)
    report["events"][0]["note"] = "first | second\nthird"
    lines = rollout_report(report).splitlines()
    rows = [line.replace("\\|", "") for line in lines if line.startswith("|")]
    assert "first \\| second third" in rollout_report(report)
    assert {row.count("|") for row in rows} == {7, 10}


@pytest.mark.parametrize(("events", "headline"), [(ROLLED_BACK, "v2 was rolled back"), (PROMOTED, "v2 has replaced")])
def test_the_page_is_sound_and_loads_nothing(events: t.Any, headline: str) -> None:
    text = rollout_report(report_after(*events), "html")
    page = Page(text)
    assert page.open == []
    assert f"<title>{headline}" in text
    assert not [
        tag for tag, attrs in page.seen if tag in ("script", "link", "img") or "src" in attrs or "href" in attrs
    ]
    assert "<script>" not in text


def test_the_drawing_shows_share_verdict_and_both_versions() -> None:
    svg = drawing(rollout_report(report_after(*ROLLED_BACK), "html"))
    (dot,) = svg.iter("circle")
    assert dot.get("class") == "fail"
    assert BAD in (dot.findtext("title") or "")
    lines = {
        one.get("class"): one.findtext("title") or "" for one in svg.iter("path") if one.get("class", "")[:4] == "line"
    }
    assert lines["line measured"].startswith("measured 10.096 % of 208 requests, weight 10 %")
    assert lines["line canary"].startswith("canary: 8.4 ms")
    assert lines["line stable"].startswith("stable: 7.9 ms")


def test_the_wanted_share_rises_with_each_step_and_falls_with_the_rollback() -> None:
    def heights(events: t.Any) -> list[float]:
        svg = drawing(rollout_report(report_after(*events), "html"))
        (area,) = (one.get("d", "") for one in svg.iter("path") if one.get("class") == "weight")
        return [float(found) for found in re.findall(r"V([0-9.]+)", area)]

    floor = 154.0
    ten, none, closed = heights(ROLLED_BACK)
    assert ten == pytest.approx(floor - 12.0)
    assert none == closed == floor
    ten, whole, closed = heights(PROMOTED)
    assert (ten, whole, closed) == pytest.approx((floor - 12.0, floor - 120.0, floor))


def test_an_altered_trail_is_said() -> None:
    words = (
        "The record was tampered with before the report was written. events: the hashes do not match from entry 2 on."
    )
    report = {**report_after(*ROLLED_BACK), "verified": False, "tampered": [words.partition(". ")[2].rstrip(".")]}
    assert words in rollout_report(report)
    assert words in rollout_report(report, "html")


def test_nothing_judged_yet() -> None:
    report = report_after()
    assert "## Verdicts\n\nNone.\n" in rollout_report(report)
    assert "v2 is replacing v1" in rollout_report(report, "html")
    svg = drawing(rollout_report(report, "html"))
    assert not list(svg.iter("circle"))
    assert "Failed requests: not measured" in [one.text for one in svg.iter("text")]


@pytest.mark.parametrize(
    ("given", "form", "says"),
    [
        ("text", "html", "it is str"),
        ({"service": "reviews"}, "html", "it lacks namespace, stable"),
        (report_after(), "pdf", "form must be markdown or html, not 'pdf'"),
    ],
)
def test_what_is_no_report_is_refused(given: t.Any, form: str, says: str) -> None:
    with pytest.raises(AnsibleFilterError, match=re.escape(says)):
        rollout_report(given, form)


def test_what_was_altered_is_said_and_a_report_that_is_mangled_is_no_traceback() -> None:
    report = report_after(*ROLLED_BACK)
    assert rollout_tampered(report) == rollout_tampered(report, report["head"]) == []
    assert rollout_tampered({**report, "service": "another"}) == ["service: it was changed"]
    (said,) = rollout_tampered({**report, "events": ["x"]})
    assert said.startswith("report: a part of it has an invalid type or value")
    with pytest.raises(AnsibleFilterError, match=r"rollout_tampered requires .*; it lacks plan, "):
        rollout_tampered({"events": []})
    assert set(FilterModule().filters()) == {"rollout_report", "rollout_tampered"}


def test_a_baseline_is_called_what_it_is() -> None:
    report = report_after(*ROLLED_BACK)
    report["plan"] = {**report["plan"], "baseline": "v1-new"}
    assert "| Baseline failed |" in rollout_report(report, "markdown")
    page = rollout_report(report, "html")
    assert "Baseline p95" in page
    assert "baseline v1-new" in page
    assert "Stable failed" not in page
    assert "Stable failed" in rollout_report(report_after(*ROLLED_BACK), "html")
