# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What signals, and the end of the playbook, do to a task."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import types
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.task import interrupts
from ansible_collections.meshops.canary.plugins.module_utils.task.interrupts import SIGNALS, Interrupts, Stop
from support.collection import tree

ENDED = "the end of the playbook"


def handlers() -> list[t.Any]:
    return [signal.getsignal(number) for number in SIGNALS]


def stopped_by(work: t.Callable[[Interrupts], object]) -> str:
    """Return what has stopped a task that does `work`; empty if nothing has."""
    one = Interrupts()
    try:
        with one.handled():
            work(one)
    except Stop as stop:
        return stop.name
    return ""


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_stops_the_task_and_the_handlers_are_restored(number: signal.Signals) -> None:
    before = handlers()
    assert stopped_by(lambda _one: signal.raise_signal(number)) == number.name
    assert handlers() == before


def test_without_a_signal_the_handlers_are_restored_too() -> None:
    before, during = handlers(), []
    assert stopped_by(lambda _one: during.append(handlers())) == ""
    assert during != [before]
    assert handlers() == before


def test_stop_is_no_error_that_a_task_handles() -> None:
    assert not issubclass(Stop, Exception)


def test_a_signal_waits_until_the_record_is_written() -> None:
    written = []

    def write(one: Interrupts) -> None:
        with one.deferred():
            with one.deferred():
                signal.raise_signal(signal.SIGTERM)
                signal.raise_signal(signal.SIGHUP)
                written.append("inner")
            written.append("outer")
        written.append("never")

    assert stopped_by(write) == "SIGTERM", "the first one"
    assert written == ["inner", "outer"]


def test_a_signal_counts_also_if_the_record_cannot_be_written() -> None:
    def fail(one: Interrupts) -> None:
        with one.deferred():
            signal.raise_signal(signal.SIGTERM)
            raise OSError("no answer")

    assert stopped_by(fail) == "SIGTERM"


def test_without_a_signal_work_goes_on_after_the_record() -> None:
    written = []

    def write(one: Interrupts) -> None:
        with one.deferred():
            written.append("record")
        written.append("next")

    assert stopped_by(write) == ""
    assert written == ["record", "next"]


def test_ctrl_c_in_a_worker_is_left_to_the_playbook(monkeypatch: pytest.MonkeyPatch) -> None:
    parent = types.SimpleNamespace(pid=os.getppid())
    monkeypatch.setattr(interrupts.multiprocessing, "parent_process", lambda: parent)
    reached = []

    def press(_one: Interrupts) -> None:
        signal.raise_signal(signal.SIGINT)
        reached.append("after Ctrl-C")
        signal.raise_signal(signal.SIGTERM)

    assert stopped_by(press) == "SIGTERM"
    assert reached == ["after Ctrl-C"]


def test_in_another_thread_signals_are_left_alone() -> None:
    before, seen = handlers(), []

    def work() -> None:
        with Interrupts().handled():
            seen.append(handlers())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(5)
    assert seen == [before]


def test_the_end_of_the_parent_stops_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "PARENT_EVERY", 0.01)
    parents = [os.getppid()]
    monkeypatch.setattr(interrupts.os, "getppid", lambda: parents[-1])

    def outlive(_one: Interrupts) -> None:
        parents.append(1)
        time.sleep(1)

    assert stopped_by(outlive) == ENDED


PROGRAM = f"""
import os, signal, sys, time
sys.path.insert(0, {str(tree())!r})
from ansible_collections.meshops.canary.plugins.module_utils.task import interrupts

interrupts.PARENT_EVERY = 0.02
begun, begin = os.pipe()
if os.fork():
    os.read(begun, 1)
    os.kill(os.getpid(), signal.SIGKILL)
try:
    with interrupts.Interrupts().handled():
        os.write(begin, b"1")
        for _round in range(20):
            time.sleep(0.5)
except interrupts.Stop as stop:
    os.write(1, stop.name.encode())
"""


def test_a_killed_playbook_leaves_no_task_behind() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.stdout == ENDED, "stdout is open until the task has ended"
