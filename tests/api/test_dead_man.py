# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The dead man's program on a real API server, as the account of its Job and on a clock of its own."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.commands import dead_man_program as program
from support.dead_men import AFTER, AsJob, Watched
from support.direct import ISTIO, Direct, destination_rule, service, virtual_service
from support.recorded import LEASES, PLAN

if t.TYPE_CHECKING:
    from support.kube import Kube
    from support.play import Player


@pytest.fixture
def watched(direct: Direct, kube: Kube, routed: str) -> Watched:
    return Watched(direct, kube)


def test_the_requests_go_back_and_the_next_run_ends_it(watched: Watched) -> None:
    watched.observing()
    assert watched.weights() == {"v1": 90, "v2": 10}
    # The heart had beaten; without one he waits as long as the lock lasts, which outlasts the plan's waits.
    notes = {"metadata": {"annotations": {program.BEATS: "7.5"}}}
    watched.kube.patch(LEASES, "Lease", "canary-reviews", watched.space, notes)
    done, seconds = watched.watch()
    assert done == "ada@ops1/1 was not heard of: the requests are back, the next run cleans up"
    assert AFTER <= seconds <= AFTER + 5
    assert watched.weights() == {"v1": 100, "v2": 0}
    assert watched.events() == [done]
    assert watched.lease()["spec"]["holderIdentity"] == ""
    seen = watched.present()
    assert (seen["run"]["phase"], seen["report"]["intact"]) == ("rolling_back", True)
    last = seen["report"]["events"][-1]
    assert (last["event"], last["from"], last["to"], last["by"]) == (
        "error", "observing", "rolling_back", f"dead-man/{watched.job}",
    )  # fmt: skip
    again = watched.opened()
    assert (again["resumed"], again["run"]["phase"]) == (True, "rolling_back")
    assert again["run"]["dead_man"] != watched.job
    kept = watched.kube.get("batch/v1", "Job", watched.job, watched.space)
    assert kept is not None, "its log says what it did"
    assert again["run"]["weights_wanted"] == {"v1": 100.0, "v2": 0.0}
    watched.shift(again["run"]["weights_wanted"])
    assert watched.recorded("done")["run"]["phase"] == "rolled_back"


def test_a_run_that_died_between_a_write_and_its_record_goes_back_too(watched: Watched) -> None:
    watched.shift(watched.recorded("ready")["run"]["weights_wanted"])
    done, _seconds = watched.watch()
    assert done.endswith("the requests are back, the next run cleans up")
    assert watched.weights() == {"v1": 100, "v2": 0}
    assert watched.present()["report"]["events"][-1]["from"] == "shifting"


def test_nothing_is_done_while_somebody_renews_the_lock(watched: Watched) -> None:
    watched.observing()

    def renew(passed: float) -> None:
        if passed < 10 * AFTER:
            stamp = {"spec": {"renewTime": f"2026-11-22T12:00:{passed % 60:09.6f}Z"}}
            watched.kube.patch(LEASES, "Lease", "canary-reviews", watched.space, stamp)

    done, seconds = watched.watch(renew)
    assert seconds >= 11 * AFTER - 5, "silence begins with the last beat"
    assert "the requests are back" in done


def test_without_a_heart_the_lock_lasts_as_long_as_it_was_taken_for(watched: Watched) -> None:
    watched.observing()
    long = {"spec": {"leaseDurationSeconds": 500}}
    watched.kube.patch(LEASES, "Lease", "canary-reviews", watched.space, long)
    assert watched.watch()[1] >= 500


def test_with_a_heart_the_silence_counts(watched: Watched) -> None:
    watched.observing()
    beating = {"spec": {"leaseDurationSeconds": 500}, "metadata": {"annotations": {program.BEATS: "7.5"}}}
    watched.kube.patch(LEASES, "Lease", "canary-reviews", watched.space, beating)
    assert AFTER <= watched.watch()[1] < 2 * AFTER
    assert program.BEATS not in watched.lease()["metadata"].get("annotations", {})


def test_an_edit_by_hand_stays(watched: Watched) -> None:
    watched.observing()
    watched.shift({"v1": 70, "v2": 30})
    done, _seconds = watched.watch()
    assert "nothing was changed: VirtualService" in done
    assert "somebody edited" in done
    assert watched.weights() == {"v1": 70, "v2": 30}
    assert watched.present()["run"]["phase"] == "observing"
    assert watched.events() == [done]
    assert watched.lease()["spec"]["holderIdentity"] == ""


def test_a_run_that_never_moved_a_request_can_go_on(watched: Watched) -> None:
    done, _seconds = watched.watch()
    assert "the canary has no requests to take back" in done
    assert watched.present()["run"]["phase"] == "preparing"
    assert watched.opened()["resumed"]


def test_what_is_being_promoted_is_left_as_it_is(watched: Watched) -> None:
    for _step in (10, 50, 100):
        watched.observing()
        last = watched.recorded("pass")
    assert last["run"]["phase"] == "promoting"
    done, _seconds = watched.watch()
    assert "a rollout that is promoting is left as it is" in done
    assert watched.weights() == {"v1": 0, "v2": 100}


def test_it_ends_with_the_rollout_and_leaves_nothing(watched: Watched, kube: Kube) -> None:
    watched.observing()
    watched.recorded("fail")
    watched.shift({"v1": 100, "v2": 0})
    watched.recorded("done")
    assert watched.watch() == ("the rollout is over: rolled_back", 0.0)
    assert kube.get("batch/v1", "Job", watched.job, watched.space) is not None
    watched.closed()
    kinds = [("batch/v1", "Job"), ("v1", "ServiceAccount"), ("v1", "ConfigMap")]
    kinds += [("rbac.authorization.k8s.io/v1", kind) for kind in ("Role", "RoleBinding")]

    def gone() -> bool:
        return not any(kube.get(version, kind, watched.job, watched.space) for version, kind in kinds)

    kube.wait_until(gone, 60, "the end of the Job and all that it owns")


def test_a_run_that_is_closed_before_its_end_is_watched_on(watched: Watched, kube: Kube) -> None:
    watched.observing()
    watched.closed()
    assert kube.get("batch/v1", "Job", watched.job, watched.space) is not None
    done, seconds = watched.watch()
    assert "the requests are back" in done
    assert seconds >= AFTER


def test_each_run_has_a_job_of_its_own_and_removes_that_of_before(watched: Watched, kube: Kube) -> None:
    other = watched.opened()["run"]["dead_man"]
    assert other not in ("", watched.job)
    assert kube.get("batch/v1", "Job", watched.job, watched.space) is None
    assert watched.opened(dead_man=None)["run"]["dead_man"] == ""
    assert kube.get("batch/v1", "Job", other, watched.space) is None


def test_a_record_that_names_another_job_is_not_watched(watched: Watched, kube: Kube) -> None:
    watched.observing()
    other = {"data": {"dead_man": json.dumps({"job": "other"})}}
    kube.patch("v1", "ConfigMap", "canary-rollout-reviews", watched.space, other)
    assert watched.watch() == ("another rollout has begun, or another dead man watches", 0.0)
    kube.delete("v1", "ConfigMap", "canary-rollout-reviews", watched.space)
    assert watched.watch() == ("the record of the rollout is gone", 0.0)


def test_the_account_of_the_job_can_do_no_more(watched: Watched) -> None:
    api = AsJob(watched.kube, watched.user)
    space = f"namespaces/{watched.space}"
    for path in (f"/apis/{ISTIO}/{space}/destinationrules/reviews", f"/apis/{ISTIO}/{space}/virtualservices/other"):
        with pytest.raises(program.Trouble, match=r"^403"):
            api.patch(path, [])
    for path in (
        f"/api/v1/{space}/configmaps/other",
        f"/api/v1/{space}/secrets",
        f"/apis/{ISTIO}/{space}/virtualservices",
    ):
        with pytest.raises(program.Trouble, match=r"^403"):
            api.get(path)


@pytest.mark.parametrize("inside", ["true", "false"])
def test_the_program_is_the_same_from_an_action_and_from_a_module(
    kube: Kube, play: Player, routed: str, inside: str
) -> None:
    options = {"service": "reviews", "namespace": routed, "state": "opened", "dead_man": {"after": AFTER}}
    plan = {name: value for name, value in PLAN.items() if name != "holder"}
    task = {"name": "Open", "meshops.canary.canary_rollout": {**options, **plan}}
    job = play([task], environment={"CANARY_IN_PROCESS": inside}).task("Open")["run"]["dead_man"]
    found = kube.get("v1", "ConfigMap", job, routed)
    assert found is not None
    assert found["data"] == {"dead_man.py": Path(program.__file__).read_text(encoding="utf-8")}
    made = kube.get("batch/v1", "Job", job, routed)
    assert made is not None
    assert made["spec"]["suspend"] is False


def test_routes_of_another_namespace_are_refused(direct: Direct, kube: Kube, namespace: str) -> None:
    """A Job has no rights where the object lies, so it would be no help."""
    elsewhere = f"{namespace}-x"[:63]
    kube.create_namespace(elsewhere, labels={})
    try:
        host = f"reviews.{namespace}.svc.cluster.local"
        kube.apply(service(), destination_rule(), namespace=namespace)
        kube.apply(virtual_service(host=host), namespace=elsewhere)
        refused = direct("rollout", state="opened", fails=True, **PLAN, dead_man={"after": AFTER})
        assert refused["error_code"] == "invalid_input"
        assert f"VirtualService {elsewhere}/reviews routes reviews too" in refused["msg"]
        assert kube.get("v1", "ConfigMap", "canary-rollout-reviews", namespace) is None
    finally:
        kube.delete_namespace(elsewhere)


@pytest.mark.parametrize("after", [9.0, 86401.0])
def test_a_silence_that_makes_no_sense_is_refused(direct: Direct, routed: str, after: float) -> None:
    refused = direct("rollout", state="opened", fails=True, **PLAN, dead_man={"after": after})
    assert "dead_man.after must be between 10 and 86400" in refused["msg"]
