# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pods of the old version at the end of a rollout: they stay while it gets requests, and go when it gets none."""

from __future__ import annotations

import typing as t

import pytest
from support.rollouts import LOAD, report

from .conftest import FORCE

if t.TYPE_CHECKING:
    from support.rollouts import Stage

pytestmark = pytest.mark.mesh

TWO_STEPS: dict[str, t.Any] = {"steps": [50, 100], "pause": 2, "rollout_drain": 2}


def test_the_old_version_keeps_its_pods_when_a_user_rolls_back_to_it(stage: Stage) -> None:
    """Between the promotion and the end of the old version's pods, where a rollback by hand is most likely."""
    pods = len(stage.pods("v2"))
    with stage.shop.sidecar.background(LOAD) as load:
        begun = stage.begin("v3", **{**TWO_STEPS, "rollout_retire_after": 8, "rollout_old_replicas": 0})
        done = ("shifted", "promoting", "promoting")
        stage.kube.wait_until(lambda: done in stage.audit_log(), 120, "v3 gets all requests")
        stage.direct("weight", weights={"v2": 100}, finalize=True, force=FORCE)
        begun.wait(fails=True)
        load.stop()
        seen = load.result()
    run = stage.run()
    assert (run["phase"], run["stopped_in"]) == ("stopped", "promoting")
    assert stage.weights() == {"v2": 100}
    assert len(stage.pods("v2")) == pods
    assert seen.failed == 0, seen.reasons


def test_the_old_versions_pods_are_removed_when_it_gets_no_requests(stage: Stage) -> None:
    with stage.shop.sidecar.background(LOAD) as load:
        ended = report(stage.rollout("v3", **TWO_STEPS, rollout_old_replicas=1))
        load.stop()
        seen = load.result()
    assert ended["phase"] == "promoted"
    drained = [entry for entry in ended["events"] if entry["event"] == "drained"]
    assert [entry["note"] for entry in drained] == ["v2: no requests in the last 2 s"]
    assert seen.failed == 0, seen.reasons
