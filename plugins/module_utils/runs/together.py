# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs work for several services at once, and ends it when one of them fails or the task is to stop."""

from __future__ import annotations

import threading
import time
import typing as t

from ..errors import CanaryError
from ..task.interrupts import Stop
from .record_store import RolloutOver

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LOOK_EVERY: t.Final = 0.1
GRACE_SECONDS: t.Final = 5.0
"""How long the others may take to notice that one has failed; then the way back begins anyway."""


class Together:
    """Work of several services. failures: service -> what it raised.

    rollback_requested: whether somebody has requested a rollback at the terminal.
    """

    def __init__(self, rollback_requested: Callable[[], bool]) -> None:
        self._rollback_requested = rollback_requested
        self._stopped_by = ""
        self._ended = False
        self._threads: list[threading.Thread] = []
        self.requested = False
        self.failures: dict[str, BaseException] = {}

    @property
    def ended(self) -> bool:
        """Return whether a service has failed or a rollback was requested, so that nothing goes on."""
        return self._ended or self.requested or bool(self.failures)

    def end(self) -> None:
        """Let all waits end: a service has failed without an error."""
        self._ended = True

    def interrupt(self) -> None:
        """End a wait. Raises Stop if a signal arrived, RolloutOver if another service has failed."""
        if self._stopped_by:
            raise Stop(self._stopped_by)
        if self.ended:
            raise RolloutOver("Another service of the release has failed, so this one goes back too.")

    def stop(self, name: str) -> None:
        """End all waits because a signal arrived, and wait a little until they have ended. name: of the signal."""
        self._stopped_by, ends = name, time.monotonic() + GRACE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, ends - time.monotonic()))

    def run(self, works: Mapping[str, Callable[[], None]], *, one_by_one: bool = False) -> None:
        """Run the work of each service, and return when all of it has ended. Raises Stop in the main thread.

        one_by_one: one after another in the order given. After a failure no other begins.
        """
        groups: Sequence[list[str]] = [[key] for key in works] if one_by_one else [list(works)]
        for group in groups:
            if self.ended:
                return
            self._side_by_side({key: works[key] for key in group})

    def _side_by_side(self, works: Mapping[str, Callable[[], None]]) -> None:
        threads = [
            threading.Thread(target=self._guarded, args=(key, work), name=f"canary {key}", daemon=True)
            for key, work in works.items()
        ]
        self._threads = threads
        for thread in threads:
            thread.start()
        self._wait(threads)

    def _guarded(self, key: str, work: Callable[[], None]) -> None:
        try:
            work()
        except RolloutOver as error:
            if not self.ended:  # somebody else has ended this one
                self.failures[key] = error
        except BaseException as error:
            self.failures[key] = error

    def _wait(self, threads: Sequence[threading.Thread]) -> None:
        given_up = float("inf")
        while any(thread.is_alive() for thread in threads) and time.monotonic() < given_up:
            self.requested = self.requested or self._rollback_requested()
            if self.ended and given_up == float("inf"):
                given_up = time.monotonic() + GRACE_SECONDS
            for thread in threads:
                if thread.is_alive():
                    thread.join(LOOK_EVERY)
                    break

    def first_failure(self) -> tuple[str, BaseException] | None:
        """Return the service that failed first and why; a defect before an error that somebody can act on."""
        defects = [one for one in self.failures.items() if not isinstance(one[1], CanaryError)]
        return next(iter([*defects, *self.failures.items()]), None)


def staggered(works: Mapping[str, Callable[[], None]], *, seconds: float, at_most: float) -> set[str]:
    """Run each work in order, the next one when the last has ended or after `seconds`; return those still at work.

    Works catch their own errors. at_most: seconds for all.
    """
    ends = time.monotonic() + at_most
    threads = {}
    for key, work in works.items():
        threads[key] = threading.Thread(target=work, name=f"canary back {key}", daemon=True)
        threads[key].start()
        threads[key].join(min(seconds, max(0.0, ends - time.monotonic())))
    for thread in threads.values():
        thread.join(max(0.0, ends - time.monotonic()))
    return {key for key, thread in threads.items() if thread.is_alive()}
