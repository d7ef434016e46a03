# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Steps from lists and shapes, capacity and the record."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.objects.pod_counts import Load, pods_needed
from ansible_collections.meshops.canary.plugins.module_utils.rollout import parsing, record
from ansible_collections.meshops.canary.plugins.module_utils.rollout.steps import (
    Rollout,
    by_pods,
    share_ahead,
    steps_from,
)

SHAPES = [
    ({"steps": [1, 10, 100]}, [1, 10, 100]),
    ({"steps": [5, 50]}, [5, 50, 100]),
    ({"steps": [{"weight": 0.1}, "25"]}, [0.1, 25, 100]),
    ({"shape": "linear", "start": 10, "by": 30}, [10, 40, 70, 100]),
    ({"shape": "exponential", "start": 1, "by": 4}, [1, 4, 16, 64, 100]),
    ({}, [1, 2, 4, 8, 16, 32, 64, 100]),
]


@pytest.mark.parametrize(("options", "wanted"), SHAPES)
def test_steps(options: dict, wanted: list[float]) -> None:
    assert [step.weight for step in steps_from(options)] == wanted


WRONG = [
    ({"steps": []}, "steps is empty"),
    ({"steps": [10, 10]}, r"steps\[1\].weight is 10; it must be above 10"),
    ({"steps": [50, 10]}, r"steps\[1\].weight is 10"),
    ({"steps": [0]}, r"steps\[0\].weight is 0; it must be above 0"),
    ({"steps": [101]}, "at most 100"),
    ({"steps": ["x"]}, r"steps\[0\] needs a weight"),
    ({"steps": [{"pause": 3}]}, r"steps\[0\] needs a weight"),
    ({"steps": [{"weight": 1, "wait": 3}]}, "unknown field wait; possible are weight, pause"),
    ({"steps": [{"weight": 1, "pause": 60, "deadline": 60}]}, "deadline must be larger"),
    ({"steps": [{"weight": 1, "gate": "maybe"}]}, "must be one of none, timed, manual"),
    ({"steps": [{"weight": 1, "pause": -1}]}, "has a pause of -1 s"),
    ({"steps": [{"weight": 1, "deadline": 604801}]}, r"steps\[0\].deadline is 604801; .*which is a week"),
    ({"steps": [1], "gate": "manual", "gate_seconds": 604801}, r"steps\[0\].gate_seconds is 604801; .*604800 seconds"),
    ({"steps": [1], "gate": "timed", "gate_seconds": 604300}, "gate_seconds is 604900 together with the deadline"),
    ({"steps": [1], "gate": "manual", "gate_seconds": -1}, r"gate_seconds is -1; it must be between 0 and"),
    ({"steps": [1], "shape": "linear"}, "exclude each other"),
    ({"shape": "round"}, "linear or exponential"),
    ({"shape": "linear", "by": 0}, "by must be above 0"),
    ({"shape": "exponential", "by": 1}, "by must be above 1"),
    ({"shape": "linear", "start": 0.001, "by": 0.001}, "more than 100 steps"),
    ({"start": 0}, "start must be above 0"),
]


def test_by_pods_the_last_step_is_below_100() -> None:
    assert [step.weight for step in by_pods(steps_from({"steps": [10, 50, 100]}))] == [10, 50]
    assert [step.weight for step in by_pods(steps_from({"steps": [10], "gate": "manual"}))] == [10]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": [100]}, "a step below 100 percent is needed"),
        ({"steps": [{"weight": 10, "replicas": 3}]}, r"steps\[0\].replicas: with route_api=replicas"),
        ({"steps": [10, {"weight": 100, "gate": "manual"}]}, "set the gate at the step of 10 percent"),
    ],
)
def test_steps_that_the_ratio_of_pods_cannot_provide_are_refused(options: dict, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        by_pods(steps_from(options))


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_wrong_steps_name_the_option(options: dict, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        steps_from(options)


def test_kept_versions_have_their_percent() -> None:
    rollout = Rollout("reviews", "bookinfo", "v1", "v2", (), keep={"v3": 10.0})
    assert rollout.weights(25) == {"v3": 10.0, "v1": 65.0, "v2": 25.0}
    assert rollout.weights(100) == {"v3": 10.0, "v1": 0.0, "v2": 90.0}


CAPACITY = [
    (10, 100, Load(4, 50.0), 50, 1),  # 4 busy pods carry everything: 10 % is half a pod
    (50, 100, Load(4, 50.0), 50, 3),
    (100, 100, Load(4, 50.0), 50, 5),
    (50, 50, Load(4, 100.0), 50, 10),  # stable runs at twice its target
    (100, 100, Load(4, None), 50, 5),  # unknown is taken as fully used
    (0, 100, Load(4, 50.0), 50, 0),
    (1, 100, Load(0, None), 50, 1),
]


@pytest.mark.parametrize(("share", "stable_share", "load", "target", "pods"), CAPACITY)
def test_capacity(share: float, stable_share: float, load: Load, target: float, pods: int) -> None:
    assert pods_needed(share, stable_share, load, target) == pods


def test_capacity_needs_a_target() -> None:
    with pytest.raises(InvalidInput, match="above 0 percent"):
        pods_needed(1, 100, Load(1, 1.0), 0)


RUN = record.Run("r1", "reviews", "bookinfo", "abc", "preparing", 0, 100.0, {"v1": 100.0}, {"v1": 100.0})


def test_a_run_is_read_from_its_record() -> None:
    moved = RUN.after("ready", 110.0, written={"v1": 90.0, "v2": 10.0})
    assert parsing.parse_run(moved.dump()) == moved
    assert (moved.phase, moved.since, moved.over) == ("shifting", 110.0, False)


def test_the_deadline_counts_from_the_start_of_the_phase() -> None:
    observing = RUN.after("ready", 110.0).after("shifted", 120.0)
    assert observing.after("inconclusive", 150.0).since == 120.0


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 99}', '{"version": 1, "id": "x"}', "<html>"])
def test_a_foreign_record_is_refused(text: str) -> None:
    with pytest.raises(record.InvalidRecord):
        parsing.parse_run(text)


def test_the_hash_chain_shows_changed_entries() -> None:
    events: list[dict] = []
    for at in range(5):
        events.append(record.chained(events, {"at": at, "what": "shift", "weights": {"v1": 100 - at, "v2": at}}))
    assert record.first_tampered(events) is None
    assert record.first_tampered(json.loads(json.dumps(events))) is None
    tampered = json.loads(json.dumps(events))
    tampered[2]["weights"]["v2"] = 50
    assert record.first_tampered(tampered) == 2
    assert record.first_tampered(events[:1] + events[2:]) == 1


def test_the_plan_hash_follows_the_plan() -> None:
    assert record.plan_hash({"a": 1, "b": 2}) == record.plan_hash({"b": 2, "a": 1}) != record.plan_hash({"a": 1})


@pytest.mark.parametrize(
    ("steps", "at", "ahead"),
    [
        ([10, 25, 50, 100], 0, 25),
        ([10, 25, 50, 100], 3, None),
        ([10, {"weight": 25, "pause": 0}, {"weight": 50, "pause": 10}, 100], 0, 100),
        ([10, {"weight": 25, "pause": 20}, {"weight": 50, "pause": 20}, 100], 0, 50),
        ([10, {"weight": 25, "pause": 0, "gate": "manual"}, 50, 100], 0, 25),
        ([{"weight": 10, "gate": "manual"}, {"weight": 25, "pause": 0}, 100], 0, 100),
    ],
)
def test_pods_start_ahead_of_steps_that_begin_sooner_than_pods(
    steps: list[t.Any], at: int, ahead: float | None
) -> None:
    assert share_ahead(steps_from({"steps": steps, "pause": 60, "deadline": 600}), at) == ahead
