# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults for tests, delay, errors and CPU time: for every request by environment, for one request by header.

========================  ======================  =====================================================
environment               request header          meaning
========================  ======================  =====================================================
FAULT_DELAY_MS            x-fault-delay-ms        milliseconds of delay before the answer
FAULT_ERROR_RATE          x-fault-error-rate      share of requests answered with 500, 0 to 1
FAULT_CPU_MS              x-fault-cpu-ms          milliseconds of CPU time before the answer
========================  ======================  =====================================================

A header overrides the environment. Its value is a number for all versions, or `v2=60, v3=120`: so one load can break
one version without a restart. Health checks ignore faults. The headers are not passed on to other services.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .messages import Response, json_response

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMITS = {"delay_ms": 60_000.0, "error_rate": 1.0, "cpu_ms": 10_000.0}


class FaultError(ValueError):
    """The value of a fault is not a number, or not in its range."""


@dataclass(frozen=True)
class Faults:
    """The switches of one service, or of one request. version: the service's own."""

    version: str = ""
    delay_ms: float = 0.0
    error_rate: float = 0.0
    cpu_ms: float = 0.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], version: str = "") -> Faults:
        names = {field: f"FAULT_{field.upper()}" for field in LIMITS}
        given = {f: _number(name, environment[name], f) for f, name in names.items() if environment.get(name)}
        return cls(version, **given)

    def for_request(self, headers: Mapping[str, str]) -> Faults:
        """Return these faults, overridden by the headers of a request."""
        names = {field: f"x-fault-{field.replace('_', '-')}" for field in LIMITS}
        own = {field: _of_version(headers[name], self.version) for field, name in names.items() if name in headers}
        overrides = {field: _number(names[field], text, field) for field, text in own.items() if text is not None}
        return Faults(**{**self.__dict__, **overrides}) if overrides else self

    def __bool__(self) -> bool:
        return bool(self.delay_ms or self.error_rate or self.cpu_ms)

    async def inject(self) -> Response | None:
        """Use CPU time and wait; return the error to answer with, or None to continue with the request."""
        if self.cpu_ms:
            use_cpu(self.cpu_ms)
        if self.delay_ms:
            await asyncio.sleep(self.delay_ms / 1000)
        if random.random() < self.error_rate:
            return json_response(500, {"error": "injected fault"})
        return None


def use_cpu(milliseconds: float) -> None:
    """Use CPU time instead of wall time: a throttled container takes longer, as with real work."""
    end = time.thread_time() + milliseconds / 1000
    while time.thread_time() < end:
        pass


def _of_version(text: str, version: str) -> str | None:
    """Return this version's part of `v2=60, v3=120`, None if it has none; a plain number is for all versions."""
    if "=" not in text:
        return text
    parts = (part.partition("=") for part in text.split(","))
    return {name.strip(): value for name, _, value in parts}.get(version)


def _number(name: str, text: str, field: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise FaultError(f"{name}: {text!r} is not a number") from None
    if not 0 <= value <= LIMITS[field]:
        raise FaultError(f"{name}: {text} is not between 0 and {LIMITS[field]:g}")
    return value
