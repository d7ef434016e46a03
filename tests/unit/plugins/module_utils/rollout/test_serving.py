# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan whose stable version serves nobody is found, with the command for each thing that may have been meant."""

from __future__ import annotations

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.rollout.serving import stable_not_serving
from ansible_collections.meshops.canary.plugins.module_utils.rollout.steps import Rollout, Step

ROUTED = "ansible-playbook meshops.canary.{} -e service=reviews -e ns=shop"


def rollout(**given: object) -> Rollout:
    steps = (Step(10.0), Step(100.0))
    return Rollout("reviews", "shop", "v1", "v2", steps, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "weights",
    [{"v1": 100.0}, {"v1": 50.0, "v2": 50.0}, {"v1": 0.001, "v2": 99.999}, {"v1": 60.0, "v3": 40.0}],
    ids=str,
)
def test_a_stable_version_with_any_request_serves(weights: dict[str, float]) -> None:
    assert stable_not_serving(rollout(), weights) is None


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (
            {"v1": 0.0, "v2": 100.0},
            [
                "If v2 was promoted before, it is done",
                f"To go back to v1 at once: {ROUTED.format('rollback')} -e stable=v1.",
                f"To roll v1 out step by step: {ROUTED.format('rollout')} -e stable=v2 -e canary=v1.",
            ],
        ),
        ({"v3": 100.0}, [f"To roll v2 out: {ROUTED.format('rollout')} -e stable=v3 -e canary=v2."]),
        ({"v2": 40.0, "v3": 60.0}, [f"To roll v2 out: {ROUTED.format('rollout')} -e stable=v3 -e canary=v2."]),
        ({"v2": 60.0, "v3": 40.0}, [f"To give v2 all requests: {ROUTED.format('promote')} -e version=v2."]),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_what_serves_instead_decides_the_commands(weights: dict[str, float], words: list[str]) -> None:
    found = stable_not_serving(rollout(), weights)
    assert found
    assert (found.code, found.object) == ("STABLE_NOT_SERVING", "Version v1 of reviews")
    assert all(one in found.remedy for one in words), found.remedy
    assert found.remedy.endswith("""-e '{"rollout_force": ["STABLE_NOT_SERVING"]}' (force: [STABLE_NOT_SERVING]).""")


def test_the_reason_says_who_has_what_and_where_the_first_step_leads() -> None:
    found = stable_not_serving(rollout(), {"v1": 0.0, "v2": 100.0})
    assert found
    assert found.reason.startswith(
        "v1 has 0% of the requests, and v2 has 100%. The first step would give v1 90%, v2 10%"
    )


def test_versions_that_are_kept_do_not_hide_a_promotion() -> None:
    found = stable_not_serving(rollout(keep={"v3": 5.0}), {"v2": 95.0, "v3": 5.0})
    assert found
    assert "If v2 was promoted before" in found.remedy
