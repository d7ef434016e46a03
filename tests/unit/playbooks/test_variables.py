# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the playbooks compute before they call anything: the codes to override."""

from __future__ import annotations

import typing as t

from support.collection import ROOT

if t.TYPE_CHECKING:
    from support.play import Player

VARIABLES = ROOT / "playbooks" / "vars"


def test_codes_are_a_list_however_they_are_given(play_offline: Player) -> None:
    given: list[t.Any] = ["A", "A, B", ["A", "B"], "", []]
    tasks = [{"ansible.builtin.debug": {"msg": "{{ canary_force }}"}, "vars": {"force": one}} for one in given]
    tasks.append({"ansible.builtin.debug": {"msg": "{{ canary_force }}"}})
    played = play_offline([_play("force.yml", tasks)])
    assert [result["msg"] for _task, _host, result in played.tasks] == [["A"], ["A", "B"], ["A", "B"], [], [], []]


def _play(name: str, tasks: list[dict[str, t.Any]]) -> dict[str, t.Any]:
    return {"hosts": "localhost", "gather_facts": False, "vars_files": [str(VARIABLES / name)], "tasks": tasks}
