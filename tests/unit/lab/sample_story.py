# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A made-up story for tests of the report: numbers drawn at random, from a fixed seed, with the wanted shares."""

from __future__ import annotations

import collections
import random
import typing as t

from lab.demo.result import EVERYBODY, Course, Reading, Stage, Story
from lab.traffic import Measurement

if t.TYPE_CHECKING:
    from collections.abc import Mapping

BEGAN = 1_800_000_000.0
V1 = {"v1": 100}
TESTUSER = {"v2": 10, "v3": 90}
STEPS: list[tuple[str, dict[str, int], dict[str, int] | None]] = [
    ("rolling update", {"new": 100}, None),
    ("canary by pods", {"stable": 75, "canary": 25}, None),
    ("deploy", V1, None),
    ("all to v1", V1, None),
    ("90/10", {"v1": 90, "v2": 10}, None),
    ("50/50", {"v1": 50, "v2": 50}, None),
    ("header test", V1, TESTUSER),
    ("both together", {"v1": 25, "v2": 75}, TESTUSER),
    ("HPA under load", {"v1": 25, "v2": 75}, TESTUSER),
    ("promote v2", {"v2": 100}, None),
    ("roll back to v1", V1, None),
    ("a good rollout", {"v2": 100}, None),
    ("a bad rollout", {"v2": 100}, None),
    ("status", {"v2": 100}, None),
]


def seen(dice: random.Random, shares: Mapping[str, int], number: int, failed: int = 0) -> Measurement:
    drawn = collections.Counter(dice.choices(list(shares), list(shares.values()), k=number))
    latency: dict[str, float | None] = {"p50": 1.4, "p90": 2.2, "p99": 5.1, "max": 12.0}
    reasons = {"status 503: no healthy upstream": failed} if failed else {}
    return Measurement(
        number + failed, failed, drawn, {}, reasons, [], latency, [], {}, {}, BEGAN, BEGAN + 5, "requests"
    )


def story(failed: int = 0) -> Story:
    """failed: requests that fail in the stage 50/50."""
    dice = random.Random(7)
    told = Story(cluster="kind cluster, Kubernetes 1.34.4, Istio 1.31", began=BEGAN)
    everybody, testuser = Course(EVERYBODY), Course("testuser")
    now = BEGAN + 75
    for name, weights, cohort in STEPS:
        stage = Stage(
            name, "What this stage is for, in one sentence.", [f"ansible-playbook meshops.canary.shift -e x={name}"]
        )
        stage.began, stage.changed_at, stage.ended = now, now + 5, now + 14
        if name in ("rolling update", "canary by pods"):
            stage.plain, stage.readings = True, [Reading("client", EVERYBODY, weights, seen(dice, weights, 2000))]
            stage.judge()
            told.stages.append(stage)
            now += 14
            continue
        lost = failed if name == "50/50" else 0
        stage.readings = [
            Reading("sidecar", EVERYBODY, weights, seen(dice, weights, 2000, lost)),
            Reading("gateway", EVERYBODY, weights, seen(dice, weights, 500)),
        ]
        if cohort:
            stage.readings += [Reading("gateway", "testuser", cohort, seen(dice, cohort, 2000))]
        everybody.weights.append((stage.changed_at, weights))
        testuser.weights.append((stage.changed_at, cohort or weights))
        for second in range(int(now) + 2, int(now) + 14):
            for course, number in ((everybody, 40), (testuser, 15)):
                current = [w for at, w in course.weights if at <= second] or [course.weights[0][1]]
                counts = dict(seen(dice, current[-1], number).counts)
                course.timeline.append(
                    {"at": second, "counts": counts | ({"failed": lost} if lost and course is everybody else {})}
                )
        stage.judge()
        told.stages.append(stage)
        now += 14
    told.replicas = [(BEGAN + 80, {"v1": 1, "v2": 1, "v3": 1}), (BEGAN + 165, {"v1": 1, "v2": 2, "v3": 1})]
    told.replicas += [(BEGAN + 171, {"v1": 1, "v2": 4, "v3": 1}), (BEGAN + 195, {"v1": 1, "v2": 2, "v3": 0})]
    told.courses, told.background_requests, told.ended = [everybody, testuser], 6000, now
    told.facts = {"Kubernetes": "v1.34.4", "Istio": "1.31"}
    return told
