# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A canary judged beside a baseline: pods as new as its own, its share of requests, and none of either afterwards."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from support.direct import ISTIO, essence
from support.rollouts import LOAD, Stage, report

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from support.kube import Object

pytestmark = pytest.mark.mesh

LONG = dataclasses.replace(LOAD, seconds=600, limit=600, rate=150)
BASE = "v9"
SENT = "meshops.canary.rollout : Send the canary its percent of requests: "
JUDGED = "meshops.canary.rollout : Judge the canary at its percent of requests: "


@pytest.fixture
def base(stage: Stage) -> Iterator[str]:
    """The name of a version with v2's image, a subset and no pods."""
    kube, space = stage.kube, stage.shop.namespace
    deployment = essence(kube.get("apps/v1", "Deployment", "reviews-v2", space))
    assert deployment
    labels = {**deployment["spec"]["selector"]["matchLabels"], "version": BASE}
    deployment["metadata"] = {"name": "reviews-v9", "labels": labels}
    deployment["spec"].update(replicas=0, selector={"matchLabels": labels})
    deployment["spec"]["template"]["metadata"]["labels"] = labels
    deployment.pop("status", None)
    kube.apply({"apiVersion": "apps/v1", "kind": "Deployment", **deployment}, namespace=space)
    rule = kube.get(ISTIO, "DestinationRule", "reviews", space)
    assert rule
    subsets = [*rule["spec"]["subsets"], {"name": BASE, "labels": {"version": BASE}}]
    kube.patch(ISTIO, "DestinationRule", "reviews", space, {"spec": {"subsets": subsets}})
    yield BASE
    stage.reset()
    kube.patch(ISTIO, "DestinationRule", "reviews", space, {"spec": {"subsets": subsets[:-1]}})
    kube.delete("apps/v1", "Deployment", "reviews-v9", space)


def replicas(stage: Stage) -> int:
    found = t.cast("Object", stage.kube.get("apps/v1", "Deployment", "reviews-v9", stage.shop.namespace))
    return int(found["spec"]["replicas"])


@pytest.mark.parametrize("good", [True, False])
def test_a_canary_beside_a_baseline(stage: Stage, base: str, good: bool) -> None:
    if not good:
        stage.break_version("v3", FAULT_ERROR_RATE=0.5)
    with stage.shop.sidecar.background(LONG) as load:
        played = stage.rollout(
            "v3", fails=not good, baseline=base, steps=[20, 50], rollout_drain=2, rollout_capacity=good
        )
        load.stop()
        seen = load.result()
    told = report(played)
    assert (told["phase"], stage.weights()) == (("promoted", {"v3": 100}) if good else ("rolled_back", {"v2": 100}))
    shares = {name.removeprefix(SENT): one["weights"] for name, _host, one in played.tasks if name.startswith(SENT)}
    assert shares["20.0"] == {"v2": 60, "v3": 20, BASE: 20}
    looks = [one for name, _host, one in played.tasks if name.startswith(JUDGED)]
    assert {one["stable"] for one in looks} == {base}
    assert looks[0]["numbers"]["stable"]["requests"] > 20
    assert replicas(stage) == 0
    if good:
        assert shares["50.0"] == {"v2": 25, "v3": 50, BASE: 25}
        assert seen.failed == 0, seen.reasons
        assert 15 < looks[0]["numbers"]["share"] < 25
        stage.kube.wait_until(lambda: not stage.pods(base), 60, "the baseline's pods are gone")


def test_a_baseline_of_another_image_is_refused_before_anything_moves(stage: Stage, base: str) -> None:
    other = {"spec": {"template": {"spec": {"containers": [{"name": "reviews", "image": "somebody/else:1"}]}}}}
    path = f"/apis/apps/v1/namespaces/{stage.shop.namespace}/deployments/reviews-v9"
    stage.kube.request("PATCH", path, other, content_type="application/strategic-merge-patch+json")
    refused = stage.rollout("v3", fails=True, baseline=base, steps=[20]).last
    assert "v9 runs somebody/else:1 and v2 runs" in refused["msg"]
    assert stage.run() == {}, "nothing is recorded of it"
    assert (stage.weights(), replicas(stage)) == ({"v2": 100}, 0)
