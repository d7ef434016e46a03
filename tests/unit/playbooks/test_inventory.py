# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory of a house: its connection, its Python, its become, and variables with short names of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml
from support.collection import ROOT, tree

if t.TYPE_CHECKING:
    from support.play import Player

PLAYBOOKS = sorted((ROOT / "playbooks").glob("*.yml"))
HOUSE: dict[str, t.Any] = {
    "ansible_connection": "ssh",
    "ansible_python_interpreter": "/opt/nowhere/python",
    "ansible_become": True,
    "ansible_become_password": "unknown",
    "steps": "house",
    "gate": "open",
    "labels": ["house"],
    "window": "tuesday",
    "state": "house",
    "force": "house",
    "service": "house",
    "ns": "house",
    "image": "house",
    "cohort": "house",
    "rollout_team": "payments",
}
GIVEN: dict[str, dict[str, t.Any]] = {
    "status": {"ns": "shop"},
    "rollout": {"service": "reviews", "ns": "shop", "stable": "v1", "canary": "v2", "rollout_report_dir": ""},
    "replica_canary": {"service": "reviews", "ns": "shop", "share": 10},
    "header_test": {"service": "reviews", "ns": "shop"},
}


def play(
    tmp_path: Path, playbook: str, house: dict[str, t.Any], *options: str, **given: t.Any
) -> list[dict[str, t.Any]]:
    """Return the tasks' results of a playbook with an inventory that has `house` as the variables of all hosts."""
    inventory = tmp_path / "inventory"
    (inventory / "group_vars").mkdir(parents=True, exist_ok=True)
    (inventory / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"localhost": None}}}), encoding="utf-8")
    (inventory / "group_vars" / "all.yml").write_text(yaml.safe_dump(house), encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "K8S_AUTH_"))}
    kept.pop("KUBECONFIG", None)
    environment = {
        **kept,
        "ANSIBLE_COLLECTIONS_PATH": str(tree()),
        "ANSIBLE_HOME": str(tree() / "home"),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
        "HOME": "/nonexistent",
    }
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(inventory), *options]
    name = playbook if playbook.endswith(".yml") else f"meshops.canary.{playbook}"
    command += ["-e", json.dumps(given), name]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    plays = json.loads(done.stdout[done.stdout.index("{") :])["plays"]
    return [result for one in plays for task in one["tasks"] for result in task["hosts"].values()]


@pytest.mark.parametrize("playbook", sorted(GIVEN))
def test_the_inventory_of_a_house_changes_nothing(tmp_path: Path, playbook: str) -> None:
    results = play(tmp_path, playbook, HOUSE, **GIVEN[playbook])
    failed = [one for one in results if one.get("failed")]
    text = json.dumps(failed)
    assert "No kubeconfig to connect with" in text, text
    assert "house" not in text


def test_what_is_given_to_the_import_counts(tmp_path: Path) -> None:
    """A playbook of the house that imports ours gives variables there."""
    path = tmp_path / "site.yml"
    imported = {"import_playbook": "meshops.canary.promote", "vars": {"ns": "shop", "version": "v2"}}
    path.write_text(yaml.safe_dump([imported]), encoding="utf-8")
    assert "Set service, ns and version" in json.dumps(play(tmp_path, str(path), HOUSE))
    imported["vars"] = {**imported["vars"], "service": "reviews"}
    path.write_text(yaml.safe_dump([imported]), encoding="utf-8")
    assert "No kubeconfig to connect with" in json.dumps(play(tmp_path, str(path), HOUSE))


@pytest.mark.parametrize("path", PLAYBOOKS, ids=lambda path: path.stem)
def test_every_documented_variable_is_set_by_the_play(path: Path) -> None:
    """What the comment of a playbook names, the inventory must not set by accident."""
    text = path.read_text(encoding="utf-8")
    head = text.split("- name:")[0]
    documented: set[str] = set()
    for line in head.splitlines():
        found = re.match(r"^# ([a-z_]+(?:, [a-z_]+)*)(?:,? {2,}|,$|$)", line)
        documented |= set(found[1].split(", ")) if found else set()
    assert documented
    play_vars = yaml.safe_load(text)[0].get("vars", {})
    own = {name for name in documented if not name.startswith(("rollout_", "release_", "canary_"))}
    assert own <= {name for name, value in play_vars.items() if value == ""}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rollout_puase": 5}, "There is no variable rollout_puase; did you mean rollout_pause?"),
        ({"rollout_step": [5], "rollout_metric": []}, "rollout_metric; did you mean rollout_metrics?"),
        ({"rollout_prometheus": "x", "rollout_promethues_url": "x"}, "did you mean rollout_prometheus_url?"),
        ({"rollout_Pause": 5}, "did you mean rollout_pause?"),
    ],
    ids=str,
)
def test_a_misspelled_variable_is_refused_first(play_offline: Player, given: dict[str, t.Any], words: str) -> None:
    played = play_offline("meshops.canary.rollout", fails=True, **GIVEN["rollout"], **given)
    assert words in played.task("meshops.canary.rollout : Validate the names of the variables")["msg"]
    assert not [name for name, _host, _result in played.tasks if "Advance" in name]


def test_variables_of_the_house_are_displayed_or_listed(tmp_path: Path) -> None:
    text = json.dumps(play(tmp_path, "rollout", {"rollout_team": "payments"}, **GIVEN["rollout"]))
    assert "There is no variable rollout_team; it has no effect." in text
    own = {
        "rollout_team": "payments",
        "rollout_pauses": 3,
        "rollout_other_variables": ["rollout_team", "rollout_pauses"],
    }
    text = json.dumps(play(tmp_path, "rollout", own, **GIVEN["rollout"]))
    assert "There is no variable" not in text
    assert "No kubeconfig" in text
