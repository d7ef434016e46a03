# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looks at the record while a run waits, so that a rollback from outside is noticed within seconds."""

from __future__ import annotations

import time
import typing as t
from dataclasses import replace

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ..task.context import Context
    from .session import Session

LOOK_EVERY: t.Final = 3.0
"""Seconds between two looks, one GET each. Waits look at least every two seconds whether one is due."""


class RecordWatch:
    """The looks of one task. clock: monotonic seconds."""

    def __init__(self, session: Session, context: Context, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._session, self._terminal, self._clock = session, context.terminal, clock
        self._looked_at = clock()
        self.context = replace(context, terminal=replace(self._terminal, rollback_requested=self._rollback_requested))

    def _rollback_requested(self) -> bool:
        """Return whether somebody requested a rollback at the terminal. Raises RolloutOver, Superseded."""
        if self._terminal.rollback_requested():
            return True
        if self._clock() - self._looked_at >= LOOK_EVERY:
            self._looked_at = self._clock()
            self._session.look_for_others()
        return False
