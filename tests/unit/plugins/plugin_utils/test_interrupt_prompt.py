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
from ansible_collections.meshops.canary.plugins.plugin_utils import interrupt_prompt

def end(number, frame):
    print("ended as Ansible does", flush=True)
    sys.exit({ENDED})

signal.signal(signal.SIGINT, end)
prompt = interrupt_prompt.InterruptPrompt()
prompt.install()
worker = os.fork()
if not worker:
    interrupt_prompt.announce({{"service": "reviews", "stable": "v1", "canary": "v2"}})
    if sys.argv[1] == "over":
        interrupt_prompt.announce(None)
    os.write(1, b"ready")
    for _round in range(600 if sys.argv[1] == "wanted back" else 100):  # until it is, on a busy machine too
        time.sleep(0.05)
        if interrupt_prompt.rollback_requested():
            os.write(1, b"the worker knows")
            interrupt_prompt.announce(None)
            break
    os._exit(0)
os.waitpid(worker, 0)
print("remembered" if interrupt_prompt.rollback_requested() else "forgotten", flush=True)
"""


def begun(state: str = "under way") -> t.ContextManager[Terminal]:
    return on_a_terminal([sys.executable, "-c", PROGRAM, state])


def test_a_worker_hears_that_the_canary_is_wanted_back_and_the_next_rollout_does_not() -> None:
    with begun("wanted back") as terminal:
        terminal.read_until("ready", 20)
        terminal.press(CTRL_C)
        terminal.read_until("roll v2 back to v1", 10)
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
        terminal.read_until("ended as Ansible does" if status else "The rollout continues.", 10)
        assert terminal.end(20) == status
    assert "the worker knows" not in terminal.said


def test_without_a_rollout_under_way_it_is_left_to_ansible() -> None:
    with begun("over") as terminal:
        terminal.read_until("ready", 20)
        terminal.press(CTRL_C)
        assert terminal.end(10) == ENDED
    assert "Select an action" not in terminal.said
