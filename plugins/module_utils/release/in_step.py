# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the services of a release do next, so that they go in step. Pure.

A service stands before an action of a step. Those that are furthest behind move; the others wait for them. So services
that a killed run has left at different points come together again, and a step costs the longest pause, not their sum.
"""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PER_STEP: t.Final = ("before_step", "before_shift", "before_judging", "after_step")
AT_THE_END: t.Final = ("before_promotion", "on_promote")
POINTS: t.Final = (*PER_STEP, *AT_THE_END, "before_rollback")
"""Where the rollout of a service returns to the release."""
_LAST: t.Final = 1 << 30
ONE_BY_ONE: t.Final = frozenset({"before_shift", "before_promotion"})
"""What begins at these points writes routes: callees first."""


class Position(t.NamedTuple):
    """How far a service is. step: its index; above all others from the promotion on. stage: index of POINTS."""

    step: int
    stage: int


class Move(t.NamedTuple):
    """What to do next: the services that move, in order. one_by_one: whether one after another, or side by side."""

    services: tuple[str, ...]
    one_by_one: bool
    point: str


def position(point: str, step: int) -> Position:
    """Return the position of a service. point: one of PER_STEP or AT_THE_END, empty after its promotion.

    step: index of the step. Raises ValueError for another point.
    """
    if not point:
        return Position(_LAST, len(POINTS))
    stage = (*PER_STEP, *AT_THE_END).index(point)
    return Position(_LAST if point in AT_THE_END else step, stage)


def next_move(positions: Mapping[str, Position], order: Sequence[str]) -> Move | None:
    """Return the next move; None if every service has all requests on its new version.

    order: all services, callees before callers.
    """
    end = position("on_promote", 0)
    behind = min(positions.values())
    if behind >= end:
        return None
    point = POINTS[behind.stage]
    return Move(tuple(one for one in order if positions[one] == behind), point in ONE_BY_ONE, point)


def step_is_complete(positions: Mapping[str, Position], begun_at: int) -> bool:
    """Return whether all services have passed the step `begun_at`, an index, and the last has not begun another one."""
    behind = min(positions.values())
    return behind.step > begun_at and POINTS[behind.stage] == "before_step"


def callers_first(order: Sequence[str]) -> list[str]:
    """Return the order of a way back."""
    return list(reversed(order))


def furthest_behind(positions: Mapping[str, Position]) -> int:
    """Return the index of the step that the last of the services is at."""
    return min(positions.values()).step
