# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What somebody says to a manual gate: by an annotation on the Service that names the gate's ticket. Pure."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from .record import Run

Answer = t.Literal["approved", "rejected"]

APPROVE: t.Final = "canary.meshops.io/approve"
REJECT: t.Final = "canary.meshops.io/reject"


def ticket(run: Run) -> str:
    """Return what an answer to the gate the run is at must name: the run, its step, and when it came there.

    A run may come to a step twice (adapt, or somebody's edit), and the first answer is none to the second question.
    """
    return f"{run.id}-{run.at + 1}-{run.since:.0f}"


def answer(annotations: Mapping[str, str], ticket: str) -> Answer | None:
    """Return what the Service's annotations say to `ticket`, None while they name another or none.

    Who says both is taken to say no.
    """
    if annotations.get(REJECT) == ticket:
        return "rejected"
    return "approved" if annotations.get(APPROVE) == ticket else None
