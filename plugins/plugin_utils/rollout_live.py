# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The line that is drawn over itself while a step is watched, and stays when it ends; plain lines without a terminal.

The callback sets it up in the process that owns the terminal; the workers, where a command counts requests, are forked
from that one and know by it whether and how wide to draw.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable

CLEAR: t.Final = "\x1b[K"
"""Erases from the cursor to the end of the line (ECMA-48, EL)."""


class Live:
    """One line of a terminal. columns: its width, 0 without a terminal. head: which step it is about.

    show: prints a text as it is, without a newline at its end and not into a log file.
    tell: prints a line, also into the log file.
    """

    def __init__(self, show: Callable[[str], None], tell: Callable[[str], None]) -> None:
        self._show, self._tell = show, tell
        self.columns, self.head = 0, ""
        self._last = ""

    def look(self) -> None:
        """Find out how wide the terminal is now; workers cannot."""
        self.columns = shutil.get_terminal_size().columns if is_terminal() else 0

    def draw(self, text: str) -> None:
        """Draw the text over the line, cut to its width; without a terminal as a line of its own."""
        if not self.columns:
            self._tell(stamped(text))
            return
        self._last = " | ".join(part for part in (self.head, text) if part)
        # The last column stays free, for some terminals wrap there; whatever is printed next begins at the first one.
        self._show(f"\r{cut(stamped(self._last), self.columns - 1)}{CLEAR}\r")

    def finish(self) -> None:
        """Leave the line as it was drawn last, in its full length, and go on below it."""
        last = self._last
        self.clear()
        if last:
            self._tell(stamped(last))

    def clear(self) -> None:
        """Wipe the line out, for something else is to be printed in its place."""
        if self._last:
            self._show(f"\r{CLEAR}")
        self._last = ""


def is_terminal() -> bool:
    """Return whether somebody looks at a terminal that can go back in its line."""
    return sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


def stamped(text: str) -> str:
    """Return the text with the time of the day before it."""
    return f"{time.strftime('%H:%M:%S')} {text}"


def cut(text: str, columns: int) -> str:
    """Return at most so many columns of the text, saying by three dots that there is more."""
    words = " ".join(text.split())
    return words if len(words) <= columns else f"{words[: max(columns - 3, 0)]}..."


def on(display: t.Any) -> Live:
    """Return a line on Ansible's display, which passes on what workers print."""
    return Live(lambda text: display.display(text, newline=False, screen_only=True), display.display)


live: Live | None = None
"""Set by the callback that is enabled."""
