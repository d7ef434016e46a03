# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state machine of a rollout: which phase follows which event. Pure, and small enough to be read as a table.

Every phase and event has a defined answer; every phase that waits has a deadline (`DEADLINE_EVENT`); the only ends are
`promoted`, `rolled_back` and `stopped`, and `stopped` never holds traffic on a version that was judged as failed.
"""

from __future__ import annotations

import typing as t

Phase = t.Literal[
    "preparing", "shifting", "observing", "gated", "promoting", "rolling_back", "promoted", "rolled_back", "stopped"
]
Event = t.Literal[
    "ready", "shifted", "pass", "fail", "inconclusive", "approved", "rejected", "last_step", "step_back",
    "drained", "deadline", "drift", "abort", "error", "done",
]  # fmt: skip

PHASES: t.Final[tuple[Phase, ...]] = t.get_args(Phase)
EVENTS: t.Final[tuple[Event, ...]] = t.get_args(Event)
ENDS: t.Final[frozenset[Phase]] = frozenset(("promoted", "rolled_back", "stopped"))

WAITS: t.Final[dict[Phase, str]] = {
    "preparing": "pods of the canary to become ready for the next share",
    "shifting": "every proxy concerned to hold the new routes",
    "observing": "enough evidence for a verdict",
    "gated": "an approval",
    "promoting": "all traffic on the new version, and its capacity",
    "rolling_back": "all traffic on stable, proven on the proxies",
}
"""What a phase waits for; each has a deadline that sends the event `deadline`."""

WAITS_BY_PODS: t.Final[dict[Phase, str]] = {
    **WAITS,
    "preparing": "the next share",
    "shifting": "the canary's pods to be ready",
    "promoting": "stable to have the image, and the canary's pods to end",
    "rolling_back": "the canary's pods to end",
}
"""The same where shares are made by the ratio of pods."""

_BACK: t.Final[dict[Event, Phase]] = {"fail": "rolling_back", "abort": "rolling_back", "error": "rolling_back"}

_TABLE: t.Final[dict[Phase, dict[Event, Phase]]] = {
    # More capacity before more traffic: nothing has moved yet, so a late canary is taken back.
    "preparing": {**_BACK, "ready": "shifting", "deadline": "rolling_back", "drift": "stopped"},
    # A proxy that never confirms may still send to the canary: going back is written through the same routes.
    "shifting": {**_BACK, "shifted": "observing", "deadline": "rolling_back", "drift": "stopped"},
    # Without evidence the share stays; at the deadline, back: no evidence is never success. A weak bad sign may cost
    # one step only (adapt), whose pods are there: the routes go first. A verdict of `fail` always goes back.
    "observing": {
        **_BACK,
        "pass": "gated", "step_back": "shifting", "inconclusive": "observing",
        "deadline": "rolling_back", "drift": "stopped",
    },
    # A timed gate judges on, and its verdict counts. A manual one is watched too, but by the tests alone that may be
    # looked at at any time: their alarm is `fail`, and nothing they see is an approval.
    "gated": {
        **_BACK,
        "approved": "preparing", "last_step": "promoting", "rejected": "rolling_back",
        "pass": "gated", "inconclusive": "gated", "deadline": "rolling_back", "drift": "stopped",
    },
    # Everything is on the new version and was judged good; a late old version is no reason to go back.
    # Whoever has stopped here goes on here (steering.unstopped).
    "promoting": {
        **_BACK,
        "shifted": "promoting", "drained": "promoting", "done": "promoted", "error": "stopped",
        "pass": "promoting", "inconclusive": "promoting", "deadline": "stopped", "drift": "stopped",
    },
    # Going back is tried until done; somebody's edit does not stop it, and whoever is in doubt gets stable.
    "rolling_back": {
        "shifted": "rolling_back", "drained": "rolling_back", "done": "rolled_back",
        "deadline": "rolling_back", "error": "rolling_back", "drift": "rolling_back",
        "abort": "rolling_back", "fail": "rolling_back", "pass": "rolling_back", "inconclusive": "rolling_back",
    },
    "promoted": {},
    "rolled_back": {},
    "stopped": {"abort": "rolling_back"},
}  # fmt: skip


class Impossible(ValueError):
    """An event that cannot happen in this phase: a defect of the caller, never an answer to the user."""


def follow(phase: Phase, event: Event) -> Phase:
    """Return the phase after `event`. Raises Impossible where the event has no meaning in that phase."""
    try:
        return _TABLE[phase][event]
    except KeyError:
        raise Impossible(f"a rollout that is {phase.replace('_', ' ')} cannot meet the event {event!r}") from None


def possible(phase: Phase) -> frozenset[Event]:
    """Return the events that have a meaning in `phase`; none in an end but for `stopped`."""
    return frozenset(_TABLE[phase])
