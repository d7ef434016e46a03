# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A program on a terminal of its own, with somebody who reads what it prints and presses keys."""

from __future__ import annotations

import contextlib
import importlib
import os
import pty
import select
import signal
import termios
import time
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CTRL_C: t.Final = "\x03"


class Terminal:
    """said: all that was printed so far."""

    def __init__(self, command: Sequence[str], environment: dict[str, str]) -> None:
        self.pid, self._master = pty.fork()
        if not self.pid:
            os.execvpe(command[0], list(command), environment)
        self.said = ""

    def read_until(self, text: str, seconds: float) -> None:
        """Read until the text was printed, after all that was waited for before; fail after so many seconds."""
        begin, deadline = len(self.said), time.monotonic() + seconds
        while text not in self.said[begin:]:
            assert time.monotonic() < deadline, f"{text!r} was not printed within {seconds:g} s:\n{self.said}"
            assert self._read(1.0), f"It ended before it printed {text!r}:\n{self.said}"

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def press_until(self, keys: str, text: str, seconds: float) -> None:
        """Press where single keys are waited for, until the text is printed; one that comes too early is not heard."""
        begin, deadline, pressed = len(self.said), time.monotonic() + seconds, 0.0
        while text not in self.said[begin:]:
            now = time.monotonic()
            assert now < deadline, f"{text!r} was not printed within {seconds:g} s:\n{self.said}"
            if now - pressed > 3.0 and not termios.tcgetattr(self._master)[3] & termios.ISIG:
                self.press(keys)
                pressed = now
            assert self._read(0.5), f"It ended before it printed {text!r}:\n{self.said}"

    def end(self, seconds: float) -> int:
        """Return the exit status, after reading all that is printed until then."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._read(1.0):
            pass
        _pid, status = os.waitpid(self.pid, 0 if time.monotonic() < deadline else os.WNOHANG)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        """End it if it has not ended."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._master)

    def _read(self, seconds: float) -> bool:
        """Read what there is within so many seconds; return False at the end of the program."""
        if select.select([self._master], [], [], seconds)[0]:
            try:
                self.said += os.read(self._master, 4096).decode(errors="replace")
            except OSError:  # how Linux says that nobody has the other side open any more
                return False
        return True


@contextlib.contextmanager
def on_a_terminal(command: Sequence[str], environment: dict[str, str] | None = None) -> Iterator[Terminal]:
    """Yield the program's terminal, wide enough for whole lines; the program is ended at the end."""
    given = os.environ if environment is None else environment
    unattended = importlib.import_module("ansible_collections.meshops.canary.plugins.plugin_utils.unattended")
    given = {name: value for name, value in given.items() if name not in unattended.RUNNERS}  # somebody sits before it
    terminal = Terminal(command, {**given, "TERM": "xterm", "COLUMNS": "200"})
    try:
        yield terminal
    finally:
        terminal.close()
