# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Good versions take over, bad ones are taken back; the only requests that fail are those the bad version answered."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from support.rollouts import BROKEN_BY, LOAD, report

if t.TYPE_CHECKING:
    from support.rollouts import Stage

    from lab.traffic import Measurement

pytestmark = pytest.mark.mesh

OUT = Path(__file__).resolve().parents[2] / "out" / "rollouts"


def only_the_canary_failed(seen: Measurement) -> None:
    """Every failed request was answered by the broken version itself, with the status it was told to give."""
    assert all(reason.startswith(BROKEN_BY) for reason in seen.reasons), seen.reasons


def test_a_good_version_takes_over_and_loses_nothing(stage: Stage) -> None:
    with stage.shop.sidecar.background(LOAD) as load:
        told = report(stage.rollout("v3", report_dir=str(OUT)))
        load.stop()
        seen = load.result()
    assert told["phase"] == "promoted"
    assert [entry["event"] for entry in told["events"]].count("pass") == 4
    assert stage.weights() == {"v3": 100}
    assert seen.failed == 0, seen.reasons
    assert set(seen.counts) == {"v2", "v3"}
    assert told["harmed"] == 0
    assert len(list(OUT.glob(f"reviews-{told['id']}.*"))) == 3


@pytest.mark.parametrize("rate", [0.5, 0.05])
def test_a_version_with_errors_is_taken_back(stage: Stage, rate: float) -> None:
    stage.break_version("v3", FAULT_ERROR_RATE=rate)
    with stage.shop.sidecar.background(LOAD) as load:
        # Few errors at few requests take a while to be certain: at the first share it is watched for long enough.
        told = report(stage.rollout("v3", fails=True, pause=3 if rate == 0.5 else 30))
        load.stop()
        seen = load.result()
    assert told["phase"] == "rolled_back"
    assert stage.weights() == {"v2": 100}
    only_the_canary_failed(seen)
    assert 0 < told["harmed"] <= seen.failed
    print({"rate": rate, "failed": seen.failed, "requests": seen.requests, "reason": told["reason"]})


def test_a_slow_version_is_taken_back(stage: Stage) -> None:
    stage.break_version("v3", FAULT_DELAY_MS=250)
    with stage.shop.sidecar.background(LOAD) as load:
        told = report(stage.rollout("v3", fails=True, pause=10))
        load.stop()
        seen = load.result()
    assert told["phase"] == "rolled_back"
    assert "latency" in told["reason"]
    assert stage.weights() == {"v2": 100}
    assert seen.failed == 0, seen.reasons


def test_a_version_that_crashes_at_its_start_gets_no_request(stage: Stage) -> None:
    name = "reviews-v3"
    found = stage.kube.get("apps/v1", "Deployment", name, stage.shop.namespace)
    assert found
    path = f"/apis/apps/v1/namespaces/{stage.shop.namespace}/deployments/{name}"
    crash = {"name": "reviews", "command": ["python3", "-c", "raise SystemExit('no configuration')"]}
    body = {
        "spec": {"template": {"spec": {"containers": [crash]}}, "strategy": {"rollingUpdate": {"maxUnavailable": 1}}}
    }
    stage.kube.request("PATCH", path, body, content_type="application/strategic-merge-patch+json")
    try:
        stage.kube.wait_until(lambda: not ready(stage, "v3"), 90, "no pod of v3 is ready")
        with stage.shop.sidecar.background(LOAD) as load:
            told = report(stage.rollout("v3", fails=True))
            load.stop()
            seen = load.result()
    finally:
        stage.kube.request(
            "PATCH",
            path,
            [{"op": "replace", "path": "/spec", "value": found["spec"]}],
            content_type="application/json-patch+json",
        )
    assert told["phase"] == "rolled_back"
    assert "SUBSET_NOT_READY" in json.dumps(told["events"])
    assert set(seen.counts) == {"v2"}
    assert seen.failed == 0, seen.reasons
    stage.kube.wait_available([name], stage.shop.namespace)


def ready(stage: Stage, version: str) -> bool:
    conditions = [one for pod in stage.pods(version) for one in pod["status"].get("conditions") or ()]
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def test_without_requests_nothing_is_proven_and_the_share_goes_back(stage: Stage) -> None:
    told = report(stage.rollout("v3", fails=True, deadline=8))
    assert told["phase"] == "rolled_back"
    assert "deadline" in [entry["event"] for entry in told["events"]]
    assert "pass" not in [entry["event"] for entry in told["events"]]
    assert stage.weights() == {"v2": 100}


def test_a_third_version_takes_the_place_of_one_at_half(stage: Stage) -> None:
    with stage.shop.sidecar.background(LOAD) as load:
        halves = [{"weight": 50, "gate": "manual"}, 100]
        process = stage.begin("v3", steps=halves, rollout_gate_seconds=25)
        stage.kube.wait_until(lambda: stage.run().get("phase") == "gated", 90, "v3 waits at half")
        told = report(stage.rollout("v1", supersede=True))
        process.wait(timeout=120)
        load.stop()
        seen = load.result()
    assert told["phase"] == "promoted"
    assert stage.weights() == {"v1": 100}
    assert process.returncode != 0, "the run that lost its lock says so"
    assert seen.failed == 0, seen.reasons
