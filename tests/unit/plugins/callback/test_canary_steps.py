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
from ansible_collections.meshops.canary.plugins.module_utils.commands import rollout as rollout_command
from ansible_collections.meshops.canary.plugins.plugin_utils import in_process, live_line, unattended
from ansible_collections.meshops.canary.plugins.plugin_utils.rollout_display import RolloutDisplay
from support.collection import tree
from support.rollout_results import ANALYSIS, ROLLOUT, WEIGHT, rollout

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
    for name in ("COLUMNS", *unattended.RUNNERS):
        monkeypatch.delenv(name, raising=False)
    yield made
    made.file.close()
    os.close(made.master)


@pytest.fixture
def callback(monkeypatch: pytest.MonkeyPatch) -> CallbackModule:
    monkeypatch.setattr(live_line, "current", None)
    made = CallbackModule()
    made._load_name = made.CALLBACK_NAME
    return made


def tell(callback: CallbackModule, action: str, result: dict[str, t.Any]) -> None:
    callback.v2_runner_on_ok(SimpleNamespace(_task=SimpleNamespace(action=action, loop=None), _result=result))


Part = str | tuple[str, dict[str, t.Any]]
STEP: list[Part] = [
    ("canary_rollout", rollout(phase="preparing")),
    ("canary_weight", WEIGHT),
    ("canary_rollout", ROLLOUT),
    "v2: 0 of 98 failed (0%) | v1: 0 of 902 failed (0%) | 10 s of 60 s",
    "v2: 11 of 21 failed | 12 s of 60 s",
    ("canary_analysis", ANALYSIS),
]


def work(*parts: Part) -> None:
    """Do what a worker does during a task: show parts of a rollout, and log sentences."""
    with in_process._log(rollout_command, "") as log:
        shown = RolloutDisplay(live_line.current, in_process.display.display)
        for part in parts:
            log(part) if isinstance(part, str) else shown.show(*part)
        shown.finish()


def test_a_step_is_one_line_that_is_drawn_over_itself(
    callback: CallbackModule, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.on(monkeypatch)
    callback._line.measure()
    work(*STEP)
    drawn = terminal.read()
    assert drawn.count("\n") == 1, "only the end of the step is a line that stays"
    *shown, last = [frame for frame in drawn.split("\r") if frame.strip("\x1b[K")]
    assert len(shown) == 6
    assert re.match(f"{CLOCK}{HEAD}v2: 0 of 98 failed", shown[3])
    assert all(len(frame.removesuffix(live_line.CLEAR)) < COLUMNS for frame in shown), "a full line would wrap"
    assert shown[-1].removesuffix(live_line.CLEAR).endswith("...")
    assert last.endswith("errors: 11 of 21 canary requests failed\n"), "in full length"


def test_a_step_that_ended_stays_and_the_next_one_is_below(
    callback: CallbackModule, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.on(monkeypatch)
    callback._line.measure()
    back = rollout(phase="rolling_back", desired_weights={"v1": 100.0, "v2": 0.0})
    work(*STEP, ("canary_rollout", back))
    ended = rollout(phase="rolled_back", desired_weights={"v2": 0.0}, over=True)
    work(("canary_rollout", ended))
    tell(callback, "canary_rollout", {**ended, "lines": ["shown before"], "lines_shown": True})
    first, second, third, rest = screen(terminal.read())
    assert re.fullmatch(f"{CLOCK}{HEAD}fail after 3 s .* v1 0 of 187 failed .*canary requests failed", first)
    assert re.match(f"{CLOCK}.* 0% \\| rolling back", second)
    assert re.match(f"{CLOCK}.* 0% \\| rolled back", third)
    assert rest == ""


def test_messages_and_failures_stand_below_the_line(
    callback: CallbackModule, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.on(monkeypatch)
    callback._line.measure()
    work(("canary_rollout", ROLLOUT))
    tell(callback, "canary_rollout", {**ROLLOUT, "lines": ["shown before"], "lines_shown": True})
    tell(callback, "ansible.builtin.command", {"changed": True, "stdout": "quiet"})
    tell(callback, "ansible.builtin.debug", {"msg": ["To go on: approve", "To go back: reject"]})
    work("counted")
    lines = screen(terminal.read())
    assert re.match(f"{CLOCK}{HEAD}observing", lines[0])
    assert lines[1:] == ["To go on: approve", "To go back: reject", ""]


def test_without_a_terminal_every_thing_is_a_plain_line(
    callback: CallbackModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stdout", pipe)
    callback._line.measure()
    work(*STEP)
    tell(callback, "canary_rollout", {**rollout(phase="promoted"), "lines": ["of a module on another host"]})
    written = pipe.getvalue()
    assert "\r" not in written
    assert "\x1b" not in written
    lines = written.splitlines()
    assert len(lines) == 7
    assert re.match(f"{CLOCK}v2: 0 of 98 failed", lines[3])
    assert re.match(f"{CLOCK}reviews v2 \\| fail after 3 s", lines[5])
    assert re.fullmatch(f"{CLOCK}of a module on another host", lines[6])


@pytest.mark.parametrize("name", ["dumb", ""])
def test_a_terminal_that_cannot_go_back_is_none(
    callback: CallbackModule, terminal: Terminal, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    terminal.on(monkeypatch)
    callback._line.measure()
    assert callback._line.columns == COLUMNS
    monkeypatch.setenv("TERM", name)
    callback._line.measure()
    assert callback._line.columns == 0


@pytest.mark.parametrize(
    ("variable", "value", "columns"),
    [
        *((name, "true", 0) for name in unattended.RUNNERS),
        ("RUNNER_OMIT_EVENTS", "False", 0),
        ("CI", "false", COLUMNS),
        ("CI", "", COLUMNS),
        ("CIRCUS", "true", COLUMNS),
    ],
)
def test_the_terminal_of_a_job_runner_is_a_log(
    callback: CallbackModule,
    terminal: Terminal,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    columns: int,
) -> None:
    terminal.on(monkeypatch)
    monkeypatch.setenv(variable, value)
    callback._line.measure()
    assert callback._line.columns == columns


def test_the_option_live_decides_against_what_is_found(
    callback: CallbackModule, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.on(monkeypatch)
    monkeypatch.setattr(callback._display, "verbosity", 1)
    for live, runner, columns in (("never", "", 0), ("always", "true", COLUMNS), ("auto", "true", 0)):
        monkeypatch.setenv("CI", runner)
        monkeypatch.setattr(callback, "get_option", lambda _name, live=live: live)  # the documentation declares it
        callback.set_options()
        callback._line.measure()
        assert (callback._line.live, callback._line.columns) == (live, columns)


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
