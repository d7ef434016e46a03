# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Headers of HTTP as users write them, and as servers answer with them. Pure."""

from __future__ import annotations

import datetime
import email.utils
import re
import typing as t

from ..errors import InvalidInput

if t.TYPE_CHECKING:
    from collections.abc import Mapping

_NAME: t.Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE: t.Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


def checked_headers(option: str, headers: Mapping[t.Any, t.Any] | None) -> dict[str, str]:
    """Return name -> value as text; YAML makes numbers of both. Raises InvalidInput, which shows no value."""
    found: dict[str, str] = {}
    for name, value in (headers or {}).items():
        if not _NAME.fullmatch(str(name)):
            raise InvalidInput(
                f"{option}: {str(name)!r} is not the name of a header (RFC 9110: letters, digits and -)."
            )
        if value is None or isinstance(value, (dict, list, tuple, set)):
            raise InvalidInput(f"{option}: the header {name} must have one text as its value.")
        if not can_be_value(str(value)):
            raise InvalidInput(
                f"{option}: the value of the header {name} has a line break, or another character that no header can "
                "have. Look for a newline at its end."
            )
        found[str(name)] = str(value).strip()
    return found


def can_be_value(text: str) -> bool:
    """Return whether the text can be sent as the value of a header: one line of Latin-1 without control codes."""
    return _VALUE.fullmatch(text) is not None


def parse_date(text: str | None) -> datetime.datetime | None:
    """Return the time of a Date header, None if it is missing or no date (RFC 9110, 5.6.7)."""
    try:
        date = email.utils.parsedate_to_datetime(text or "")
        aware = date if date.tzinfo else date.replace(tzinfo=datetime.timezone.utc)
        moment = aware.astimezone(datetime.timezone.utc)
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
    return moment if 1971 <= moment.year <= 9998 else None
