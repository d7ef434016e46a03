# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The variables that a plan is told as make the same plan again, by the playbook's own defaults."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.meshops.canary.plugins.module_utils.rollout.plan import Rollout, by_pods, steps_from
from ansible_collections.meshops.canary.plugins.module_utils.rollout.plan_options import PLAYBOOK, as_variables

ROOT = Path(__file__).parents[5]
TESTERS = {"headers": {"end-user": "testuser"}}
HELD = {"match": [{"headers": {"end-user": {"exact": "testuser"}}}]}
PLANS: list[tuple[dict[str, t.Any], dict[str, t.Any]]] = [
    ({"steps": [1, 10, 100], "pause": 60}, {"steps": [1, 10, 100]}),
    ({"steps": [2.5], "pause": 5, "deadline": 90}, {"steps": [2.5, 100], "pause": 5, "deadline": 90}),
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
     {"steps": [30, 60, 100], "gate": "timed", "rollout_gate_default": "continue"}),
]  # fmt: skip


def planned(options: dict[str, t.Any], **fields: t.Any) -> Rollout:
    return Rollout("reviews", "shop", "v1", "v2", steps_from(options), **fields)


def again(told: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the options that the playbook and the role make of the variables."""
    defaults = {field: default for field, (_variable, default) in PLAYBOOK.items()}
    given = {field: told[variable] for field, (variable, _default) in PLAYBOOK.items() if variable in told}
    return {**defaults, **given, "steps": told["steps"]}


@pytest.mark.parametrize(("options", "told"), PLANS)
def test_the_variables_make_the_plan_again(options: dict[str, t.Any], told: dict[str, t.Any]) -> None:
    plan = planned(options)
    assert as_variables(plan) == told
    assert planned(again(told)) == plan


def test_what_is_no_step_is_told_where_it_is_not_the_default() -> None:
    plan = planned({"steps": [100], "pause": 60}, adapt=True, baseline="v1-new", keep={"v3": 5.0})
    assert as_variables(plan) == {
        "steps": [100], "adapt": True, "baseline": "v1-new", "rollout_keep": {"v3": 5.0},
    }  # fmt: skip


def test_by_pods_the_image_is_told() -> None:
    steps = by_pods(steps_from({"steps": [25, 50], "pause": 60}))
    told = as_variables(Rollout("shop", "shop", "shop", "shop-canary", steps, image="shop:2", container="app"))
    assert told == {
        "steps": [25, 50], "route_api": "replicas", "image": "shop:2", "rollout_container": "app",
    }  # fmt: skip
    assert by_pods(steps_from(again(told))) == steps


def test_the_defaults_are_those_of_the_playbook_and_the_role() -> None:
    role = yaml.safe_load((ROOT / "roles/rollout/defaults/main.yml").read_text())
    play = yaml.safe_load((ROOT / "playbooks/rollout.yml").read_text())[0]["tasks"][-1]["vars"]
    for field, (variable, default) in PLAYBOOK.items():
        assert role[f"rollout_{field}"] == default
        if variable == f"rollout_{field}":
            assert variable not in play, "set by nobody but the user"
        else:
            assert (
                f"{variable} | default({default!r})".replace("True", "true").replace(".0", "")
                in play[f"rollout_{field}"]
            )
