# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The variables of a plan reproduce it with the playbook's defaults."""

from __future__ import annotations

import shlex
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.meshops.canary.plugins.module_utils.commands import rollout
from ansible_collections.meshops.canary.plugins.module_utils.rollout.plan_options import (
    VARIABLES,
    as_variables,
    playbook_command,
)
from ansible_collections.meshops.canary.plugins.module_utils.rollout.steps import Rollout, by_pods, steps_from

ROOT = Path(__file__).parents[5]
TESTERS = {"headers": {"end-user": "testuser"}}
HELD = {"match": [{"headers": {"end-user": {"exact": "testuser"}}}]}
PLANS: list[tuple[dict[str, t.Any], dict[str, t.Any]]] = [
    ({"steps": [1, 10, 100], "pause": 60}, {"steps": [1, 10, 100]}),
    ({"steps": [2.5], "pause": 5, "deadline": 90}, {"steps": [2.5, 100], "rollout_pause": 5, "rollout_deadline": 90}),
    (
        {"steps": [10, {"weight": 50, "gate": "manual", "gate_seconds": 7200}], "pause": 60},
        {"steps": [{"weight": 10, "gate": "none", "gate_seconds": 3600},
                   {"weight": 50, "gate": "manual", "gate_seconds": 7200},
                   {"weight": 100, "gate": "none", "gate_seconds": 3600}]},
    ),
    (
        {"steps": [{"weight": 0, "cohort": TESTERS, "analysis": False}, 10, {"weight": 50, "cohort": {}}], "pause": 60},
        {"steps": [{"weight": 0, "analysis": False, "cohort": HELD},
                   {"weight": 10, "analysis": True}, {"weight": 50, "analysis": True, "cohort": {}},
                   {"weight": 100, "analysis": True}]},
    ),
    ({"steps": [{"weight": 10, "replicas": 2}, 100], "pause": 60}, {"steps": [{"weight": 10, "replicas": 2}, 100]}),
    ({"shape": "exponential", "start": 30, "by": 2, "pause": 60, "gate": "timed", "gate_default": "continue"},
     {"steps": [30, 60, 100], "rollout_gate": "timed", "rollout_gate_default": "continue"}),
]  # fmt: skip


def planned(options: dict[str, t.Any], **fields: t.Any) -> Rollout:
    return Rollout("reviews", "shop", "v1", "v2", steps_from(options), **fields)


def again(variables: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the options that the playbook and the role derive from the variables."""
    defaults = {field: default for field, (_variable, default) in VARIABLES.items()}
    given = {field: variables[variable] for field, (variable, _default) in VARIABLES.items() if variable in variables}
    return {**defaults, **given, "steps": variables["steps"]}


@pytest.mark.parametrize(("options", "variables"), PLANS)
def test_the_variables_reproduce_the_plan(options: dict[str, t.Any], variables: dict[str, t.Any]) -> None:
    plan = planned(options)
    assert as_variables(plan) == variables
    assert planned(again(variables)) == plan


def test_values_other_than_the_defaults_become_variables() -> None:
    plan = planned({"steps": [100], "pause": 60}, adapt=True, baseline="v1-new", keep={"v3": 5.0})
    assert as_variables(plan) == {
        "steps": [100], "rollout_adapt": True, "rollout_baseline": "v1-new", "rollout_keep": {"v3": 5.0},
    }  # fmt: skip


def test_by_pods_the_image_is_a_variable() -> None:
    steps = by_pods(steps_from({"steps": [25, 50], "pause": 60}))
    variables = as_variables(Rollout("shop", "shop", "shop", "shop-canary", steps, image="shop:2", container="app"))
    assert variables == {
        "steps": [25, 50], "rollout_route_api": "replicas", "rollout_image": "shop:2", "rollout_container": "app",
    }  # fmt: skip
    assert by_pods(steps_from(again(variables))) == steps


def test_the_defaults_are_those_of_the_module_and_the_role() -> None:
    role = yaml.safe_load((ROOT / "roles/rollout/defaults/main.yml").read_text())
    for field, (variable, default) in VARIABLES.items():
        assert rollout.SPEC.options[field]["default"] == default
        assert variable == f"rollout_{field}"
        assert role[variable] == default


def test_a_command_to_be_copied_runs_nothing_else() -> None:
    command = playbook_command("rollback", service="reviews; touch x", ns="$(id)", stable="v1")
    assert shlex.split(command)[2:] == ["-e", "service=reviews; touch x", "-e", "ns=$(id)", "-e", "stable=v1"]
    assert (
        playbook_command("rollback", service="reviews") == "ansible-playbook meshops.canary.rollback -e service=reviews"
    )
