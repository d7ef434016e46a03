# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a release may go on now, by its windows and the API server's clock. A release goes back at any time."""

from __future__ import annotations

import datetime
import typing as t
import zoneinfo

from ..errors import InvalidInput, Refused
from ..release import window

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..release.data import Release
    from ..release.window import Window


class OutsideWindow(Refused):
    """The release has a window, and it is closed."""

    code = "outside_window"


def check(release: Release, seconds: float) -> None:
    """Raise OutsideWindow if all windows of the release are closed. seconds: now, in Unix seconds.

    Raises InvalidInput if a time zone is unknown here.
    """
    if not release.windows:
        return
    nows = [datetime.datetime.fromtimestamp(seconds, _zone(one)) for one in release.windows]
    if any(window.is_open(one, now) for one, now in zip(release.windows, nows, strict=True)):
        return
    raise OutsideWindow(
        f"Release {release.name}: {_opens(release.windows, nows)} It stays where it is; rolling back is possible at "
        "any time. Run the same command again then, or with -e release_outside_window=true (outside_window: true)."
    )


def _opens(windows: Sequence[Window], nows: Sequence[datetime.datetime]) -> str:
    pairs = zip(windows, nows, strict=True)
    openings = [(window.next_opening(one, now).replace(tzinfo=now.tzinfo), one) for one, now in pairs]
    opens, which = min(openings, key=lambda pair: pair[0])
    shown = "; ".join(map(str, windows))
    return f"the window is closed ({shown}). It opens {opens:%a %Y-%m-%d %H:%M} {which.timezone}."


def _zone(one: Window) -> datetime.tzinfo:
    if one.timezone == window.UTC:
        return datetime.timezone.utc
    try:
        return zoneinfo.ZoneInfo(one.timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidInput(
            f"canary_release.window: the time zone {one.timezone} is unknown here. Use a name such as Europe/Berlin or "
            "UTC; if that one is right, install tzdata where the task runs."
        ) from None
