# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Start one service: python3 -m bookinfo ROLE [PORT]."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

from .catalogue import Ratings, details
from .faults import FaultError, Faults
from .productpage import ProductPage
from .reviews import Reviews
from .server import Handler, Server
from .settings import SettingError, Settings, port, seconds, service

if TYPE_CHECKING:
    from collections.abc import Mapping


def handler_for(settings: Settings, environment: Mapping[str, str]) -> Handler:
    if settings.role == "details":
        return details
    if settings.role == "ratings":
        return Ratings()
    if settings.role == "reviews":
        return Reviews(settings, service("ratings", environment))
    return ProductPage(settings, *(service(name, environment) for name in ("details", "reviews", "ratings")))


def main(arguments: list[str], environment: Mapping[str, str]) -> int:
    """Run a service; return 0 after a graceful shutdown, 1 for a configured crash, 2 for invalid settings."""
    try:
        role = arguments[0] if arguments else environment.get("BOOKINFO_ROLE", "")
        settings = Settings.from_environment(role, environment)
        if settings.crash_on_start:
            print(f"{role}: crash, because CRASH_ON_START is set", file=sys.stderr, flush=True)
            return 1
        port_settings = {**environment, "PORT": arguments[1]} if len(arguments) > 1 else environment
        number = port("PORT", port_settings)
        grace = seconds("DRAIN_SECONDS", environment, 2.0)
        faults = Faults.from_environment(environment, settings.version)
        server = Server(handler_for(settings, environment), faults=faults, name=f"{role}-{settings.version}")
    except (SettingError, FaultError) as error:
        print(f"bookinfo: {error}", file=sys.stderr, flush=True)
        return 2
    asyncio.run(server.run("0.0.0.0", number, start_delay=settings.start_delay, grace=grace))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
