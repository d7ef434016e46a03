# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The output of a rollout under ansible-runner, as in AWX: its pseudo-terminal is a log of plain lines."""

from __future__ import annotations

import os
import re
import sys
import typing as t
from pathlib import Path

import ansible_runner
import pytest
from support.collection import tree
from support.rollout_role import OPTIONS, role_variables

if t.TYPE_CHECKING:
    from support.lab import Lab


@pytest.mark.parametrize("callback", ["meshops.canary.canary_line", ""], ids=["canary_line", "no callback"])
def test_a_rollout_prints_plain_lines_under_ansible_runner(
    lab: Lab, routed: str, tmp_path: Path, callback: str
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "site.yml").write_text("- ansible.builtin.import_playbook: meshops.canary.rollout\n", encoding="utf-8")
    environment = {
        "ANSIBLE_COLLECTIONS_PATH": str(tree()),
        "ANSIBLE_HOME": str(tree() / "home"),
        **({"ANSIBLE_CALLBACKS_ENABLED": callback} if callback else {}),
        "K8S_AUTH_KUBECONFIG": lab.kubeconfig,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TERM": "xterm",
    }
    variables = role_variables({"ns": routed, **OPTIONS, "pause": 1, "steps": [50]})
    ran = ansible_runner.run(
        private_data_dir=str(tmp_path),
        playbook="site.yml",
        inventory="localhost ansible_connection=ssh",
        envvars=environment,
        extravars=variables,
        quiet=True,
    )
    output = Path(ran.stdout.name).read_text(encoding="utf-8")
    assert ran.rc == 0, output
    lines = output.replace("\r\n", "\n").split("\n")
    assert not [line for line in lines if "\r" in line or "\x1b[K" in line], "nothing is redrawn"
    steps = [line for line in lines if re.search(r"[0-9:]{8} reviews v1 -> v2 \| step 1/2 .*observing", line)]
    assert len(steps) == 1, output
    assert "600 s left" in steps[0] or "30 s left" in steps[0], "and nothing is cut off at 80 columns"
