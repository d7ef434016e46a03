# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One terminal line that is redrawn while a step runs and kept when it ends; plain lines without a terminal.

The callback creates it in the process that owns the terminal. Commands count requests in workers, which are forked from
that process and inherit it, with the width of the terminal.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
import typing as t

from .unattended import is_unattended

if t.TYPE_CHECKING:
    from collections.abc import Callable

CLEAR: t.Final = "\x1b[K"
"""Erases from the cursor to the end of the line (ECMA-48, EL)."""


class LiveLine:
    """One line of a terminal. columns: its width, 0 without a terminal. prefix: the step it is about.

    live: whether it is redrawn: `auto` (on a terminal that somebody watches), `always` or `never`.

    one_per_step: whether a step of a rollout is this one line; otherwise each of its events is a line that stays.

    write: writes a text without a newline, and not to the log file.
    print_line: prints a line, also to the log file.
    """

    def __init__(
        self, write: Callable[[str], None], print_line: Callable[[str], None], *, one_per_step: bool = False
    ) -> None:
        self._write, self._print_line, self.one_per_step = write, print_line, one_per_step
        self.columns, self.prefix, self.live = 0, "", "auto"
        self._last = ""

    def measure(self) -> None:
        """Read the width of the terminal; workers cannot."""
        self.columns = shutil.get_terminal_size().columns if is_terminal(self.live) else 0

    def draw(self, text: str) -> None:
        """Replace the line by the text, shortened to its width; without a terminal print the text as a line."""
        if not self.columns:
            self._print_line(with_time(text))
            return
        self._last = " | ".join(part for part in (self.prefix, text) if part)
        # The last column stays free because some terminals wrap there. The cursor returns to the first column.
        self._write(f"\r{shorten(with_time(self._last), self.columns - 1)}{CLEAR}\r")

    def finish(self) -> None:
        """Print the last text in full length and continue below it."""
        last = self._last
        self.clear()
        if last:
            self._print_line(with_time(last))

    def clear(self) -> None:
        """Erase the line, so that other output can take its place."""
        if self._last:
            self._write(f"\r{CLEAR}")
        self._last = ""


def is_terminal(live: str = "auto") -> bool:
    """Return whether stdout is a terminal that can redraw a line, and somebody watches it. live: see LiveLine."""
    if live != "auto":
        return live == "always"
    return sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb") and not is_unattended()


def with_time(text: str) -> str:
    """Return the text with the time of day in front."""
    return f"{time.strftime('%H:%M:%S')} {text}"


def shorten(text: str, columns: int) -> str:
    """Return at most this many columns of the text; three dots mark omitted text."""
    words = " ".join(text.split())
    return words if len(words) <= columns else f"{words[: max(columns - 3, 0)]}..."


def for_display(display: t.Any, *, one_per_step: bool = False) -> LiveLine:
    """Return a line on Ansible's display, which forwards the output of workers."""

    def write(text: str) -> None:
        display.display(text, newline=False, screen_only=True)

    return LiveLine(write, display.display, one_per_step=one_per_step)


current: LiveLine | None = None
"""Set by the enabled callback."""
