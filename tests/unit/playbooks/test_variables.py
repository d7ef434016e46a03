# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the playbooks compute before they call anything: the pods for all requests, and the codes to override."""

from __future__ import annotations

import typing as t

from support.collection import ROOT

if t.TYPE_CHECKING:
    from support.play import Player

VARIABLES = ROOT / "playbooks" / "vars"


def version(name: str, weight: float, pods: int, cpu: int | None = None) -> dict[str, t.Any]:
    hpa = {"cpu": cpu, "cpu_target": 50}
    return {"version": name, "weight": weight, "desired": pods, "ready": pods, "hpa": hpa if cpu is not None else None}


CASES: list[tuple[list[dict[str, t.Any]], int]] = [
    ([version("v1", 50, 5, 50), version("v2", 50, 5, 50)], 12),  # ten busy pods on one version, a fifth on top
    ([version("v1", 90, 9, 50), version("v2", 10, 1, 200)], 12),  # by the version that most requests measure
    ([version("v1", 50, 5), version("v2", 50, 4)], 5),  # not measured: each as just enough
    ([version("v1", 0, 3, 50), version("v2", 0, 1)], 1),  # nobody serves
]


def test_the_pods_for_all_requests_follow_from_what_is_measured(play_offline: Player) -> None:
    tasks = [
        {
            "ansible.builtin.debug": {"msg": "{{ __pods_for_all | int }}"},
            "vars": {"__before": {"services": [{"versions": versions}]}, "__target_name": "v2"},
        }
        for versions, _wanted in CASES
    ]
    played = play_offline([_play("all_requests.yml", tasks)])
    assert [int(result["msg"]) for _task, _host, result in played.tasks] == [wanted for _versions, wanted in CASES]


def test_codes_are_a_list_however_they_are_given(play_offline: Player) -> None:
    given: list[t.Any] = ["A", "A, B", ["A", "B"], "", []]
    tasks = [{"ansible.builtin.debug": {"msg": "{{ canary_force }}"}, "vars": {"force": one}} for one in given]
    tasks.append({"ansible.builtin.debug": {"msg": "{{ canary_force }}"}})
    played = play_offline([_play("force.yml", tasks)])
    assert [result["msg"] for _task, _host, result in played.tasks] == [["A"], ["A", "B"], ["A", "B"], [], [], []]


def _play(name: str, tasks: list[dict[str, t.Any]]) -> dict[str, t.Any]:
    return {"hosts": "localhost", "gather_facts": False, "vars_files": [str(VARIABLES / name)], "tasks": tasks}
