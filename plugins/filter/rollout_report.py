# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter that turns what canary_rollout returns into a report for people, as Markdown or as a page."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible.errors import AnsibleFilterError
from ansible_collections.meshops.canary.plugins.plugin_utils import rollout_page
from ansible_collections.meshops.canary.plugins.plugin_utils import rollout_story as story

Told = Mapping[str, t.Any]

NEEDED: t.Final = ("service", "namespace", "stable", "canary", "id", "phase", "reason", "plan_text", "events", "intact")


def rollout_report(report: Told, form: str = "markdown") -> str:
    """Return the report of a rollout. form: markdown or html."""
    if not isinstance(report, Mapping) or (missing := [name for name in NEEDED if name not in report]):
        lacks = f"it lacks {', '.join(missing)}" if isinstance(report, Mapping) else f"it is {type(report).__name__}"
        raise AnsibleFilterError(f"rollout_report wants what canary_rollout returns as report; {lacks}.")
    forms = {"markdown": _markdown, "html": rollout_page.page}
    if form not in forms:
        raise AnsibleFilterError(f"rollout_report makes {' or '.join(forms)}, not {form!r}.")
    return forms[form](report)


def _markdown(report: Told) -> str:
    lines = [f"# {story.headline(report)}", "", story.where(report), "", *story.prose(report), "", "## Plan", ""]
    lines += [f"- {line}" for line in report["plan_text"]]
    lines += ["", "## Verdicts", ""]
    if seen := story.looks(report):
        lines += [
            _row(story.VERDICTS),
            "|" + " --- |" * len(story.VERDICTS),
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
    """Filter of canary_rollout's report."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filter by name."""
        return {"rollout_report": rollout_report}
