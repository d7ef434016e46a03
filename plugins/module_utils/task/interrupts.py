# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signals that end a task: Ctrl-C, SIGTERM (AWX cancels with it), a closed terminal, and the end of the playbook.

A task that waits ends at once. While it writes a record it ends after that. Every point in between is one at which a
killed run can be resumed, so nothing else is done about it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

SIGNALS: t.Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PARENT_EVERY: t.Final = 0.5
"""Seconds between two looks whether the process that started the task is alive."""


class Stop(BaseException):  # not an Exception: no handler of errors may take it for one
    """A signal arrived. name: of the signal, or what else has ended the task."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Interrupts:
    """Raises Stop in the main thread when a signal arrives, outside of `deferred`."""

    def __init__(self) -> None:
        self._deferring = 0
        self._pending = ""
        self._parent_ended = threading.Event()
        self._over = threading.Event()

    @contextlib.contextmanager
    def handled(self) -> Iterator[None]:
        """Handle the signals until the end of the block. In another thread than the main one this does nothing."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        creator = multiprocessing.parent_process()  # of a worker; it may have ended before this line
        parent = os.getppid() if creator is None or creator.pid is None else creator.pid
        watching = threading.Thread(target=self._watch_parent, args=(parent,), daemon=True)
        watching.start()
        try:
            yield
        finally:
            self._over.set()
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Let a signal wait until the end of the block."""
        self._deferring += 1
        try:
            yield
        finally:
            self._deferring -= 1
            if self._pending and not self._deferring:  # also after an error: nothing may be decided from it any more
                raise Stop(self._pending)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and multiprocessing.parent_process() is not None:
            return  # Ctrl-C belongs to the playbook, which may ask first, and ends its workers by SIGTERM
        name = "the end of the playbook" if self._parent_ended.is_set() else signal.Signals(number).name
        self._pending = self._pending or name
        if not self._deferring:
            raise Stop(self._pending)

    def _watch_parent(self, parent: int) -> None:
        """Send SIGTERM when the parent has ended: a killed playbook leaves its workers behind."""
        while not self._over.wait(PARENT_EVERY):
            if os.getppid() != parent:
                self._parent_ended.set()
                os.kill(os.getpid(), signal.SIGTERM)
                return
