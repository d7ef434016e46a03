# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One line a step: drawn over itself on a terminal, which is a real one here (a pty), and plain lines without."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import typing as t
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.meshops.canary.plugins.callback.canary_steps import CallbackModule
from ansible_collections.meshops.canary.plugins.module_utils.commands import weight
from ansible_collections.meshops.canary.plugins.plugin_utils import in_process, rollout_live
from support.collection import tree
from support.told import ANALYSIS, ROLLOUT, WEIGHT, rollout

if t.TYPE_CHECKING:
    from collections.abc import Iterator

COLUMNS = 100
LAST_WORD = "<that is all>"
CLOCK = r"\d\d:\d\d:\d\d "
HEAD = r"reviews v1 -> v2 \| step 2/4 \| \[##-{18}\] 10% \| "


def screen(written: str) -> list[str]:
    """Return the lines a terminal shows: carriage return, newline and "erase to the end of the line" are obeyed."""
    lines, column = [""], 0
    for part in re.findall(r"\r|\n|\x1b\[K|\x1b\[[0-9;]*m|[^\r\n\x1b]+", written):
        if part == "\r":
            column = 0
        elif part == "\n":
            lines.append("")
            column = 0
        elif part == "\x1b[K":
            lines[-1] = lines[-1][:column]
        elif not part.startswith("\x1b"):
            lines[-1] = lines[-1][:column] + part + lines[-1][column + len(part) :]
            column += len(part)
    return lines


class Terminal:
    """A pseudo-terminal of COLUMNS columns in the place of sys.stdout."""

    def __init__(self) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
        self.file = os.fdopen(slave, "w", buffering=1)

    def on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Print there from now on; pytest puts its own stdout back between setup and test."""
        monkeypatch.setattr(sys, "stdout", self.file)

    def read(self) -> str:
        """Return all that was written; the kernel passes it on in its own time, so a last word is waited for."""
        print(LAST_WORD, end="\r", file=self.file)
        seen = ""
        while LAST_WORD not in seen:
            seen += os.read(self.master, 65536).decode()
        return seen.partition(LAST_WORD)[0].replace("\r\n", "\n")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    made = Terminal()
    monkeypatch.setattr(sys, "__stdout__", made.file)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("COLUMNS", raising=False)
    yield made
    made.file.close()
    os.close(made.master)


@pytest.fixture
def callback(monkeypatch: pytest.MonkeyPatch) -> CallbackModule:
    monkeypatch.setattr(rollout_live, "live", None)
    made = CallbackModule()
    made._load_name = made.CALLBACK_NAME
    return made


def tell(callback: CallbackModule, action: str, result: dict[str, t.Any]) -> None:
    callback.v2_runner_on_ok(SimpleNamespace(_task=SimpleNamespace(action=action, loop=None), _result=result))


def watch(*sentences: str) -> None:
    """Do what a worker does while a command counts."""
    with in_process._log(weight) as log:
        for sentence in sentences:
            log(sentence)


def step(callback: CallbackModule) -> None:
    """Play a step as a rollout does."""
    tell(callback, "canary_rollout", rollout(phase="preparing"))
    tell(callback, "canary_weight", WEIGHT)
    tell(callback, "canary_rollout", ROLLOUT)
    watch("v2: 0 of 98 failed (0%) | v1: 0 of 902 failed (0%) | 10 s of 60 s", "v2: 11 of 21 failed | 12 s of 60 s")
    tell(callback, "canary_analysis", ANALYSIS)


def test_a_step_is_one_line_that_is_drawn_over_itself(
    callback: CallbackModule, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.on(monkeypatch)
    callback._live.look()
    step(callback)
    drawn = terminal.read()
    assert "\n" not in drawn, "nothing but one line was written so far"
    shown = [frame for frame in drawn.split("\r") if frame.strip("\x1b[K")]
    assert len(shown) == 6
    assert re.match(f"{CLOCK}{HEAD}v2: 0 of 98 failed", shown[3])
    assert all(len(frame.removesuffix(rollout_live.CLEAR)) < COLUMNS for frame in shown), "a full line would wrap"
    assert shown[-1].removesuffix(rollout_live.CLEAR).endswith("...")


def test_a_step_that_ended_stays_and_the_next_one_is_below(
    callback: CallbackModule, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.on(monkeypatch)
    callback._live.look()
    step(callback)
    tell(callback, "canary_rollout", rollout(phase="rolling_back", weights_wanted={"v1": 100.0, "v2": 0.0}))
    tell(callback, "canary_rollout", rollout(phase="rolled_back", weights_wanted={"v2": 0.0}, over=True))
    tell(callback, "canary_rollout", rollout(phase="rolled_back", weights_wanted={"v2": 0.0}, over=True))
    first, second, third, rest = screen(terminal.read())
    assert re.fullmatch(f"{CLOCK}{HEAD}fail after 3 s .* v1 0 of 187 failed .*canary requests failed", first)
    assert re.match(f"{CLOCK}.* 0% \\| rolling back", second)
    assert re.match(f"{CLOCK}.* 0% \\| rolled back", third)
    assert rest == ""


def test_messages_and_failures_stand_below_the_line(
    callback: CallbackModule, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.on(monkeypatch)
    callback._live.look()
    tell(callback, "canary_rollout", ROLLOUT)
    tell(callback, "ansible.builtin.command", {"changed": True, "stdout": "quiet"})
    tell(callback, "ansible.builtin.debug", {"msg": ["To go on: approve", "To go back: reject"]})
    watch("counted")
    lines = screen(terminal.read())
    assert re.match(f"{CLOCK}{HEAD}observing", lines[0])
    assert lines[1:] == ["To go on: approve", "To go back: reject", ""]


def test_without_a_terminal_every_thing_is_a_plain_line(
    callback: CallbackModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stdout", pipe)
    callback._live.look()
    step(callback)
    tell(callback, "canary_rollout", rollout(phase="promoted", weights_wanted={"v2": 100.0}, over=True))
    written = pipe.getvalue()
    assert "\r" not in written
    assert "\x1b" not in written
    lines = written.splitlines()
    assert len(lines) == 7
    assert re.match(f"{CLOCK}v2: 0 of 98 failed", lines[3])
    assert re.match(f"{CLOCK}reviews v2 \\| fail after 3 s", lines[5])


@pytest.mark.parametrize("name", ["dumb", ""])
def test_a_terminal_that_cannot_go_back_is_none(
    callback: CallbackModule, terminal: Terminal, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    terminal.on(monkeypatch)
    callback._live.look()
    assert callback._live.columns == COLUMNS
    monkeypatch.setenv("TERM", name)
    callback._live.look()
    assert callback._live.columns == 0


PLAY = """
- name: Any play
  hosts: localhost
  gather_facts: false
  tasks:
    - {name: Nobody asks, ansible.builtin.set_fact: {x: 1}}
    - {name: Left out, ansible.builtin.debug: {msg: never}, when: false}
    - {name: A message, ansible.builtin.debug: {msg: said}}
    - {name: It breaks, ansible.builtin.fail: {msg: broken}}
"""


@pytest.mark.parametrize(("options", "named"), [((), False), (("-v",), True)])
def test_ansible_takes_it_as_its_output(tmp_path: Path, options: tuple[str, ...], named: bool) -> None:
    play = tmp_path / "play.yml"
    play.write_text(PLAY, encoding="utf-8")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
        "ANSIBLE_COLLECTIONS_PATH": str(tree()),
        "ANSIBLE_HOME": str(tmp_path / "home"),
        "ANSIBLE_STDOUT_CALLBACK": "meshops.canary.canary_steps",
        "ANSIBLE_NOCOLOR": "true",
    }
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", "-c", "local", *options]
    done = subprocess.run(
        [*command, str(play)], capture_output=True, text=True, env=environment, timeout=120, check=False
    )
    assert "\nsaid\n" in done.stdout or named, done.stdout + done.stderr
    assert "broken" in done.stdout
    assert "TASK [It breaks]" in done.stdout
    assert "PLAY RECAP" in done.stdout
    assert ("TASK [Nobody asks]" in done.stdout) == named
    assert ("TASK [Left out]" in done.stdout) == named
