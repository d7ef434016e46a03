# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters of canary_rollout's report: render it as Markdown or HTML, and check that it was not tampered with."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping

from ansible.errors import AnsibleFilterError
from ansible_collections.meshops.canary.plugins.module_utils.objects.plain_text import plain
from ansible_collections.meshops.canary.plugins.module_utils.rollout import checksum
from ansible_collections.meshops.canary.plugins.module_utils.rollout import report_data as data
from ansible_collections.meshops.canary.plugins.plugin_utils import report_page

Report = Mapping[str, t.Any]
MARKUP: t.Final = re.compile(r"[\\`*<>|\[\]]")

NEEDED: t.Final = (
    "service",
    "namespace",
    "stable",
    "canary",
    "id",
    "phase",
    "reason",
    "plan_text",
    "events",
    "verified",
)
CHECKED: t.Final = ("events", "plan", "plan_hash", "phase", "reason", "failed_requests")


def rollout_report(report: Report, form: str = "markdown") -> str:
    """Return the report of a rollout. form: markdown or html."""
    _check(report, NEEDED, "rollout_report")
    forms = {"markdown": _markdown, "html": report_page.page}
    if form not in forms:
        raise AnsibleFilterError(f"rollout_report: form must be {' or '.join(forms)}, not {form!r}.")
    return forms[form](plain(report))


def rollout_tampered(report: Report, head: str = "", key: str = "") -> list[str]:
    """Return a sentence for each change of a report after it was written.

    head: the hash that the playbook printed, or the beginning of it. key: the rollout's record_key.
    """
    _check(report, CHECKED, "rollout_tampered")
    try:
        return checksum.tampered(report, str(head), str(key))
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        return [f"report: a part of it has an invalid type or value: {error}"]


def _check(report: t.Any, needed: t.Iterable[str], name: str) -> None:
    if not isinstance(report, Mapping) or (missing := [one for one in needed if one not in report]):
        lacks = f"it lacks {', '.join(missing)}" if isinstance(report, Mapping) else f"it is {type(report).__name__}"
        raise AnsibleFilterError(f"{name} requires the report that canary_rollout returns; {lacks}.")


def _markdown(report: Report) -> str:
    lines = [f"# {_inline(data.headline(report))}", "", _inline(data.summary(report)), ""]
    lines += [*map(_inline, data.outcome(report)), "", "## Plan", ""]
    lines += [f"- {_inline(line)}" for line in report["plan_text"]]
    lines += ["", "## Verdicts", ""]
    if analyses := data.analyses(report):
        lines += [
            _row(headings := data.verdict_headings(report)),
            "|" + " --- |" * len(headings),
            *(_row(data.verdict_cells(one)) for one in analyses),
        ]
    else:
        lines.append("None.")
    lines += ["", "## Events", "", _row(data.EVENTS), "|" + " --- |" * len(data.EVENTS)]
    lines += [_row(data.event_cells(event)) for event in report["events"]]
    return "\n".join([*lines, "", _inline(data.verification(report)), ""])


def _row(cells: t.Iterable[str]) -> str:
    return "| " + " | ".join(map(_inline, cells)) + " |"


def _inline(text: str) -> str:
    """Return a text in which nothing is markup: no HTML, link, emphasis, code or end of a cell (CommonMark)."""
    return MARKUP.sub(r"\\\g<0>", text).replace("\n", " ")


class FilterModule:
    """Filters of canary_rollout's report."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"rollout_report": rollout_report, "rollout_tampered": rollout_tampered}
