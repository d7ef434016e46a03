# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A baseline's share of requests on a real API server: from the first step to either end."""

from __future__ import annotations

import typing as t

import pytest
from support.pending_deployments import versioned
from support.rollout_role import Role
from support.rollout_tasks import PLAN, Rollout, phase

if t.TYPE_CHECKING:
    from support.direct import Direct
    from support.kube import Kube
    from support.play import Player

BESIDE = {"baseline": "v3"}


@pytest.fixture
def rollout(direct: Direct, routed: str) -> Rollout:
    return Rollout(direct)


@pytest.mark.parametrize("end", ["promoting", "rolling_back"])
def test_the_baseline_has_the_weight_of_the_canary_and_none_at_the_end(rollout: Rollout, end: str) -> None:
    begun = rollout.opened(**BESIDE)
    assert begun["run"]["baseline"] == "v3"
    assert begun["run"]["idle_versions"] == ["v3"]
    assert "compared with v3" in begun["plan_text"][0]
    assert [one["weights"] for one in begun["steps"]] == [
        {"v1": 80.0, "v2": 10.0, "v3": 10.0},
        {"v1": 25.0, "v2": 50.0, "v3": 25.0},
        {"v1": 0.0, "v2": 100.0, "v3": 0.0},
    ]
    for _step in PLAN["steps"]:
        last = rollout.step()
    if end == "rolling_back":
        last = rollout.recorded("abort")
    assert phase(last)[0] == end
    wanted = last["run"]["desired_weights"]
    assert wanted == {"v1": 0.0, "v2": 100.0, "v3": 0.0} if end == "promoting" else {"v1": 100.0, "v2": 0.0, "v3": 0.0}
    rollout.shift(wanted)
    assert rollout.recorded("done")["run"]["over"]
    assert rollout.closed()["report"]["plan"]["baseline"] == "v3"


def test_requests_left_on_the_baseline_are_not_those_of_a_third_version(rollout: Rollout) -> None:
    rollout.shift({"v1": 80, "v3": 20})
    assert rollout.opened(**BESIDE)["run"]["desired_weights"] == {"v1": 80.0, "v2": 10.0, "v3": 10.0}


def test_a_rollout_without_the_baseline_takes_over_its_requests(rollout: Rollout) -> None:
    rollout.opened(**BESIDE)
    rollout.step()
    rollout.closed()
    other = rollout.opened(supersede=True)
    assert other["run"]["desired_weights"] == {"v1": 90.0, "v2": 10.0, "v3": 0.0}


@pytest.mark.parametrize(
    ("plan", "idle_versions"),
    [({}, ["v3"]), ({"keep": {"v3": 5}}, []), ({"canary": "v3"}, []), ({"baseline": "v3", "adapt": True}, ["v3"])],
    ids=["left alone", "kept", "the next canary", "the next baseline"],
)
def test_a_superseding_rollout_scales_an_unused_baseline_to_zero(
    rollout: Rollout, plan: dict[str, t.Any], idle_versions: list[str]
) -> None:
    rollout.opened(**BESIDE)
    rollout.step()
    rollout.closed()
    assert rollout.opened(supersede=True, **plan)["run"]["idle_versions"] == idle_versions


def test_the_role_scales_the_baseline_of_a_superseded_rollout_to_zero(
    rollout: Rollout, play: Player, kube: Kube, direct: Direct, routed: str
) -> None:
    kube.apply(versioned("v3", 2), namespace=routed)
    rollout.opened(**BESIDE)
    rollout.step()
    rollout.closed()
    role = Role(play, kube, direct)
    role(supersede=True, rollout_drain=0)
    assert role.state() == ("promoted", {"v2": 100})
    left = kube.get("apps/v1", "Deployment", "reviews-v3", routed)
    assert left is not None
    assert left["spec"]["replicas"] == 0


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"baseline": "v1"}, "baseline: v1 is stable, canary or in keep"),
        ({"baseline": "v3", "steps": [100]}, "so they cannot be compared"),
    ],
)
def test_a_baseline_without_effect_is_refused(rollout: Rollout, plan: dict[str, t.Any], message: str) -> None:
    refused = rollout.direct("rollout", state="opened", fails=True, **{**PLAN, **plan})
    assert refused["error_code"] == "invalid_input"
    assert message in refused["msg"]
