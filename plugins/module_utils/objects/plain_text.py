# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Texts from the cluster without what a terminal would obey. Pure.

A container's last log line, a holder's name, a note or an annotation can hold escape codes, which set the title or the
clipboard of a terminal or erase its lines, and marks that turn the direction of what follows.
"""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping

_CONTROLS: t.Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and newline, DEL, C1 (ECMA-48)
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"  # marks of direction (Unicode UAX #9)
)
_MARK: t.Final = "\ufffd"


def plain_text(text: str) -> str:
    """Return the text with each control code, but tab and newline, replaced by U+FFFD."""
    return _CONTROLS.sub(_MARK, text)


def plain(value: t.Any, *, unchanged: t.Collection[str] = ()) -> t.Any:
    """Return a JSON value with plain texts, its keys too. unchanged: keys whose values are returned as they are."""
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, Mapping):
        return {
            plain_text(str(key)): item if key in unchanged else plain(item, unchanged=unchanged)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [plain(item, unchanged=unchanged) for item in value]
    return value
