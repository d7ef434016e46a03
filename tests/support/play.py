# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs `ansible-playbook` as a user does, in a process of its own, and reads what every task returned."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import signal
import subprocess
import sys
import textwrap
import typing as t
from pathlib import Path

import yaml

from . import preloaded_ansible
from .collection import tree
from .terminal import Terminal, on_a_terminal

Result = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Played:
    """What a playbook did.

    code: exit status. tasks: (task name, host, result) in order. seconds: what each task took, on all hosts.
    output: stderr, for people.
    """

    code: int
    tasks: tuple[tuple[str, str, Result], ...]
    stats: dict[str, dict[str, int]]
    output: str
    seconds: tuple[float, ...] = ()

    def task(self, name: str) -> Result:
        """Return the result of the only task with this name."""
        found = [result for task, _host, result in self.tasks if task == name]
        assert len(found) == 1, f"{len(found)} results of a task named {name!r}; there are {[x[0] for x in self.tasks]}"
        return found[0]

    @property
    def last(self) -> Result:
        """Return the result of the last task that ran: for plays of one task."""
        assert self.tasks, f"No task ran:\n{self.output}"
        return self.tasks[-1][2]

    @property
    def changed(self) -> int:
        """Return how many tasks reported a change, on all hosts."""
        return sum(host["changed"] for host in self.stats.values())


@dataclasses.dataclass(frozen=True)
class Begun:
    """A playbook that runs, in a process group of its own. log: the file with what it prints."""

    process: subprocess.Popen[str]
    log: Path

    def kill(self) -> None:
        """End the playbook and all its workers as a power cut would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=20)

    def wait(self, *, fails: bool = False, seconds: float = 180) -> None:
        """Wait for its end. fails: whether it must fail; the other outcome raises AssertionError with its output."""
        code = self.process.wait(timeout=seconds)
        assert (code != 0) == fails, f"exit status {code}\n{self.printed()}"

    def printed(self) -> str:
        """Return the end of what it has printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-4000:]


class Player:
    """Call it with tasks, with whole plays, or with the name of a playbook of the collection."""

    def __init__(self, folder: Path, kubeconfig: str | None) -> None:
        self.folder = folder
        self.kubeconfig = kubeconfig
        self.runs = 0

    def __call__(
        self,
        playbook: str | list[t.Any],
        *options: str,
        fails: bool = False,
        environment: dict[str, str] | None = None,
        seconds: float = 300,
        **variables: t.Any,
    ) -> Played:
        """Run the playbook on localhost and return what it did.

        playbook: `meshops.canary.NAME`, a path, YAML text, or data; a list of tasks is wrapped in a play.
        options: further arguments, such as `--check`. variables: extra variables.
        fails: whether it must fail; the other outcome raises AssertionError with all that was printed.
        """
        command = self._command(playbook, options, variables)
        given = self._environment(environment)
        settings = tuple((name, value) for name, value in given.items() if name.startswith("ANSIBLE_"))
        if any(name.startswith("ANSIBLE_") for name in environment or ()):
            pipes: dict[str, t.Any] = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True}
            done = subprocess.run(command, env=given, timeout=seconds, check=False, **pipes)
        else:
            self.runs += 1
            output = self.folder / f"run{self.runs}"
            done = preloaded_ansible.server(settings).run(command, given, output, seconds)
        played = _read(done)
        report = f"{' '.join(command)}\nexit status {done.returncode}\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
        assert (played.code != 0) == fails, report
        return played

    def begin(
        self, playbook: str | list[t.Any], *options: str, folder: Path | None = None, **variables: t.Any
    ) -> Begun:
        """Start the playbook in a process group of its own, so that it can be killed whole, and return at once.

        options: further arguments. folder: its working directory.
        """
        self.runs += 1
        log = self.folder / f"begun{self.runs}.log"
        with log.open("w", encoding="utf-8") as sink:
            process = subprocess.Popen(
                self._command(playbook, options, variables),
                stdout=sink,
                stderr=subprocess.STDOUT,
                text=True,
                env=self._environment(None),
                cwd=folder,
                start_new_session=True,
            )
        return Begun(process, log)

    def on_a_terminal(
        self, playbook: str, environment: dict[str, str], **variables: t.Any
    ) -> t.ContextManager[Terminal]:
        """Start the playbook on a terminal of its own, where somebody can press keys."""
        return on_a_terminal(self._command(playbook, (), variables), self._environment(environment))

    def _command(self, playbook: str | list[t.Any], options: tuple[str, ...], variables: dict[str, t.Any]) -> list[str]:
        command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", *options]
        command += ["-c", "local", "-e", "ansible_python_interpreter={{ ansible_playbook_python }}"]
        return [*command, "-e", json.dumps(variables), self._path(playbook)]

    def _path(self, playbook: str | list[t.Any]) -> str:
        if isinstance(playbook, str) and "\n" not in playbook:
            return playbook
        plays = yaml.safe_load(textwrap.dedent(playbook)) if isinstance(playbook, str) else playbook
        if not any(
            "hosts" in item or "import_playbook" in item or "ansible.builtin.import_playbook" in item for item in plays
        ):
            plays = [{"name": "Test", "hosts": "localhost", "gather_facts": False, "tasks": plays}]
        self.runs += 1
        path = self.folder / f"play{self.runs}.yml"
        path.write_text(yaml.safe_dump(plays, sort_keys=False), encoding="utf-8")
        return str(path)

    def _environment(self, more: dict[str, str] | None) -> dict[str, str]:
        """Return the user's environment without what would steer Ansible or choose a cluster by accident."""
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith(("ANSIBLE_", "K8S_AUTH_")) and k != "KUBECONFIG"
        }
        kept |= {
            "ANSIBLE_COLLECTIONS_PATH": str(tree()),
            "ANSIBLE_HOME": str(tree() / "home"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
            "ANSIBLE_LOCALHOST_WARNING": "false",
        }
        if self.kubeconfig:
            kept["K8S_AUTH_KUBECONFIG"] = self.kubeconfig
        return kept | (more or {})


def _read(done: subprocess.CompletedProcess[str]) -> Played:
    start = done.stdout.find("{\n")
    report = json.loads(done.stdout[start:]) if start >= 0 else {"plays": [], "stats": {}}
    tasks = tuple(
        (task["task"]["name"], host, result)
        for part in report["plays"]
        for task in part["tasks"]
        for host, result in task["hosts"].items()
    )
    durations = [task["task"]["duration"] for part in report["plays"] for task in part["tasks"] if task["hosts"]]
    return Played(done.returncode, tasks, report["stats"], done.stderr, tuple(map(_seconds, durations)))


def _seconds(duration: dict[str, str]) -> float:
    begun, ended = (datetime.datetime.fromisoformat(duration[key]) for key in ("start", "end"))
    return (ended - begun).total_seconds()
