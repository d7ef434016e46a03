# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one error of the lab."""

from __future__ import annotations


class LabError(Exception):
    """Something the user can act on.

    message: what was attempted and what came out; way_out: what to do now.
    told: the message already names the step and shows the end of its log.
    """

    def __init__(self, message: str, way_out: str = "", *, told: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.way_out = way_out
        self.told = told
