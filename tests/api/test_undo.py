# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A service routed in two objects: both change or none, and a half-done change is reported.

The fault is injected between two writes, where a real server cannot be made to fail.
"""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils import errors
from ansible_collections.meshops.canary.plugins.module_utils.kube.client import Cluster
from ansible_collections.meshops.canary.plugins.module_utils.routing import plan
from support.direct import ISTIO, Direct, essence, virtual_service

if t.TYPE_CHECKING:
    from support.kube import Kube

QUICK = {"preflight": False, "wait": False}


@pytest.fixture
def twice(kube: Kube, routed: str) -> str:
    """The test's namespace, where the service is also reached through a gateway."""
    front = virtual_service(name="front", gateways=["front"])
    front["spec"]["hosts"] = ["reviews.example.com"]
    kube.apply(front, namespace=routed)
    return routed


def weights(kube: Kube, namespace: str) -> dict[str, list[int]]:
    found = kube.list(ISTIO, "VirtualService", namespace)
    return {one["metadata"]["name"]: [to["weight"] for to in one["spec"]["http"][0]["route"]] for one in found}


def essences(kube: Kube, namespace: str) -> list[t.Any]:
    return [essence(one) for one in kube.list(ISTIO, "VirtualService", namespace)]


def fail_writes(monkeypatch: pytest.MonkeyPatch, *numbers: int, error: Exception | None = None) -> None:
    """Let the writes of these numbers fail (dry runs are not counted)."""
    original = Cluster.patch
    count = 0

    def patch(self: t.Any, *given: t.Any, dry_run: bool = False, **more: t.Any) -> t.Any:
        nonlocal count
        count += not dry_run
        if not dry_run and count in numbers:
            raise error or errors.ApiError("Changing it failed: the server went away.", 503)
        return original(self, *given, dry_run=dry_run, **more)

    monkeypatch.setattr(Cluster, "patch", patch)


def test_both_objects_change_after_both_were_dry_run(direct: Direct, kube: Kube, twice: str) -> None:
    done = direct("weight", weights={"v1": 70, "v2": 30}, **QUICK)
    assert weights(kube, twice) == {"front": [70, 30], "reviews": [70, 30]}
    assert done["api_requests"]["patch"] == 4
    assert {one["name"] for one in done["patch"]} == {"front", "reviews"}


def test_a_failure_between_two_writes_restores_the_first_object(
    direct: Direct, kube: Kube, twice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = essences(kube, twice)
    fail_writes(monkeypatch, 2)
    failed = direct("weight", weights={"v1": 70, "v2": 30}, fails=True, **QUICK)
    assert failed["error_code"] == "api_error"
    assert not failed["changed"]
    assert "the server went away" in failed["msg"]
    assert "had been written and was restored" in failed["msg"]
    assert essences(kube, twice) == before


def test_an_object_that_cannot_be_restored_is_reported(
    direct: Direct, kube: Kube, twice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_writes(monkeypatch, 2, 3)
    failed = direct("weight", weights={"v1": 70, "v2": 30}, fails=True, **QUICK)
    assert failed["changed"]
    assert "Undoing failed too" in failed["msg"]
    assert sorted(weights(kube, twice).values()) == [[70, 30], [100, 0]]
    monkeypatch.undo()
    assert direct("weight", weights={"v1": 70, "v2": 30}, **QUICK)["changed"], "running again must mend it"
    assert weights(kube, twice) == {"front": [70, 30], "reviews": [70, 30]}


def test_a_conflict_between_two_writes_is_planned_again(
    direct: Direct, kube: Kube, twice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    conflict = errors.Conflict("Somebody was faster.")
    fail_writes(monkeypatch, 2, error=conflict)
    assert direct("weight", weights={"v1": 70, "v2": 30}, **QUICK)["changed"]
    assert weights(kube, twice) == {"front": [70, 30], "reviews": [70, 30]}


def test_a_refusal_after_a_conflict_restores_the_first_object(
    direct: Direct, kube: Kube, twice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = essences(kube, twice)
    fail_writes(monkeypatch, 2, error=errors.Conflict("Somebody was faster."))
    original, plans = plan.plan, []

    def refuse_the_second(*given: t.Any, **named: t.Any) -> t.Any:
        made = original(*given, **named)
        plans.append(made)
        if len(plans) == 2:
            raise errors.Refused("Now it would do harm.")
        return made

    monkeypatch.setattr(plan, "plan", refuse_the_second)
    failed = direct("weight", weights={"v1": 70, "v2": 30}, fails=True, **QUICK)
    assert failed["error_code"] == "refused"
    assert not failed["changed"]
    assert essences(kube, twice) == before


def test_a_defect_after_a_write_does_not_hide_the_write(
    direct: Direct, kube: Kube, twice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_writes(monkeypatch, 2, error=KeyError("spec"))
    failed = direct.attempt("weight", weights={"v1": 70, "v2": 30}, defect=True, **QUICK)
    assert failed["changed"]
    assert sorted(weights(kube, twice).values()) == [[70, 30], [100, 0]]
