# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A sample result of the demo for tests of the report: random counts from a fixed seed, with the wanted shares."""

from __future__ import annotations

import collections
import random
import typing as t

from lab.demo.results import EVERYBODY, CohortHistory, DemoResult, ShareCheck, StageResult
from lab.traffic import Measurement

if t.TYPE_CHECKING:
    from collections.abc import Mapping

BEGAN = 1_800_000_000.0
V1 = {"v1": 100}
TESTUSER = {"v2": 10, "v3": 90}
STAGES: list[tuple[str, dict[str, int], dict[str, int] | None]] = [
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


def measurement(generator: random.Random, shares: Mapping[str, int], number: int, failed: int = 0) -> Measurement:
    drawn = collections.Counter(generator.choices(list(shares), list(shares.values()), k=number))
    latency: dict[str, float | None] = {"p50": 1.4, "p90": 2.2, "p99": 5.1, "max": 12.0}
    reasons = {"status 503: no healthy upstream": failed} if failed else {}
    return Measurement(
        number + failed, failed, drawn, {}, reasons, [], latency, [], {}, {}, BEGAN, BEGAN + 5, "requests"
    )


def sample_demo(failed: int = 0) -> DemoResult:
    """failed: requests that fail in the stage 50/50."""
    generator = random.Random(7)
    demo = DemoResult(cluster="kind cluster, Kubernetes 1.34.4, Istio 1.31", began=BEGAN)
    everybody, testuser = CohortHistory(EVERYBODY), CohortHistory("testuser")
    now = BEGAN + 75
    for name, weights, cohort in STAGES:
        stage = StageResult(
            name, "The purpose of this stage, in one sentence.", [f"ansible-playbook meshops.canary.shift -e x={name}"]
        )
        stage.began, stage.measured_from, stage.ended = now, now + 5, now + 14
        if name in ("rolling update", "canary by pods"):
            stage.without_mesh = True
            stage.checks = [ShareCheck("client", EVERYBODY, weights, measurement(generator, weights, 2000))]
            stage.judge()
            demo.stages.append(stage)
            now += 14
            continue
        now_failed = failed if name == "50/50" else 0
        stage.checks = [
            ShareCheck("sidecar", EVERYBODY, weights, measurement(generator, weights, 2000, now_failed)),
            ShareCheck("gateway", EVERYBODY, weights, measurement(generator, weights, 500)),
        ]
        if cohort:
            stage.checks += [ShareCheck("gateway", "testuser", cohort, measurement(generator, cohort, 2000))]
        everybody.weights.append((stage.measured_from, weights))
        testuser.weights.append((stage.measured_from, cohort or weights))
        for second in range(int(now) + 2, int(now) + 14):
            for history, number in ((everybody, 40), (testuser, 15)):
                current = [w for at, w in history.weights if at <= second] or [history.weights[0][1]]
                counts = dict(measurement(generator, current[-1], number).counts)
                history.timeline.append(
                    {
                        "at": second,
                        "counts": counts | ({"failed": now_failed} if now_failed and history is everybody else {}),
                    }
                )
        stage.judge()
        demo.stages.append(stage)
        now += 14
    demo.replicas = [(BEGAN + 80, {"v1": 1, "v2": 1, "v3": 1}), (BEGAN + 165, {"v1": 1, "v2": 2, "v3": 1})]
    demo.replicas += [(BEGAN + 171, {"v1": 1, "v2": 4, "v3": 1}), (BEGAN + 195, {"v1": 1, "v2": 2, "v3": 0})]
    demo.histories, demo.background_requests, demo.ended = [everybody, testuser], 6000, now
    demo.facts = {"Kubernetes": "v1.34.4", "Istio": "1.31"}
    return demo
