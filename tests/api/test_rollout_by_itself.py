# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Events that come by themselves: one write of the record for everything between which nothing is to be done."""

from __future__ import annotations

import typing as t

import pytest
from support.recorded import Rollout, phase

if t.TYPE_CHECKING:
    from support.direct import Direct
    from support.kube import Kube

QUICK: dict[str, t.Any] = {"pause": 0, "analysis": False}
ALL = ["pass", "ready"]


@pytest.fixture
def rollout(direct: Direct, routed: str) -> Rollout:
    return Rollout(direct)


def trail(result: dict[str, t.Any]) -> list[tuple[str, str]]:
    return [(one["event"], one["to"]) for one in result["report"]["events"]]


def test_a_whole_rollout_is_four_records_and_every_phase_is_in_its_trail(
    rollout: Rollout, kube: Kube, routed: str
) -> None:
    begun = rollout.opened(steps=[{"weight": 10, **QUICK}, {"weight": 100, **QUICK}], then=ALL)
    assert phase(begun) == ("shifting", 0)
    rollout.shift(begun["run"]["weights_wanted"])
    second = rollout.recorded("shifted", then=ALL, note="2 of 2 proxies")
    assert phase(second) == ("shifting", 1)
    assert second["api_requests"]["patch"] == 2, "the lock and the record, once each"
    rollout.shift(second["run"]["weights_wanted"])
    promoting = rollout.recorded("shifted", then=ALL)
    assert phase(promoting) == ("promoting", 1)
    done = rollout.recorded("shifted", then=["drained", "done"])
    assert done["run"]["phase"] == "promoted"
    told = rollout.present()
    assert told["report"]["intact"]
    step = [("shifted", "observing"), ("pass", "gated")]
    assert trail(told) == [
        ("opened", "preparing"),
        ("ready", "shifting"),
        *step,
        ("approved", "preparing"),
        ("ready", "shifting"),
        *step,
        ("last_step", "promoting"),
        *((name, "promoting") for name in ("shifted", "drained")),
        ("done", "promoted"),
    ]
    notes = [(one["event"], one["note"]) for one in told["report"]["events"] if "note" in one]
    assert notes == [("shifted", "2 of 2 proxies")], "a note is about what it was given with"
    passed = [one for one in told["report"]["events"] if one["event"] == "pass"]
    assert {one["reason"] for one in passed} == {"not judged, as planned"}
    events = [one for one in kube.list("v1", "Event", routed) if one["source"].get("component") == "meshops.canary"]
    said = {one["reason"]: one["message"] for one in events}
    assert set(said) == {"CanaryOpened", "CanaryReady", "CanaryShifted", "CanaryLastStep", "CanaryDone"}
    assert said["CanaryShifted"].startswith("v2: observing"), "what has happened, and where it led, and nothing between"


@pytest.mark.parametrize(
    ("step", "stays"),
    [
        ({"pause": 0}, "observing"),
        ({"pause": 5, "analysis": False}, "observing"),
        ({**QUICK, "gate": "manual"}, "gated"),
    ],
    ids=["judged", "paused", "gated"],
)
def test_nothing_that_the_plan_asks_for_is_passed_over(rollout: Rollout, step: dict[str, t.Any], stays: str) -> None:
    begun = rollout.opened(steps=[{"weight": 10, **step}, {"weight": 100, **QUICK}], then=ALL)
    rollout.shift(begun["run"]["weights_wanted"])
    assert phase(rollout.recorded("shifted", then=[*ALL, "drained", "done"])) == (stays, 0)


def test_pods_that_a_step_names_are_waited_for(rollout: Rollout) -> None:
    steps = [{"weight": 10, **QUICK}, {"weight": 50, "replicas": 2, **QUICK}, {"weight": 100, **QUICK}]
    begun = rollout.opened(steps=steps, then=ALL)
    rollout.shift(begun["run"]["weights_wanted"])
    assert phase(rollout.recorded("shifted", then=ALL)) == ("preparing", 1)


def test_a_failure_is_followed_by_nothing(rollout: Rollout) -> None:
    begun = rollout.opened(steps=[{"weight": 10, "pause": 0}, 100], then=["ready"])
    rollout.shift(begun["run"]["weights_wanted"])
    rollout.recorded("shifted")
    judged = {"verdict": "fail", "reasons": ["bad"], "metrics": [], "evidence": {}}
    assert phase(rollout.recorded("fail", verdict=judged, then=[*ALL, "drained", "done"])) == ("rolling_back", 0)


@pytest.mark.parametrize(("policy", "end"), [("stop", ("stopped", 0)), ("adopt", ("preparing", 0))])
def test_an_edit_ends_the_row(rollout: Rollout, policy: str, end: tuple[str, int]) -> None:
    steps = [{"weight": 10, **QUICK}, {"weight": 50, **QUICK}, {"weight": 100, **QUICK}]
    begun = rollout.opened(steps=steps, then=ALL)
    rollout.shift(begun["run"]["weights_wanted"])
    rollout.shift({"v1": 70, "v2": 30})
    seen = rollout.recorded("shifted", then=ALL, on_drift=policy)
    assert "v2 10% -> 30%" in seen["drift"]
    assert phase(seen) == end


def test_a_promotion_that_somebody_has_undone_is_not_called_done(rollout: Rollout) -> None:
    begun = rollout.opened(steps=[{"weight": 100, **QUICK}], then=ALL)
    rollout.shift(begun["run"]["weights_wanted"])
    assert phase(rollout.recorded("shifted", then=ALL)) == ("promoting", 0)
    rollout.shift({"v1": 60, "v2": 40})
    stopped = rollout.recorded("shifted", then=["drained", "done"])
    assert stopped["run"]["phase"] == "stopped"
    assert "v2 100% -> 40%" in stopped["drift"]
