# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters of canary_rollout's report: for people, as Markdown or as a page, and whether it is as it was written."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible.errors import AnsibleFilterError
from ansible_collections.meshops.canary.plugins.module_utils.rollout import seal
from ansible_collections.meshops.canary.plugins.plugin_utils import rollout_page
from ansible_collections.meshops.canary.plugins.plugin_utils import rollout_story as story

Told = Mapping[str, t.Any]

NEEDED: t.Final = ("service", "namespace", "stable", "canary", "id", "phase", "reason", "plan_text", "events", "intact")
SEALED: t.Final = ("events", "plan", "plan_hash", "phase", "reason", "harmed")


def rollout_report(report: Told, form: str = "markdown") -> str:
    """Return the report of a rollout. form: markdown or html."""
    _check(report, NEEDED, "rollout_report")
    forms = {"markdown": _markdown, "html": rollout_page.page}
    if form not in forms:
        raise AnsibleFilterError(f"rollout_report makes {' or '.join(forms)}, not {form!r}.")
    return forms[form](report)


def rollout_altered(report: Told, head: str = "") -> list[str]:
    """Return what in a report is not as it was written, in words.

    head: as the playbook printed it, or its beginning.
    """
    _check(report, SEALED, "rollout_altered")
    try:
        return seal.altered(report, str(head))
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        return [f"report: a part of it is no longer what it was: {error}"]


def _check(report: t.Any, needed: t.Iterable[str], name: str) -> None:
    if not isinstance(report, Mapping) or (missing := [one for one in needed if one not in report]):
        lacks = f"it lacks {', '.join(missing)}" if isinstance(report, Mapping) else f"it is {type(report).__name__}"
        raise AnsibleFilterError(f"{name} wants what canary_rollout returns as report; {lacks}.")


def _markdown(report: Told) -> str:
    lines = [f"# {story.headline(report)}", "", story.where(report), "", *story.prose(report), "", "## Plan", ""]
    lines += [f"- {line}" for line in report["plan_text"]]
    lines += ["", "## Verdicts", ""]
    if seen := story.looks(report):
        lines += [
            _row(headings := story.verdict_headings(report)),
            "|" + " --- |" * len(headings),
            *(_row(story.verdict_cells(look)) for look in seen),
        ]
    else:
        lines.append("None: nothing was judged.")
    lines += ["", "## What happened", "", _row(story.EVENTS), "|" + " --- |" * len(story.EVENTS)]
    lines += [_row(story.event_cells(event)) for event in report["events"]]
    return "\n".join([*lines, "", story.trust(report), ""])


def _row(cells: t.Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


class FilterModule:
    """Filters of canary_rollout's report."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"rollout_report": rollout_report, "rollout_altered": rollout_altered}
