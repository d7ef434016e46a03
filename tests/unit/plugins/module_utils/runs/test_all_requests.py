# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pods with which one version can serve everything."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.runs.all_requests import pods_for_all_requests


def version(name: str, weight: float | None, pods: int, cpu: int | None = None) -> dict[str, t.Any]:
    hpa = {"cpu": cpu, "cpu_target": 50}
    return {"version": name, "weight": weight, "desired": pods, "ready": pods, "hpa": hpa if cpu is not None else None}


@pytest.mark.parametrize(
    ("versions", "pods"),
    [
        ([version("v1", 50, 5, 50), version("v2", 50, 5, 50)], 12),  # ten busy pods on one version, a fifth on top
        ([version("v1", 90, 9, 50), version("v2", 10, 1, 200)], 12),  # by the version that most requests measure
        ([version("v1", 50, 5), version("v2", 50, 4)], 5),  # not measured: each as just enough
        ([version("v1", 0, 3, 50), version("v2", 0, 1)], 1),  # no version serves
        ([version("v1", None, 3), version("v2", None, 1)], 1),  # the routes are unknown
    ],
)
def test_the_pods_for_all_requests_follow_from_what_is_measured(versions: list[dict[str, t.Any]], pods: int) -> None:
    assert pods_for_all_requests(versions, "v2") == pods


def test_an_unknown_version_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no version v9"):
        pods_for_all_requests([version("v1", 100, 3, 50)], "v9")
