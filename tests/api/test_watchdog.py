# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The watchdog's program on a real API server, as the account of its Job and on a clock of its own."""

from __future__ import annotations

import json
import os
import signal
import typing as t
from pathlib import Path

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.runs import watchdog_program as program
from support.direct import ISTIO, Direct, destination_rule, service, virtual_service
from support.rollout_tasks import LEASES, PLAN
from support.watchdogs import SILENCE, JobApi, WatchedRollout

if t.TYPE_CHECKING:
    from support.kube import Kube
    from support.namespaces import Namespaces
    from support.play import Player


SWITCH = "canary_in_process"


@pytest.fixture
def watched(direct: Direct, kube: Kube, routed: str) -> WatchedRollout:
    return WatchedRollout(direct, kube)


def test_the_watchdog_rolls_back_and_the_next_run_finishes_the_rollback(watched: WatchedRollout) -> None:
    watched.observing()
    assert watched.weights() == {"v1": 90, "v2": 10}
    # There was a heartbeat. Without one the watchdog waits until the lock expires, longer than the plan's waits.
    notes = {"metadata": {"annotations": {program.HEARTBEAT: "7.5"}}}
    watched.kube.patch(LEASES, "Lease", "canary-reviews", watched.space, notes)
    done, seconds = watched.watch()
    assert done == "no sign of life from ada@ops1/1: the routes are rolled back, the next run cleans up"
    assert SILENCE <= seconds <= SILENCE + 5
    assert watched.weights() == {"v1": 100, "v2": 0}
    assert watched.events() == [done]
    assert watched.lease()["spec"]["holderIdentity"] == ""
    seen = watched.present()
    assert (seen["run"]["phase"], seen["report"]["verified"]) == ("rolling_back", True)
    last = seen["report"]["events"][-1]
    assert (last["event"], last["from"], last["to"], last["by"]) == (
        "error", "observing", "rolling_back", f"watchdog/{watched.job}",
    )  # fmt: skip
    again = watched.opened()
    assert (again["resumed"], again["run"]["phase"]) == (True, "rolling_back")
    assert again["run"]["watchdog"] != watched.job
    kept = watched.kube.get("batch/v1", "Job", watched.job, watched.space)
    assert kept is not None, "its log says what it did"
    assert again["run"]["desired_weights"] == {"v1": 100.0, "v2": 0.0}
    watched.shift(again["run"]["desired_weights"])
    assert watched.recorded("done")["run"]["phase"] == "rolled_back"


def test_a_run_that_died_between_a_write_and_its_record_is_rolled_back(watched: WatchedRollout) -> None:
    watched.shift(watched.recorded("ready")["run"]["desired_weights"])
    done, _seconds = watched.watch()
    assert done.endswith("the routes are rolled back, the next run cleans up")
    assert watched.weights() == {"v1": 100, "v2": 0}
    assert watched.present()["report"]["events"][-1]["from"] == "shifting"


def test_nothing_is_done_while_the_lock_is_renewed(watched: WatchedRollout) -> None:
    watched.observing()

    def renew(passed: float) -> None:
        if passed < 10 * SILENCE:
            stamp = {"spec": {"renewTime": f"2026-11-22T12:00:{passed % 60:09.6f}Z"}}
            watched.kube.patch(LEASES, "Lease", "canary-reviews", watched.space, stamp)

    done, seconds = watched.watch(renew)
    assert seconds >= 11 * SILENCE - 5, "the silence begins with the last heartbeat"
    assert "the routes are rolled back" in done


def test_without_a_heartbeat_the_watchdog_waits_for_the_lock_to_expire(watched: WatchedRollout) -> None:
    watched.observing()
    long = {"spec": {"leaseDurationSeconds": 500}}
    watched.kube.patch(LEASES, "Lease", "canary-reviews", watched.space, long)
    assert watched.watch()[1] >= 500


def test_with_a_heartbeat_the_watchdog_waits_for_its_silence(watched: WatchedRollout) -> None:
    watched.observing()
    beating = {"spec": {"leaseDurationSeconds": 500}, "metadata": {"annotations": {program.HEARTBEAT: "7.5"}}}
    watched.kube.patch(LEASES, "Lease", "canary-reviews", watched.space, beating)
    assert SILENCE <= watched.watch()[1] < 2 * SILENCE
    assert program.HEARTBEAT not in watched.lease()["metadata"].get("annotations", {})


def test_an_external_change_is_kept(watched: WatchedRollout) -> None:
    watched.observing()
    watched.shift({"v1": 70, "v2": 30})
    done, _seconds = watched.watch()
    assert "nothing was changed: VirtualService" in done
    assert "was changed externally" in done
    assert watched.weights() == {"v1": 70, "v2": 30}
    assert watched.present()["run"]["phase"] == "observing"
    assert watched.events() == [done]
    assert watched.lease()["spec"]["holderIdentity"] == ""


def test_a_run_that_never_moved_a_request_can_resume(watched: WatchedRollout) -> None:
    done, _seconds = watched.watch()
    assert "the canary has no requests yet" in done
    assert watched.present()["run"]["phase"] == "preparing"
    assert watched.opened()["resumed"]


def test_a_promotion_is_not_rolled_back(watched: WatchedRollout) -> None:
    for _step in (10, 50, 100):
        watched.observing()
        last = watched.recorded("pass")
    assert last["run"]["phase"] == "promoting"
    done, _seconds = watched.watch()
    assert "a rollout that is promoting stays as it is" in done
    assert watched.weights() == {"v1": 0, "v2": 100}


def test_the_watchdog_ends_with_the_rollout_and_is_removed(watched: WatchedRollout, kube: Kube) -> None:
    watched.observing()
    watched.recorded("fail")
    watched.shift({"v1": 100, "v2": 0})
    watched.recorded("done")
    assert watched.watch() == ("the rollout has ended: rolled_back", 0.0)
    assert kube.get("batch/v1", "Job", watched.job, watched.space) is not None
    watched.closed()
    kinds = [("batch/v1", "Job"), ("v1", "ServiceAccount"), ("v1", "ConfigMap")]
    kinds += [("rbac.authorization.k8s.io/v1", kind) for kind in ("Role", "RoleBinding")]

    def gone() -> bool:
        return not any(kube.get(version, kind, watched.job, watched.space) for version, kind in kinds)

    kube.wait_until(gone, 60, "the end of the Job and all that it owns")


def test_a_rollout_closed_before_its_end_is_still_watched(watched: WatchedRollout, kube: Kube) -> None:
    watched.observing()
    watched.closed()
    assert kube.get("batch/v1", "Job", watched.job, watched.space) is not None
    done, seconds = watched.watch()
    assert "the routes are rolled back" in done
    assert seconds >= SILENCE


def test_patches_that_somebody_else_wrote_give_no_version_requests(watched: WatchedRollout, kube: Kube) -> None:
    """An account that may patch ConfigMaps, and not routes, has none that does it for them."""
    watched.observing()
    found = kube.get("v1", "ConfigMap", "canary-rollout-reviews", watched.space)
    assert found is not None
    instructions = json.loads(found["data"]["watchdog"])
    everything = [{"destination": {"host": "reviews", "subset": "v3"}, "weight": 100}]
    instructions["rollback_patches"][0]["patches"] = [
        [{"op": "replace", "path": "/spec/http/0/route", "value": everything}]
    ]
    kube.patch(
        "v1", "ConfigMap", "canary-rollout-reviews", watched.space, {"data": {"watchdog": json.dumps(instructions)}}
    )
    done, _seconds = watched.watch()
    assert "nothing was changed: the patch in the record gives more requests to" in done
    assert watched.weights() == {"v1": 90, "v2": 10}


def test_each_run_creates_a_job_and_removes_the_previous_one(watched: WatchedRollout, kube: Kube) -> None:
    other = watched.opened()["run"]["watchdog"]
    assert other not in ("", watched.job)
    assert kube.get("batch/v1", "Job", watched.job, watched.space) is None
    assert watched.opened(watchdog=None)["run"]["watchdog"] == ""
    assert kube.get("batch/v1", "Job", other, watched.space) is None


def test_a_record_that_names_another_job_is_left_alone(watched: WatchedRollout, kube: Kube) -> None:
    watched.observing()
    other = {"data": {"watchdog": json.dumps({"job": "other"})}}
    kube.patch("v1", "ConfigMap", "canary-rollout-reviews", watched.space, other)
    assert watched.watch() == ("another rollout began, or another watchdog took over", 0.0)
    kube.delete("v1", "ConfigMap", "canary-rollout-reviews", watched.space)
    assert watched.watch() == ("the record of the rollout was deleted", 0.0)


def test_the_service_account_of_the_job_has_no_other_rights(watched: WatchedRollout) -> None:
    api = JobApi(watched.kube, watched.user)
    space = f"namespaces/{watched.space}"
    for path in (f"/apis/{ISTIO}/{space}/destinationrules/reviews", f"/apis/{ISTIO}/{space}/virtualservices/other"):
        with pytest.raises(program.ApiFailure, match=r"^403"):
            api.patch(path, [])
    for path in (
        f"/api/v1/{space}/configmaps/other",
        f"/api/v1/{space}/secrets",
        f"/apis/{ISTIO}/{space}/virtualservices",
    ):
        with pytest.raises(program.ApiFailure, match=r"^403"):
            api.get(path)


def test_a_module_creates_the_job_with_the_same_program(kube: Kube, play: Player, routed: str) -> None:
    """A module reads it from the archive that Ansible packs; an action, as all other tests here, from its file."""
    options = {
        "service": "reviews",
        "namespace": routed,
        "state": "promoted",
        "return_at": ["before"],
        "watchdog": {"after": SILENCE},
        "capacity": False,
        "force": ["SUBSET_NOT_READY"],
    }
    plan = {name: value for name, value in PLAN.items() if name != "holder"}
    task = {"name": "Open", "meshops.canary.canary_rollout": {**options, **plan}}

    def watchdogs() -> list[str]:
        started = (one for one in kube.list("batch/v1", "Job", routed) if one["spec"]["suspend"] is False)
        return [one["metadata"]["name"] for one in started if one["metadata"]["name"].startswith("canary-watchdog")]

    module = {"name": "Test", "hosts": "localhost", "gather_facts": False, "tasks": [task], "vars": {SWITCH: False}}
    process = play.begin([module]).process  # it waits for the Job, whose image is not there
    try:
        kube.wait_until(lambda: bool(watchdogs()), 60, "the watchdog")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=20)
    (job,) = watchdogs()
    made = kube.get("batch/v1", "Job", job, routed)
    assert made is not None
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert container["command"][-1] == Path(program.__file__).read_text(encoding="utf-8")
    assert made["spec"]["suspend"] is False


def test_routes_of_another_namespace_are_refused(
    direct: Direct, kube: Kube, namespace: str, namespaces: Namespaces
) -> None:
    """A Job has no rights where the object lies, so it would be no help."""
    elsewhere = namespaces.take()
    try:
        host = f"reviews.{namespace}.svc.cluster.local"
        kube.apply(service(), destination_rule(), namespace=namespace)
        kube.apply(virtual_service(host=host), namespace=elsewhere)
        refused = direct("rollout", state="opened", fails=True, **PLAN, watchdog={"after": SILENCE})
        assert refused["error_code"] == "invalid_input"
        assert f"VirtualService {elsewhere}/reviews also routes reviews" in refused["msg"]
        assert kube.get("v1", "ConfigMap", "canary-rollout-reviews", namespace) is None
    finally:
        namespaces.give_back(elsewhere)


@pytest.mark.parametrize("after", [9.0, 86401.0])
def test_an_interval_out_of_range_is_refused(direct: Direct, routed: str, after: float) -> None:
    refused = direct("rollout", state="opened", fails=True, **PLAN, watchdog={"after": after})
    assert "watchdog.after must be between 10 and 86400" in refused["msg"]
