# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ctrl-C while a canary is judged: the user is asked, and can roll the canary back."""

from __future__ import annotations

import typing as t

import pytest
from support.rollouts import LOAD
from support.terminal import CTRL_C

if t.TYPE_CHECKING:
    from support.rollouts import Stage

pytestmark = pytest.mark.mesh

STEPS = {"ANSIBLE_STDOUT_CALLBACK": "meshops.canary.canary_steps"}


def test_ctrl_c_can_continue_and_roll_back(stage: Stage) -> None:
    with stage.on_a_terminal("v3", STEPS, steps=[10, 100], pause=100, deadline=200) as terminal:
        terminal.read_until("observing", 60)
        terminal.press(CTRL_C)
        terminal.read_until("roll v3 back to v2", 10)
        terminal.press("\n")
        terminal.read_until("The rollout continues.", 10)
        assert stage.weights() == {"v2": 90, "v3": 10}
        terminal.press(CTRL_C)
        terminal.read_until("> ", 10)
        terminal.press("b\n")
        terminal.read_until("v3 is rolled back as soon as", 10)
        assert terminal.end(60) == 2, "a rollout that was not promoted fails"
    assert stage.run()["phase"] == "rolled_back"
    assert "rolled back at the terminal, by Ctrl-C" in stage.run()["reason"]
    assert ("abort", "observing", "rolling_back") in stage.audit_log()
    assert stage.weights() == {"v2": 100}


def test_ctrl_c_at_a_manual_gate_rolls_back_while_the_canary_is_judged(stage: Stage) -> None:
    steps = [{"weight": 10, "gate": "manual", "gate_seconds": 200}, 100]
    with (
        stage.shop.sidecar.background(LOAD) as load,
        stage.on_a_terminal("v3", STEPS, steps=steps, pause=1) as terminal,
    ):
        terminal.read_until("gated", 60)
        terminal.read_until("v3: 0 of", 30)  # the canary is judged while the gate waits
        terminal.press(CTRL_C)
        terminal.read_until("roll v3 back to v2", 10)
        terminal.press("b\n")
        terminal.read_until("v3 is rolled back as soon as", 10)
        assert terminal.end(60) == 2
        load.stop()
    assert ("abort", "gated", "rolling_back") in stage.audit_log()
    assert "rolled back at the terminal, by Ctrl-C" in stage.run()["reason"]
    assert stage.weights() == {"v2": 100}
