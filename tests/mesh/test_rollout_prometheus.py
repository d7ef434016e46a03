# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rollouts judged by a real Prometheus: the good take over, the bad are taken back, the idle are held."""

from __future__ import annotations

import typing as t

import pytest
from support.rollouts import BROKEN_BY, LOAD, report

if t.TYPE_CHECKING:
    from support.lab import Lab
    from support.rollouts import Stage

    from lab.traffic import Measurement

pytestmark = pytest.mark.mesh

Told = dict[str, t.Any]
STABLE_MS = 60  # so long that twice as much is more than noise of a small machine


@pytest.fixture
def asked(lab: Lab) -> dict[str, t.Any]:
    """Prometheus scrapes every two seconds."""
    return {"prometheus_url": lab.facts["prometheus_url"], "rollout_interval": 2}


def judged(stage: Stage, *, fails: bool = False, **variables: t.Any) -> tuple[Told, Measurement]:
    """Return the report of a rollout under load, judged by Prometheus alone, and what the load saw."""
    with stage.shop.sidecar.background(LOAD) as load:
        told = report(stage.rollout("v3", fails=fails, **variables))
        load.stop()
        seen = load.result()
    assert {one["source"] for one in told["events"] if "verdict" in one} == {"prometheus"}
    return told, seen


def test_a_good_version_takes_over(stage: Stage, asked: dict[str, t.Any]) -> None:
    told, seen = judged(stage, steps=[25, 50, 100], pause=10, deadline=120, **asked)
    assert told["phase"] == "promoted", told["reason"]
    assert [entry["event"] for entry in told["events"]].count("pass") == 3
    assert seen.failed == 0, seen.reasons
    assert told["harmed"] == 0


def test_a_version_with_five_percent_of_errors_is_taken_back(stage: Stage, asked: dict[str, t.Any]) -> None:
    stage.break_version("v3", FAULT_ERROR_RATE=0.05)
    told, seen = judged(stage, fails=True, steps=[25, 100], pause=40, deadline=120, **asked)
    assert told["phase"] == "rolled_back"
    assert stage.weights() == {"v2": 100}
    assert "errors" in told["reason"]
    assert all(reason.startswith(BROKEN_BY) for reason in seen.reasons), seen.reasons
    assert 0 < told["harmed"] <= seen.failed, "whom it has harmed is reported"


def test_a_version_that_takes_twice_the_time_is_taken_back(stage: Stage, asked: dict[str, t.Any]) -> None:
    stage.break_version("v2", FAULT_DELAY_MS=STABLE_MS)
    stage.break_version("v3", FAULT_DELAY_MS=2 * STABLE_MS)
    try:
        told, seen = judged(stage, fails=True, steps=[25, 100], pause=40, deadline=120, **asked)
    finally:
        stage.break_version("v2", FAULT_DELAY_MS=None)
    assert told["phase"] == "rolled_back"
    assert "latency" in told["reason"]
    assert stage.weights() == {"v2": 100}
    assert seen.failed == 0, seen.reasons


def test_an_idle_version_is_held_until_the_deadline_and_goes_back(stage: Stage, asked: dict[str, t.Any]) -> None:
    told = report(stage.rollout("v3", fails=True, pause=4, deadline=20, **asked))
    assert told["phase"] == "rolled_back"
    observed = [one for one in told["events"] if one["from"] == "observing"]
    assert [one["event"] for one in observed] == ["deadline"], "held at its share, with no pass and no fail"
    assert observed[0]["source"] == "prometheus"
