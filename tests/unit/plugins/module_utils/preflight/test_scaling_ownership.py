# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who else sets the number of pods: KEDA and other owners, and tools that have written that very field."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.objects import owners
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.preflight import scaling_ownership
from ansible_collections.meshops.canary.plugins.module_utils.preflight.inspection import inspect
from ansible_collections.meshops.canary.plugins.module_utils.rollout import capacity_changes
from support import reviews

Object = dict[str, t.Any]
SCALED_OBJECT = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "reviews", "controller": True}
OPERATOR = {"apiVersion": "shop.example.com/v1", "kind": "Shop", "name": "front", "controller": True}
MINIMUM = {"f:spec": {"f:minReplicas": {}}}


def hpa(**metadata: t.Any) -> Object:
    return reviews.changed(reviews.hpa("reviews-v2"), metadata=metadata)


def wrote(manager: str, fields: Object, at: str = "2026-11-22T12:00:00Z") -> Object:
    return {"manager": manager, "time": at, "fieldsV1": fields}


KEDA_BY_OWNER = hpa(ownerReferences=[SCALED_OBJECT])
KEDA_BY_LABEL = hpa(labels={"scaledobject.keda.sh/name": "reviews", "app.kubernetes.io/managed-by": "keda-operator"})


def snapshot(scaler: Object, deployment: Object | None = None) -> Snapshot:
    return Snapshot(deployments=(deployment or reviews.deployment("reviews-v2", 1),), hpas=(scaler,))


def found(scaler: Object, pods: int = 4) -> list[t.Any]:
    there = snapshot(scaler)
    (deployment,) = there.deployments or ()
    changes = capacity_changes.raise_pods(there, deployment, pods)
    return list(scaling_ownership.of_changes(there, changes))


@pytest.mark.parametrize("scaler", [KEDA_BY_OWNER, KEDA_BY_LABEL], ids=["owner reference", "label"])
def test_an_autoscaler_of_keda_is_not_raised_and_the_scaled_object_is_named(scaler: Object) -> None:
    (finding,) = found(scaler)
    assert finding.code == "OWNED_BY_CONTROLLER"
    assert "written by KEDA (ScaledObject reviews), which reverts a change of minReplicas" in finding.reason
    patch = 'kubectl -n bookinfo patch scaledobject reviews --type merge --patch \'{"spec": {"minReplicaCount": 4}}\''
    assert patch in finding.remedy
    assert 'autoscaling.keda.sh/paused-replicas: "4"' in finding.remedy


def test_an_autoscaler_of_another_controller_names_its_owner() -> None:
    (finding,) = found(hpa(ownerReferences=[OPERATOR]))
    assert "the controller of its owner Shop front (shop.example.com/v1)" in finding.reason
    assert found(hpa(ownerReferences=[{**OPERATOR, "controller": False}])) == [], "an owner that only collects garbage"
    assert found(hpa()) == []


def test_enough_pods_need_no_write_and_no_owner() -> None:
    assert found(KEDA_BY_OWNER, pods=1) == []


@pytest.mark.parametrize(
    ("marks", "manager", "code"),
    [
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}, "kustomize-controller", "REVERTED_BY_GITOPS"),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}, "kubectl-edit", None),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "apps:x"}}, "argocd-controller", "APPLIED_BY_TOOL"),
        ({"annotations": {"meta.helm.sh/release-name": "shop"}}, "helm", "APPLIED_BY_TOOL"),
        ({"annotations": {"meta.helm.sh/release-name": "shop"}}, "meshops.canary", None),
        ({}, "ada", None),
    ],
)
def test_a_tool_counts_only_if_it_wrote_the_very_field(marks: Object, manager: str, code: str | None) -> None:
    findings = found(hpa(**marks, managedFields=[wrote(manager, MINIMUM)]))
    assert [one.code for one in findings] == ([code] if code else [])
    assert found(hpa(**marks, managedFields=[wrote(manager, {"f:spec": {"f:maxReplicas": {}}})])) == []


def test_the_replicas_of_an_owned_deployment_are_its_owners() -> None:
    owned = reviews.changed(reviews.deployment("reviews-v2", 1), metadata={"ownerReferences": [OPERATOR]})
    there = Snapshot(deployments=(owned,), hpas=())
    (finding,) = scaling_ownership.of_changes(there, capacity_changes.raise_pods(there, owned, 3))
    assert (finding.code, finding.object) == ("OWNED_BY_CONTROLLER", "Deployment bookinfo/reviews-v2")
    assert "reverts a change of replicas" in finding.reason


def test_a_deployment_that_keda_has_scaled_to_zero_is_kedas_to_start() -> None:
    there = snapshot(KEDA_BY_OWNER, reviews.deployment("reviews-v2", 0))
    (deployment,) = there.deployments or ()
    (finding,) = scaling_ownership.of_changes(there, capacity_changes.raise_pods(there, deployment, 1))
    assert (finding.code, finding.object) == ("OWNED_BY_CONTROLLER", "HorizontalPodAutoscaler bookinfo/reviews-v2")
    assert '"minReplicaCount": 1' in finding.remedy


def test_stables_pods_are_not_held_at_keda_and_that_is_said() -> None:
    serving = reviews.deployment("reviews-v2", 3)
    there = snapshot(KEDA_BY_OWNER, serving)
    assert capacity_changes.hold_pods(there, serving, 5) == []
    sentence = capacity_changes.unheld(there, serving, 5)
    assert "written by KEDA (ScaledObject reviews), so its minReplicas is not raised to 5" in sentence
    assert '"minReplicaCount": 5' in sentence
    assert capacity_changes.unheld(snapshot(hpa(), serving), serving, 5) == ""
    assert capacity_changes.unheld(there, reviews.deployment("reviews-v2", 1), 1) == "", "its minimum is enough"
    assert capacity_changes.reduce_pods(there, serving, 1) == [], "KEDA scales down by itself"


def test_preflight_says_who_scales_although_nothing_is_written() -> None:
    lists = reviews.healthy()
    lists["hpas"] = [KEDA_BY_OWNER]
    (finding,) = (
        one
        for one in inspect(Snapshot(**lists), ServiceRef("reviews", reviews.NAMESPACE))
        if one.code == "SCALED_BY_CONTROLLER"
    )
    assert (finding.severity, finding.object) == ("warning", "HorizontalPodAutoscaler bookinfo/reviews-v2")
    assert "KEDA (ScaledObject reviews)" in finding.reason
    assert "minReplicaCount" in finding.remedy


def test_who_set_the_minimum_back_is_named_when_pods_are_missing() -> None:
    annotations = {capacity_changes.MIN_REPLICAS_BEFORE: "1", capacity_changes.MIN_REPLICAS_RAISED: "4"}
    fields = [
        wrote("meshops.canary", {"f:metadata": {}}, "2026-11-22T12:00:05Z"),
        wrote("keda", MINIMUM, "2026-11-22T12:00:01Z"),
    ]
    reverted = hpa(ownerReferences=[SCALED_OBJECT], annotations=annotations, managedFields=fields)
    serving = reviews.deployment("reviews-v2", 1)
    text, owner = capacity_changes.why_fewer(snapshot(reverted, serving), serving, 4)
    assert text == (
        "HorizontalPodAutoscaler bookinfo/reviews-v2 asks for 1 pods, its minReplicas is 1 although it was raised to "
        "4: somebody set it back (last written by keda at 2026-11-22T12:00:01Z)"
    )
    assert owner.startswith("it is written by KEDA (ScaledObject reviews).")
    assert capacity_changes.why_fewer(snapshot(reverted, serving), serving, 1) == []


def test_an_autoscaler_that_cannot_scale_says_so_itself() -> None:
    condition = {"type": "ScalingActive", "status": "False", "message": "unable to get metrics"}
    broken = reviews.changed(reviews.hpa("reviews-v2"), status={"conditions": [condition]})
    serving = reviews.deployment("reviews-v2", 1)
    reasons = capacity_changes.why_fewer(snapshot(broken, serving), serving, 4)
    assert reasons[-1] == "its condition ScalingActive: unable to get metrics"
    alone = reviews.changed(serving, metadata={"managedFields": [wrote("kubectl", {"f:spec": {"f:replicas": {}}})]})
    (reason,) = capacity_changes.why_fewer(Snapshot(deployments=(alone,), hpas=()), alone, 4)
    assert reason == (
        "Deployment bookinfo/reviews-v2 asks for 1 pods (last written by kubectl at 2026-11-22T12:00:00Z)"
    )


def test_nobody_recorded_is_nobody() -> None:
    assert owners.last_writer({"metadata": {}}, "spec", "minReplicas") is None
    assert owners.scaling_owner(reviews.deployment("reviews-v1", 1)) == ""
