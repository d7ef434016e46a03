# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A rollout that is killed: its dead man takes the requests back, and the next run ends it. A living one is let be."""

from __future__ import annotations

import typing as t

import pytest
from support.rollouts import LOAD, Stage, kill, report

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
    """Variables of a rollout that a dead man watches, in an image the lab has: the sample's, for it has Python."""
    image = bookinfo_variables(lab.facts).get("bookinfo_image")
    asked = {"rollout_dead_man": True, "rollout_dead_man_after": AFTER}
    return {**asked, "rollout_dead_man_image": image} if image else asked


def events(stage: Stage) -> list[Object]:
    listed = stage.kube.list("v1", "Event", stage.shop.namespace)
    return [one for one in listed if one["reason"] == "CanaryDeadMan"]


def left(stage: Stage) -> list[str]:
    """Return what there is of dead men, ended Jobs apart: those are kept for their log."""
    found = []
    for version, kind in KINDS:
        for one in stage.kube.list(version, kind, stage.shop.namespace):
            if one["metadata"]["name"].startswith("canary-dead-man-"):
                found.append(f"{kind}/{one['metadata']['name']}")
    return found


def test_a_killed_run_is_taken_back_and_the_next_one_ends_it(stage: Stage, watched: dict[str, t.Any]) -> None:
    slow = {**watched, "pause": 100, "deadline": 200}
    with stage.shop.sidecar.background(LOAD) as load:
        process = stage.begin("v3", **slow)
        stage.kube.wait_until(lambda: stage.run().get("phase") == "observing", 90, "the first step")
        assert stage.weights() == {"v2": 90, "v3": 10}
        kill(process)
        stage.kube.wait_until(lambda: stage.weights() == {"v2": 100}, 5 * AFTER, "the requests back on v2")
        stage.kube.wait_until(lambda: events(stage), 20, "the Event of the dead man")
        assert stage.run()["phase"] == "rolling_back"
        told = report(stage.rollout("v3", fails=True, **slow))
        load.stop()
        seen = load.result()
    assert seen.failed == 0, seen.reasons
    assert told["phase"] == "rolled_back"
    assert "the dead man took the requests back" in told["reason"]
    (his,) = [entry for entry in told["events"] if entry["by"].startswith("dead-man/")]
    assert (his["from"], his["to"]) == ("observing", "rolling_back")
    (event,) = events(stage)
    assert event["involvedObject"]["name"] == "reviews"
    assert "the requests are back" in event["message"]
    assert measure(stage.shop.sidecar, 300).counts == {"v2": 300}


def test_a_living_run_is_let_be_however_long_it_is_silent(stage: Stage, watched: dict[str, t.Any]) -> None:
    before, mentioned = len(events(stage)), set(left(stage))
    with stage.shop.sidecar.background(LOAD):
        told = report(stage.rollout("v3", steps=[50], pause=2 * AFTER, **watched))
    assert told["phase"] == "promoted"
    assert not [entry for entry in told["events"] if entry["by"].startswith("dead-man/")]
    assert len(events(stage)) == before
    stage.kube.wait_until(lambda: set(left(stage)) <= mentioned, 60, "the end of the Job and all that it owns")
