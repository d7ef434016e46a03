# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings from environment variables, with the names of Istio's sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .client import Service

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_PORT = 9080
ROLES = ("productpage", "details", "ratings", "reviews")
STARS_BY_VERSION = {"v2": "black", "v3": "red"}


class SettingError(ValueError):
    """The value of an environment variable is invalid; the text names the variable."""


@dataclass(frozen=True)
class Settings:
    """The settings of one service.

    star_color: None if this reviews service does not call ratings.
    start_delay: seconds in which the service answers 503.
    """

    role: str
    version: str = "v1"
    pod: str = ""
    cluster: str = ""
    star_color: str | None = None
    session_key: str = "bookinfo"
    start_delay: float = 0.0
    crash_on_start: bool = False

    @classmethod
    def from_environment(cls, role: str, environment: Mapping[str, str]) -> Settings:
        if role not in ROLES:
            raise SettingError(f"role {role!r}: choose one of {', '.join(ROLES)}")
        version = environment.get("SERVICE_VERSION") or "v1"
        return cls(
            role=role,
            version=version,
            pod=environment.get("HOSTNAME", ""),
            cluster=environment.get("CLUSTER_NAME", ""),
            star_color=_star_color(environment, version),
            session_key=environment.get("SESSION_KEY") or "bookinfo",
            start_delay=seconds("START_DELAY_SECONDS", environment),
            crash_on_start=flag("CRASH_ON_START", environment, default=False),
        )


def service(name: str, environment: Mapping[str, str]) -> Service:
    """Return another service, from NAME_HOSTNAME, SERVICES_DOMAIN and NAME_SERVICE_PORT, which Kubernetes sets."""
    upper = name.upper()
    domain = environment.get("SERVICES_DOMAIN", "")
    host = (environment.get(f"{upper}_HOSTNAME") or name) + (f".{domain}" if domain else "")
    return Service(
        name,
        host,
        port(f"{upper}_SERVICE_PORT", environment),
        keep_alive=flag("UPSTREAM_KEEP_ALIVE", environment, default=True),
    )


def port(name: str, environment: Mapping[str, str]) -> int:
    text = environment.get(name) or str(DEFAULT_PORT)
    if not text.isdecimal() or not 0 <= int(text) < 65536:
        raise SettingError(f"{name}: {text!r} is not a port")
    return int(text)


def seconds(name: str, environment: Mapping[str, str], default: float = 0.0) -> float:
    text = environment.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        raise SettingError(f"{name}: {text!r} is not a number of seconds") from None
    if not 0 <= value <= 3600:
        raise SettingError(f"{name}: {text} is not between 0 and 3600 seconds")
    return value


def flag(name: str, environment: Mapping[str, str], *, default: bool) -> bool:
    text = environment.get(name, "").lower()
    if text in ("1", "true", "yes", "on"):
        return True
    if text in ("0", "false", "no", "off"):
        return False
    if text:
        raise SettingError(f"{name}: {text!r} is neither true nor false")
    return default


def _star_color(environment: Mapping[str, str], version: str) -> str | None:
    by_version = STARS_BY_VERSION.get(version)
    if not flag("ENABLE_RATINGS", environment, default=by_version is not None):
        return None
    return environment.get("STAR_COLOR") or by_version or "black"
