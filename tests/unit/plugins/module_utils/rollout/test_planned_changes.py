# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The changes of a rollout that check mode cannot make, a line each."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.rollout.planned_changes import planned_changes


def versions(
    pods: int, weight: float | None, cpu: int | None = None, target: int | None = None, own: int = 0
) -> list[dict[str, t.Any]]:
    hpa = {"cpu": cpu, "cpu_target": target} if target else None
    canary = {"version": "v2", "desired": 1, "ready": 1, "weight": own, "hpa": None}
    return [{"version": "v1", "desired": pods, "ready": pods, "weight": weight, "hpa": hpa}, canary]


STEPS = [
    {"weight": 10.0, "replicas": None, "weights": {"v1": 90.0, "v2": 10.0}},
    {"weight": 100.0, "replicas": 4, "weights": {"v1": 0.0, "v2": 100.0}},
]


def test_the_changes_of_a_rollout_by_deployments() -> None:
    old, new = versions(3, 100)
    lines = planned_changes([{**old, "deployments": ["a"]}, {**new, "deployments": ["b"]}], STEPS, "v1", "v2")
    assert lines == [
        "step 1 (planned): routes v1 90%, v2 10%",
        "step 2 (planned): routes v1 0%, v2 100%; Deployment b: replicas 1 -> 4",
    ]


def test_the_changes_of_a_rollout_by_autoscalers() -> None:
    old, new = versions(8, 100, 50, 50)
    hpa = {"minimum": 2, "maximum": 6, "cpu": 50, "cpu_target": 50}
    both = [{**old, "hpa": {**hpa, "name": "one", "maximum": 10}}, {**new, "hpa": {**hpa, "name": "two"}}]
    assert planned_changes(both, STEPS, "v1", "v2", old_replicas=1) == [
        "before step 1 (planned): HorizontalPodAutoscaler one: minReplicas 2 -> 8",
        "step 1 (planned): routes v1 90%, v2 10%",
        "step 2 (planned): routes v1 0%, v2 100%; HorizontalPodAutoscaler two: minReplicas 2 -> 6, needs 10, but "
        "maxReplicas is 6: increase it first",
        "at the end (planned): HorizontalPodAutoscaler one: minReplicas 2 again",
        "at the end (planned): HorizontalPodAutoscaler two: minReplicas 2 again",
        "at the end (planned): HorizontalPodAutoscaler one: minReplicas 1, when it gets no more requests",
    ]


def test_a_maximum_that_is_too_small_is_told_at_every_step_that_needs_more() -> None:
    old, new = versions(10, 100, 80, 50)
    hpa = {"minimum": 2, "maximum": 30, "cpu": 80, "cpu_target": 50}
    both = [{**old, "hpa": {**hpa, "name": "one"}}, {**new, "hpa": {**hpa, "name": "two", "maximum": 4}}]
    shares = (10.0, 50.0, 100.0)
    steps = [{"weight": one, "replicas": None, "weights": {"v1": 100 - one, "v2": one}} for one in shares]
    lines = planned_changes(both, steps, "v1", "v2")
    assert lines[:4] == [
        "before step 1 (planned): HorizontalPodAutoscaler one: minReplicas 2 -> 16",
        "step 1 (planned): routes v1 90%, v2 10%",
        "step 2 (planned): routes v1 50%, v2 50%; HorizontalPodAutoscaler two: minReplicas 2 -> 4, needs 10, but "
        "maxReplicas is 4: increase it first",
        "step 3 (planned): routes v1 0%, v2 100%; HorizontalPodAutoscaler two: minReplicas stays 4, needs 20, but "
        "maxReplicas is 4: increase it first",
    ]


def test_without_capacity_a_step_gets_its_replicas_alone() -> None:
    old, new = versions(8, 100)
    new["deployments"] = ["b"]
    lines = planned_changes([old, new], STEPS, "v1", "v2", capacity=False)
    assert lines[1].endswith("; Deployment b: replicas 1 -> 4")
    assert len(lines) == 2


def test_the_cohort_is_told_where_it_begins_changes_and_ends() -> None:
    old, new = versions(3, 100)
    tester, staff = [{"headers": {"user": {"exact": "testuser"}}}], [{"headers": {"staff": {"present": True}}}]
    shares = [(0.0, tester), (10.0, tester), (20.0, staff), (30.0, []), (100.0, staff)]
    steps = [
        {"weight": share, "replicas": None, "weights": {"v1": 100 - share, "v2": share}, "cohort": cohort}
        for share, cohort in shares
    ]
    assert planned_changes([old, new], steps, "v1", "v2", capacity=False) == [
        "step 1 (planned): routes v1 100%, v2 0%; cohort of header user is testuser gets v2 100%",
        "step 2 (planned): routes v1 90%, v2 10%",
        "step 3 (planned): routes v1 80%, v2 20%; cohort of header staff is present gets v2 100%",
        "step 4 (planned): routes v1 70%, v2 30%; the cohort ends",
        "step 5 (planned): routes v1 0%, v2 100%; cohort of header staff is present gets v2 100%",
        "at the end (planned): the cohort ends",
    ]


def test_the_pods_of_a_baseline_are_planned() -> None:
    old, new = versions(4, 100)
    base = {"version": "base", "weight": 0, "ready": 0, "desired": 0, "hpa": None, "deployments": ["c"]}
    weights = [
        {"v1": 80.0, "v2": 10.0, "base": 10.0},
        {"v1": 25.0, "v2": 50.0, "base": 25.0},
        {"v1": 0.0, "v2": 100.0, "base": 0.0},
    ]
    steps = [{"weight": one["v2"], "replicas": None, "weights": one} for one in weights]
    new["deployments"] = ["b"]
    assert planned_changes([old, new, base], steps, "v1", "v2", baseline="base") == [
        "step 1 (planned): routes v1 80%, v2 10%, base 10%; Deployment c: replicas 0 -> 1",
        "step 2 (planned): routes v1 25%, v2 50%, base 25%; Deployment b: replicas 1 -> 2",
        "step 3 (planned): routes v1 0%, v2 100%, base 0%; Deployment b: replicas 2 -> 4",
        "at the end (planned): Deployment c: replicas 0, when it gets no more requests",
    ]


@pytest.mark.parametrize(
    ("stands", "planned"),
    [
        (
            {"phase": "shifting", "at": 0},
            [
                "before step 1 (planned): HorizontalPodAutoscaler one: minReplicas 2 -> 8",
                "step 1 (planned): routes v1 90%, v2 10%; cohort of header user is present gets v2 100%",
                "step 2 (planned): routes v1 0%, v2 100%; Deployment b: replicas 1 -> 10",
                "at the end (planned): the cohort ends",
                "at the end (planned): HorizontalPodAutoscaler one: minReplicas as before the rollout",
                "at the end (planned): HorizontalPodAutoscaler one: minReplicas 1, when it gets no more requests",
            ],
        ),
        (
            {"phase": "gated", "at": 0},
            [
                "before step 2 (planned): HorizontalPodAutoscaler one: minReplicas 2 -> 8",
                "step 2 (planned): routes v1 0%, v2 100%; Deployment b: replicas 1 -> 10",
                "at the end (planned): the cohort ends",
                "at the end (planned): HorizontalPodAutoscaler one: minReplicas as before the rollout",
                "at the end (planned): HorizontalPodAutoscaler one: minReplicas 1, when it gets no more requests",
            ],
        ),
        (
            {"phase": "promoting", "at": 1},
            [
                "at the end (planned): the cohort ends",
                "at the end (planned): HorizontalPodAutoscaler one: minReplicas as before the rollout",
                "at the end (planned): HorizontalPodAutoscaler one: minReplicas 1, when it gets no more requests",
            ],
        ),
        (
            {"phase": "rolling_back", "at": 0},
            ["at the end (planned): HorizontalPodAutoscaler one: minReplicas as before the rollout"],
        ),
    ],
    ids=["shifting", "gated", "promoting", "rolling back"],
)
def test_what_lies_behind_a_run_is_not_planned_again(stands: dict[str, t.Any], planned: list[str]) -> None:
    old, new = versions(8, 100, 50, 50)
    old["hpa"].update(minimum=2, maximum=10, name="one")
    new["deployments"] = ["b"]
    testers = [{"headers": {"user": {"present": True}}}]
    steps = [{**step, "replicas": None, "cohort": testers} for step in STEPS]
    run = {"begun": True, "end_cohorts": [], **stands}
    assert planned_changes([old, new], steps, "v1", "v2", old_replicas=1, run=run) == planned
