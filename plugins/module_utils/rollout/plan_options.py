# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan as the variables of the playbook `rollout`, so that anyone can resume it, and commands to be copied. Pure."""

from __future__ import annotations

import shlex
import typing as t

if t.TYPE_CHECKING:
    from .steps import Rollout, Step

VARIABLES: t.Final[dict[str, tuple[str, t.Any]]] = {
    "pause": ("rollout_pause", 60.0),
    "deadline": ("rollout_deadline", 600.0),
    "gate": ("rollout_gate", "none"),
    "gate_seconds": ("rollout_gate_seconds", 3600.0),
    "gate_default": ("rollout_gate_default", "rollback"),
    "analysis": ("rollout_analysis", True),
}
"""Field of a step -> the variable that sets it for every step, and the default of that variable."""


def as_variables(rollout: Rollout) -> dict[str, t.Any]:
    """Return the variables that reproduce the plan, without the service, its namespace and its two versions.

    A value that all steps share becomes a variable of its own; defaults are left out.
    """
    steps = rollout.steps
    common = {name for name in VARIABLES if all(getattr(step, name) == getattr(steps[0], name) for step in steps)}
    cohort: t.Any = []
    listed = []
    for step in steps:
        listed.append(_step_option(step, common, list(cohort)))
        cohort = step.cohort
    found: dict[str, t.Any] = {"steps": listed}
    for name in VARIABLES:
        variable, default = VARIABLES[name]
        if name in common and (value := getattr(steps[0], name)) != default:
            found[variable] = _integer_if_whole(value)
    others = {
        "rollout_adapt": rollout.adapt,
        "rollout_baseline": rollout.baseline,
        "rollout_keep": dict(rollout.keep),
        "rollout_route_api": "replicas" if rollout.by_pods else "",
        "rollout_image": rollout.image,
        "rollout_container": rollout.container,
    }
    return {**found, **{name: value for name, value in others.items() if value}}


def playbook_command(playbook: str, **variables: str) -> str:
    """Return the command that runs a playbook of ours, quoted for a shell: what comes from a record may hold anything.

    variables: name -> text of the extra variables, in order.
    """
    given = (f"-e {shlex.quote(f'{name}={value}')}" for name, value in variables.items())
    return " ".join((f"ansible-playbook meshops.canary.{playbook}", *given))


def _step_option(step: Step, common: set[str], cohort_before: list[t.Any]) -> t.Any:
    own: dict[str, t.Any] = {"weight": _integer_if_whole(step.weight)}
    own |= {name: _integer_if_whole(getattr(step, name)) for name in VARIABLES if name not in common}
    if step.replicas is not None:
        own["replicas"] = step.replicas
    if list(step.cohort) != cohort_before:  # a cohort applies until a step sets another one
        own["cohort"] = {"match": list(step.cohort)} if step.cohort else {}
    return own if len(own) > 1 else own["weight"]


def _integer_if_whole(value: t.Any) -> t.Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value
