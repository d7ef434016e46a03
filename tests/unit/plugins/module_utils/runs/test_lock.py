# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The identity of a lock holder: the run of the playbook that a task belongs to, whatever its program is called."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.runs import lock
from support.collection import tree

PROGRAM = """
import sys
from ansible.cli.playbook import PlaybookCLI
PlaybookCLI(["ansible-playbook", *sys.argv[1:]]).run()
"""
ACTION = """
import json, pathlib
from ansible_collections.meshops.canary.plugins.action.canary_rollout import ActionModule as Rollout
from ansible_collections.meshops.canary.plugins.module_utils.runs import lock


class ActionModule(Rollout):
    def _can_run_in_process(self, task_vars, env):
        return not self._task.args["as_module"]

    def _run_in_process(self, task_vars, env):
        return {"run": env[lock.RUN]}

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        with open(self._task.args["to"], "a") as out:
            out.write(json.dumps([task_vars["inventory_hostname"], result["run"]]) + chr(10))
        return result
"""
"""What a task of canary_rollout is called with; the worker of each task is a process of its own."""
MODULE = """#!/usr/bin/python
import json, os
print(json.dumps({"run": os.environ.get("MESHOPS_CANARY_RUN", "none")}))
"""
PLAY = """
- hosts: all
  connection: local
  gather_facts: false
  tasks:
    - whose: {to: "{{ playbook_dir }}/runs", as_module: false}
    - whose: {to: "{{ playbook_dir }}/runs", as_module: "{{ module | default(false) | bool }}"}
      environment: {OTHER: kept}
"""


def test_a_run_has_the_process_that_created_the_worker() -> None:
    identity, mark = lock.holder_identity(lock.this_run())
    assert identity.endswith(f"/{os.getpid()}"), "no worker: this process itself"
    assert mark.split(" ")[-2] == str(os.getpid())
    assert lock.holder_identity(lock.this_run()) == (identity, mark)
    assert not lock.is_process_dead(mark)


def test_two_hosts_of_a_play_have_different_identities() -> None:
    alone, mark = lock.holder_identity(lock.this_run("localhost"))
    assert lock.holder_identity(lock.this_run("master2")) == (f"{alone} for master2", mark)


def test_without_proc_the_process_is_known_and_not_whether_it_lives(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lock, "_PROC", tmp_path / "none")
    identity, mark = lock.holder_identity(lock.this_run())
    assert (identity.endswith(f"/{os.getpid()}"), mark) == (True, "")


def test_without_a_run_each_task_is_a_holder_of_its_own() -> None:
    assert lock.holder_identity("")[0] != lock.holder_identity("")[0]


@pytest.fixture
def playbook(tmp_path: Path) -> Path:
    """A play of two tasks on two hosts, each of which writes the run it is told to belong to."""
    for folder, name, text in (
        (".", "play.yml", PLAY),
        ("action_plugins", "whose.py", ACTION),
        ("library", "whose.py", MODULE),
    ):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).write_text(text, encoding="utf-8")
    return tmp_path


def runs(folder: Path, command: list[str], hosts: str = "localhost,") -> dict[str, list[tuple[str, str]]]:
    """Run the play; return host -> (identity, mark) of both tasks."""
    settings = {"ANSIBLE_COLLECTIONS_PATH": str(tree()), "ANSIBLE_LOCALHOST_WARNING": "0"}
    given = [
        "-i",
        hosts,
        "-e",
        json.dumps({"ansible_python_interpreter": sys.executable, "module": hosts != "localhost,"}),
    ]
    done = subprocess.run(
        [*command, *given, str(folder / "play.yml")],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, list[tuple[str, str]]] = {}
    for line in (folder / "runs").read_text(encoding="utf-8").splitlines():
        host, run = json.loads(line)
        found.setdefault(host, []).append(lock.holder_identity(run))
    (folder / "runs").unlink()
    return found


def renamed(folder: Path, name: str) -> list[str]:
    """Return the command of ansible-playbook under another name, as a wrapper of Nix or a distribution has it."""
    script = Path(sys.executable).parent / "ansible-playbook"
    link = folder / name
    link.write_text(script.read_text(encoding="utf-8").replace("sys.argv[0] = ", "_name = "), encoding="utf-8")
    link.chmod(0o755)
    return [str(link)]


@pytest.mark.parametrize("name", ["ansible-playbook-3.11", ".ansible-playbook-wrapped"])
def test_all_tasks_of_a_playbook_are_one_holder_whatever_its_program_is_called(playbook: Path, name: str) -> None:
    first, second = runs(playbook, renamed(playbook, name))["localhost"]
    assert first == second
    assert first[1], "the mark of the process, by which a dead holder is recognized"
    assert lock.is_process_dead(first[1]), "the playbook has ended"


def test_a_program_of_ones_own_runs_tasks_and_modules_as_one_holder_for_each_host(playbook: Path) -> None:
    """The second task is a module, as on a remote host; the program is Ansible's CLI class."""
    program = [sys.executable, "-c", PROGRAM]
    found = runs(playbook, program, "localhost,master2")
    for host, (first, second) in found.items():
        assert first == second, host
        assert first[1], host
    assert found["master2"][0][0] == f"{found['localhost'][0][0]} for master2"
    assert runs(playbook, program)["localhost"][0] != found["localhost"][0], "another playbook is another holder"
