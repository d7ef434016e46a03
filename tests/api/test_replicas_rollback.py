# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rollbacks of canary_replicas, and the changes it reports as staying. No pod starts."""

from __future__ import annotations

import time
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError
from ansible_collections.meshops.canary.plugins.module_utils.kube.client import Cluster
from support.pending_deployments import APPS, NEW, OLD, QUICK, stored

if t.TYPE_CHECKING:
    from support.direct import Direct
    from support.kube import Kube


def test_an_update_that_was_killed_is_undone_by_the_next_run(direct: Direct, kube: Kube, shop: str) -> None:
    kube.wait_until(lambda: kube.list(APPS, "ReplicaSet", shop), 30, "the first revision")
    before = stored(kube, shop)
    direct("replicas", state="updated", image=NEW, **QUICK)  # as a run that dies before it waits
    kube.wait_until(lambda: len(kube.list(APPS, "ReplicaSet", shop)) == 2, 30, "the second revision")
    failed = direct("replicas", state="updated", image=NEW, wait_timeout=2, fails=True)
    assert failed["error_code"] == "rollout_failed"
    assert "cannot be placed" in failed["msg"]
    assert "reviews, which an earlier run had changed, was rolled back to its previous revision" in failed["msg"]
    assert failed["changed"]
    assert stored(kube, shop) == before


def test_without_an_earlier_revision_the_remedy_is_named(direct: Direct, kube: Kube, shop: str) -> None:
    before = stored(kube, shop)
    failed = direct("replicas", state="updated", image=OLD, wait_timeout=2, fails=True)
    assert "no previous revision exists" in failed["msg"]
    assert f"kubectl -n {shop} rollout undo deployment/reviews" in failed["msg"]
    assert not failed["changed"]
    assert stored(kube, shop) == before


def test_a_canary_whose_run_was_killed_is_removed_by_the_next(direct: Direct, kube: Kube, shop: str) -> None:
    before = stored(kube, shop)
    direct("replicas", image=NEW, share=10, total=10, **QUICK)
    kube.wait_until(lambda: len(kube.list(APPS, "ReplicaSet", shop)) == 2, 30, "the canary's revision")
    failed = direct("replicas", image=NEW, share=10, total=10, wait_timeout=2, fails=True)
    assert "reviews-canary, which an earlier run had created, was removed" in failed["msg"]
    assert stored(kube, shop, "reviews-canary") is None
    assert stored(kube, shop) == before


@pytest.mark.parametrize(("status", "seconds"), [(403, 0), (503, 2)])
def test_the_change_is_reported_when_waiting_fails(
    direct: Direct, kube: Kube, shop: str, monkeypatch: pytest.MonkeyPatch, status: int, seconds: float
) -> None:
    """403 ends the waiting at once, 503 may pass and is retried until the deadline."""
    times = []

    def get(*_given: t.Any) -> None:
        times.append(time.monotonic())
        raise ApiError("Reading was refused.", status)

    monkeypatch.setattr(Cluster, "get", get)
    failed = direct("replicas", state="updated", image=NEW, wait_timeout=2, fails=True)
    assert (failed["error_code"], failed["changed"]) == ("api_error", True)
    assert f"These changes were written before and are kept: reviews: 3 pods, {OLD} -> 3 pods, {NEW}" in failed["msg"]
    assert "Run the task again" in failed["msg"]
    assert [one["name"] for one in failed["patch"]] == ["reviews"]
    assert times[-1] - times[0] >= seconds - 1.1
    assert (len(times) == 1) == (seconds == 0)
