# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A translation as lines for a terminal. Pure."""

from __future__ import annotations

import typing as t

from ..objects.plain_text import plain_text

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from .translation import Json


def lines(result: Mapping[str, t.Any]) -> list[str]:
    """Return the translation: steps, what the user has to set, what has no counterpart, and what differs."""
    source, variables = result["source"], result["variables"]
    found = [f"{source['kind']} {source['name']} in {source['namespace'] or 'no namespace'}"]
    found += [f"step {number}: {_step(step)}" for number, step in enumerate(variables.get("steps", []), 1)]
    for name, value in variables.items():
        found += [f"{name}: {value}"] if name != "steps" and not isinstance(value, (list, dict)) else []
    found += [f"metric {one['name']}: {_metric(one)}" for one in variables.get("rollout_metrics", [])]
    found += [f"to set: {one['variable']}. {one['reason']}" for one in result["to_set"]]
    for one in result["no_counterpart"]:
        title = "has to be solved first" if one["blocking"] else "no counterpart"
        found.append(f"{title}: {one['field']}. {one['reason']} {one['instead']}")
    found += [f"differs: {one['field']}. {one['text']}" for one in result["notes"]]
    found += [f"warning: {one}" for one in result.get("take_over", {}).get("warnings", ())]
    found.append(
        "Nothing has to be set." if result["ready"] else "It is not ready: see `to set` and `has to be solved first`."
    )
    return [plain_text(line) for line in found]


def _step(step: Json) -> str:
    parts = [f"{step['weight']:g} %", f"for {step.get('pause', 0):g} s"]
    parts += ["judged" if step.get("analysis") else "not judged"]
    parts += [f"with {step['replicas']} pods or more"] if step.get("replicas") else []
    if "cohort" in step:
        parts.append(f"cohort {step['cohort']}" if step["cohort"] else "without a cohort")
    parts += [f"then a {step['gate']} gate"] if step.get("gate") else []
    return ", ".join(parts)


def _metric(metric: Json) -> str:
    bounds = [f"{name} {metric[name]:g}" for name in ("floor", "limit") if name in metric]
    return ", ".join([f"kind {metric['kind']}", *bounds, *([metric["query"]] if "query" in metric else [])])
