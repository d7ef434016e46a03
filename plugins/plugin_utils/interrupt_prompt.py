# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prompts on a Ctrl-C while a rollout is under way: roll the canary back, leave the rollout as it is, or continue.

Without this a Ctrl-C ends the playbook, and no further task runs. The callback prompts in the process that owns the
terminal. The rollout works in a worker, which is forked from that process: it announces what is under way, and reads
the answer, through shared memory.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import select
import signal
import sys
import time
import typing as t

from .unattended import is_unattended

if t.TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

TIMEOUT: t.Final = 30.0
"""Seconds after which the rollout continues without an answer."""
PROMPT: t.Final = (
    "\nCtrl-C: the rollout of {service} is under way. Select an action:\n"
    "  b + Enter   roll {canary} back to {stable}\n"
    "  l + Enter   leave the rollout as it is and end the playbook; run the same command to resume it\n"
    "  Enter       continue (also without an answer for {timeout:g} s)\n"
    "> "
)
ROLLBACK: t.Final = "{canary} is rolled back as soon as the rollout can stop.\n"
CONTINUE: t.Final = "The rollout continues.\n"
MAX_BYTES: t.Final = 1024

_rollback = multiprocessing.RawValue("b", 0)
_under_way = multiprocessing.RawArray("c", MAX_BYTES)


def rollback_requested() -> bool:
    """Return whether a rollback was requested, in any process of the playbook."""
    return bool(_rollback.value)


def announce(names: Mapping[str, str] | None) -> None:
    """Say which rollout is under way ({service, stable, canary}), or None when nothing can be rolled back any more."""
    encoded = json.dumps(dict(names or {})).encode()
    _under_way.value = encoded if len(encoded) < MAX_BYTES else b"{}"
    if not names:
        _rollback.value = 0


def under_way() -> dict[str, str]:
    """Return the names of the rollout that is under way, {} without one."""
    return dict(json.loads(_under_way.value or b"{}"))


def has_keyboard() -> bool | None:
    """Return whether Ansible's pause can read a key; None in a worker, because Ansible replaces its stdin.

    Uses the conditions of Ansible: stdin is a terminal, and the playbook is in its foreground.
    """
    if multiprocessing.parent_process() is not None:
        return None
    if is_unattended():
        return False
    try:
        terminal = sys.stdin.fileno()
        return os.isatty(terminal) and os.tcgetpgrp(terminal) == os.getpgrp()
    except (AttributeError, OSError, ValueError):  # there is no stdin, or it is closed
        return False


class InterruptPrompt:
    """Handles Ctrl-C instead of Ansible; without a rollout under way it leaves that to Ansible."""

    def __init__(self) -> None:
        self._ansible_handler: t.Any = None
        self._owner = os.getpid()

    def install(self) -> None:
        """Handle Ctrl-C from now on, if there is a terminal."""
        if self._ansible_handler is None and _is_interactive():
            self._ansible_handler = signal.signal(signal.SIGINT, self._handle)

    def remove(self) -> None:
        """Restore Ansible's handler."""
        if self._ansible_handler is not None:
            signal.signal(signal.SIGINT, self._ansible_handler)
            self._ansible_handler = None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        ansible_handler, names = self._ansible_handler, under_way()
        if os.getpid() != self._owner:  # a worker that Ansible has not detached from the terminal
            return
        if not names:
            ansible_handler(number, frame)
            return
        self.remove()  # so that a second Ctrl-C ends the playbook
        answer = self._answer(names)
        if answer == "l":
            ansible_handler(number, frame)
            return
        if answer == "b":
            _rollback.value = 1
        _write((ROLLBACK if answer == "b" else CONTINUE).format(**names))
        self.install()

    def _answer(self, names: Mapping[str, str]) -> str:
        """Return the first letter of a line from the terminal; empty after the timeout."""
        _write(PROMPT.format(timeout=TIMEOUT, **names))
        terminal, deadline = sys.stdin.fileno(), time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            # Short waits, because a signal that arrives just before a wait is handled only after it.
            readable, _writable, _exceptional = select.select([terminal], [], [], 0.2)
            if readable:
                return os.read(terminal, 100).decode(errors="replace").strip()[:1].lower()
        return ""


def _write(text: str) -> None:
    """Write to stdout without its buffer, because the signal may have interrupted a write to it."""
    os.write(sys.stdout.fileno(), text.encode())


def _is_interactive() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty() and not is_unattended()
