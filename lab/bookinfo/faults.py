# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Switches for tests: latency, errors, CPU burn; by environment for every request, by header for one.

========================  ======================  =====================================================
environment               request header          meaning
========================  ======================  =====================================================
FAULT_DELAY_MS            x-fault-delay-ms        wait so many milliseconds before the answer
FAULT_ERROR_RATE          x-fault-error-rate      answer 500 to this share of requests, 0 to 1
FAULT_CPU_MS              x-fault-cpu-ms          use so many milliseconds of CPU time before the answer
========================  ======================  =====================================================

A header wins over the environment. Health checks know no faults. Headers are not passed on to other services.
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
    """A switch has a value that is no number, or out of its range."""


@dataclass(frozen=True)
class Faults:
    delay_ms: float = 0.0
    error_rate: float = 0.0
    cpu_ms: float = 0.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Faults:
        names = {field: f"FAULT_{field.upper()}" for field in LIMITS}
        return cls(**{f: _number(name, environment[name], f) for f, name in names.items() if environment.get(name)})

    def for_request(self, headers: Mapping[str, str]) -> Faults:
        """These faults with the request's own in front."""
        own = {f: f"x-fault-{f.replace('_', '-')}" for f in LIMITS}
        given = {f: _number(name, headers[name], f) for f, name in own.items() if name in headers}
        return Faults(**{**self.__dict__, **given}) if given else self

    def __bool__(self) -> bool:
        return bool(self.delay_ms or self.error_rate or self.cpu_ms)

    async def suffer(self) -> Response | None:
        """Wait and burn; the error to answer with, or None when the request may pass."""
        if self.cpu_ms:
            burn(self.cpu_ms)
        if self.delay_ms:
            await asyncio.sleep(self.delay_ms / 1000)
        if random.random() < self.error_rate:
            return json_response(500, {"error": "injected fault"})
        return None


def burn(milliseconds: float) -> None:
    """Use CPU time, not wall time: a throttled container takes longer, as real work would."""
    end = time.thread_time() + milliseconds / 1000
    while time.thread_time() < end:
        pass


def _number(name: str, text: str, field: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise FaultError(f"{name}: {text!r} is not a number") from None
    if not 0 <= value <= LIMITS[field]:
        raise FaultError(f"{name}: {text} is not between 0 and {LIMITS[field]:g}")
    return value
