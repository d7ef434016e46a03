# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Services go in step: whoever is furthest behind moves, and a step ends when all have passed it."""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.canary.plugins.module_utils.release import in_step
from ansible_collections.meshops.canary.plugins.module_utils.release.in_step import next_move, position
from ansible_collections.meshops.canary.plugins.module_utils.rollout import phases
from hypothesis import given
from hypothesis import strategies as st

ORDER = ("ratings", "reviews", "page")
STEPS = 3
PATH = [position(point, step) for step in range(STEPS) for point in in_step.PER_STEP]
PATH += [position(point, STEPS - 1) for point in in_step.AT_THE_END]
"""Every position of a rollout, in order."""


def test_the_points_are_those_at_which_a_rollout_returns() -> None:
    returned = {one.name for actions in phases.BY_ROUTES.values() for one in actions if one.kind == "return"}
    assert set(in_step.POINTS) <= returned
    assert set(phases.IN_STEP) <= set(in_step.POINTS)
    assert sorted(PATH) == PATH


def test_pods_of_all_then_shares_callees_first_then_all_are_judged_at_once() -> None:
    positions = dict.fromkeys(ORDER, PATH[0])
    seen = []
    while (move := next_move(positions, ORDER)) is not None:
        seen.append((move.point, move.services, move.one_by_one))
        for one in move.services:
            positions[one] = PATH[PATH.index(positions[one]) + 1]
    assert [point for point, _services, _order in seen] == [*in_step.PER_STEP * STEPS, "before_promotion"]
    assert all(services == ORDER for _point, services, _order in seen)
    assert {point for point, _services, one_by_one in seen if one_by_one} == {"before_shift", "before_promotion"}


@given(st.lists(st.sampled_from(range(len(PATH))), min_size=3, max_size=3))
def test_services_that_a_killed_run_left_apart_come_together(places: list[int]) -> None:
    positions = {name: PATH[place] for name, place in zip(ORDER, places, strict=True)}
    ahead = max(positions.values())
    moves = 0
    while (move := next_move(positions, ORDER)) is not None:
        behind = min(positions.values())
        assert all(positions[one] == behind for one in move.services), "only those behind move"
        assert set(positions.values()) - {behind} == {positions[one] for one in ORDER if one not in move.services}, (
            "the others wait"
        )
        for one in move.services:
            positions[one] = PATH[PATH.index(positions[one]) + 1]
        assert max(positions.values()) <= max(ahead, min(positions.values()))
        moves += 1
        assert moves < 100
    assert set(positions.values()) == {PATH[-1]}


def test_a_promoted_service_waits_for_the_others_and_is_never_moved() -> None:
    positions = {"ratings": position("", 0), "reviews": PATH[0], "page": PATH[0]}
    move = next_move(positions, ORDER)
    assert move is not None
    assert move.services == ("reviews", "page")
    assert next_move(dict.fromkeys(ORDER, position("", 0)), ORDER) is None


def test_a_step_is_complete_when_the_last_has_passed_it() -> None:
    def complete(*places: t.Any) -> bool:
        return in_step.step_is_complete(dict(zip(ORDER, places, strict=False)), 0)

    assert not complete(position("before_step", 0), position("before_step", 1))
    assert not complete(position("after_step", 0), position("after_step", 0))
    assert complete(position("before_step", 1), position("before_step", 1))
    assert complete(position("before_step", 1), position("", 0))
    assert not complete(position("before_promotion", 2), position("before_promotion", 2)), "it goes on to the end"


def test_the_way_back_is_callers_first() -> None:
    assert in_step.callers_first(ORDER) == ["page", "reviews", "ratings"]
