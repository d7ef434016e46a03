# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a task runs: in check mode or not, with which environment, for which host of the play, at which terminal."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass, field

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROLLBACK_NOTE: t.Final = "rolled back at the terminal, by Ctrl-C"


def _never() -> bool:
    return False


def _ignored(*_given: object) -> None:
    pass


@dataclass(frozen=True)
class Terminal:
    """Where somebody may press keys while the task runs. A module on another host has none.

    has_keyboard: whether there is a terminal; None where that is not known. rollback_requested: whether somebody has
    requested a rollback there. announce: takes the rollout that is under way ({service, stable, canary}), and
    None when there is nothing to roll back.
    """

    has_keyboard: bool | None = None
    rollback_requested: Callable[[], bool] = _never
    announce: Callable[[Mapping[str, str] | None], None] = _ignored


NO_TERMINAL: t.Final = Terminal()


@dataclass(frozen=True)
class Context:
    """What a command is given beside its options.

    log: takes one sentence about progress. show: takes the result of a part of the task, and the module that would
    return it.
    """

    check_mode: bool
    log: Callable[[str], None]
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    terminal: Terminal = NO_TERMINAL
    show: Callable[[str, Mapping[str, t.Any]], None] = _ignored
