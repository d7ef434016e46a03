# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan as text: its steps with weights, waits and gates, and its end. Pure."""

from __future__ import annotations

import typing as t

from ..objects.weights import weights_text
from . import cohort, transitions

if t.TYPE_CHECKING:
    from .steps import Rollout

_DEFAULTS: t.Final = {"rollback": "roll back", "continue": "continue"}


def plan_lines(rollout: Rollout) -> list[str]:
    """Return the plan as lines of text: one per step, and one for the end."""
    number = len(rollout.steps)
    image = f" with {rollout.image}, by the ratio of pods," if rollout.by_pods else ""
    comparison = f", compared with {rollout.baseline}," if rollout.baseline else ""
    lines = [
        f"{rollout.service} in {rollout.namespace}: {rollout.canary} replaces {rollout.stable}{image}{comparison} "
        f"in {number} step{'s' if number > 1 else ''}{', adapting to the verdicts' if rollout.adapt else ''}"
    ]
    for index, step in enumerate(rollout.steps, 1):
        shares = weights_text(rollout.weights(step.weight))
        wait = f"analyze for {step.pause:g} s" if step.analysis else f"wait {step.pause:g} s without analysis"
        gate = {
            "none": "",
            "timed": f"; the gate opens after {step.gate_seconds:g} s",
            "manual": f"; needs an approval within {step.gate_seconds:g} s, else {_DEFAULTS[step.gate_default]}",
        }[step.gate]
        if step.cohort:
            shares += f"; cohort of {cohort.describe(step.cohort, rollout.canary)}"
        pods = f"; at least {step.replicas} ready pods" if step.replicas else ""
        lines.append(f"{index}. {shares}: {wait}, roll back if undecided after {step.deadline:g} s{pods}{gate}")
    end = f"{rollout.canary} is promoted"
    if rollout.by_pods:
        end = f"{rollout.stable} gets the image by a rolling update and {rollout.canary} is removed"
    return [*lines, f"then {end}; after any failure roll back to {_safe_text(rollout)}"]


def _safe_text(rollout: Rollout) -> str:
    return weights_text({version: percent for version, percent in transitions.safe_weights(rollout).items() if percent})
