# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role autoscale accepts a CPU request wherever it comes from: the container, its limit, or a LimitRange."""

from __future__ import annotations

import typing as t

from support.collection import ROOT

if t.TYPE_CHECKING:
    from support.play import Player

VARIABLES = str(ROOT / "roles" / "autoscale" / "vars" / "main.yml")
CASES: list[tuple[dict[str, t.Any], list[dict[str, t.Any]], list[str]]] = [
    ({}, [], ["shop-v1"]),
    ({"requests": {"cpu": "10m"}}, [], []),
    ({"limits": {"cpu": "10m"}}, [], []),
    ({"requests": {"memory": "1Mi"}}, [], ["shop-v1"]),
    ({}, [{"type": "Container", "defaultRequest": {"cpu": "50m"}}], []),
    ({}, [{"type": "Container", "default": {"cpu": "1"}}], []),
    ({}, [{"type": "Container", "max": {"cpu": "1"}}], ["shop-v1"]),
    ({}, [{"type": "Pod", "max": {"cpu": "1"}}, {"type": "Container", "default": {"memory": "1Mi"}}], ["shop-v1"]),
]


def test_where_a_cpu_request_may_come_from(play_offline: Player) -> None:
    tasks = [
        {
            "ansible.builtin.debug": {"msg": "{{ __autoscale_without_request }}"},
            "vars": {
                "autoscale_container": "app",
                "__autoscale_names": ["shop-v1"],
                "__autoscale_deployments": {"resources": [deployment(resources)]},
                "__autoscale_limit_ranges": {"resources": [{"spec": {"limits": limits}}] if limits else []},
            },
        }
        for resources, limits, _missing in CASES
    ]
    play = {"hosts": "localhost", "gather_facts": False, "vars_files": [VARIABLES], "tasks": tasks}
    played = play_offline([play])
    assert [result["msg"] for _task, _host, result in played.tasks] == [missing for *_given, missing in CASES]


def deployment(resources: dict[str, t.Any]) -> dict[str, t.Any]:
    container = {"name": "app", "resources": resources}
    return {"metadata": {"name": "shop-v1"}, "spec": {"template": {"spec": {"containers": [container]}}}}
