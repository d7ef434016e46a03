# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which floor or number of pods is raised, left and given back. On a real API server: tests/api/test_capacity.py."""

from __future__ import annotations

import typing as t

import jsonpatch
import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import Refused
from ansible_collections.meshops.canary.plugins.module_utils.rollout import floors
from ansible_collections.meshops.canary.plugins.module_utils.routes.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.routes.snapshot import Snapshot

if t.TYPE_CHECKING:
    from ansible_collections.meshops.canary.plugins.module_utils.routes.change import Change

Object = dict[str, t.Any]

SHOP = ServiceRef("reviews", "shop")


def deployment(replicas: int, name: str = "reviews-v2") -> Object:
    metadata = {"name": name, "namespace": "shop", "resourceVersion": "7"}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"replicas": replicas}}


def autoscaler(minimum: int, maximum: int = 5, was: str = "") -> Object:
    target = {"kind": "Deployment", "name": "reviews-v2"}
    metadata: Object = {"name": "reviews-v2", "namespace": "shop", "resourceVersion": "9"}
    if was:
        metadata["annotations"] = {floors.FLOOR: was}
    spec = {"scaleTargetRef": target, "minReplicas": minimum, "maxReplicas": maximum}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec}


def snapshot(*objects: Object) -> Snapshot:
    hpas = [one for one in objects if one["kind"] != "Deployment"]
    return Snapshot(deployments=[one for one in objects if one["kind"] == "Deployment"], hpas=hpas)


def applied(before: Object, change: Change) -> Object:
    """Return the object as the API server has it then, for which a test for null is one that there is nothing."""
    for one in change.patch:
        if one["op"] == "test" and one["value"] is None:
            assert one["path"].rpartition("/")[2] not in before["metadata"]
    real = [one for one in change.patch if one.get("value", 0) is not None]
    return t.cast("Object", jsonpatch.apply_patch(before, real))


def told(changes: list[Change]) -> list[str]:
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
def test_pods_are_raised_where_they_are_owned_and_never_lowered(
    now: int, minimum: int | None, pods: int, lines: list[str]
) -> None:
    scaled = deployment(now)
    there = snapshot(scaled, *([autoscaler(minimum)] if minimum else []))
    changes = floors.raised(there, scaled, pods)
    assert told(changes) == lines
    assert floors.goal(there, scaled, pods) == ("reviews-v2", min(pods, 5) if minimum else pods, pods)
    for change in changes:
        assert change.subresource == ("scale" if change.kind == "Deployment" else "")


def test_the_number_alone_is_written_and_only_over_the_one_that_was_read() -> None:
    (change,) = floors.raised(snapshot(), deployment(1), 2)
    test = {"op": "test", "path": "/spec/replicas", "value": 1}
    assert list(change.patch) == [test, {"op": "replace", "path": "/spec/replicas", "value": 2}]
    (woken,) = floors.raised(snapshot(), deployment(0), 2)
    assert list(woken.patch) == [{"op": "add", "path": "/spec/replicas", "value": 2}], "a Scale of 0 has no number"


def test_the_first_floor_is_kept_however_often_it_is_raised_and_comes_back() -> None:
    first = autoscaler(1)
    for pods in (2, 3):
        (change,) = floors.raised(snapshot(first), deployment(1), pods)
        first = applied(first, change)
        assert (first["metadata"]["annotations"][floors.FLOOR], first["spec"]["minReplicas"]) == ("1", pods)
    assert floors.released(snapshot(first), SHOP, ["another"]) == []
    (back,) = floors.released(snapshot(first), SHOP, ["reviews-v2"])
    assert told([back]) == ["HorizontalPodAutoscaler shop/reviews-v2: minReplicas 3 -> 1"]
    after = applied(first, back)
    assert (after["metadata"]["annotations"], after["spec"]["minReplicas"]) == ({}, 1)
    assert floors.released(snapshot(after), SHOP, ["reviews-v2"]) == []


def test_a_floor_that_somebody_sets_meanwhile_is_theirs() -> None:
    (change,) = floors.raised(snapshot(autoscaler(1)), deployment(1), 2)
    first = applied(autoscaler(1), change)
    first["spec"]["minReplicas"] = 4
    (back,) = floors.released(snapshot(first), SHOP, ["reviews-v2"])
    assert told([back]) == ["HorizontalPodAutoscaler shop/reviews-v2: minReplicas 4 stays"]
    after = applied(first, back)
    assert (after["metadata"]["annotations"], after["spec"]["minReplicas"]) == ({}, 4)
    (higher,) = floors.raised(snapshot(first), deployment(1), 5)
    (back,) = floors.released(snapshot(applied(first, higher)), SHOP, ["reviews-v2"])
    assert told([back]) == ["HorizontalPodAutoscaler shop/reviews-v2: minReplicas 5 -> 4"]


def test_a_floor_that_was_not_ours_to_raise_is_not_released() -> None:
    assert floors.released(snapshot(autoscaler(4)), SHOP, ["reviews-v2"]) == []


def test_what_stable_has_is_kept_by_its_autoscaler_alone() -> None:
    stable = deployment(4)
    assert told(floors.kept(snapshot(autoscaler(2)), stable, 3)) == [
        "HorizontalPodAutoscaler shop/reviews-v2: minReplicas 2 -> 4"
    ]
    assert floors.kept(snapshot(), stable, 5) == []
    assert told(floors.kept(snapshot(autoscaler(2, 3)), stable, 4)) == [
        "HorizontalPodAutoscaler shop/reviews-v2: minReplicas 2 -> 3"
    ], "an autoscaler's floor is at most its maximum"
    assert told(floors.kept(snapshot(autoscaler(4)), stable, 5)) == [
        "HorizontalPodAutoscaler shop/reviews-v2: minReplicas 4 -> 5"
    ], "its load has grown"


def test_reducing_sets_the_number_or_the_floor_for_good() -> None:
    assert told(floors.reduced(snapshot(), deployment(3), 0)) == ["Deployment shop/reviews-v2: replicas 3 -> 0"]
    raised = autoscaler(3, was="2")
    (change,) = floors.reduced(snapshot(raised), deployment(3), 1)
    after = applied(raised, change)
    assert (after["metadata"]["annotations"], after["spec"]["minReplicas"]) == ({}, 1)
    with pytest.raises(Refused, match="its floor is at least 1"):
        floors.reduced(snapshot(raised), deployment(3), 0)


@pytest.mark.parametrize(("names", "number"), [([], "0 Deployments"), (["reviews-v2", "reviews-b"], "2 Deployments")])
def test_capacity_is_given_to_exactly_one_deployment(names: list[str], number: str) -> None:
    there = snapshot(*(deployment(1, name) for name in names))
    with pytest.raises(Refused, match=number):
        floors.deployment_of(there, SHOP, {"version": "v2", "deployments": names})
