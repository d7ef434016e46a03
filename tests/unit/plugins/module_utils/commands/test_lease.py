# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who holds a lock: the playbook that a task belongs to, wherever that runs."""

from __future__ import annotations

import os
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.commands import lease

if t.TYPE_CHECKING:
    from pathlib import Path

ME = os.getpid()


def process(proc: Path, pid: int, parent: int, *words: str) -> None:
    """Put a process into a /proc of our own."""
    folder = proc / str(pid)
    folder.mkdir()
    (folder / "cmdline").write_bytes(b"\0".join(word.encode() for word in words))
    (folder / "stat").write_text(f"{pid} ({words[0]}) S {parent} " + " ".join(["0"] * 17) + " 4711 0")


PLAYBOOK = ("/usr/bin/python3", "/usr/local/bin/ansible-playbook", "site.yml")
TREES = [
    # In a container the playbook is the first process; its workers have its name too.
    ({1: (0, PLAYBOOK), 7: (1, PLAYBOOK), ME: (7, ("python3",))}, 1),
    ({1: (0, ("/sbin/init",)), 50: (1, ("bash",)), 60: (50, PLAYBOOK), ME: (60, PLAYBOOK)}, 60),
    # Processes of others may be hidden; ours are below them.
    ({60: (2, PLAYBOOK), ME: (60, ("python3",))}, 60),
    ({1: (0, ("/sbin/init",)), ME: (1, ("python3", "other.py"))}, 0),
]


def test_each_task_of_a_playbook_is_the_same_holder_where_no_process_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lease, "_PROC", tmp_path / "none")
    assert lease.whoever() == lease.whoever()
    assert lease.whoever()[0].endswith(f"/{os.getppid()}"), "an action's parent is the playbook"


def test_two_hosts_of_a_play_are_two_holders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(lease, "_PROC", tmp_path / "none")
    monkeypatch.setattr(lease, "played_host", "localhost")
    alone = lease.whoever()[0]
    monkeypatch.setattr(lease, "played_host", "master2")
    assert lease.whoever()[0] == f"{alone} for master2"


@pytest.mark.parametrize(("tree", "found"), TREES)
def test_the_outermost_ansible_is_the_holder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tree: dict[int, tuple[int, tuple[str, ...]]], found: int
) -> None:
    (tmp_path / "self").mkdir()
    for pid, (parent, words) in tree.items():
        process(tmp_path, pid, parent, *words)
    monkeypatch.setattr(lease, "_PROC", tmp_path)
    pid, mark = lease._runner()
    assert pid == found
    assert mark.split(" ")[2:] == ([str(found), "4711"] if found else [])
