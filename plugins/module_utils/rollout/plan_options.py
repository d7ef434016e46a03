# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan as the variables of the playbook `rollout`, so that whoever finds a rollout can go on with it. Pure."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from .plan import Rollout, Step

PLAYBOOK: t.Final[dict[str, tuple[str, t.Any]]] = {
    "pause": ("pause", 60.0),
    "deadline": ("deadline", 600.0),
    "gate": ("gate", "none"),
    "gate_seconds": ("rollout_gate_seconds", 3600.0),
    "gate_default": ("rollout_gate_default", "rollback"),
    "analysis": ("analysis", True),
}
"""Field of a step -> the variable that sets it for every step, and what that is if nobody sets it."""


def as_variables(rollout: Rollout) -> dict[str, t.Any]:
    """Return the variables that make the plan again, but for the service, its namespace and its two versions.

    What all steps have in common is a variable of its own, and what is the default is left out.
    """
    steps = rollout.steps
    common = {name for name in PLAYBOOK if all(getattr(step, name) == getattr(steps[0], name) for step in steps)}
    held: t.Any = []
    told = []
    for step in steps:
        told.append(_step(step, common, list(held)))
        held = step.cohort
    found: dict[str, t.Any] = {"steps": told}
    for name in PLAYBOOK:
        variable, default = PLAYBOOK[name]
        if name in common and (value := getattr(steps[0], name)) != default:
            found[variable] = _short(value)
    others = {
        "adapt": rollout.adapt,
        "baseline": rollout.baseline,
        "rollout_keep": dict(rollout.keep),
        "route_api": "replicas" if rollout.by_pods else "",
        "image": rollout.image,
        "rollout_container": rollout.container,
    }
    return {**found, **{name: value for name, value in others.items() if value}}


def _step(step: Step, common: set[str], held: list[t.Any]) -> t.Any:
    own: dict[str, t.Any] = {"weight": _short(step.weight)}
    own |= {name: _short(getattr(step, name)) for name in PLAYBOOK if name not in common}
    if step.replicas is not None:
        own["replicas"] = step.replicas
    if list(step.cohort) != held:  # a cohort holds until a step names another
        own["cohort"] = {"match": list(step.cohort)} if step.cohort else {}
    return own if len(own) > 1 else own["weight"]


def _short(value: t.Any) -> t.Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value
