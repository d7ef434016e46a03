# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filters of translations as a playbook uses them, with every release of ansible-core."""

from __future__ import annotations

import json
import typing as t

import yaml
from support.foreign_manifests import argo, flagger, metric_template

if t.TYPE_CHECKING:
    from pathlib import Path

    from support.play import Player

ATTACK = "{{ 7919 * 7907 }}{{ lookup('ansible.builtin.env', 'HOME') }}"


def test_no_text_of_a_manifest_is_a_template(play_offline: Player, tmp_path: Path) -> None:
    """Also not where a playbook keeps the result in a variable, displays it and writes it into a file."""
    rollout = argo([{"setWeight": 20}, {"pause": {}}, {"plugin": {"name": ATTACK}}], canaryService=ATTACK)
    rollout["metadata"]["annotations"] = {"note": ATTACK}
    rollout["spec"]["template"] = {"metadata": {"annotations": {"note": ATTACK}}}
    rollout["spec"]["strategy"]["canary"][ATTACK] = 1
    source, target = tmp_path / "rollout.json", tmp_path / "translation.yml"
    source.write_text(json.dumps(rollout), encoding="utf-8")
    filtered = f"{{{{ lookup('ansible.builtin.file', '{source}') | from_json | meshops.canary.from_argo_rollout }}}}"
    tasks = [
        {"ansible.builtin.set_fact": {"result": filtered}},
        {"ansible.builtin.debug": {"msg": "{{ result | meshops.canary.translation_lines }}"}},
        {"ansible.builtin.copy": {"content": "{{ result | to_nice_yaml }}", "dest": str(target), "mode": "0644"}},
        {"ansible.builtin.debug": {"msg": "{{ result }}"}},
        {"ansible.builtin.debug": {"msg": "{{ again }}"}, "vars": {"again": filtered}},
        {
            "ansible.builtin.debug": {"msg": "{{ item }}"},
            "loop": "{{ again.no_counterpart }}",
            "vars": {"again": filtered},
        },
        {"ansible.builtin.debug": {"msg": "{{ inner }}"}, "vars": {"again": filtered, "inner": "{{ again.workload }}"}},
    ]
    played = play_offline(tasks)
    displayed = [json.dumps(result, ensure_ascii=False) for _name, _host, result in played.tasks]
    assert any(ATTACK in text for text in displayed)
    assert not any("62615533" in text for text in displayed)
    written = yaml.safe_load(target.read_text(encoding="utf-8"))
    assert written["workload"]["template"]["metadata"]["annotations"]["note"] == ATTACK
    assert "62615533" not in target.read_text(encoding="utf-8")


def test_a_file_of_variables_is_what_the_playbook_takes(play_offline: Player, tmp_path: Path) -> None:
    metric = {"name": "queue", "templateRef": {"name": "errors"}, "thresholdRange": {"max": 5}}
    objects = [flagger(metric, stepWeights=[1, 10]), metric_template('sum(x{app="$service",y=~"z$"})')]
    source, target = tmp_path / "objects.json", tmp_path / "variables.yml"
    source.write_text(json.dumps({"objects": objects}), encoding="utf-8")
    content = "{{ (objects | meshops.canary.from_flagger_canary(stable='v1', canary='v2')).variables | to_nice_yaml }}"
    tasks = [{"ansible.builtin.copy": {"content": content, "dest": str(target), "mode": "0644"}}]
    play_offline([{"hosts": "localhost", "gather_facts": False, "vars_files": [str(source)], "tasks": tasks}])
    written = yaml.safe_load(target.read_text(encoding="utf-8"))
    assert written["rollout_metrics"][0]["query"] == 'sum(x{app="$$service",y=~"z$$"})'
    task = {"ansible.builtin.debug": {"msg": "{{ rollout_metrics }}"}}
    assert play_offline([task], "-e", f"@{target}").last["msg"] == written["rollout_metrics"]
