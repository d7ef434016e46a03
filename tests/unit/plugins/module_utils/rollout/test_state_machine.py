# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state machine by exhaustive enumeration."""

from __future__ import annotations

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.rollout.state_machine import (
    ENDS,
    EVENTS,
    PHASES,
    WAITS,
    ImpossibleEvent,
    next_phase,
    possible,
)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("event", EVENTS)
def test_every_event_leads_to_a_phase_or_is_impossible(phase: str, event: str) -> None:
    if event in possible(phase):
        assert next_phase(phase, event) in PHASES
    else:
        with pytest.raises(ImpossibleEvent, match=event):
            next_phase(phase, event)


@pytest.mark.parametrize("phase", [phase for phase in PHASES if phase not in ENDS])
def test_every_wait_has_a_deadline_an_abort_and_survives_an_error(phase: str) -> None:
    assert phase in WAITS
    assert {"deadline", "abort", "error", "fail"} <= possible(phase)


@pytest.mark.parametrize("phase", [phase for phase in PHASES if phase not in ENDS])
def test_a_failed_version_never_keeps_traffic(phase: str) -> None:
    """After a verdict of fail every path leads to rolled_back: no other end can be reached."""
    seen, open_ = set(), {next_phase(phase, "fail")}
    while open_:
        at = open_.pop()
        seen.add(at)
        open_ |= {next_phase(at, event) for event in possible(at)} - seen
    assert seen & ENDS == {"rolled_back"}


@pytest.mark.parametrize("phase", PHASES)
def test_every_phase_reaches_an_end(phase: str) -> None:
    seen, open_ = set(), {phase}
    while open_:
        at = open_.pop()
        seen.add(at)
        open_ |= {next_phase(at, event) for event in possible(at)} - seen
    assert seen & ENDS


def test_promotion_needs_a_pass() -> None:
    """Without the event pass no path from the start leads to promoted: no evidence is never success."""
    seen, open_ = set(), {"preparing"}
    while open_:
        at = open_.pop()
        seen.add(at)
        open_ |= {next_phase(at, event) for event in possible(at) if event != "pass"} - seen
    assert "promoted" not in seen


def test_a_rollout_that_passes_is_promoted() -> None:
    phase = "preparing"
    for event in (
        "ready",
        "shifted",
        "inconclusive",
        "pass",
        "approved",
        "ready",
        "shifted",
        "pass",
        "last_step",
        "done",
    ):
        phase = next_phase(phase, event)
    assert phase == "promoted"
