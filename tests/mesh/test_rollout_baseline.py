# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A canary judged beside a baseline: with pods as new as the canary's and the same share, and with none afterwards."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from support.rollouts import LOAD, Stage, report, shown, with_errors

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from support.kube import Object

pytestmark = pytest.mark.mesh

LONG = dataclasses.replace(LOAD, seconds=600, limit=600, rate=150)
BASE = "v9"


@pytest.fixture
def base(stage: Stage) -> Iterator[str]:
    """The name of a version with v2's image, a subset and no pods."""
    with stage.another_version(BASE, replicas=0):
        yield BASE


def replicas(stage: Stage) -> int:
    found = t.cast("Object", stage.kube.get("apps/v1", "Deployment", f"reviews-{BASE}", stage.shop.namespace))
    return int(found["spec"]["replicas"])


@pytest.mark.parametrize("good", [True, False])
def test_a_canary_beside_a_baseline(stage: Stage, base: str, good: bool) -> None:
    with stage.shop.sidecar.background(LONG if good else with_errors(LONG, v3=0.5)) as load:
        played = stage.rollout(
            "v3", fails=not good, baseline=base, steps=[20, 50], rollout_drain=2, rollout_capacity=good
        )
        load.stop()
        seen = load.result()
    ended = report(played)
    assert (ended["phase"], stage.weights()) == (("promoted", {"v3": 100}) if good else ("rolled_back", {"v2": 100}))
    lines = shown(played)
    assert any(line.startswith(f"reviews | v2 60%, v3 20%, {BASE} 20%") for line in lines), lines
    judged = [line for line in lines if line.startswith("reviews v3 | ")]
    assert judged
    assert all(f"| {base} " in line and "| v2 " not in line for line in judged), "it is compared with the baseline"
    looks = [one for one in ended["events"] if "verdict" in one]
    assert looks[0]["numbers"]["stable"]["requests"] > 20
    assert replicas(stage) == 0
    if good:
        assert any(line.startswith(f"reviews | v2 25%, v3 50%, {BASE} 25%") for line in lines), lines
        assert seen.failed == 0, seen.reasons
        assert 15 < looks[0]["numbers"]["share"] < 25
        stage.kube.wait_until(lambda: not stage.pods(base), 60, "the baseline's pods are gone")
