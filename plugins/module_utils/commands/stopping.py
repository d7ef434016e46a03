# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is known of the terminal: whether there is one, and whether somebody there wants the canary back.

Whoever runs commands where there is one says so here.
"""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable

NOTE: t.Final = "taken back at the terminal, by Ctrl-C"


def _nobody() -> bool:
    return False


asked: Callable[[], bool] = _nobody
"""Set by plugin_utils/in_process; a module on another host has no terminal to be asked at."""

keyboard: bool | None = None
"""Whether somebody can press keys where the playbook runs; set as above, None where that is not known."""
