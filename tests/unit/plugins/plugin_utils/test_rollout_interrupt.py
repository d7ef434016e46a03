# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a Ctrl-C asks, and what comes of each answer, on a real terminal. In a playbook: tests/mesh/test_ctrl_c.py."""

from __future__ import annotations

import sys
import typing as t

import pytest
from support.collection import tree
from support.terminal import CTRL_C, on_a_terminal

if t.TYPE_CHECKING:
    from support.terminal import Terminal

ENDED = 99
PROGRAM = f"""
import os, signal, sys, time
sys.path.insert(0, {str(tree())!r})
from ansible_collections.meshops.canary.plugins.plugin_utils.rollout_interrupt import Asker, asked_back

def end(number, frame):
    print("ended as Ansible does", flush=True)
    sys.exit({ENDED})

signal.signal(signal.SIGINT, end)
asker = Asker()
run = {{"service": "reviews", "stable": "v1", "canary": "v2", "over": False, "phase": sys.argv[1]}}
asker.heard({{"run": run}})
worker = os.fork()
print("ready", flush=True) if worker else None
for _round in range(100):
    time.sleep(0.05)
    if asked_back() and not worker:
        os.write(1, b"the worker knows")
        os._exit(0)
asker.heard({{"run": {{**run, "over": True}}}})
print("forgotten" if not asked_back() else "remembered", flush=True)
"""


def begun(phase: str = "observing") -> t.ContextManager[Terminal]:
    return on_a_terminal([sys.executable, "-c", PROGRAM, phase])


def test_a_worker_hears_that_the_canary_is_wanted_back_and_the_next_rollout_does_not() -> None:
    with begun() as terminal:
        terminal.read_until("ready", 20)
        terminal.press(CTRL_C)
        terminal.read_until("take v2 back to v1", 10)
        terminal.press("b\n")
        terminal.read_until("the worker knows", 10)
        terminal.read_until("forgotten", 20)
        assert terminal.end(10) == 0


@pytest.mark.parametrize(("answer", "status"), [("\n", 0), ("l\n", ENDED), (CTRL_C, ENDED)])
def test_it_goes_on_or_ends_as_ansible_does(answer: str, status: int) -> None:
    with begun() as terminal:
        terminal.read_until("ready", 20)
        terminal.press(CTRL_C)
        terminal.read_until("> ", 10)
        terminal.press(answer)
        terminal.read_until("ended as Ansible does" if status else "It goes on.", 10)
        assert terminal.end(20) == status
    assert "the worker knows" not in terminal.said


def test_who_is_on_the_way_back_is_not_asked() -> None:
    with begun("rolling_back") as terminal:
        terminal.read_until("ready", 20)
        terminal.press(CTRL_C)
        assert terminal.end(10) == ENDED
    assert "What shall be done" not in terminal.said
