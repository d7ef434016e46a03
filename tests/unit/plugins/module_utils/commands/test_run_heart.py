# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The heart of a rollout: it beats for a playbook that lives, and for nobody else."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
import typing as t
from types import SimpleNamespace

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.commands import lease as leases
from ansible_collections.meshops.canary.plugins.module_utils.commands import run_heart
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError, Conflict, InvalidInput

ADA = "ada@ops1/1"


class Cluster:
    """A Lease and nothing else. fails: what the next patches raise."""

    def __init__(self, process: str, holder: str = ADA) -> None:
        notes = {leases.PROCESS: process} if process else {}
        self.lease: dict[str, t.Any] = {"metadata": {"annotations": notes}, "spec": {"holderIdentity": holder}}
        self.patches: list[list[dict[str, t.Any]]] = []
        self.fails: list[Exception] = []

    def get(self, _resource: t.Any, _namespace: str, _name: str) -> dict[str, t.Any]:
        return self.lease

    def patch(self, _resource: t.Any, _namespace: str, _name: str, patch: list[dict[str, t.Any]]) -> None:
        if self.fails:
            raise self.fails.pop(0)
        self.patches.append(patch)


def keep(cluster: Cluster, on_sleep: t.Callable[[int], None]) -> tuple[dict[str, t.Any], list[str], list[float]]:
    """Return what the heart says, what it logged, and how long it slept each time."""
    now = datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.timezone.utc)
    lease: t.Any = SimpleNamespace(identity=ADA, name="canary-reviews", now=lambda: now)
    said: list[str] = []
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        assert len(slept) < 50, "it beats for ever"
        on_sleep(len(slept))

    client: t.Any = cluster
    return run_heart.keep(client, lease, "shop", 60.0, said.append, sleep=sleep), said, slept


@pytest.fixture
def living() -> t.Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


def killed_at(process: subprocess.Popen[bytes], beat: int) -> t.Callable[[int], None]:
    def on_sleep(number: int) -> None:
        if number == beat:
            process.kill()
            process.wait()

    return on_sleep


def test_it_beats_four_times_in_the_silence_until_the_playbook_is_killed(living: subprocess.Popen[bytes]) -> None:
    cluster = Cluster(leases._mark(living.pid))
    result, _said, slept = keep(cluster, killed_at(living, 3))
    assert result == {"changed": True, "beats": 3, "msg": f"{ADA} is no more."}
    assert slept == [15.0] * 3
    beat = {one["path"]: one["value"] for one in cluster.patches[0] if one["op"] != "test"}
    assert beat == {
        "/spec/renewTime": "2026-11-22T12:00:00.000000Z",
        "/metadata/annotations/canary.meshops.io~1beats": "15",
    }
    tests = {one["path"] for one in cluster.patches[0] if one["op"] == "test"}
    assert tests == {"/spec/holderIdentity", "/metadata/annotations/canary.meshops.io~1process"}


def test_it_ends_with_the_lock() -> None:
    cluster = Cluster(leases._mark(os.getpid()))

    def given_back(number: int) -> None:
        if number == 2:
            cluster.lease["spec"]["holderIdentity"] = ""

    result, _said, _slept = keep(cluster, given_back)
    assert result == {"changed": True, "beats": 2, "msg": f"{ADA} does not hold the lock any more."}


def test_a_beat_that_is_lost_is_followed_by_the_next(living: subprocess.Popen[bytes]) -> None:
    cluster = Cluster(leases._mark(living.pid))
    cluster.fails = [ApiError("no answer", None), Conflict("somebody renewed it")]
    result, said, _slept = keep(cluster, killed_at(living, 4))
    assert result["beats"] == 3
    assert said == ["A beat was lost: no answer"]


def test_without_a_process_to_look_at_there_is_no_beat() -> None:
    with pytest.raises(InvalidInput, match="does not name the process"):
        keep(Cluster(""), lambda _number: None)
