# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hours of a release: when they are open, and when they open next."""

from __future__ import annotations

import datetime
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.release import window
from hypothesis import given
from hypothesis import strategies as st

OFFICE = {"days": ["mon", "tue", "wed", "thu", "fri"], "from": "09:00", "until": "16:00"}
NIGHT = {"days": ["fri"], "from": "22:00", "until": "04:00"}
ALWAYS = {"from": "00:00", "until": "24:00"}
TIMES = [f"{hour:02}:{minute:02}" for hour in range(24) for minute in (0, 30)]


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("data", "now", "is_open"),
    [
        (OFFICE, "2026-12-04T09:00", True),  # a Friday
        (OFFICE, "2026-12-04T08:59:59", False),
        (OFFICE, "2026-12-04T15:59:59", True),
        (OFFICE, "2026-12-04T16:00", False),
        (OFFICE, "2026-12-05T10:00", False),
        (NIGHT, "2026-12-04T23:00", True),
        (NIGHT, "2026-12-05T03:59", True),
        (NIGHT, "2026-12-05T04:00", False),
        (NIGHT, "2026-12-04T03:00", False),
        (ALWAYS, "2026-12-06T23:59:59", True),
    ],
)
def test_open_from_the_first_minute_to_the_last(data: dict[str, t.Any], now: str, is_open: bool) -> None:
    assert window.is_open(window.parse(data), at(now)) == is_open


@pytest.mark.parametrize(
    ("data", "now", "opens"),
    [
        (OFFICE, "2026-12-04T08:00", "2026-12-04T09:00"),
        (OFFICE, "2026-12-04T16:00", "2026-12-07T09:00"),
        (NIGHT, "2026-12-05T04:00", "2026-12-11T22:00"),
    ],
)
def test_the_next_opening(data: dict[str, t.Any], now: str, opens: str) -> None:
    assert window.next_opening(window.parse(data), at(now)) == at(opens)


@given(
    days=st.lists(st.sampled_from(window.DAYS), min_size=1, unique=True),
    times=st.tuples(st.sampled_from(TIMES), st.sampled_from([*TIMES, "24:00"])).filter(lambda pair: pair[0] != pair[1]),
    now=st.datetimes(datetime.datetime(2026, 1, 1), datetime.datetime(2027, 1, 1)),
)
def test_a_closed_window_is_open_when_it_opens_next_and_not_before(
    days: list[str], times: tuple[str, str], now: datetime.datetime
) -> None:
    found = window.parse({"days": days, "from": times[0], "until": times[1]})
    opens = window.next_opening(found, now)
    assert opens > now
    assert window.is_open(found, opens)
    minute = datetime.timedelta(minutes=1)
    if not window.is_open(found, now):
        closed = [now + part * (opens - now) / 7 for part in range(7)] + [opens - minute]
        assert not any(window.is_open(found, one) for one in closed if one >= now)


def test_a_window_says_its_hours_as_they_were_given() -> None:
    assert str(window.parse(NIGHT)) == "fri 22:00 to 04:00 UTC"
    assert str(window.parse({**OFFICE, "timezone": "Europe/Berlin", "until": "24:00"})) == (
        "mon, tue, wed, thu, fri 09:00 to 24:00 Europe/Berlin"
    )
