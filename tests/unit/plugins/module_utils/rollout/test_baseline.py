# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A baseline: stable's image in pods as new as the canary's, with as many requests, as the one to be judged beside."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.rollout import steering
from ansible_collections.meshops.canary.plugins.module_utils.rollout.plan import (
    Rollout,
    Step,
    check_baseline,
    steps_from,
)
from ansible_collections.meshops.canary.plugins.module_utils.rollout.plan_text import in_lines
from ansible_collections.meshops.canary.plugins.module_utils.rollout.record import Run

PLAN = Rollout("reviews", "shop", "v1", "v2", steps_from({"steps": [10, 50]}), baseline="base")

SHARES = [
    # the canary's share, what is kept: stable's, the baseline's
    (0.0, {}, 100.0, 0.0),
    (0.1, {}, 99.8, 0.1),
    (10.0, {}, 80.0, 10.0),
    (33.0, {}, 34.0, 33.0),
    (33.334, {}, 33.333, 33.333),
    (50.0, {}, 25.0, 25.0),
    (99.999, {}, 0.001, 0.0),
    (100.0, {}, 0.0, 0.0),
    (10.0, {"v3": 75.0}, 7.5, 7.5),
    (100.0, {"v3": 75.0}, 0.0, 0.0),
]  # fmt: skip


@pytest.mark.parametrize(("share", "keep", "stable", "baseline"), SHARES)
def test_a_baseline_has_what_the_canary_has_but_never_more_than_stable(
    share: float, keep: dict[str, float], stable: float, baseline: float
) -> None:
    weights = replace(PLAN, keep=keep).weights(share)
    assert (weights["v1"], weights["base"]) == pytest.approx((stable, baseline), abs=0.0011)
    assert sum(weights.values()) == pytest.approx(100.0)
    assert weights["base"] <= weights["v2"]
    assert weights["base"] <= weights["v1"] + 0.001


def test_without_one_stable_is_judged_beside_and_nothing_is_different() -> None:
    plain = replace(PLAN, baseline="")
    assert plain.weights(10.0) == {"v1": 90.0, "v2": 10.0}
    assert (plain.beside, PLAN.beside) == ("v1", "base")
    assert "judged beside" not in in_lines(plain)[0]


def test_the_plan_says_it() -> None:
    lines = in_lines(PLAN)
    assert lines[0] == "reviews in shop: v2 takes over from v1, judged beside base, in 3 steps"
    assert lines[1].startswith("1. v1 80%, v2 10%, base 10%: judged")
    assert lines[-1].endswith("back to v1 100%")


@pytest.mark.parametrize("phase", ["rolling_back", "rolled_back", "promoting", "promoted"])
def test_at_the_end_it_gets_nothing(phase: str) -> None:
    safe = steering.safe_weights(PLAN)
    now = Run("id", "reviews", "shop", "hash", t.cast("t.Any", phase), 1, 0.0, safe, PLAN.weights(50.0))
    assert steering.weights_wanted(PLAN, now)["base"] == 0.0


def test_one_that_is_left_by_a_rollout_before_gets_nothing_from_the_first_step_on() -> None:
    other = replace(PLAN, baseline="", canary="v3")
    now = Run("id", "reviews", "shop", "hash", "shifting", 0, 0.0, steering.safe_weights(other), PLAN.weights(50.0))
    assert steering.weights_wanted(other, now) == {"v1": 90.0, "v2": 0.0, "v3": 10.0, "base": 0.0}


REFUSED: list[tuple[dict[str, t.Any], str]] = [
    ({"baseline": "v1"}, "v1 is stable, canary or kept"),
    ({"baseline": "v2"}, "v2 is stable, canary or kept"),
    ({"baseline": "v3", "keep": {"v3": 5.0}}, "v3 is stable, canary or kept"),
    ({"image": "shop:2"}, "leave it out with route_api=replicas"),
    ({"steps": (Step(100.0),)}, r"at steps\[0\], the first that is judged, the canary has 100% and base nothing"),
    ({"steps": (Step(0.0, cohort=({"path": {"exact": "/"}},)), Step(100.0))}, "the canary has 0% and base nothing"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED)
def test_a_baseline_that_would_be_of_no_use_is_refused(fields: dict[str, t.Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=f"baseline: .*{message}"):
        check_baseline(replace(PLAN, **fields))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"baseline": "", "steps": (Step(100.0),)},
        {"steps": (Step(0.0, analysis=False), Step(10.0), Step(100.0))},
        {"steps": (Step(10.0, analysis=False), Step(100.0, analysis=False))},
    ],
)
def test_a_baseline_that_is_of_use_is_not(fields: dict[str, t.Any]) -> None:
    check_baseline(replace(PLAN, **fields))
