# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The watchdog's Job: it is created once, whatever answer is lost, and says within seconds why it has no ready pod."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError, CanaryError, InvalidInput, NotReady
from ansible_collections.meshops.canary.plugins.module_utils.kube import http
from ansible_collections.meshops.canary.plugins.module_utils.kube import resources as kinds
from ansible_collections.meshops.canary.plugins.module_utils.kube.client import Cluster
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.rollout import watchdog_job
from ansible_collections.meshops.canary.plugins.module_utils.runs import watchdog
from support import faulty_api

Object = dict[str, t.Any]

SERVICE = ServiceRef("reviews", "shop")
JOB = "canary-watchdog-reviews-a1"
IMAGE = "registry.example/python:3"
QUOTA = 'pods "x" is forbidden: failed quota: small: must specify limits.cpu for: watchdog'
REFUSED = {
    "type": "Warning",
    "reason": "FailedCreate",
    "message": QUOTA,
    "involvedObject": {"kind": "Job", "name": JOB},
}


def pod(reason: str = "", message: str = "", **status: t.Any) -> Object:
    state = {"waiting": {"reason": reason, "message": message}} if reason else {"running": {}}
    containers = [{"name": "watchdog", "image": IMAGE, "ready": False, "restartCount": 0, "state": state}]
    return {
        "metadata": {"name": f"{JOB}-x", "namespace": "shop"},
        "spec": {"containers": [{"name": "watchdog", "image": IMAGE}]},
        "status": {"phase": "Pending", "containerStatuses": containers, **status},
    }


UNPLACED = pod(conditions=[{"type": "PodScheduled", "status": "False", "message": "0/3 nodes: Insufficient cpu."}])


class Server:
    """Has the Job, its pods and its events; pods and events None: they may not be read. seconds: its clock."""

    def __init__(self, pods: list[Object] | None, events: list[Object] | None = None, ready_after: float = 1e9) -> None:
        self.pods, self.events, self.ready_after, self.seconds = pods, events, ready_after, 0.0

    def get(self, *_path: t.Any) -> Object:
        job = watchdog_job.job(JOB, SERVICE, IMAGE, "print()", {})
        return {**job, "status": {"ready": int(self.seconds >= self.ready_after)}}

    def list(self, resource: kinds.Resource, _namespace: str, **_selectors: str) -> list[Object]:
        found = self.pods if resource is kinds.POD else self.events
        if found is None:
            raise ApiError("not allowed", 403)
        return found

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def waited(server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what the wait says; empty if the pod became ready."""
    monkeypatch.setattr(watchdog.time, "monotonic", lambda: server.seconds)
    monkeypatch.setattr(watchdog.time, "sleep", server.sleep)
    cluster: t.Any = server
    try:
        watchdog.Watchdog(cluster, SERVICE, {"route_api": "auto"}, "lease", "record").wait_until_ready(JOB)
    except NotReady as error:
        return error.msg
    return ""


@pytest.mark.parametrize(
    ("server", "words", "within"),
    [
        (Server([], [REFUSED]), ["cannot be created in shop", "must specify limits.cpu"], 15),
        (Server([pod("ErrImagePull", "401 Unauthorized")]), ["ErrImagePull: 401 Unauthorized"], 15),
        (Server([pod("ImagePullBackOff", "denied")]), ["ImagePullBackOff: denied", "pull_secrets"], 15),
        (Server([pod("InvalidImageName", "couldn't parse")]), ["InvalidImageName"], 3),
        (Server([UNPLACED]), ["cannot be placed: 0/3 nodes: Insufficient cpu"], 121),
        (Server(None), ["no reason is known"], 121),
    ],
    ids=["quota", "no pull secret", "back-off", "invalid name", "no node", "no right to read pods"],
)
def test_the_reason_of_the_pod_is_said(
    server: Server, words: list[str], within: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = waited(server, monkeypatch)
    assert all(one in said for one in words), said
    assert "Nothing was shifted" in said
    assert server.seconds <= within


@pytest.mark.parametrize(
    "server",
    [
        Server([pod("ErrImagePull", "timeout")], ready_after=8),
        Server([UNPLACED], ready_after=90),
        Server([pod("ContainerCreating")], ready_after=60),
        Server([], ready_after=20),
    ],
    ids=["second pull", "node that comes", "slow image", "slow controller"],
)
def test_what_may_recover_is_waited_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    assert waited(server, monkeypatch) == ""


def test_the_job_has_all_that_a_quota_may_require_and_pull_secrets() -> None:
    spec = watchdog_job.job(JOB, SERVICE, IMAGE, "print()", {}, ["registry"])["spec"]["template"]["spec"]
    resources = spec["containers"][0]["resources"]
    assert [sorted(resources[part]) for part in ("requests", "limits")] == [["cpu", "memory"]] * 2
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert "imagePullSecrets" not in watchdog_job.job(JOB, SERVICE, IMAGE, "print()", {})["spec"]["template"]["spec"]


def test_a_canary_by_pods_has_no_routes_for_a_watchdog() -> None:
    params = {"watchdog": {"after": 60.0}, "route_api": "replicas"}
    with pytest.raises(InvalidInput, match=r"watchdog: with route_api=replicas there are no routes to restore"):
        watchdog.Watchdog(t.cast("t.Any", None), SERVICE, params, "canary-reviews", "canary-rollout-reviews")


LOST: t.Final = [
    pytest.param(["lost"], id="the connection ends"),
    pytest.param(["lost", "never", "never"], id="and nothing answers any more"),
    pytest.param([500], id="a server that says it failed"),
    pytest.param([b"<html>please log in"], id="a login page"),
]
RECORD: t.Final = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "record", "namespace": "shop"}}


class AssignedJob:
    """The record of a rollout whose watchdog is the Job `JOB`; nothing is rolled back yet."""

    def __init__(self) -> None:
        self.watchdog = {"job": JOB, "image": IMAGE, "after": 60.0, "rollback_patches": [], "final_record": None}


@pytest.mark.parametrize("number", range(4), ids=["Job", "ServiceAccount", "Role", "RoleBinding"])
@pytest.mark.parametrize("faults", LOST)
def test_a_creation_whose_answer_is_lost_is_found_again(
    faults: list[t.Any], number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    retry = http.bounded_retry
    monkeypatch.setattr(http, "bounded_retry", lambda: retry().new(backoff_factor=0.001))
    stored: t.Any = AssignedJob()
    with faulty_api.serving(RECORD) as api:
        api.faults["POST"] = [None] * number + faults
        api.faults["PATCH"] = list(faults)
        cluster = Cluster.connect({"host": api.url, "api_key": "k"}, {"no_proxy": "*"})
        watchdog.Watchdog(cluster, SERVICE, {"route_api": "auto"}, "lease", "record").create_job(stored, None)
        made = [one for one in api.objects.values() if one["kind"] != "ConfigMap"]
        job = api.stored("Job", JOB)
        assert [one["kind"] for one in made] == ["Job", "ServiceAccount", "Role", "RoleBinding"]
        owners = [one["metadata"]["ownerReferences"][0]["uid"] for one in made[1:]]
        assert owners == [job["metadata"]["uid"]] * 3
        assert job["spec"]["suspend"] is False
        assert len(cluster.warnings) == 2, "the creation and the start"


def test_another_job_of_the_name_is_neither_used_nor_started() -> None:
    """Its name is in the record before it is created, so others could have been faster."""
    theirs = {**watchdog_job.job(JOB, SERVICE, "evil.example/x", "print()", {})}
    stored: t.Any = AssignedJob()
    with faulty_api.serving(RECORD, theirs) as api:
        cluster = Cluster.connect({"host": api.url, "api_key": "k"}, {"no_proxy": "*"})
        api.faults["POST"] = ["never"]
        with pytest.raises(CanaryError, match=JOB):
            watchdog.Watchdog(cluster, SERVICE, {"route_api": "auto"}, "lease", "record").create_job(stored, None)
        assert api.stored("Job", JOB)["spec"]["suspend"] is True
        assert len(api.objects) == 2
