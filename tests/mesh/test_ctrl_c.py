# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Somebody presses Ctrl-C while a canary is judged, and is asked."""

from __future__ import annotations

import typing as t

import pytest
from support.rollouts import LOAD
from support.terminal import CTRL_C

if t.TYPE_CHECKING:
    from support.rollouts import Stage

pytestmark = pytest.mark.mesh

STEPS = {"ANSIBLE_STDOUT_CALLBACK": "meshops.canary.canary_steps"}


def test_the_canary_is_taken_back_by_a_key(stage: Stage) -> None:
    """After having gone on once."""
    with stage.on_a_terminal("v3", STEPS, pause=100, deadline=200) as terminal:
        terminal.read_until("observing", 60)
        terminal.press(CTRL_C)
        terminal.read_until("take v3 back to v2", 10)
        terminal.press("\n")
        terminal.read_until("It goes on.", 10)
        assert stage.weights() == {"v2": 90, "v3": 10}
        terminal.press(CTRL_C)
        terminal.read_until("> ", 10)
        terminal.press("b\n")
        terminal.read_until("v3 is taken back", 10)
        assert terminal.end(60) == 2, "a rollout that was not promoted fails"
    assert stage.run()["phase"] == "rolled_back"
    assert "taken back at the terminal, by Ctrl-C" in stage.run()["reason"]
    assert ("abort", "observing", "rolling_back") in stage.trail()
    assert stage.weights() == {"v2": 100}


def test_so_it_is_at_a_gate_where_a_person_is_asked_and_the_canary_judged(stage: Stage) -> None:
    steps = [{"weight": 10, "gate": "manual", "gate_seconds": 200}, 100]
    with (
        stage.shop.sidecar.background(LOAD) as load,
        stage.on_a_terminal("v3", STEPS, steps=steps, pause=1) as terminal,
    ):
        terminal.read_until("gated", 60)
        terminal.read_until("v3: 0 of", 30)  # it is watched while somebody thinks
        terminal.press(CTRL_C)
        terminal.read_until("take v3 back to v2", 10)
        terminal.press("b\n")
        terminal.read_until("v3 is taken back", 10)
        assert terminal.end(60) == 2
        load.stop()
    assert ("abort", "gated", "rolling_back") in stage.trail()
    assert "taken back at the terminal, by Ctrl-C" in stage.run()["reason"]
    assert stage.weights() == {"v2": 100}
