# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A baseline: stable's image in new pods, with as many requests as the canary, for the comparison."""

from __future__ import annotations

import re
import typing as t
from dataclasses import replace

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.rollout import transitions
from ansible_collections.meshops.canary.plugins.module_utils.rollout.plan_text import plan_lines
from ansible_collections.meshops.canary.plugins.module_utils.rollout.record import Run
from ansible_collections.meshops.canary.plugins.module_utils.rollout.steps import (
    Rollout,
    Step,
    check_baseline,
    steps_from,
)

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
def test_a_baseline_has_the_canarys_percent_but_never_more_than_stable(
    share: float, keep: dict[str, float], stable: float, baseline: float
) -> None:
    weights = replace(PLAN, keep=keep).weights(share)
    assert (weights["v1"], weights["base"]) == pytest.approx((stable, baseline), abs=0.0011)
    assert sum(weights.values()) == pytest.approx(100.0)
    assert weights["base"] <= weights["v2"]
    assert weights["base"] <= weights["v1"] + 0.001


def test_without_a_baseline_the_canary_is_compared_with_stable() -> None:
    plain = replace(PLAN, baseline="")
    assert plain.weights(10.0) == {"v1": 90.0, "v2": 10.0}
    assert (plain.comparison_version, PLAN.comparison_version) == ("v1", "base")
    assert "compared with" not in plan_lines(plain)[0]


def test_the_plan_says_it() -> None:
    lines = plan_lines(PLAN)
    assert lines[0] == "reviews in shop: v2 replaces v1, compared with base, in 3 steps"
    assert lines[1].startswith("1. v1 80%, v2 10%, base 10%: analyze for")
    assert lines[-1].endswith("back to v1 100%")


@pytest.mark.parametrize("phase", ["rolling_back", "rolled_back", "promoting", "promoted"])
def test_a_baseline_gets_nothing_at_the_end(phase: str) -> None:
    safe = transitions.safe_weights(PLAN)
    now = Run("id", "reviews", "shop", "hash", t.cast("t.Any", phase), 1, 0.0, safe, PLAN.weights(50.0))
    assert transitions.desired_weights(PLAN, now)["base"] == 0.0


def test_a_baseline_of_an_earlier_rollout_gets_nothing() -> None:
    other = replace(PLAN, baseline="", canary="v3")
    now = Run("id", "reviews", "shop", "hash", "shifting", 0, 0.0, transitions.safe_weights(other), PLAN.weights(50.0))
    assert transitions.desired_weights(other, now) == {"v1": 90.0, "v2": 0.0, "v3": 10.0, "base": 0.0}


REFUSED: list[tuple[dict[str, t.Any], str]] = [
    ({"baseline": "v1"}, "v1 is stable, canary or in keep"),
    ({"baseline": "v2"}, "v2 is stable, canary or in keep"),
    ({"baseline": "v3", "keep": {"v3": 5.0}}, "v3 is stable, canary or in keep"),
    ({"image": "shop:2"}, "leave the baseline out"),
    ({"steps": (Step(100.0),)}, r"at steps\[0\], the first with an analysis, the canary has 100% and base 0%"),
    ({"steps": (Step(0.0, cohort=({"path": {"exact": "/"}},)), Step(100.0))}, "the canary has 0% and base 0%"),
]


def refusal(fields: dict[str, t.Any]) -> str:
    """Return why the plan's baseline is refused, an empty text if it is not."""
    try:
        check_baseline(replace(PLAN, **fields))
    except InvalidInput as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("fields", "message"), REFUSED)
def test_a_useless_baseline_is_refused(fields: dict[str, t.Any], message: str) -> None:
    assert re.match(f"baseline: .*{message}", refusal(fields))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"baseline": "", "steps": (Step(100.0),)},
        {"steps": (Step(0.0, analysis=False), Step(10.0), Step(100.0))},
        {"steps": (Step(10.0, analysis=False), Step(100.0, analysis=False))},
    ],
)
def test_a_plan_with_a_usable_baseline_or_without_one_is_accepted(fields: dict[str, t.Any]) -> None:
    assert refusal(fields) == ""
