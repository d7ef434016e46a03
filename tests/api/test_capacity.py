# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pods for a share on a real API server, where no pod ever starts: numbers, floors, refusals, and what waiting says."""

from __future__ import annotations

import re
import typing as t

import pytest
from support.blind import Role
from support.unplaced import APPS, autoscaler, versioned

if t.TYPE_CHECKING:
    from support.direct import Direct
    from support.kube import Kube
    from support.play import Player

AUTOSCALING = "autoscaling/v2"
QUICK = {"wait": False}


@pytest.fixture
def shop(direct: Direct, kube: Kube, routed: str) -> str:
    """All requests on v1, which has four pods; v2 has one."""
    kube.apply(versioned("v1", 4), versioned("v2", 1), namespace=routed)
    direct("weight", weights={"v1": 100}, preflight=False, wait=False)
    return routed


def replicas(kube: Kube, namespace: str, version: str) -> int:
    found = kube.get(APPS, "Deployment", f"reviews-{version}", namespace)
    assert found
    return int(found["spec"]["replicas"])


def floor(kube: Kube, namespace: str, version: str) -> int:
    found = kube.get(AUTOSCALING, "HorizontalPodAutoscaler", f"reviews-{version}", namespace)
    assert found
    return int(found["spec"]["minReplicas"])


def test_a_share_gets_the_pods_it_takes_and_the_next_one_a_start(direct: Direct, kube: Kube, shop: str) -> None:
    asked: dict[str, t.Any] = {"version": "v2", "stable": "v1", "share": 25, **QUICK}
    assert not direct("capacity", **asked)["changed"], "a quarter of what four pods do is one pod's work"
    planned = direct("capacity", **{**asked, "share": 50}, check_mode=True)
    assert planned["diff"]["before"] == f"Deployment {shop}/reviews-v2: replicas 1\n"
    assert planned["diff"]["after"] == f"Deployment {shop}/reviews-v2: replicas 2\n"
    assert (planned["changed"], planned["pods"], replicas(kube, shop, "v2")) == (True, 2, 1)
    ahead = direct("capacity", **asked, next_share=75)
    assert (ahead["changed"], ahead["pods"], replicas(kube, shop, "v2")) == (True, 1, 3)
    assert not direct("capacity", **asked, next_share=75)["changed"]
    assert not direct("capacity", **asked)["changed"], "pods are not taken away"
    assert direct("capacity", version="v2", pods=0, state="reduced")["changed"]
    assert replicas(kube, shop, "v2") == 0


def test_where_an_autoscaler_owns_the_pods_its_floor_is_raised_and_given_back(
    direct: Direct, kube: Kube, shop: str
) -> None:
    kube.apply(autoscaler("reviews-v1", 2, 8), autoscaler("reviews-v2", 1, 3), namespace=shop)
    done = direct("capacity", version="v2", stable="v1", share=100, keep_stable=True, **QUICK)
    assert (floor(kube, shop, "v1"), floor(kube, shop, "v2")) == (4, 3)
    assert (done["pods"], done["needed"]) == (3, 4), "its autoscaler's maximum"
    assert "4 are needed and its autoscaler's maximum is 3: raise it" in done["msg"]
    assert (replicas(kube, shop, "v1"), replicas(kube, shop, "v2")) == (4, 1), "replicas are the autoscaler's"
    back = direct("capacity", state="released")
    assert back["msg"].count("minReplicas") == 2
    assert (floor(kube, shop, "v1"), floor(kube, shop, "v2")) == (2, 1)
    assert not direct("capacity", state="released")["changed"]
    assert direct("capacity", version="v1", pods=3, state="reduced")["changed"]
    refused = direct("capacity", version="v1", pods=0, state="reduced", fails=True)
    assert "remove the autoscaler first" in refused["msg"]
    assert floor(kube, shop, "v1") == 3


def measured(kube: Kube, namespace: str, version: str, cpu: int, *, maximum: int) -> None:
    """Let a version's autoscaler say how busy it is of a target of 50 %, and nobody say anything else."""
    scaling = autoscaler(f"reviews-{version}", 1, maximum)
    scaling["spec"]["scaleTargetRef"]["apiVersion"] = "none.invalid/v1"  # the controller finds nothing to measure
    target = {"type": "Utilization", "averageUtilization": 50}
    scaling["spec"]["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    kube.apply(scaling, namespace=namespace)
    current = {"averageUtilization": cpu, "averageValue": "1m"}
    metrics = [{"type": "Resource", "resource": {"name": "cpu", "current": current}}]
    path = f"/apis/{AUTOSCALING}/namespaces/{namespace}/horizontalpodautoscalers/reviews-{version}/status"
    status = {"status": {"currentReplicas": 4, "desiredReplicas": 4, "currentMetrics": metrics}}
    kube.request("PATCH", path, status, content_type="application/merge-patch+json")


def test_a_maximum_that_is_too_small_for_the_last_step_ends_a_rollout_before_its_first(
    play: Player, direct: Direct, kube: Kube, shop: str
) -> None:
    for version in ("v1", "v2"):
        measured(kube, shop, version, 80, maximum=4)
    role = Role(play, kube, direct)
    asked: dict[str, t.Any] = {"rollout_capacity": True, "rollout_force": ["SUBSET_NOT_READY"], "steps": [10, 50, 100]}
    planned = role("--check", **asked).task("meshops.canary.rollout : Show what would be changed, by the load of now")
    lines = [line for line in planned["msg"] if "raise it before" in line]
    assert [line.rpartition("; ")[2] for line in lines] == [
        "HorizontalPodAutoscaler reviews-v2: minReplicas stays 4, needs 8, its maximum is 4: raise it before"
    ]
    role(fails=True, **asked)
    told = role.told()
    assert (told["phase"], role.weights()) == ("rolled_back", {"v1": 100})
    assert [one["event"] for one in told["events"]][:2] == ["opened", "error"], "no request was moved"
    assert "Its maximum is 4, and 100% of requests need 7 pods by what v1 measures now." in told["reason"]
    assert '"maxReplicas": 8' in told["reason"]


def test_pods_that_do_not_come_are_told_with_the_reason_and_stay_asked_for(
    direct: Direct, kube: Kube, shop: str
) -> None:
    failed = direct("capacity", version="v2", pods=2, wait_timeout=2, fails=True)
    assert (failed["error_code"], failed["changed"]) == ("not_ready", True)
    assert (failed["pods"], failed["ready"]) == (2, 0)
    assert f"Version v2 of {shop}/reviews is to have 2 ready pods, and has 0" in failed["msg"]
    assert f"kubectl -n {shop} describe deployment reviews-v2" in failed["msg"]
    assert replicas(kube, shop, "v2") == 2


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"version": "v9", "pods": 1}, "invalid_input", "has no version 'v9'; there are: v1, v2, v3"),
        ({"version": "v3", "pods": 1}, "refused", "Version v3 of .* has 0 Deployments"),
        ({"version": "v2", "stable": "v1", "share": 101}, "invalid_input", "share is 101"),
        ({"version": "v2", "pods": -1}, "invalid_input", "pods must be 0 or more"),
        ({"version": "v2", "pods": 1, "keep_stable": True}, "invalid_input", "keep_stable: say with `stable`"),
    ],
)
def test_what_cannot_be_is_told_by_name(
    direct: Direct, kube: Kube, shop: str, options: dict[str, t.Any], code: str, words: str
) -> None:
    failed = direct("capacity", fails=True, **options)
    assert failed["error_code"] == code
    assert re.search(words, failed["msg"]), failed["msg"]
    assert (replicas(kube, shop, "v1"), replicas(kube, shop, "v2")) == (4, 1)
