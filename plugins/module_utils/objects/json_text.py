# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""JSON that a server, a proxy or an annotation holds: whatever the text is, it is a value or a ValueError. Pure."""

from __future__ import annotations

import json
import typing as t


def parse(text: str | bytes) -> t.Any:
    """Return the value of a JSON text. Raises ValueError, also for one that is nested too deeply or no UTF-8."""
    try:
        return json.loads(text)
    except (RecursionError, TypeError) as error:
        raise ValueError(str(error) or "nested too deeply") from None


def parse_mapping(text: str | bytes) -> dict[str, t.Any]:
    """Return the object of a JSON text. Raises ValueError, also for null, a list, a number or a text."""
    value = parse(text)
    if not isinstance(value, dict):
        raise ValueError(f"a JSON object was expected, not {json_type(value)}")
    return value


def json_type(value: t.Any) -> str:
    """Return what JSON calls the type of the value."""
    names = {bool: "a boolean", type(None): "null", str: "a string", list: "a list", dict: "an object"}
    return names.get(type(value), "a number")
