# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Headless Chromium: the page as a real browser shows it, as its text or as a picture."""

from __future__ import annotations

import shutil
import struct
import subprocess
import typing as t

from lab.kindlab import host

if t.TYPE_CHECKING:
    from pathlib import Path

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# Chromium as root and in containers has no sandbox; the rest keeps it from talking to anybody but the page.
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-default-apps", "--no-pings"),
)
SECONDS = 180.0


def program() -> str:
    """Return the browser that is there, else Debian's."""
    if not any(map(shutil.which, PROGRAMS)):
        host.require({"chromium": "chromium"}, "the browser test")
    return next(filter(None, map(shutil.which, PROGRAMS)))


def photograph(page: Path, picture: Path, profile: Path, *, width: int, height: int, dark: bool) -> None:
    """Write a PNG of the page as a window of this size shows it, to somebody who likes it light or dark."""
    own = (
        f"--user-data-dir={profile}",
        "--hide-scrollbars",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        f"--window-size={width},{height}",
        f"--screenshot={picture}",
    )
    command = [program(), *OPTIONS, *own, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert picture.is_file(), f"no picture was made:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"


def size(picture: Path) -> tuple[int, int]:
    """Return width and height of a PNG (PNG specification, 11.2.2: the first chunk)."""
    head = picture.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n", f"{picture} is no PNG"
    width, height = struct.unpack(">II", head[16:24])
    return width, height
