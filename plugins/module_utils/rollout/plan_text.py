# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan in words: its steps with their weights, waits and gates, and how it ends. Pure."""

from __future__ import annotations

import typing as t

from ..routes.weights import shares_in_words
from . import cohort, steering

if t.TYPE_CHECKING:
    from .plan import Rollout

_DEFAULTS: t.Final = {"rollback": "back", "continue": "it goes on"}


def in_lines(rollout: Rollout) -> list[str]:
    """Return the plan as lines for people: each step with its weights, waits and gate, and how it ends."""
    number = len(rollout.steps)
    way = f" with {rollout.image}, by the ratio of pods," if rollout.by_pods else ""
    beside = f", judged beside {rollout.baseline}," if rollout.baseline else ""
    lines = [
        f"{rollout.service} in {rollout.namespace}: {rollout.canary} takes over from {rollout.stable}{way}{beside} "
        f"in {number} step{'s' if number > 1 else ''}{', adapting to the verdicts' if rollout.adapt else ''}"
    ]
    for index, step in enumerate(rollout.steps, 1):
        shares = shares_in_words(rollout.weights(step.weight))
        look = f"judged for {step.pause:g} s" if step.analysis else f"waiting {step.pause:g} s without judging"
        gate = {
            "none": "",
            "timed": f"; gate opens after {step.gate_seconds:g} s",
            "manual": f"; needs an approval within {step.gate_seconds:g} s, else {_DEFAULTS[step.gate_default]}",
        }[step.gate]
        if step.cohort:
            shares += f"; cohort of {cohort.words(step.cohort, rollout.canary)}"
        pods = f"; at least {step.replicas} ready pods" if step.replicas else ""
        lines.append(f"{index}. {shares}: {look}, back if undecided after {step.deadline:g} s{pods}{gate}")
    end = f"{rollout.canary} is promoted"
    if rollout.by_pods:
        end = f"{rollout.stable} takes the image by a rolling update and {rollout.canary} goes"
    return [*lines, f"then {end}; whenever it fails, back to {_safe_words(rollout)}"]


def _safe_words(rollout: Rollout) -> str:
    return shares_in_words({version: percent for version, percent in steering.safe_weights(rollout).items() if percent})
