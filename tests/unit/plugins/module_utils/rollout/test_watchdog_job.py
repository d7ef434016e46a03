# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rollback patches of the watchdog: they apply to the written states only."""

from __future__ import annotations

import copy
import typing as t
from dataclasses import replace

import jsonpatch
import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.objects import intents
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.rollout import (
    cohort,
    parsing,
    record,
    state_machine,
    transitions,
    watchdog_job,
)
from ansible_collections.meshops.canary.plugins.module_utils.rollout.steps import Rollout, Step
from ansible_collections.meshops.canary.plugins.module_utils.routing import plan
from support import reviews

SERVICE = ServiceRef("reviews", "bookinfo")
SAFE = {"v1": 100.0, "v2": 0.0}


def routed(**weights: int) -> Snapshot:
    """Return the routes as this collection writes them, starting from v1 100."""
    lists = reviews.healthy()
    written = reviews.virtual_service(weights={"v1": 100, "v2": 0})
    written["metadata"]["resourceVersion"] = "7"
    start = Snapshot(**{**lists, "virtual_services": [written]})
    return start.after(plan.plan(start, SERVICE, intents.SetWeights(weights)).changes)


def fits(patch: list[dict[str, t.Any]], obj: dict[str, t.Any]) -> dict[str, t.Any] | None:
    """Return the patched object, None if a test of the patch fails."""
    try:
        return t.cast("dict[str, t.Any]", jsonpatch.apply_patch(copy.deepcopy(obj), patch))
    except (jsonpatch.JsonPatchTestFailed, jsonpatch.JsonPatchConflict):
        return None


def shares(obj: dict[str, t.Any]) -> dict[str, int]:
    return {one["destination"]["subset"]: one.get("weight", 0) for one in obj["spec"]["http"][0]["route"]}


def only(snapshot: Snapshot) -> dict[str, t.Any]:
    (obj,) = snapshot.need("virtual_services")
    return obj


def test_each_state_is_rolled_back_by_its_own_patch_only() -> None:
    now, following = routed(v1=90, v2=10), routed(v1=50, v2=50)
    (entry,) = watchdog_job.rollback_patches([now, following], SERVICE, SAFE)
    assert entry["object"] == "VirtualService bookinfo/reviews"
    for index, state in enumerate((now, following)):
        found = [fits(patch, only(state)) for patch in entry["patches"]]
        assert [one is not None for one in found] == [index == 0, index == 1]
        back = found[index]
        assert back is not None
        assert shares(back) == {"v1": 100, "v2": 0}
        assert fits(entry["safe"], only(state)) is None
        assert fits(entry["safe"], back) == back


def test_writes_outside_the_routes_do_not_block_the_rollback() -> None:
    now = routed(v1=90, v2=10)
    (entry,) = watchdog_job.rollback_patches([now], SERVICE, SAFE)
    touched = copy.deepcopy(only(now))
    touched["metadata"].update(resourceVersion="99", labels={"by": "somebody"})
    touched["spec"]["gateways"] = ["mesh"]
    back = fits(entry["patches"][0], touched)
    assert back is not None
    assert shares(back) == {"v1": 100, "v2": 0}
    assert (back["metadata"]["labels"], back["spec"]["gateways"]) == ({"by": "somebody"}, ["mesh"])


@pytest.mark.parametrize("edit", [{"v1": 80, "v2": 20}, {"v1": 0, "v2": 100}, {"v2": 100}])
def test_an_external_change_is_not_overwritten(edit: dict[str, int]) -> None:
    (entry,) = watchdog_job.rollback_patches([routed(v1=90, v2=10), routed(v1=50, v2=50)], SERVICE, SAFE)
    changed = copy.deepcopy(only(routed(v1=90, v2=10)))
    changed["spec"]["http"][0]["route"] = [reviews.destination(version, weight) for version, weight in edit.items()]
    assert not any(fits(patch, changed) for patch in (*entry["patches"], entry["safe"]))


def test_safe_routes_need_no_patch() -> None:
    assert watchdog_job.rollback_patches([routed(v1=100, v2=0)], SERVICE, SAFE) == []


def test_an_object_of_another_namespace_is_refused() -> None:
    now = routed(v1=90, v2=10)
    moved = copy.deepcopy(only(now))
    moved["metadata"]["namespace"] = "gateways"
    moved["spec"]["hosts"] = ["reviews.bookinfo.svc.cluster.local"]
    for one in moved["spec"]["http"][0]["route"]:
        one["destination"]["host"] = "reviews.bookinfo.svc.cluster.local"
    moved["metadata"].pop("annotations", None)
    lists = {**reviews.healthy(), "virtual_services": [moved]}
    with pytest.raises(InvalidInput, match="VirtualService gateways/reviews also routes reviews"):
        watchdog_job.rollback_patches([Snapshot(**lists)], SERVICE, SAFE)


TESTERS = {"headers": {"end-user": {"exact": "testuser"}}}


def with_cohort(state: Snapshot, version: str = "v2") -> Snapshot:
    """Return the routes with the rollout's cohort on them."""
    return state.after(cohort.plan_routes(state, SERVICE, [TESTERS], version).changes)


def test_the_cohort_is_rolled_back_with_the_weights_in_every_state() -> None:
    start, followed = routed(v1=100, v2=0), routed(v1=90, v2=10)
    states = [start, with_cohort(start), with_cohort(followed)]
    (entry,) = watchdog_job.rollback_patches(states, SERVICE, SAFE)
    assert len(entry["patches"]) == 2, "without a write there is nothing to roll back"
    for state in states[1:]:
        (back,) = [one for one in (fits(patch, only(state)) for patch in entry["patches"]) if one]
        assert back["spec"] == only(start)["spec"]
        assert fits(entry["safe"], back) == back
        assert fits(entry["safe"], only(state)) is None
    changed = copy.deepcopy(only(with_cohort(followed)))
    del changed["spec"]["http"][0]
    assert not any(fits(patch, changed) for patch in (*entry["patches"], entry["safe"])), (
        "somebody took the cohort away"
    )


def test_upcoming_changes_are_listed_write_by_write() -> None:
    rollout, now = run("shifting")
    step = Step(10.0, cohort=(TESTERS,))
    rollout = replace(rollout, steps=(step, Step(100.0)))
    start = routed(v1=100, v2=0)
    first, second = watchdog_job.upcoming_changes(start, SERVICE, rollout, now)
    (alone,), (both,) = first, second
    assert alone.after == only(with_cohort(start))
    assert both.before == only(start), "each patches the current state"
    assert fits(list(both.patch), only(start)) == both.after
    assert [one.get("name") for one in (both.after or {})["spec"]["http"]] == ["canary-cohort.rollout", None]
    assert both.after is not None
    both.after["spec"]["http"].pop(0)
    assert shares(both.after) == {"v1": 90, "v2": 10}
    (weights,) = watchdog_job.upcoming_changes(start, SERVICE, replace(rollout, steps=(Step(10.0), Step(100.0))), now)
    assert shares(weights[0].after or {}) == {"v1": 90, "v2": 10}


def test_at_0_percent_the_job_may_write_the_objects_of_later_steps() -> None:
    rollout = replace(run("preparing")[0], steps=(Step(0.0, cohort=(TESTERS,)), Step(100.0)))
    (one,) = watchdog_job.rollback_from_all(routed(v1=100, v2=0), SERVICE, rollout)
    assert one.object == "VirtualService bookinfo/reviews"
    assert shares(one.before or {}) == {"v1": 0, "v2": 100}
    assert shares(one.after or {}) == {"v1": 100, "v2": 0}


def run(phase: state_machine.Phase) -> tuple[Rollout, record.Run]:
    rollout = Rollout("reviews", "bookinfo", "v1", "v2", (Step(10.0), Step(100.0)))
    return rollout, record.Run("ab", "reviews", "bookinfo", "0" * 12, phase, 0, 5.0, SAFE, {"v1": 90.0, "v2": 10.0})


def test_every_phase_is_rolled_back_or_stays() -> None:
    back = {phase for phase in state_machine.PHASES if watchdog_job.rolls_back(run(phase)[1])}
    assert back == {"preparing", "shifting", "observing", "gated", "rolling_back"}
    for phase in back:
        final = watchdog_job.final_record(*run(phase), 60.0)
        assert final["run"]["phase"] == "rolling_back"
        assert (final["entry"]["event"], final["entry"]["from"], final["entry"]["to"]) == (
            "error",
            phase,
            "rolling_back",
        )
        assert "no sign of life for 60 s" in final["run"]["reason"]


def test_the_next_run_can_read_the_final_record() -> None:
    rollout, dying = run("observing")
    final = watchdog_job.final_record(rollout, dying, 60.0)
    read = parsing.parse_run(record._canonical(final["run"]))
    assert read.phase == "rolling_back"
    assert transitions.desired_weights(rollout, read) == SAFE
    assert transitions.drift(rollout, read, SAFE) == "", "back is where the record wants it"


def test_the_job_is_suspended_until_its_objects_exist() -> None:
    settings = {"JOB": "canary-watchdog-reviews-1"}
    job = watchdog_job.job("canary-watchdog-reviews-1", SERVICE, "python:3", "print()", settings)
    pod = job["spec"]["template"]
    assert job["spec"]["suspend"] is True
    assert job["spec"]["ttlSecondsAfterFinished"] > 0
    assert pod["metadata"]["labels"]["sidecar.istio.io/inject"] == "false"
    assert pod["spec"]["restartPolicy"] == "OnFailure"
    (container,) = pod["spec"]["containers"]
    assert container["command"] == ["python3", "-u", "-c", "print()"]
    assert container["env"] == [{"name": "JOB", "value": "canary-watchdog-reviews-1"}]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    made = {**job, "metadata": {**job["metadata"], "uid": "u1"}}
    named = [("networking.istio.io", "virtualservices", "reviews", ["patch"])]
    objects = {one["kind"]: one for one in watchdog_job.owned_objects(made, SERVICE, named)}
    assert set(objects) == {"ServiceAccount", "Role", "RoleBinding"}
    for one in objects.values():
        assert [owner["uid"] for owner in one["metadata"]["ownerReferences"]] == ["u1"]
        assert one["metadata"]["name"] == "canary-watchdog-reviews-1"
    assert objects["Role"]["rules"] == [
        {
            "apiGroups": ["networking.istio.io"],
            "resources": ["virtualservices"],
            "resourceNames": ["reviews"],
            "verbs": ["patch"],
        },
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
    ]
