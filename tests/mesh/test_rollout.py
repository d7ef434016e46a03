# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Good versions are promoted, bad ones are rolled back; only requests that the bad version answered fail."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from support.rollouts import ADVANCED, BROKEN_BY, LOAD, report, with_delay, with_errors

if t.TYPE_CHECKING:
    from support.rollouts import Stage

pytestmark = pytest.mark.mesh

OUT = Path(__file__).resolve().parents[2] / "out" / "rollouts"


def test_a_good_version_is_promoted_and_loses_no_request(stage: Stage) -> None:
    with stage.shop.sidecar.background(LOAD) as load:
        ended = report(stage.rollout("v3", steps=[10, 25, 50, 100], report_dir=str(OUT)))
        load.stop()
        seen = load.result()
    assert ended["phase"] == "promoted"
    assert [entry["event"] for entry in ended["events"]].count("pass") == 4
    assert stage.weights() == {"v3": 100}
    assert seen.failed == 0, seen.reasons
    assert set(seen.counts) == {"v2", "v3"}
    assert ended["failed_requests"] == 0
    assert len(list(OUT.glob(f"reviews-{ended['id']}.*"))) == 3


def test_a_version_with_five_percent_of_errors_is_rolled_back(stage: Stage) -> None:
    with stage.shop.sidecar.background(with_errors(LOAD, v3=0.05)) as load:
        # Few errors among few requests need a while to be significant.
        ended = report(stage.rollout("v3", fails=True, steps=[25, 100], pause=30))
        load.stop()
        seen = load.result()
    assert ended["phase"] == "rolled_back"
    assert stage.weights() == {"v2": 100}
    assert all(reason.startswith(BROKEN_BY) for reason in seen.reasons), seen.reasons
    assert 0 < ended["failed_requests"] <= seen.failed
    print({"failed": seen.failed, "requests": seen.requests, "reason": ended["reason"]})


def test_a_slow_version_is_rolled_back(stage: Stage) -> None:
    with stage.shop.sidecar.background(with_delay(LOAD, v3=250)) as load:
        ended = report(stage.rollout("v3", fails=True, steps=[10, 100], pause=10))
        load.stop()
        seen = load.result()
    assert ended["phase"] == "rolled_back"
    assert "latency" in ended["reason"]
    assert stage.weights() == {"v2": 100}
    assert seen.failed == 0, seen.reasons


def test_a_version_that_crashes_at_its_start_gets_no_request(stage: Stage) -> None:
    crash = {"command": ["python3", "-c", "raise SystemExit('no configuration')"]}
    with stage.another_version("v9", replicas=1, **crash), stage.shop.sidecar.background(LOAD) as load:
        refused = stage.rollout("v9", fails=True)
        load.stop()
        seen = load.result()
    assert "SUBSET_NOT_READY" in refused.task(ADVANCED)["msg"], "before the lock"
    assert set(seen.counts) == {"v2"}
    assert seen.failed == 0, seen.reasons


def test_without_requests_nothing_is_proven_and_the_canary_is_rolled_back(stage: Stage) -> None:
    played = stage.rollout("v3", fails=True, deadline=5)
    advanced = next(result for task, _host, result in played.tasks if task.endswith("Advance the rollout"))
    assert "load now (estimate): no requests; a verdict needs 100 requests of v3" in advanced["lines"]
    said = next(index for index, line in enumerate(advanced["lines"]) if line.startswith("NOT_ENOUGH_REQUESTS: Step 1"))
    assert said < next(index for index, line in enumerate(advanced["lines"]) if "observing" in line), "before it begins"
    ended = report(played)
    assert ended["phase"] == "rolled_back"
    assert "deadline" in [entry["event"] for entry in ended["events"]]
    assert "pass" not in [entry["event"] for entry in ended["events"]]
    assert stage.weights() == {"v2": 100}


def test_a_third_version_supersedes_one_at_half(stage: Stage) -> None:
    with stage.shop.sidecar.background(LOAD) as load:
        halves = [{"weight": 50, "gate": "manual"}, 100]
        begun = stage.begin("v3", steps=halves, rollout_gate_seconds=15)
        stage.wait_for(begun, "gated", 0)
        ended = report(stage.rollout("v1", supersede=True))
        begun.wait(fails=True)  # the run that lost its lock says so
        load.stop()
        seen = load.result()
    assert ended["phase"] == "promoted"
    assert stage.weights() == {"v1": 100}
    assert seen.failed == 0, seen.reasons
