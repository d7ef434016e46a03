# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many pods a version needs for its share."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.objects.pod_counts import pods_for


def versions(
    pods: int, weight: float | None, cpu: int | None = None, target: int | None = None, own: int = 0
) -> list[dict[str, t.Any]]:
    hpa = {"cpu": cpu, "cpu_target": target} if target else None
    canary = {"version": "v2", "desired": 1, "ready": 1, "weight": own, "hpa": None}
    return [{"version": "v1", "desired": pods, "ready": pods, "weight": weight, "hpa": hpa}, canary]


@pytest.mark.parametrize(
    ("pods", "weight", "cpu", "target", "share", "wanted"),
    [
        (8, 100, 40, 50, 25, 2),  # 8 * 40/50 pods for everything, a quarter of it, a fifth on top: 1.92
        (8, 100, 50, 50, 50, 5),  # 4.8
        (4, 50, 50, 50, 100, 10),  # 4 pods carry one half, so 8 carry everything: 9.6
        (3, 100, None, 50, 100, 3),  # not measured: as many as stable has, and no more
        (3, 100, None, None, 50, 2),
        (3, 0, None, None, 100, 1),  # stable has nothing that could be compared
        (3, None, None, None, 100, 1),
    ],
)
def test_pods_follow_from_what_stable_does(
    pods: int, weight: float | None, cpu: int | None, target: int | None, share: float, wanted: int
) -> None:
    assert pods_for(versions(pods, weight, cpu, target), "v1", "v2", share) == wanted


def test_without_a_measurement_the_pods_stay_the_same_while_the_share_moves() -> None:
    for own in (0, 20, 50, 90):
        assert pods_for(versions(3, 100 - own, own=own), "v1", "v2", 100) == 3


def test_headroom_is_a_factor_on_the_measured_load() -> None:
    assert pods_for(versions(10, 100, 50, 50), "v1", "v2", 50, headroom=2.0) == 10


def test_a_version_that_is_not_there_is_named() -> None:
    with pytest.raises(InvalidInput, match="no version v9, only v1, v2"):
        pods_for(versions(1, 100), "v1", "v9", 10)


def test_what_a_baseline_has_was_stables() -> None:
    old, new = versions(4, 80)
    new["weight"] = 10
    base = {**new, "version": "base"}
    assert pods_for([old, new, base], "v1", "v2", 50, other_versions=["base"]) == 2
    assert pods_for([old, new, base], "v1", "base", 50, other_versions=["v2"]) == 2
