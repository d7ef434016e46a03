# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hours in which a release may go on. Pure: times are wall clock times in the zone of the window."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from collections.abc import Mapping

DAYS: t.Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
OPENS: t.Final = "^([01][0-9]|2[0-3]):[0-5][0-9]$"
CLOSES: t.Final = "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"
UTC: t.Final = "UTC"
_DAY: t.Final = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Window:
    """Hours of some weekdays. days: on which it opens, 0 for Monday. opens, closes: minutes of that day.

    closes: above 1440 if it is open past midnight. timezone: name in the IANA database.
    """

    days: tuple[int, ...]
    opens: int
    closes: int
    timezone: str

    def __str__(self) -> str:
        names = ", ".join(DAYS[day] for day in self.days)
        return f"{names} {_clock(self.opens)} to {_clock(self.closes)} {self.timezone}"


def parse(data: Mapping[str, t.Any]) -> Window:
    """Return the window that its data describes, which fits the schema of data.py; from and until differ."""
    opens, closes = _minutes(data["from"]), _minutes(data["until"])
    days = sorted({DAYS.index(one) for one in data.get("days") or DAYS})
    return Window(tuple(days), opens, closes if closes > opens else closes + 1440, data.get("timezone") or UTC)


def is_open(window: Window, local: datetime.datetime) -> bool:
    """Return whether it is open. local: wall clock time in its zone."""
    minute = local.hour * 60 + local.minute
    today, yesterday = local.weekday(), (local.weekday() - 1) % 7
    return (today in window.days and window.opens <= minute < window.closes) or (
        yesterday in window.days and minute + 1440 < window.closes
    )


def next_opening(window: Window, local: datetime.datetime) -> datetime.datetime:
    """Return when it opens next, as wall clock time in its zone. local: now, as in `is_open`."""
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    openings = (midnight + number * _DAY + datetime.timedelta(minutes=window.opens) for number in range(8))
    return next(one for one in openings if one > local.replace(tzinfo=None) and one.weekday() in window.days)


def _minutes(text: str) -> int:
    hours, _colon, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)


def _clock(minutes: int) -> str:
    minutes = minutes if minutes <= 1440 else minutes - 1440
    return f"{minutes // 60:02}:{minutes % 60:02}"
