# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Start, find and stop the background processes of the lab.

A process is identified by a mark in its environment, which its children inherit. A PID file could be stale, missing
after a kill, or name a process of another program.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import typing as t

from . import polling

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MARK = "CANARY_LAB_PROCESS"


def start(mark: str, argv: Sequence[t.Any], log: pathlib.Path) -> subprocess.Popen[bytes]:
    """Run `argv` in the background with `mark`, in its own session; its output is appended to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            [str(argument) for argument in argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, _MARK: mark},
            start_new_session=True,
            cwd="/",
        )


def claim(mark: str) -> None:
    """Give `mark` to all programs that this process starts from now on; stop those that a killed process left."""
    stop(mark, grace=2)
    os.environ[_MARK] = mark


def find(mark: str) -> list[int]:
    """Return the PIDs of all other running processes with the mark, oldest first.

    Without /proc the result is empty: on such a machine the lab starts no background process.
    """
    variable = f"{_MARK}={mark}".encode()
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        if int(folder.name) != os.getpid():
            try:
                if variable in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
            except OSError:
                continue
    return sorted(found)


def stop(mark: str, *, grace: float) -> None:
    """Stop the processes with `mark`: SIGTERM for the oldest, after `grace` seconds for all of them, then SIGKILL."""
    oldest = find(mark)[:1]
    send_signal(oldest, signal.SIGTERM)
    if _wait_for_end(mark, grace if oldest else 0):
        return
    send_signal(find(mark), signal.SIGTERM)
    if _wait_for_end(mark, 2):
        return
    send_signal(find(mark), signal.SIGKILL)
    _wait_for_end(mark, 5)


def _wait_for_end(mark: str, seconds: float) -> bool:
    return polling.wait_until(lambda: not find(mark), seconds, interval=0.05)


def send_signal(pids: Iterable[int], number: int) -> None:
    """Send a signal; processes that have ended are skipped."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
