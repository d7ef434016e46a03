# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The error that every part of the lab raises."""

from __future__ import annotations


class LabError(Exception):
    """A failure that the user can act on.

    message: what was attempted and what happened. remedy: what to do now.
    has_log: the message already names the failed step and shows the end of its log.
    """

    def __init__(self, message: str, remedy: str = "", *, has_log: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.has_log = has_log
