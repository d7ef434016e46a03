# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pods for a share on a real API server, where no pod starts: numbers, minReplicas, refusals, and waiting."""

from __future__ import annotations

import re
import typing as t

import pytest
from support.pending_deployments import APPS, autoscaler, versioned
from support.rollout_role import ADVANCED, Role

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


def min_replicas(kube: Kube, namespace: str, version: str) -> int:
    found = kube.get(AUTOSCALING, "HorizontalPodAutoscaler", f"reviews-{version}", namespace)
    assert found
    return int(found["spec"]["minReplicas"])


def test_a_share_gets_its_pods_and_those_of_the_next_share_are_started(direct: Direct, kube: Kube, shop: str) -> None:
    options: dict[str, t.Any] = {"version": "v2", "stable": "v1", "share": 25, **QUICK}
    assert not direct("capacity", **options)["changed"], "a quarter of what four pods do is one pod's work"
    planned = direct("capacity", **{**options, "share": 50}, check_mode=True)
    assert planned["diff"]["before"] == f"Deployment {shop}/reviews-v2: replicas 1\n"
    assert planned["diff"]["after"] == f"Deployment {shop}/reviews-v2: replicas 2\n"
    assert (planned["changed"], planned["pods"], replicas(kube, shop, "v2")) == (True, 2, 1)
    ahead = direct("capacity", **options, next_share=75)
    assert (ahead["changed"], ahead["pods"], replicas(kube, shop, "v2")) == (True, 1, 3)
    assert not direct("capacity", **options, next_share=75)["changed"]
    assert not direct("capacity", **options)["changed"], "pods are not taken away"
    assert direct("capacity", version="v2", pods=0, state="reduced")["changed"]
    assert replicas(kube, shop, "v2") == 0


def test_min_replicas_of_an_autoscaler_is_raised_and_restored(direct: Direct, kube: Kube, shop: str) -> None:
    kube.apply(autoscaler("reviews-v1", 2, 8), autoscaler("reviews-v2", 1, 3), namespace=shop)
    done = direct("capacity", version="v2", stable="v1", share=100, keep_stable=True, **QUICK)
    assert (min_replicas(kube, shop, "v1"), min_replicas(kube, shop, "v2")) == (4, 3)
    assert (done["pods"], done["needed"]) == (3, 4), "its autoscaler's maximum"
    assert "4 are needed, but maxReplicas of its autoscaler is 3: raise it" in done["msg"]
    assert (replicas(kube, shop, "v1"), replicas(kube, shop, "v2")) == (4, 1), "replicas are the autoscaler's"
    back = direct("capacity", state="released")
    assert back["msg"].count("minReplicas") == 2
    assert (min_replicas(kube, shop, "v1"), min_replicas(kube, shop, "v2")) == (2, 1)
    assert not direct("capacity", state="released")["changed"]
    assert direct("capacity", version="v1", pods=3, state="reduced")["changed"]
    refused = direct("capacity", version="v1", pods=0, state="reduced", fails=True)
    assert "first remove the autoscaler" in refused["msg"]
    assert min_replicas(kube, shop, "v1") == 3


def measured(kube: Kube, namespace: str, version: str, cpu: int, *, maximum: int) -> None:
    """Create an autoscaler that reports this CPU utilization for ever, with a target of 50 %."""
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


def test_a_max_replicas_too_small_for_the_last_step_is_refused_before_the_lock(
    play: Player, direct: Direct, kube: Kube, shop: str
) -> None:
    for version in ("v1", "v2"):
        measured(kube, shop, version, 80, maximum=4)
    role = Role(play, kube, direct)
    given: dict[str, t.Any] = {"rollout_capacity": True, "rollout_force": ["SUBSET_NOT_READY"], "steps": [10, 50, 100]}
    for options in (("--check",), ()):
        refused = role(*options, fails=True, **given).task(ADVANCED)["msg"]
        assert "Its maxReplicas is 4, but 100% of the requests need 7 pods at the current load of v1." in refused
        assert '"maxReplicas": 8' in refused
        assert (direct("rollout")["run"], role.weights()) == (None, {"v1": 100})


def test_what_keda_scales_is_not_written_and_who_set_it_back_is_named(direct: Direct, kube: Kube, shop: str) -> None:
    """Its operator sets minReplicas back within seconds. Here the test does, as the field manager keda-operator."""
    scaler = autoscaler("reviews-v2", 1, 8)
    scaler["metadata"]["labels"] = {"scaledobject.keda.sh/name": "reviews-v2"}
    kube.apply(scaler, namespace=shop)
    refused = direct("capacity", version="v2", pods=3, fails=True, **QUICK)
    assert refused["error_code"] == "refused"
    assert "[OWNED_BY_CONTROLLER] HorizontalPodAutoscaler" in refused["msg"]
    assert f"kubectl -n {shop} patch scaledobject reviews-v2" in refused["msg"]
    assert min_replicas(kube, shop, "v2") == 1
    assert direct("capacity", version="v2", pods=3, force=["OWNED_BY_CONTROLLER"], **QUICK)["changed"]
    path = f"/apis/{AUTOSCALING}/namespaces/{shop}/horizontalpodautoscalers/reviews-v2?fieldManager=keda-operator"
    kube.request("PATCH", path, {"spec": {"minReplicas": 1}}, content_type="application/merge-patch+json")
    annotations = {"canary.meshops.io/min-replicas-raised-to": "3", "canary.meshops.io/min-replicas-before": "1"}
    kube.request("PATCH", path, {"metadata": {"annotations": annotations}}, content_type="application/merge-patch+json")
    failed = direct(
        "capacity", version="v2", pods=2, wait_timeout=2, force=["OWNED_BY_CONTROLLER"], check_mode=False, fails=True
    )
    assert failed["error_code"] == "not_ready"
    assert "HorizontalPodAutoscaler" in failed["msg"]
    assert "it is written by KEDA (ScaledObject reviews-v2)" in failed["msg"]
    assert direct("capacity", state="released")["changed"], "what was raised is restored whoever owns it"


def test_missing_pods_are_reported_and_stay_requested(direct: Direct, kube: Kube, shop: str) -> None:
    failed = direct("capacity", version="v2", pods=2, wait_timeout=2, fails=True)
    assert (failed["error_code"], failed["changed"]) == ("not_ready", True)
    assert (failed["pods"], failed["ready"]) == (2, 0)
    assert f"Version v2 of {shop}/reviews needs 2 ready pods, and has 0" in failed["msg"]
    assert f"kubectl -n {shop} describe deployment reviews-v2" in failed["msg"]
    assert replicas(kube, shop, "v2") == 2


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"version": "v9", "pods": 1}, "invalid_input", "has no version 'v9'. Existing versions: v1, v2, v3"),
        ({"version": "v3", "pods": 1}, "refused", "Version v3 of .* has 0 Deployments"),
        ({"version": "v2", "stable": "v1", "share": 101}, "invalid_input", "share is 101"),
        ({"version": "v2", "pods": -1}, "invalid_input", "pods must be 0 or more"),
        ({"version": "v2", "pods": 1, "keep_stable": True}, "invalid_input", "keep_stable requires stable"),
    ],
)
def test_invalid_options_are_named(
    direct: Direct, kube: Kube, shop: str, options: dict[str, t.Any], code: str, words: str
) -> None:
    failed = direct("capacity", fails=True, **options)
    assert failed["error_code"] == code
    assert re.search(words, failed["msg"]), failed["msg"]
    assert (replicas(kube, shop, "v1"), replicas(kube, shop, "v2")) == (4, 1)
