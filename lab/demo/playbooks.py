# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs `ansible-playbook` as a user does and writes all its output to one log."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import textwrap
import time
import typing as t

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "out"
RECAP = re.compile(r"^localhost\s+:\s+ok=(?P<ok>\d+)\s+changed=(?P<changed>\d+)", re.MULTILINE)
# How debug prints a result as YAML: "ok: [localhost] => " and a mapping with `msg` alone.
RESULT = re.compile(r"^ok: \[localhost\] => *\n((?: {4}msg:.*\n)(?: {4}.*\n|\n(?= {4}))*)", re.MULTILINE)
PLAYBOOK_TIMEOUT = 600


@dataclasses.dataclass(frozen=True)
class Playbook:
    """A playbook and its extra variables. hidden: further ones that depend on this machine and are not shown."""

    name: str
    variables: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    hidden: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)

    @property
    def command(self) -> str:
        """Return the command as a user types it."""
        plain = [f"-e {name}={value}" for name, value in self.variables.items() if isinstance(value, str)]
        rich = {name: value for name, value in self.variables.items() if not isinstance(value, str)}
        options = [*plain, *([f"-e {shlex.quote(json.dumps(rich))}"] if rich else [])]
        return " ".join(["ansible-playbook", self.name, *options])


@dataclasses.dataclass(frozen=True)
class PlaybookResult:
    """The result of a playbook. messages: what its debug tasks printed, in order; output: everything it printed."""

    ok: bool
    tasks: int
    changed: int
    seconds: float
    messages: list[str]
    output: str


class Ansible:
    """Runs playbooks of this checkout on a cluster. folder: gets the link that makes the checkout a collection."""

    def __init__(self, kubeconfig: str, folder: pathlib.Path, log: pathlib.Path) -> None:
        link = folder / "ansible_collections" / "meshops" / "canary"
        link.parent.mkdir(parents=True)
        link.symlink_to(ROOT)
        self._log = log
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "K8S_AUTH_"))}
        self._environment = kept | {
            "ANSIBLE_COLLECTIONS_PATH": str(folder),
            "ANSIBLE_HOME": str(folder / "home"),
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml",
            "ANSIBLE_CALLBACKS_ENABLED": "ansible.posix.profile_tasks",
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_NOCOLOR": "true",
            "K8S_AUTH_KUBECONFIG": kubeconfig,
        }

    def run(self, playbook: Playbook) -> PlaybookResult:
        """Run the playbook to its end and return its result, also if it failed."""
        program = str(pathlib.Path(sys.executable).with_name("ansible-playbook"))
        variables = {**playbook.variables, **playbook.hidden, "ansible_python_interpreter": sys.executable}
        command = [program, "--diff", playbook.name, "-e", json.dumps(variables)]
        began = time.monotonic()
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=PLAYBOOK_TIMEOUT,
                check=False,
            )
            ok, output = done.returncode == 0, done.stdout
        except subprocess.TimeoutExpired as late:
            printed = late.stdout.decode(errors="replace") if isinstance(late.stdout, bytes) else late.stdout or ""
            ok, output = False, f"{printed}\nstill running after {PLAYBOOK_TIMEOUT} s\n"
        seconds = time.monotonic() - began
        with self._log.open("a", encoding="utf-8") as log:
            log.write(f"$ {playbook.command}\n{output}\n({seconds:.1f} s)\n\n")
        recap = RECAP.search(output)
        counts = (int(recap["ok"]), int(recap["changed"])) if recap else (0, 0)
        return PlaybookResult(ok, *counts, seconds, messages(output), output)


def messages(output: str) -> list[str]:
    """Return the `msg` of every task that printed one, line by line."""
    found: list[str] = []
    for block in RESULT.findall(output):
        message = yaml.safe_load(textwrap.dedent(block))["msg"]
        for item in message if isinstance(message, list) else [message]:
            found += str(item).splitlines()  # inner spaces stay: it may be a table
    return [text.rstrip() for text in found if text.strip()]
