# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The answer to a manual gate: an annotation on the Service that contains the gate's ticket. Pure."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from .record import Run

Answer = t.Literal["approved", "rejected"]

APPROVE: t.Final = "canary.meshops.io/approve"
REJECT: t.Final = "canary.meshops.io/reject"
UNREADABLE_SECONDS: t.Final = 120.0
"""Seconds after the deadline of a gate for which an answer that cannot be read is still read: it may be there."""


def ticket(run: Run) -> str:
    """Return the ticket of the run's gate: run, step and the number of gates so far.

    A run may reach a step twice (adapt, or drift that was adopted); an answer is valid for one visit only. A run that
    was killed at its gate comes to the same one again.
    """
    return f"{run.id}-{run.at + 1}-{run.gates}"


def answer(annotations: Mapping[str, str], ticket: str) -> Answer | None:
    """Return the answer to `ticket` in the Service's annotations, None without one.

    A rejection wins over an approval of the same ticket.
    """
    if annotations.get(REJECT) == ticket:
        return "rejected"
    return "approved" if annotations.get(APPROVE) == ticket else None
