# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What preflight can find, each with a stable code. Pure; `docs/findings.md` is generated from CATALOGUE."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass


class Kind(t.NamedTuple):
    """One line of the catalogue. severity: error (writers refuse) or warning (writers go on and say it)."""

    severity: str
    title: str
    remedy: str


CATALOGUE: t.Final[dict[str, Kind]] = {}


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, or would be after the change.

    code: key of CATALOGUE. object: `Kind namespace/name`. reason: what was seen there, in one sentence.
    remedy: what to do; the catalogue's text unless something more exact can be said.
    """

    code: str
    object: str
    reason: str
    remedy: str = ""

    @property
    def severity(self) -> str:
        """Return error or warning."""
        return CATALOGUE[self.code].severity

    def as_dict(self) -> dict[str, str]:
        """Return the finding as tasks return it: code, severity, object, reason, remedy."""
        return {
            "code": self.code,
            "severity": self.severity,
            "object": self.object,
            "reason": self.reason,
            "remedy": self.remedy or CATALOGUE[self.code].remedy,
        }
