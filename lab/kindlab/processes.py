# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Start, find and end the lab's own background processes.

A process is known by a mark in its environment, which its children inherit. There is no pid file that could be stale,
missing after a kill, or name somebody else's process.
"""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import time
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Sequence

_MARK = "CANARY_LAB_PROCESS"


def start(mark: str, argv: Sequence[t.Any], log: pathlib.Path) -> subprocess.Popen[bytes]:
    """Run `argv` in the background, in a session of its own, under `mark`; its output goes to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            [str(word) for word in argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, _MARK: mark},
            start_new_session=True,
            cwd="/",
        )


def take_over(mark: str) -> None:
    """Put all programs that this process runs from now on under `mark`, and end those that a killed process left."""
    stop(mark, patience=2)
    os.environ[_MARK] = mark


def find(mark: str) -> list[int]:
    """The pids of all other processes that carry the mark, oldest first; those that have ended do not count.

    Where there is no /proc there are no marked processes either: the lab starts none in the background there.
    """
    wanted = f"{_MARK}={mark}".encode()
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        if int(folder.name) != os.getpid():
            try:
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
            except OSError:
                continue
    return sorted(found)


def stop(mark: str, *, patience: float) -> None:
    """Ask the processes under `mark` to end, oldest first; after `patience` seconds make them."""
    first = find(mark)[:1]
    _signal(first, signal.SIGTERM)
    if _gone(mark, patience if first else 0):
        return
    _signal(find(mark), signal.SIGTERM)
    if _gone(mark, 2):
        return
    _signal(find(mark), signal.SIGKILL)
    _gone(mark, 5)


def _gone(mark: str, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while find(mark):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
