# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asks what to do on a Ctrl-C while a rollout is under way: take the canary back, leave it where it is, or go on.

Ansible by itself ends the playbook on a Ctrl-C, and nothing runs after it. The callback asks in the process that owns
the terminal; the workers, where a command watches, are forked from that one and see the answer in shared memory.
"""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import sys
import time
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

PATIENCE: t.Final = 30.0
"""Seconds after which no answer means to go on."""
QUESTION: t.Final = (
    "\nCtrl-C: the rollout of {service} is under way. What shall be done?\n"
    "  b + Enter   take {canary} back to {stable}\n"
    "  l + Enter   leave it as it is and end the playbook; the same command goes on later\n"
    "  Enter       go on (so it does after {patience:g} s)\n"
    "> "
)
BACK: t.Final = "{canary} is taken back, as soon as the present task has noticed.\n"
ON: t.Final = "It goes on.\n"

_back = multiprocessing.RawValue("b", 0)


def asked_back() -> bool:
    """Return whether somebody wants the canary back; in whatever process of the playbook."""
    return bool(_back.value)


def keyboard() -> bool | None:
    """Return whether Ansible's pause would hear a key; None in a worker, whose own stdin Ansible has replaced.

    By the same signs as Ansible goes by: stdin is a terminal, and the playbook is in its foreground.
    """
    if multiprocessing.parent_process() is not None:
        return None
    try:
        terminal = sys.stdin.fileno()
        return os.isatty(terminal) and os.tcgetpgrp(terminal) == os.getpgrp()
    except (AttributeError, OSError, ValueError):  # there is none, or it is closed
        return False


class Asker:
    """Stands between a Ctrl-C and Ansible as long as there is a rollout that can still be taken back."""

    def __init__(self) -> None:
        self._about: Mapping[str, t.Any] = {}
        self._ansibles: t.Any = None
        self._owner = os.getpid()

    def heard(self, told: Mapping[str, t.Any]) -> None:
        """Take the result of a task of canary_rollout: from now on, or no more, a Ctrl-C asks."""
        run = told.get("run") or {}
        if not run:
            return
        self._about = run
        if run["over"] or run["phase"] == "rolling_back":
            _back.value = 0
            self.rest()
        elif self._ansibles is None and _somebody_is_there():
            self._ansibles = signal.signal(signal.SIGINT, self._ask)

    def rest(self) -> None:
        """Leave a Ctrl-C to Ansible."""
        if self._ansibles is not None:
            signal.signal(signal.SIGINT, self._ansibles)
            self._ansibles = None

    def _ask(self, number: int, frame: FrameType | None) -> None:
        ansibles = self._ansibles
        if os.getpid() != self._owner:  # a worker that Ansible has not detached from the terminal
            return
        self.rest()  # a second Ctrl-C is Ansible's
        answer = self._answer()
        if answer == "l":
            ansibles(number, frame)
            return
        if answer == "b":
            _back.value = 1
        _say((BACK if answer == "b" else ON).format(**self._about))
        self._ansibles = signal.signal(signal.SIGINT, self._ask)

    def _answer(self) -> str:
        """Return the first letter of a line of the terminal, empty after a while without one."""
        _say(QUESTION.format(patience=PATIENCE, **self._about))
        terminal, until = sys.stdin.fileno(), time.monotonic() + PATIENCE
        while time.monotonic() < until:
            # By short waits: a signal that comes just before one is heard only after it.
            ready, _write, _broken = select.select([terminal], [], [], 0.2)
            if ready:
                return os.read(terminal, 100).decode(errors="replace").strip()[:1].lower()
        return ""


def _say(text: str) -> None:
    """Print past the buffers, for a signal may have come while they were written to."""
    os.write(sys.stdout.fileno(), text.encode())


def _somebody_is_there() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
