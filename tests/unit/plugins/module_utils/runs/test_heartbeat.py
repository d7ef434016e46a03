# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Heartbeats: a thread renews the lease of a rollout with a watchdog until the task ends or has lost its lock."""

from __future__ import annotations

import datetime
import threading
import typing as t
from types import SimpleNamespace

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError, CanaryError, Conflict
from ansible_collections.meshops.canary.plugins.module_utils.runs import lock
from ansible_collections.meshops.canary.plugins.module_utils.runs.heartbeat import Heartbeat

ADA = "ada@ops1/1"
QUICK = {"after": 0.04}
"""A watchdog whose heartbeats are 10 ms apart."""


class Cluster:
    """A Lease and nothing else. fails: what the next patches raise. patched: is set when `enough` patches arrived."""

    def __init__(self, holder: str = ADA, enough: int = 1) -> None:
        self.lease: dict[str, t.Any] | None = {"metadata": {}, "spec": {"holderIdentity": holder}}
        self.patches: list[list[dict[str, t.Any]]] = []
        self.fails: list[CanaryError] = []
        self.reads = 0
        self.patched, self._enough = threading.Event(), enough

    def get(self, _resource: t.Any, _namespace: str, _name: str) -> dict[str, t.Any] | None:
        self.reads += 1
        return self.lease

    def patch(self, _resource: t.Any, _namespace: str, _name: str, patch: list[dict[str, t.Any]]) -> None:
        if self.fails:
            raise self.fails.pop(0)
        self.patches.append(patch)
        if len(self.patches) >= self._enough:
            self.patched.set()


def heartbeat(cluster: Cluster) -> Heartbeat:
    now = datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.timezone.utc)
    lease = SimpleNamespace(identity=ADA, name="canary-reviews", now=lambda: now)
    return Heartbeat(t.cast("t.Any", cluster), t.cast("t.Any", lease), "shop")


def test_the_first_heartbeat_is_sent_at_once_and_says_how_often_they_come() -> None:
    cluster = Cluster()
    with heartbeat(cluster) as beating:
        beating.start({"after": 60.0})
        assert beating.count == 1
    (patch,) = cluster.patches
    assert patch == [
        {"op": "test", "path": "/spec/holderIdentity", "value": ADA},
        {"op": "replace", "path": "/spec/renewTime", "value": "2026-11-22T12:00:00.000000Z"},
        {"op": "add", "path": "/metadata/annotations", "value": {lock.HEARTBEAT: "15"}},
    ]


def test_other_annotations_of_the_lease_are_kept() -> None:
    cluster = Cluster()
    assert cluster.lease
    cluster.lease["metadata"]["annotations"] = {lock.PROCESS: "7"}
    with heartbeat(cluster) as beating:
        beating.start({"after": 60.0})
    assert cluster.patches[0][2]["value"] == {lock.PROCESS: "7", lock.HEARTBEAT: "15"}
    assert cluster.patches[0][2]["op"] == "replace"


def test_heartbeats_go_on_until_the_end_of_the_block() -> None:
    cluster = Cluster(enough=3)
    with heartbeat(cluster) as beating:
        beating.start(QUICK)
        assert cluster.patched.wait(5)
    sent = len(cluster.patches)
    assert beating.count == sent
    assert not [one for one in threading.enumerate() if one.name == "canary-heartbeat"]


def test_without_a_watchdog_there_are_no_heartbeats() -> None:
    cluster = Cluster()
    with heartbeat(cluster) as beating:
        beating.start(None)
    assert (beating.count, cluster.reads) == (0, 0)


@pytest.mark.parametrize("lost", ["bob@ops2/2", "", None])
def test_a_lock_of_another_holder_is_not_renewed(lost: str | None) -> None:
    cluster = Cluster()
    with heartbeat(cluster) as beating:
        beating.start(QUICK)
        cluster.lease = None if lost is None else {"metadata": {}, "spec": {"holderIdentity": lost}}
        assert beating._thread
        beating._thread.join(5)
        assert not beating._thread.is_alive(), "they have ended by themselves"


def test_a_failed_heartbeat_is_followed_by_the_next() -> None:
    cluster = Cluster(enough=3)
    with heartbeat(cluster) as beating:
        beating.start(QUICK)
        cluster.fails = [ApiError("no answer", None), Conflict("renewed in between")]
        assert cluster.patched.wait(5)
    assert cluster.fails == []
    assert beating.count == len(cluster.patches)
