# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Background processes: found and stopped by their mark."""

from __future__ import annotations

import signal
import sys
import time
import typing as t

import pytest

from lab.kindlab import processes

if t.TYPE_CHECKING:
    import pathlib

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="marks are read from /proc")
IGNORES_SIGTERM = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(300)"


def test_children_are_stopped_with_their_parent(tmp_path: pathlib.Path) -> None:
    mark = f"test{tmp_path}"
    started = processes.start(mark, ["sh", "-c", "sleep 300 & sleep 300"], tmp_path / "log")
    until = time.monotonic() + 5
    while len(processes.find(mark)) < 3 and time.monotonic() < until:
        time.sleep(0.02)
    found = processes.find(mark)
    processes.stop(mark, grace=1)
    assert len(found) == 3
    assert processes.find(mark) == []
    assert started.wait(5) != 0


def test_process_that_ignores_sigterm_is_killed(tmp_path: pathlib.Path) -> None:
    mark = f"test{tmp_path}"
    started = processes.start(mark, [sys.executable, "-c", IGNORES_SIGTERM], tmp_path / "log")
    while "ready" not in (tmp_path / "log").read_text():
        time.sleep(0.02)
    processes.stop(mark, grace=0.2)
    assert started.wait(5) == -signal.SIGKILL


def test_process_with_another_mark_keeps_running(tmp_path: pathlib.Path) -> None:
    started = processes.start(f"test{tmp_path}-other", ["sleep", "300"], tmp_path / "log")
    processes.stop(f"test{tmp_path}", grace=0.1)
    assert started.poll() is None
    started.kill()
    started.wait()
