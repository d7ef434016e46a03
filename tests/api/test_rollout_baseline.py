# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A baseline's share of requests on a real API server: from the first step to either end."""

from __future__ import annotations

import typing as t

import pytest
from support.blind import Role
from support.recorded import PLAN, Rollout, phase
from support.unplaced import versioned

if t.TYPE_CHECKING:
    from support.direct import Direct
    from support.kube import Kube
    from support.play import Player

BESIDE = {"baseline": "v3"}


@pytest.fixture
def rollout(direct: Direct, routed: str) -> Rollout:
    return Rollout(direct)


@pytest.mark.parametrize("end", ["promoting", "rolling_back"])
def test_it_has_what_the_canary_has_and_nothing_at_the_end(rollout: Rollout, end: str) -> None:
    begun = rollout.opened(**BESIDE)
    assert begun["run"]["baseline"] == "v3"
    assert begun["run"]["resting"] == ["v3"]
    assert "judged beside v3" in begun["plan_text"][0]
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
    wanted = last["run"]["weights_wanted"]
    assert wanted == {"v1": 0.0, "v2": 100.0, "v3": 0.0} if end == "promoting" else {"v1": 100.0, "v2": 0.0, "v3": 0.0}
    rollout.shift(wanted)
    assert rollout.recorded("done")["run"]["over"]
    assert rollout.closed()["report"]["plan"]["baseline"] == "v3"


def test_requests_that_it_still_has_are_no_third_versions(rollout: Rollout) -> None:
    rollout.shift({"v1": 80, "v3": 20})
    assert rollout.opened(**BESIDE)["run"]["weights_wanted"] == {"v1": 80.0, "v2": 10.0, "v3": 10.0}


def test_whoever_begins_without_it_takes_its_requests(rollout: Rollout) -> None:
    rollout.opened(**BESIDE)
    rollout.step()
    rollout.closed()
    other = rollout.opened(supersede=True)
    assert other["run"]["weights_wanted"] == {"v1": 90.0, "v2": 10.0, "v3": 0.0}


@pytest.mark.parametrize(
    ("plan", "resting"),
    [({}, ["v3"]), ({"keep": {"v3": 5}}, []), ({"canary": "v3"}, []), ({"baseline": "v3", "adapt": True}, ["v3"])],
    ids=["left alone", "kept", "the next canary", "the next baseline"],
)
def test_whoever_takes_its_place_lets_its_pods_rest(
    rollout: Rollout, plan: dict[str, t.Any], resting: list[str]
) -> None:
    rollout.opened(**BESIDE)
    rollout.step()
    rollout.closed()
    assert rollout.opened(supersede=True, **plan)["run"]["resting"] == resting


def test_the_role_takes_the_pods_of_one_it_supersedes(
    rollout: Rollout, play: Player, kube: Kube, direct: Direct, routed: str
) -> None:
    kube.apply(versioned("v3", 2), namespace=routed)
    rollout.opened(**BESIDE)
    rollout.step()
    rollout.closed()
    role = Role(play, kube, direct)
    role(supersede=True, rollout_drain=0)
    assert (role.told()["phase"], role.weights()) == ("promoted", {"v2": 100})
    left = kube.get("apps/v1", "Deployment", "reviews-v3", routed)
    assert left is not None
    assert left["spec"]["replicas"] == 0


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"baseline": "v1"}, "baseline: v1 is stable, canary or kept"),
        ({"baseline": "v3", "steps": [100]}, "nothing to compare it with"),
    ],
)
def test_one_that_would_be_of_no_use_is_refused(rollout: Rollout, plan: dict[str, t.Any], message: str) -> None:
    refused = rollout.direct("rollout", state="opened", fails=True, **{**PLAN, **plan})
    assert refused["error_code"] == "invalid_input"
    assert message in refused["msg"]
