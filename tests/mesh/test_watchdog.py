# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A rollout that is killed: its watchdog rolls it back, and the next run finishes it. A live one is left alone."""

from __future__ import annotations

import typing as t

import pytest
from support.rollouts import LOAD, Stage, report

from lab.traffic import bookinfo_variables

from .conftest import measure

if t.TYPE_CHECKING:
    from support.kube import Object
    from support.lab import Lab

pytestmark = pytest.mark.mesh

AFTER = 10
KINDS = (
    ("batch/v1", "Job"),
    ("v1", "ServiceAccount"),
    ("v1", "ConfigMap"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
)


@pytest.fixture
def watched(lab: Lab) -> dict[str, t.Any]:
    """Variables of a rollout with a watchdog in an image that the lab has: that of the sample, which has Python."""
    image = bookinfo_variables(lab.facts).get("bookinfo_image")
    options = {"rollout_watchdog": True, "rollout_watchdog_after": AFTER}
    return {**options, "rollout_watchdog_image": image} if image else options


def events(stage: Stage) -> list[Object]:
    listed = stage.kube.list("v1", "Event", stage.shop.namespace)
    return [one for one in listed if one["reason"] == "CanaryWatchdog"]


def watchdog_objects(stage: Stage) -> list[str]:
    """Return kind and name of all objects that belong to a watchdog."""
    found = []
    for version, kind in KINDS:
        for one in stage.kube.list(version, kind, stage.shop.namespace):
            if one["metadata"]["name"].startswith("canary-watchdog-"):
                found.append(f"{kind}/{one['metadata']['name']}")
    return found


def test_a_killed_run_is_rolled_back_and_the_next_run_finishes_it(stage: Stage, watched: dict[str, t.Any]) -> None:
    slow = {**watched, "steps": [10, 100], "pause": 100, "deadline": 200}
    with stage.shop.sidecar.background(LOAD) as load:
        begun = stage.begin("v3", **slow)
        stage.wait_for(begun, "observing", 0)
        assert stage.weights() == {"v2": 90, "v3": 10}
        begun.kill()
        stage.kube.wait_until(lambda: stage.weights() == {"v2": 100}, 5 * AFTER, "the requests back on v2")
        stage.kube.wait_until(lambda: events(stage), 20, "the Event of the watchdog")
        assert stage.run()["phase"] == "rolling_back"
        ended = report(stage.rollout("v3", fails=True, **slow))
        load.stop()
        seen = load.result()
    assert seen.failed == 0, seen.reasons
    assert ended["phase"] == "rolled_back"
    assert "the watchdog rolled the routes back" in ended["reason"]
    (entry,) = [one for one in ended["events"] if one["by"].startswith("watchdog/")]
    assert (entry["from"], entry["to"]) == ("observing", "rolling_back")
    (event,) = events(stage)
    assert event["involvedObject"]["name"] == "reviews"
    assert "the routes are rolled back" in event["message"]
    assert measure(stage.shop.sidecar, 300).counts == {"v2": 300}


def test_a_live_run_is_not_rolled_back_however_long_it_is_silent(stage: Stage, watched: dict[str, t.Any]) -> None:
    events_before, objects_before = len(events(stage)), set(watchdog_objects(stage))
    with stage.shop.sidecar.background(LOAD):
        ended = report(stage.rollout("v3", steps=[50], pause=AFTER + 4, **watched))
    assert ended["phase"] == "promoted"
    assert not [one for one in ended["events"] if one["by"].startswith("watchdog/")]
    assert len(events(stage)) == events_before
    stage.kube.wait_until(
        lambda: set(watchdog_objects(stage)) <= objects_before, 60, "the end of the Job and all that it owns"
    )
