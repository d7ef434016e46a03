# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs ansible-playbook in forks of a process that has imported Ansible and the collection already.

ansible-playbook spends over a second of a processor on imports, as much as on a whole play of these tests. Each run is
a process of its own all the same, as if a user had started it. The settings of Ansible, ANSIBLE_*, are read once: all
runs of one server share them.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import json
import os
import select
import signal
import subprocess
import sys
import typing as t
from pathlib import Path

COLLECTION = "ansible_collections.meshops.canary"


class Server:
    """A process that has imported Ansible with this environment. run: run ansible-playbook in a fork of it."""

    def __init__(self, environment: dict[str, str]) -> None:
        command = [sys.executable, __file__]
        pipes: dict[str, t.Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(command, env=environment, **pipes)
        atexit.register(self._end)

    def run(
        self, arguments: list[str], environment: dict[str, str], output: Path, seconds: float
    ) -> subprocess.CompletedProcess[str]:
        """Return what `subprocess.run` would return, or raise TimeoutExpired as it does. output: stem of two files."""
        out, err = output.with_suffix(".out"), output.with_suffix(".err")
        run = {"arguments": arguments, "environment": environment, "out": str(out), "err": str(err)}
        self._to.write(json.dumps(run) + "\n")
        self._to.flush()
        pid = self._answer()
        if not select.select([self._from], [], [], seconds)[0]:
            os.killpg(pid, signal.SIGKILL)
            self._answer()
            raise subprocess.TimeoutExpired(arguments, seconds, out.read_text(), err.read_text())
        return subprocess.CompletedProcess(arguments, self._answer(), out.read_text(), err.read_text())

    @property
    def _to(self) -> t.IO[str]:
        return t.cast("t.IO[str]", self._process.stdin)

    @property
    def _from(self) -> t.IO[str]:
        return t.cast("t.IO[str]", self._process.stdout)

    def _answer(self) -> int:
        line = self._from.readline()
        assert line, f"the process that runs ansible-playbook ended with {self._process.wait()}"
        return int(line)

    def _end(self) -> None:
        self._to.close()
        self._process.wait(timeout=10)


@functools.cache
def server(settings: tuple[tuple[str, str], ...]) -> Server:
    """Return the server for these settings of Ansible, as pairs of ANSIBLE_* and value."""
    return Server({**{k: v for k, v in os.environ.items() if not k.startswith("ANSIBLE_")}, **dict(settings)})


def _serve() -> None:
    """Read runs as JSON lines from stdin; write each one's process id, then its exit status."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # nothing that is imported may write among the answers
    _import()
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            _run(json.loads(line))
        answers.write(f"{pid}\n")
        answers.write(f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n")


def _import() -> None:
    import gc
    import importlib
    import warnings

    from ansible.plugins.loader import init_plugin_loader

    init_plugin_loader()
    warnings.filterwarnings("ignore", message="AnsibleCollectionFinder has already been configured")
    actions = sorted((Path(__file__).parents[2] / "plugins" / "action").glob("canary_*.py"))
    for name in (
        "ansible.cli.playbook",
        "ansible.executor.playbook_executor",
        "ansible.plugins.strategy.linear",
        "ansible_collections.ansible.posix.plugins.callback.json",
        *(f"{COLLECTION}.plugins.action.{path.stem}" for path in actions),
    ):
        importlib.import_module(name)
    gc.freeze()


def _run(run: dict[str, t.Any]) -> t.NoReturn:
    from ansible.cli.playbook import main

    os.setsid()
    _name_process(b"ansible-playbook")
    for number, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, run["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (2, run["err"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        os.dup2(os.open(path, flags), number)
    os.environ.clear()
    os.environ.update(run["environment"])
    sys.argv = run["arguments"]
    code: t.Any = 1
    try:
        main(run["arguments"])
    except SystemExit as ended:
        code = ended.code or 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


def _name_process(name: bytes) -> None:
    """Replace the command line that others see: it is how the collection finds the process that runs a playbook."""
    fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    begin, end = int(fields[45]), int(fields[46])
    ctypes.memset(begin, 0, end - begin)
    ctypes.memmove(begin, name, len(name))


if __name__ == "__main__":
    _serve()
