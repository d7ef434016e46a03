# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The order of a release over four clusters in two waves, by a real ansible-playbook with a scripted module."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml
from support.collection import ROOT

WAVES = {"pilot": ("berlin", "bonn"), "others": ("oslo", "rome")}
RELEASE = {
    "name": "shop-42",
    "steps": [20],
    "waves": list(WAVES),
    "services": [{"service": "ratings", "namespace": "shop", "stable": "v1", "canary": "v2"}],
}


class Run(t.NamedTuple):
    """What a playbook did. calls: `HOST STATE` of each call, without those that check. output: what it printed."""

    code: int
    calls: list[str]
    output: str

    def of(self, state: str) -> set[str]:
        return {one.partition(" ")[0] for one in self.calls if one.split(" ")[1] == state}


@pytest.fixture(scope="module")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The collection with the scripted action in the place of canary_release."""
    folder = tmp_path_factory.mktemp("collections")
    target = folder / "ansible_collections" / "meshops" / "canary"
    for name in ("plugins", "roles", "playbooks", "meta"):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "galaxy.yml", target)
    action = target / "plugins" / "action" / "canary_release.py"
    shutil.copy(ROOT / "tests" / "support" / "scripted_release_action.py", action)
    return folder


def play(collections: Path, folder: Path, script: dict[str, t.Any], *options: str, **release: t.Any) -> Run:
    groups = {wave: {"hosts": dict.fromkeys(hosts)} for wave, hosts in WAVES.items()}
    for name, content in {
        "inventory.yml": yaml.safe_dump({"all": {"children": groups}}),
        "release.yml": yaml.safe_dump({"canary_release": {**RELEASE, **release}}),
        "script.json": json.dumps(script),
        "calls": "",
    }.items():
        (folder / name).write_text(content, encoding="utf-8")
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "meshops.canary.release"]
    command += ["-i", str(folder / "inventory.yml"), "-e", f"@{folder / 'release.yml'}", *options]
    command += ["-e", f"release_report_dir={folder / 'reports'}"]
    env = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(collections), "SCRIPT": str(folder), "ANSIBLE_FORKS": "4"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=200, check=False)
    calls = (folder / "calls").read_text(encoding="utf-8").splitlines()
    return Run(done.returncode, [one for one in calls if " checked " not in one], done.stdout + done.stderr)


def test_waves_come_one_after_another_and_steps_side_by_side(collections: Path, tmp_path: Path) -> None:
    metrics = tmp_path / "shop-42.prom"
    run = play(collections, tmp_path, {"bonn": {"steps": 1}}, "-e", f"release_textfile={metrics}")
    assert run.code == 0, run.output
    assert metrics.read_text(encoding="utf-8").count('result="finished"') == 4, "a file of all clusters"
    assert [sorted(part) for part in (run.calls[:2], run.calls[2:3], run.calls[3:5], run.calls[5:7])] == [
        ["berlin shifted -", "bonn shifted -"],
        ["berlin shifted 1"],
        ["oslo shifted -", "rome shifted -"],
        ["oslo shifted 1", "rome shifted 1"],
    ]
    assert run.of("finished") == {"berlin", "bonn", "oslo", "rome"}
    assert (tmp_path / "reports" / "release-shop-42.md").exists()


@pytest.mark.parametrize(
    ("policy", "back"),
    [
        ("rollback_all", {"berlin", "bonn", "oslo", "rome"}),
        ("rollback_wave", {"oslo", "rome"}),
        ("stop", set()),
    ],
)
def test_the_policy_names_the_clusters_that_go_back(
    collections: Path, tmp_path: Path, policy: str, back: set[str]
) -> None:
    run = play(collections, tmp_path, {"rome": {"fails_at": 1}}, on_failure=policy)
    assert (run.code != 0, run.of("rolled_back"), run.of("finished")) == (True, back, set()), run.output
    assert "oslo shifted 1" not in run.calls, "the other cluster of the wave ends its step, and begins no other"
    assert f"Release shop-42 failed in rome (on_failure: {policy})" in run.output


def test_a_cluster_that_cannot_go_back_is_named_with_its_command(collections: Path, tmp_path: Path) -> None:
    run = play(collections, tmp_path, {"berlin": {"fails_at": 2}, "bonn": {"fails": ["rolled_back"]}})
    assert run.of("rolled_back") == {"berlin", "bonn"}
    assert "NOT rolled back: bonn." in run.output
    assert f"release_rollback -i {tmp_path / 'inventory.yml'} -e @FILE --limit bonn" in run.output
    assert not run.of("shifted") & {"oslo", "rome"}


def test_with_the_policy_stop_a_cluster_that_is_not_back_is_named_too(collections: Path, tmp_path: Path) -> None:
    script = {"berlin": {"fails_at": 1, "rolled_back": False}, "bonn": {"fails_at": 1}}
    run = play(collections, tmp_path, script, on_failure="stop")
    assert run.of("rolled_back") == set()
    assert "NOT rolled back: berlin." in run.output


def test_a_way_back_that_was_decided_goes_on_in_every_cluster_that_has_begun(collections: Path, tmp_path: Path) -> None:
    script = {"berlin": {"record_phase": "rolling_back"}, "bonn": {"record_phase": "shifted"}}
    run = play(collections, tmp_path, script, on_failure="stop")
    assert run.code != 0
    assert (run.of("shifted"), run.of("rolled_back")) == (set(), {"berlin", "bonn"})


def test_another_run_of_the_release_takes_nothing_back(collections: Path, tmp_path: Path) -> None:
    run = play(collections, tmp_path, {"berlin": {"fails_at": 1, "code": "held"}})
    assert run.code != 0
    assert run.of("rolled_back") == set()


def test_unreachable_clusters_are_left_out_only_if_that_is_said(collections: Path, tmp_path: Path) -> None:
    script = {"oslo": {"fails": ["checked"]}}
    stopped = play(collections, tmp_path, script)
    assert (stopped.code != 0, stopped.calls) == (True, []), stopped.output
    assert "oslo | no answer" in stopped.output
    none = play(collections, tmp_path, {host: {"fails": ["checked"]} for hosts in WAVES.values() for host in hosts})
    for host in ("berlin", "bonn", "oslo", "rome"):
        assert f"{host} | no answer from {host}" in none.output, "each message is that of its own cluster"
    run = play(collections, tmp_path, script, "-e", "release_skip_unreachable=true")
    assert run.code == 0, run.output
    assert (run.of("shifted"), run.of("finished")) == ({"berlin", "bonn", "rome"}, set()), "not finished without oslo"


def test_a_part_of_the_waves_or_clusters_is_not_finished(collections: Path, tmp_path: Path) -> None:
    run = play(collections, tmp_path, {}, "-e", "release_until=pilot")
    assert (run.code, run.of("shifted"), run.of("finished")) == (0, {"berlin", "bonn"}, set()), run.output
    refused = play(collections, tmp_path, {}, waves=["pilot", "othres"])
    assert (refused.code != 0, refused.calls) == (True, [])
    assert "The inventory has no group othres. Waves" in refused.output
    spare = tmp_path / "spare.yml"
    spare.write_text("all: {children: {spare: {}}}", encoding="utf-8")
    empty = play(collections, tmp_path, {}, "-i", str(spare), waves=[*WAVES, "spare"])
    assert (empty.code != 0, empty.calls) == (True, [])
    assert "A wave without clusters would be passed over" in empty.output
    text = play(collections, tmp_path, {}, waves="pilot")
    assert (text.code != 0, text.calls) == (True, [])
    assert "Write it as one, such as waves: [pilot]" in text.output
    outside = play(collections, tmp_path, {}, waves=["pilot"])
    assert (outside.code != 0, outside.calls) == (True, [])
    assert "must be in exactly one" in outside.output


def test_outside_its_window_nothing_goes_back_and_the_time_is_said(collections: Path, tmp_path: Path) -> None:
    script = {"oslo": {"fails_at": 1, "code": "outside_window"}, "rome": {"fails_at": 1, "code": "outside_window"}}
    run = play(collections, tmp_path, script)
    assert (run.code != 0, run.of("rolled_back"), run.of("finished")) == (True, set(), set()), run.output
    assert "it failed" in run.output, "the message of the module, which has the time"
    assert "failed in" not in run.output


HOOKS = ("before_wave", "after_wave", "on_promote", "on_failure")


def hooks(folder: Path, fails: str = "") -> list[str]:
    """Return the options for files with tasks that print what they see. fails: `HOOK HOST`, where a task fails."""
    options = []
    for name in HOOKS:
        line = f"{name} {{{{ inventory_hostname }}}} {{{{ release_event['event'] }}}} {{{{ release_event['wave'] }}}}"
        seen = f"{line} {{{{ release_event['failed'] | join(',') }}}}"
        tasks = [
            {"name": "Note", "ansible.builtin.debug": {"msg": f"seen: {seen}"}},
            {"name": "Accept", "ansible.builtin.assert": {"that": f"'{name} ' ~ inventory_hostname != '{fails}'"}},
        ]
        path = folder / f"{name}.yml"
        path.write_text(yaml.safe_dump(tasks), encoding="utf-8")
        options += ["-e", f"release_{name}={path}"]
    return options


def noted(run: Run) -> set[str]:
    return {one.strip() for one in re.findall(r'"seen: ([^"]*)"', run.output)}


def test_tasks_of_the_user_run_for_each_cluster_of_a_wave_and_at_the_end(collections: Path, tmp_path: Path) -> None:
    run = play(collections, tmp_path, {}, *hooks(tmp_path))
    assert run.code == 0, run.output
    waves = {
        f"{name} {host} {name} {wave}"
        for name in ("before_wave", "after_wave")
        for wave, hosts in WAVES.items()
        for host in hosts
    }
    assert noted(run) == waves | {f"on_promote {host} on_promote" for hosts in WAVES.values() for host in hosts}


@pytest.mark.parametrize(
    ("fails", "shifted", "back"),
    [
        ("before_wave oslo", {"berlin", "bonn"}, {"berlin", "bonn"}),
        ("after_wave rome", {"berlin", "bonn", "oslo", "rome"}, {"berlin", "bonn", "oslo", "rome"}),
    ],
)
def test_a_failed_task_between_waves_takes_the_release_back(
    collections: Path, tmp_path: Path, fails: str, shifted: set[str], back: set[str]
) -> None:
    run = play(collections, tmp_path, {}, *hooks(tmp_path, fails))
    assert run.code != 0
    assert (run.of("shifted"), run.of("rolled_back"), run.of("finished")) == (shifted, back, set()), run.output
    name, _space, host = fails.partition(" ")
    assert f"on_failure berlin on_failure  {host}" in noted(run)
    assert f"release_{name}: Accept: " in run.output


def test_a_failed_task_at_the_end_is_a_warning(collections: Path, tmp_path: Path) -> None:
    run = play(collections, tmp_path, {}, *hooks(tmp_path, "on_promote oslo"))
    assert run.code == 0, run.output
    assert "The tasks of release_on_promote failed" in run.output
