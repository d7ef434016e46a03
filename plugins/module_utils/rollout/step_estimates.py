# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long each step takes until the canary has enough requests to be judged, at the load of now. Pure."""

from __future__ import annotations

import math
import typing as t

from ..findings import Finding
from ..objects.weights import TOLERANCE

if t.TYPE_CHECKING:
    from .steps import Rollout, Step

CODE: t.Final = "NOT_ENOUGH_REQUESTS"


def estimate_lines(rollout: Rollout, per_second: float, needed: int) -> list[str]:
    """Return a line for the load, and one for each step that takes longer than its pause.

    per_second: requests to all versions of the service now. needed: requests of the canary for a verdict.
    """
    load = f"load now (estimate): {_rate(per_second)}; a verdict needs {needed} requests of {rollout.canary}"
    lines = [load]
    for number, step in enumerate(rollout.steps, 1):
        seconds = _seconds(step, per_second, needed)
        if seconds is not None and seconds > step.pause:
            late = f", over its deadline of {step.deadline:g} s" if seconds > step.deadline else ""
            length = f"about {duration(seconds)}" if math.isfinite(seconds) else "no end"
            lines.append(f"step {number} (estimate): {length} instead of {step.pause:g} s at {step.weight:g}%{late}")
    return lines


def too_few(rollout: Rollout, per_second: float, needed: int, warm_up: float = 0.0) -> Finding | None:
    """Return the finding that a step cannot reach a verdict before its deadline."""
    late = [
        (number, step)
        for number, step in enumerate(rollout.steps, 1)
        if (seconds := _seconds(step, per_second, needed)) is not None and seconds + warm_up > step.deadline
    ]
    if not late:
        return None
    number, step = late[0]
    others = f" (and {len(late) - 1} more)" if len(late) > 1 else ""
    lowest = 100.0 * needed / (per_second * max(1.0, step.deadline - warm_up)) if per_second else math.inf
    advice = (
        f"Begin with at least {math.ceil(lowest):g}%, "
        if lowest <= 100.0
        else "Wait for more traffic or generate some, lower min_requests of the metrics, "
    )
    return Finding(
        CODE,
        f"Step {number} of {rollout.service}{others}",
        f"At {step.weight:g}% of {_rate(per_second)} the canary does not get the {needed} requests for a verdict "
        f"before the deadline of {step.deadline:g} s, and would be rolled back.",
        f"{advice}raise rollout_deadline (deadline), or set analysis: false for this step.",
    )


def _seconds(step: Step, per_second: float, needed: int) -> float | None:
    """Return the seconds until the canary has enough requests; None for a step without analysis or of a cohort only."""
    if not step.analysis or step.weight <= TOLERANCE or step.cohort or not needed:
        return None
    rate = per_second * step.weight / 100.0
    return needed / rate if rate > 0.0 else math.inf


def duration(seconds: float) -> str:
    """Return seconds as people say them."""
    if seconds < 100:
        return f"{math.ceil(seconds):g} s"
    minutes = seconds / 60.0
    return f"{math.ceil(minutes):g} min" if minutes < 100 else f"{math.ceil(minutes / 60):g} h"


def _rate(per_second: float) -> str:
    return f"{per_second:.3g} requests/s" if per_second else "no requests"
