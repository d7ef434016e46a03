# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Raising and restoring minReplicas and replicas. On a real API server: tests/api/test_capacity.py."""

from __future__ import annotations

import typing as t

import jsonpatch
import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import Refused
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.rollout import capacity_changes

if t.TYPE_CHECKING:
    from ansible_collections.meshops.canary.plugins.module_utils.objects.change import Change

Object = dict[str, t.Any]

SHOP = ServiceRef("reviews", "shop")


def deployment(replicas: int, name: str = "reviews-v2") -> Object:
    metadata = {"name": name, "namespace": "shop", "resourceVersion": "7"}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"replicas": replicas}}


def autoscaler(minimum: int, maximum: int = 5, was: str = "") -> Object:
    target = {"kind": "Deployment", "name": "reviews-v2"}
    metadata: Object = {"name": "reviews-v2", "namespace": "shop", "resourceVersion": "9"}
    if was:
        metadata["annotations"] = {capacity_changes.MIN_REPLICAS_BEFORE: was}
    spec = {"scaleTargetRef": target, "minReplicas": minimum, "maxReplicas": maximum}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec}


def snapshot(*objects: Object) -> Snapshot:
    hpas = [one for one in objects if one["kind"] != "Deployment"]
    return Snapshot(deployments=[one for one in objects if one["kind"] == "Deployment"], hpas=hpas)


def applied(before: Object, change: Change) -> Object:
    """Return the patched object; for the API server a test for null is a test for absence."""
    for one in change.patch:
        if one["op"] == "test" and one["value"] is None:
            assert one["path"].rpartition("/")[2] not in before["metadata"]
    real = [one for one in change.patch if one.get("value", 0) is not None]
    return t.cast("Object", jsonpatch.apply_patch(before, real))


def summaries(changes: list[Change]) -> list[str]:
    return [line for change in changes for line in change.summary]


@pytest.mark.parametrize(
    ("now", "minimum", "pods", "lines"),
    [
        (1, None, 3, ["Deployment shop/reviews-v2: replicas 1 -> 3"]),
        (3, None, 3, []),
        (5, None, 3, []),
        (1, 1, 3, ["HorizontalPodAutoscaler shop/reviews-v2: minReplicas 1 -> 3"]),
        (1, 3, 2, []),
        (1, 1, 9, ["HorizontalPodAutoscaler shop/reviews-v2: minReplicas 1 -> 5"]),
        (
            0,
            1,
            2,
            [
                "HorizontalPodAutoscaler shop/reviews-v2: minReplicas 1 -> 2",
                "Deployment shop/reviews-v2: replicas 0 -> 1",
            ],
        ),
    ],
)
def test_raising_sets_min_replicas_or_replicas_and_never_lowers_them(
    now: int, minimum: int | None, pods: int, lines: list[str]
) -> None:
    scaled = deployment(now)
    there = snapshot(scaled, *([autoscaler(minimum)] if minimum else []))
    changes = capacity_changes.raise_pods(there, scaled, pods)
    assert summaries(changes) == lines
    assert capacity_changes.goal_of(there, scaled, pods) == ("reviews-v2", min(pods, 5) if minimum else pods, pods)
    for change in changes:
        assert change.subresource == ("scale" if change.kind == "Deployment" else "")


def test_only_the_replicas_are_written_with_a_test_of_the_read_value() -> None:
    (change,) = capacity_changes.raise_pods(snapshot(), deployment(1), 2)
    test = {"op": "test", "path": "/spec/replicas", "value": 1}
    assert list(change.patch) == [test, {"op": "replace", "path": "/spec/replicas", "value": 2}]
    (woken,) = capacity_changes.raise_pods(snapshot(), deployment(0), 2)
    assert list(woken.patch) == [{"op": "add", "path": "/spec/replicas", "value": 2}], "a Scale of 0 has no number"


def test_the_original_min_replicas_is_restored_after_several_raises() -> None:
    first = autoscaler(1)
    for pods in (2, 3):
        (change,) = capacity_changes.raise_pods(snapshot(first), deployment(1), pods)
        first = applied(first, change)
        assert (
            first["metadata"]["annotations"][capacity_changes.MIN_REPLICAS_BEFORE],
            first["spec"]["minReplicas"],
        ) == ("1", pods)
    assert capacity_changes.restore_min_replicas(snapshot(first), SHOP, ["another"]) == []
    (back,) = capacity_changes.restore_min_replicas(snapshot(first), SHOP, ["reviews-v2"])
    assert summaries([back]) == ["HorizontalPodAutoscaler shop/reviews-v2: minReplicas 3 -> 1"]
    after = applied(first, back)
    assert (after["metadata"]["annotations"], after["spec"]["minReplicas"]) == ({}, 1)
    assert capacity_changes.restore_min_replicas(snapshot(after), SHOP, ["reviews-v2"]) == []


def test_an_external_change_of_min_replicas_stays() -> None:
    (change,) = capacity_changes.raise_pods(snapshot(autoscaler(1)), deployment(1), 2)
    first = applied(autoscaler(1), change)
    first["spec"]["minReplicas"] = 4
    (back,) = capacity_changes.restore_min_replicas(snapshot(first), SHOP, ["reviews-v2"])
    assert summaries([back]) == ["HorizontalPodAutoscaler shop/reviews-v2: minReplicas 4 stays"]
    after = applied(first, back)
    assert (after["metadata"]["annotations"], after["spec"]["minReplicas"]) == ({}, 4)
    (higher,) = capacity_changes.raise_pods(snapshot(first), deployment(1), 5)
    (back,) = capacity_changes.restore_min_replicas(snapshot(applied(first, higher)), SHOP, ["reviews-v2"])
    assert summaries([back]) == ["HorizontalPodAutoscaler shop/reviews-v2: minReplicas 5 -> 4"]


def test_min_replicas_that_was_not_raised_is_not_restored() -> None:
    assert capacity_changes.restore_min_replicas(snapshot(autoscaler(4)), SHOP, ["reviews-v2"]) == []


def test_holding_pods_needs_an_autoscaler() -> None:
    stable = deployment(4)
    assert summaries(capacity_changes.hold_pods(snapshot(autoscaler(2)), stable, 3)) == [
        "HorizontalPodAutoscaler shop/reviews-v2: minReplicas 2 -> 4"
    ]
    assert capacity_changes.hold_pods(snapshot(), stable, 5) == []
    assert summaries(capacity_changes.hold_pods(snapshot(autoscaler(2, 3)), stable, 4)) == [
        "HorizontalPodAutoscaler shop/reviews-v2: minReplicas 2 -> 3"
    ], "minReplicas is at most the maximum"
    assert summaries(capacity_changes.hold_pods(snapshot(autoscaler(4)), stable, 5)) == [
        "HorizontalPodAutoscaler shop/reviews-v2: minReplicas 4 -> 5"
    ], "its load has grown"


def test_reducing_sets_replicas_or_min_replicas_permanently() -> None:
    assert summaries(capacity_changes.reduce_pods(snapshot(), deployment(3), 0)) == [
        "Deployment shop/reviews-v2: replicas 3 -> 0"
    ]
    raised = autoscaler(3, was="2")
    (change,) = capacity_changes.reduce_pods(snapshot(raised), deployment(3), 1)
    after = applied(raised, change)
    assert (after["metadata"]["annotations"], after["spec"]["minReplicas"]) == ({}, 1)
    with pytest.raises(Refused, match="its minReplicas is at least 1"):
        capacity_changes.reduce_pods(snapshot(raised), deployment(3), 0)


@pytest.mark.parametrize(("names", "number"), [([], "0 Deployments"), (["reviews-v2", "reviews-b"], "2 Deployments")])
def test_scaling_needs_exactly_one_deployment(names: list[str], number: str) -> None:
    there = snapshot(*(deployment(1, name) for name in names))
    with pytest.raises(Refused, match=number):
        capacity_changes.deployment_of(there, SHOP, {"version": "v2", "deployments": names})
