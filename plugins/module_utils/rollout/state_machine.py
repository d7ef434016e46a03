# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state machine of a rollout: which phase follows which event, as a table. Pure.

Every phase that waits has a deadline. The only ends are `promoted`, `rolled_back` and `stopped`, and `stopped` never
keeps traffic on a version whose last verdict was a failure.
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
    "shifting": "every affected proxy to apply the new routes",
    "observing": "enough evidence for a verdict",
    "gated": "an approval",
    "promoting": "all traffic on the new version, and its capacity",
    "rolling_back": "all traffic on stable, confirmed by the proxies",
}
"""What a phase waits for; at its deadline comes the event `deadline`."""

WAITS_BY_PODS: t.Final[dict[Phase, str]] = {
    **WAITS,
    "preparing": "the next share",
    "shifting": "the canary's pods to become ready",
    "promoting": "stable to have the new image, and the canary's pods to terminate",
    "rolling_back": "the canary's pods to terminate",
}
"""The same where the ratio of pods makes the shares."""

_FAILURES: t.Final[dict[Event, Phase]] = {"fail": "rolling_back", "abort": "rolling_back", "error": "rolling_back"}

_TRANSITIONS: t.Final[dict[Phase, dict[Event, Phase]]] = {
    # More capacity before more traffic. No weight has changed yet, so a late canary is rolled back.
    "preparing": {**_FAILURES, "ready": "shifting", "deadline": "rolling_back", "drift": "stopped"},
    # A proxy that never confirms may still send requests to the canary, so the routes are rolled back.
    "shifting": {**_FAILURES, "shifted": "observing", "deadline": "rolling_back", "drift": "stopped"},
    # Without evidence the share stays until the deadline, then it rolls back: no evidence is never success. A weak
    # failure may be one step back only (adapt); its pods are ready, so routes come first. `fail` always rolls back.
    "observing": {
        **_FAILURES,
        "pass": "gated", "step_back": "shifting", "inconclusive": "observing",
        "deadline": "rolling_back", "drift": "stopped",
    },
    # A timed gate continues the analysis, and its verdict counts. A manual gate runs only the sequential tests, which
    # may be evaluated at any time: they can send `fail`, but never approve.
    "gated": {
        **_FAILURES,
        "approved": "preparing", "last_step": "promoting", "rejected": "rolling_back",
        "pass": "gated", "inconclusive": "gated", "deadline": "rolling_back", "drift": "stopped",
    },
    # The new version has all requests and passed; a slow cleanup of the old one is no reason to roll back.
    # A run that was stopped here resumes here (transitions.resume).
    "promoting": {
        **_FAILURES,
        "shifted": "promoting", "drained": "promoting", "done": "promoted", "error": "stopped",
        "pass": "promoting", "inconclusive": "promoting", "deadline": "stopped", "drift": "stopped",
    },
    # A rollback is retried until done; drift does not stop it, because stable is the safe choice.
    "rolling_back": {
        "shifted": "rolling_back", "drained": "rolling_back", "done": "rolled_back",
        "deadline": "rolling_back", "error": "rolling_back", "drift": "rolling_back",
        "abort": "rolling_back", "fail": "rolling_back", "pass": "rolling_back", "inconclusive": "rolling_back",
    },
    "promoted": {},
    "rolled_back": {},
    "stopped": {"abort": "rolling_back"},
}  # fmt: skip


class ImpossibleEvent(ValueError):
    """The event is not possible in this phase."""


def next_phase(phase: Phase, event: Event) -> Phase:
    """Return the phase after `event`. Raises ImpossibleEvent for an event that the phase does not have."""
    try:
        return _TRANSITIONS[phase][event]
    except KeyError:
        raise ImpossibleEvent(f"{event!r} is not possible while the rollout is {phase.replace('_', ' ')}") from None


def possible(phase: Phase) -> frozenset[Event]:
    """Return the events that are possible in `phase`; in an end none, except for `stopped`."""
    return frozenset(_TRANSITIONS[phase])
