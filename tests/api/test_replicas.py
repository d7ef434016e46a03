# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""canary_replicas on the real API server, beside its real Deployment controller. The pods fit no node: none starts."""

from __future__ import annotations

import copy
import typing as t
from collections import Counter

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.replicas import replica_canary
from support.direct import Direct, service
from support.pending_deployments import APPS, NEW, QUICK, autoscaler, deployment, stored

if t.TYPE_CHECKING:
    from support.kube import Kube

Object = dict[str, t.Any]


def test_check_mode_reports_share_and_cost_and_writes_nothing(direct: Direct, kube: Kube, shop: str) -> None:
    options = {"image": NEW, "share": 20, **QUICK}
    before = stored(kube, shop)
    planned = direct("replicas", check_mode=True, **options)
    assert planned["changed"]
    assert planned["share"] == {"wanted": 20, "reached": 25.0, "error": 5.0, "pods": 1, "stable": 3, "other_pods": 3}
    assert "20% requested, 25.0% reached: 1 pod and 3 stable (+5.0 points)" in planned["msg"]
    assert "canary_weight" in planned["msg"], "the way that is exact is not named"
    assert planned["diff"]["after"] == f"reviews-canary: 1 pod, {NEW}\n"
    assert stored(kube, shop, "reviews-canary") is None
    done = direct("replicas", **options)
    assert {k: v for k, v in done.items() if k != "api_requests"} == {
        k: v for k, v in planned.items() if k != "api_requests"
    }
    assert stored(kube, shop) == before, "stable was written"
    made = stored(kube, shop, "reviews-canary")
    assert made is not None
    assert made["spec"]["template"]["metadata"]["labels"] == {"app": "reviews", "track": "canary"}
    assert made["spec"]["template"]["spec"]["containers"][0]["image"] == NEW
    assert made["spec"]["template"]["spec"]["hostname"] == "kept"


def test_the_second_run_writes_nothing_and_another_share_only_replicas(direct: Direct, kube: Kube, shop: str) -> None:
    direct("replicas", image=NEW, share=25, **QUICK)
    again = direct("replicas", image=NEW, share=25, **QUICK)
    assert not again["changed"]
    assert {**again["api_requests"], "get": 0} == {"get": 0, "patch": 0, "post": 0, "delete": 0}
    more = direct("replicas", share=50, **QUICK)
    changed = [one for one in more["patch"][0]["patch"] if one["op"] != "test"]
    assert {one["path"] for one in changed} == {"/metadata/annotations/canary.meshops.io~1state", "/spec/replicas"}
    assert {"op": "replace", "path": "/spec/replicas", "value": 3} in changed
    assert more["weights"] == {"reviews": 50.0, "reviews-canary": 50.0}
    assert more["weights_before"] == {"reviews": 75.0, "reviews-canary": 25.0}


def test_promote_changes_only_the_image_of_stable_and_removes_the_canary(direct: Direct, kube: Kube, shop: str) -> None:
    before = stored(kube, shop)
    assert before is not None
    direct("replicas", image=NEW, share=25, **QUICK)
    planned = direct("replicas", check_mode=True, state="promoted", **QUICK)
    assert [one["operation"] for one in planned["patch"]] == ["patch", "delete"]
    assert stored(kube, shop) == before
    done = direct("replicas", state="promoted", **QUICK)
    assert done["changed"]
    after = stored(kube, shop)
    wanted = copy.deepcopy(before)
    wanted["spec"]["template"]["spec"]["containers"][0]["image"] = NEW
    assert after == wanted
    assert stored(kube, shop, "reviews-canary") is None
    assert not direct("replicas", state="promoted", **QUICK)["changed"]
    assert not direct("replicas", state="updated", image=NEW, **QUICK)["changed"]


def test_an_existing_deployment_is_adopted_and_restored(direct: Direct, kube: Kube, shop: str) -> None:
    kube.apply(deployment("reviews-canary", pods=2, track="canary"), namespace=shop)
    before = stored(kube, shop, "reviews-canary")
    left = direct("replicas", state="absent", **QUICK)
    assert not left["changed"]
    assert any("not changed" in warning for warning in left["warnings"])
    direct("replicas", image=NEW, share=50, **QUICK)
    direct("replicas", share=40, **QUICK)
    kube.patch(APPS, "Deployment", "reviews-canary", shop, {"spec": {"minReadySeconds": 5}})
    assert direct("replicas", state="absent", **QUICK)["changed"]
    after = stored(kube, shop, "reviews-canary")
    assert after is not None
    assert after["spec"].pop("minReadySeconds") == 5, "what others changed since was lost"
    assert before is not None
    assert before["spec"].pop("minReadySeconds") == 1
    assert after == before


def test_a_concurrent_change_is_read_and_planned_again(
    direct: Direct, kube: Kube, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, made = replica_canary.plan_present, []

    def planned(*given: t.Any) -> t.Any:
        made.append(original(*given))
        if len(made) == 1:
            kube.patch(APPS, "Deployment", "reviews-canary", shop, {"spec": {"replicas": 7, "minReadySeconds": 9}})
        return made[-1]

    direct("replicas", image=NEW, share=25, **QUICK)
    monkeypatch.setattr(replica_canary, "plan_present", planned)
    done = direct("replicas", share=50, **QUICK)
    assert len(made) == 2
    assert done["api_requests"]["patch"] == 2
    after = stored(kube, shop, "reviews-canary")
    assert after is not None
    assert (after["spec"]["replicas"], after["spec"]["minReadySeconds"]) == (3, 9)


def test_an_autoscaler_keeps_its_pods(direct: Direct, kube: Kube, shop: str) -> None:
    kube.apply(autoscaler("reviews"), namespace=shop)
    done = direct("replicas", image=NEW, share=25, **QUICK)
    assert done["hpa"] == "reviews"
    assert "run the task again to adjust it" in done["advice"]
    kube.apply(autoscaler("reviews-canary"), namespace=shop)
    refused = direct("replicas", share=50, fails=True, **QUICK)
    assert refused["error_code"] == "refused"
    assert "owns the number of pods" in refused["msg"]
    promoted = direct("replicas", state="promoted", check_mode=True, **QUICK)
    assert "/spec/replicas" not in str(promoted["patch"][0])


def test_pods_that_cannot_start_are_named_and_the_change_is_rolled_back(direct: Direct, kube: Kube, shop: str) -> None:
    before = stored(kube, shop)
    failed = direct("replicas", image=NEW, share=25, wait_timeout=2, fails=True)
    assert failed["error_code"] == "rollout_failed"
    assert "reviews-canary" in failed["msg"]
    assert "cannot be placed" in failed["msg"]
    assert "was removed" in failed["msg"]
    assert stored(kube, shop, "reviews-canary") is None
    failed = direct("replicas", state="updated", image=NEW, wait_timeout=2, fails=True)
    assert "cannot be placed" in failed["msg"]
    assert "was rolled back" in failed["msg"]
    assert stored(kube, shop) == before


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"image": NEW, "share": 1, "total": 4, "max_error": 1}, "refused", "max_error: 1% requested, 25.0% reached"),
        ({"image": NEW, "share": 100}, "invalid_input", "below 100"),
        ({"share": 25}, "invalid_input", "image is required"),
        ({"image": NEW, "share": 25, "deployment": "review"}, "invalid_input", "not one of the Deployments"),
        ({"image": NEW, "share": 25, "container": "app"}, "invalid_input", "no container app, only reviews"),
        ({"image": NEW, "share": 25, "labels": {"app": "other"}}, "refused", "would not select the canary's pods"),
        ({"image": NEW, "share": 25, "labels": {"track": "stable"}}, "refused", "labels: {track: stable-canary}"),
        ({"image": NEW, "share": 25, "service": "nobody"}, "refused", "does not exist"),
    ],
)
def test_invalid_requests_are_refused(
    direct: Direct, kube: Kube, shop: str, options: Object, code: str, words: str
) -> None:
    failed = direct("replicas", fails=True, **QUICK, **options)
    assert failed["error_code"] == code
    assert words in failed["msg"]
    assert [one["metadata"]["name"] for one in kube.list(APPS, "Deployment", shop)] == ["reviews"]


def test_with_a_shared_selector_each_deployment_manages_its_own_pods(
    direct: Direct, kube: Kube, namespace: str
) -> None:
    plain = deployment()
    plain["spec"]["selector"]["matchLabels"] = {"app": "reviews"}
    plain["spec"]["template"]["metadata"]["labels"] = {"app": "reviews"}
    kube.apply(service(), plain, namespace=namespace)
    done = direct("replicas", image=NEW, share=40, **QUICK)
    assert any("each Deployment manages only its own pods" in warning for warning in done["warnings"])

    def owners() -> dict[str, int]:
        sets = kube.list(APPS, "ReplicaSet", namespace)
        pods = kube.list("v1", "Pod", namespace)
        of = {one["metadata"]["name"]: one["metadata"]["ownerReferences"][0]["name"] for one in (*sets, *pods)}
        # A pod may outlive its ReplicaSet for a moment: then it is nobody's, and not what is waited for.
        return dict(Counter(of.get(of[pod["metadata"]["name"]], "nobody") for pod in pods))

    kube.wait_until(lambda: owners() == {"reviews": 3, "reviews-canary": 2}, 30, "pods of both")
    direct("replicas", state="updated", image="shop.invalid/reviews:1.15.0", **QUICK)
    kube.wait_until(lambda: owners() == {"reviews": 5, "reviews-canary": 2}, 30, "pods of both")
    kube.apply(autoscaler("reviews"), namespace=namespace)
    refused = direct("replicas", share=50, fails=True, **QUICK)
    assert "HorizontalPodAutoscaler" in refused["msg"]
    assert "would count them as stable pods" in refused["msg"]
    assert direct("replicas", state="absent", **QUICK)["changed"]
    kube.wait_until(lambda: owners() == {"reviews": 5}, 30, "pods of both")


def test_a_total_scales_stable_up_and_the_end_restores_its_replicas(direct: Direct, kube: Kube, shop: str) -> None:
    before = stored(kube, shop)
    options = {"image": NEW, "share": 10, "total": 10, **QUICK}
    planned = direct("replicas", check_mode=True, **options)
    assert stored(kube, shop) == before
    done = direct("replicas", **options)
    assert {k: v for k, v in done.items() if k != "api_requests"} == {
        k: v for k, v in planned.items() if k != "api_requests"
    }
    assert done["weights"] == {"reviews": 90.0, "reviews-canary": 10.0}
    assert done["share"] == {"wanted": 10, "reached": 10.0, "error": 0.0, "pods": 1, "stable": 9, "other_pods": 9}
    scaled = stored(kube, shop)
    assert scaled is not None
    assert scaled["spec"]["replicas"] == 9
    assert not direct("replicas", **options)["changed"]
    refused = direct("replicas", share=50, total=4, fails=True, **QUICK)
    assert "Set total to at least 6" in refused["msg"]
    assert direct("replicas", state="absent", **QUICK)["changed"]
    assert stored(kube, shop) == before


def test_an_error_bound_chooses_the_fewest_pods_that_keep_it(direct: Direct, kube: Kube, shop: str) -> None:
    before = stored(kube, shop)
    options = {"image": NEW, "share": 10, "max_error": 1, **QUICK}
    planned = direct("replicas", check_mode=True, **options)
    assert stored(kube, shop) == before
    assert planned["share"] == {"wanted": 10, "reached": 10.0, "error": 0.0, "pods": 1, "stable": 9, "other_pods": 9}
    assert "reviews: 3 pods" in planned["msg"], "the cost is not said"
    done = direct("replicas", **options)
    assert done["weights"] == planned["weights"] == {"reviews": 90.0, "reviews-canary": 10.0}
    assert not direct("replicas", **options)["changed"]
    assert direct("replicas", state="absent", **QUICK)["changed"]
    assert stored(kube, shop) == before
