# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A release of two services, the one a caller of the other, under load: both are new at the end, or both are back."""

from __future__ import annotations

import typing as t

import pytest
from support.direct import ISTIO, destination_rule, essence, virtual_service
from support.rollouts import BROKEN_BY, LOAD, METRICS, Stage, with_errors

from .conftest import FORCE

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from support.kube import Object
    from support.play import Played

pytestmark = pytest.mark.mesh

QUICK = {"pause": 2, "deadline": 120, "capacity": False, "force": FORCE, "drain": 1, "metrics": METRICS}
NEW = {"ratings": {"v2": 100}, "reviews": {"v3": 100}}
OLD = {"ratings": {"v1": 100}, "reviews": {"v2": 100}}


@pytest.fixture
def both(stage: Stage) -> Iterator[Stage]:
    """All requests on reviews v2 and ratings v1, and a ratings v2 that nobody uses yet."""
    kube, space = stage.kube, stage.shop.namespace
    deployment = essence(kube.get("apps/v1", "Deployment", "ratings-v1", space))
    assert deployment
    spec = deployment["spec"]
    labels = {**spec["selector"]["matchLabels"], "version": "v2"}
    spec["selector"] = {"matchLabels": labels}
    spec["template"]["metadata"]["labels"] = labels
    second = {**deployment, "metadata": {"name": "ratings-v2", "labels": labels}}
    second.pop("status", None)
    routes = (destination_rule("ratings"), virtual_service(name="ratings", host="ratings"))
    kube.apply(second, *routes, namespace=space)
    kube.wait_available(["ratings-v2"], space)
    yield stage
    stage.reset()
    kube.delete("apps/v1", "Deployment", "ratings-v2", space)
    for kind in ("VirtualService", "DestinationRule"):
        kube.delete(ISTIO, kind, "ratings", space)
    for name in ("canary-rollout-ratings", "canary-release-shop-42"):
        kube.delete("v1", "ConfigMap", name, space)
    kube.delete("coordination.k8s.io/v1", "Lease", "canary-ratings", space)


def data(stage: Stage) -> dict[str, t.Any]:
    versions = {"ratings": ("v1", "v2"), "reviews": ("v2", "v3")}
    services = [
        {"service": name, "namespace": stage.shop.namespace, "stable": stable, "canary": canary}
        for name, (stable, canary) in versions.items()
    ]
    release = {"name": "shop-42", "services": services, "steps": [25, 50, 100], "defaults": QUICK}
    return {"canary_release": release, "canary_hosts": "localhost", "release_report_dir": ""}


def play(stage: Stage, *, fails: bool = False) -> Played:
    return stage.shop.player("meshops.canary.release", fails=fails, **data(stage))


def weights(stage: Stage) -> dict[str, dict[str, float]]:
    """Return service -> version -> percent, without those of 0."""
    found = {}
    for name in NEW:
        obj: Object | None = stage.kube.get(ISTIO, "VirtualService", name, stage.shop.namespace)
        assert obj
        entries = obj["spec"]["http"][-1]["route"]
        found[name] = {one["destination"]["subset"]: one.get("weight", 100) for one in entries}
    return {name: {version: share for version, share in one.items() if share} for name, one in found.items()}


def test_two_services_are_released_without_a_lost_request(both: Stage) -> None:
    assert weights(both) == OLD
    with both.shop.sidecar.background(LOAD) as load:
        played = play(both)
        load.stop()
        seen = load.result()
    assert weights(both) == NEW
    assert seen.failed == 0, seen.reasons
    assert {"v2", "v3"} <= set(seen.counts), "both versions of reviews answered, in the order of the steps"
    lines = [line for _name, _host, result in played.tasks for line in result.get("lines", ())]
    assert any("ratings" in line for line in lines)
    assert any("reviews" in line for line in lines)
    again = play(both)
    assert again.changed == 0, [(name, result) for name, _host, result in again.tasks if result.get("changed")]


def test_a_bad_service_takes_the_other_one_back_too(both: Stage) -> None:
    with both.shop.sidecar.background(with_errors(LOAD, v3=0.5)) as load:
        played = play(both, fails=True)
        load.stop()
        seen = load.result()
    assert weights(both) == OLD
    assert seen.failed > 0
    assert all(one.startswith(BROKEN_BY) for one in seen.reasons), f"only the bad version fails: {seen.reasons}"
    assert "reviews" in str([result.get("msg") for _name, _host, result in played.tasks])


def test_killed_in_the_middle_the_same_command_finishes_it(both: Stage) -> None:
    with both.shop.sidecar.background(LOAD) as load:
        begun = both.shop.player.begin("meshops.canary.release", **data(both))
        both.wait_for(begun, "observing", 1)
        begun.kill()
        play(both)
        load.stop()
        seen = load.result()
    assert weights(both) == NEW
    assert seen.failed == 0, seen.reasons
