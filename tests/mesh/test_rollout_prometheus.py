# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rollouts judged by a real Prometheus: a good version is promoted, one with 5 % of errors is rolled back."""

from __future__ import annotations

import typing as t

import pytest
from support.rollouts import BROKEN_BY, LOAD, report, with_errors

if t.TYPE_CHECKING:
    from support.lab import Lab
    from support.rollouts import Stage

    from lab.traffic import Load, Measurement

pytestmark = pytest.mark.mesh

Report = dict[str, t.Any]


@pytest.fixture
def prometheus(lab: Lab) -> dict[str, t.Any]:
    """Variables of a rollout that is judged by Prometheus, which scrapes every two seconds."""
    return {"prometheus_url": lab.facts["prometheus_url"], "rollout_interval": 2}


def judged(stage: Stage, load: Load, *, fails: bool = False, **variables: t.Any) -> tuple[Report, Measurement]:
    """Return the report of a rollout under load, judged by Prometheus alone, and the result of the load."""
    with stage.shop.sidecar.background(load) as running:
        ended = report(stage.rollout("v3", fails=fails, **variables))
        running.stop()
        seen = running.result()
    assert {one["source"] for one in ended["events"] if "verdict" in one} == {"prometheus"}
    return ended, seen


def test_a_good_version_is_promoted(stage: Stage, prometheus: dict[str, t.Any]) -> None:
    ended, seen = judged(stage, LOAD, steps=[25, 100], pause=8, deadline=120, **prometheus)
    assert ended["phase"] == "promoted", ended["reason"]
    assert [entry["event"] for entry in ended["events"]].count("pass") == 2
    assert seen.failed == 0, seen.reasons
    assert ended["failed_requests"] == 0


def test_a_version_with_five_percent_of_errors_is_rolled_back(stage: Stage, prometheus: dict[str, t.Any]) -> None:
    failing = with_errors(LOAD, v3=0.05)
    ended, seen = judged(stage, failing, fails=True, steps=[25, 100], pause=40, deadline=120, **prometheus)
    assert ended["phase"] == "rolled_back"
    assert stage.weights() == {"v2": 100}
    assert "errors" in ended["reason"]
    assert all(reason.startswith(BROKEN_BY) for reason in seen.reasons), seen.reasons
    assert 0 < ended["failed_requests"] <= seen.failed, "the failed requests are reported"
