# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How routes go back without whoever moved them: patches that fit what was written and nothing else."""

from __future__ import annotations

import copy
import typing as t
from dataclasses import replace

import jsonpatch
import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.rollout import cohort, dead_man, machine, record, steering
from ansible_collections.meshops.canary.plugins.module_utils.rollout.plan import Rollout, Step
from ansible_collections.meshops.canary.plugins.module_utils.routes import plan
from ansible_collections.meshops.canary.plugins.module_utils.routes.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.routes.snapshot import Snapshot
from support import reviews

SERVICE = ServiceRef("reviews", "bookinfo")
SAFE = {"v1": 100.0, "v2": 0.0}


def routed(**weights: int) -> Snapshot:
    """Return the routes as this collection has written them, from v1 100."""
    lists = reviews.healthy()
    written = reviews.virtual_service(weights={"v1": 100, "v2": 0})
    written["metadata"]["resourceVersion"] = "7"
    start = Snapshot(**{**lists, "virtual_services": [written]})
    return start.after(plan.plan_weights(start, SERVICE, weights).changes)


def fits(patch: list[dict[str, t.Any]], obj: dict[str, t.Any]) -> dict[str, t.Any] | None:
    """Return the patched object, None if a test of the patch refuses it."""
    try:
        return t.cast("dict[str, t.Any]", jsonpatch.apply_patch(copy.deepcopy(obj), patch))
    except (jsonpatch.JsonPatchTestFailed, jsonpatch.JsonPatchConflict):
        return None


def shares(obj: dict[str, t.Any]) -> dict[str, int]:
    return {one["destination"]["subset"]: one.get("weight", 0) for one in obj["spec"]["http"][0]["route"]}


def only(snapshot: Snapshot) -> dict[str, t.Any]:
    (obj,) = snapshot.need("virtual_services")
    return obj


def test_each_state_goes_back_by_its_own_patch_and_by_no_other() -> None:
    now, following = routed(v1=90, v2=10), routed(v1=50, v2=50)
    (way,) = dead_man.ways_back([now, following], SERVICE, SAFE)
    assert way["object"] == "VirtualService bookinfo/reviews"
    for index, state in enumerate((now, following)):
        found = [fits(patch, only(state)) for patch in way["patches"]]
        assert [one is not None for one in found] == [index == 0, index == 1]
        back = found[index]
        assert back is not None
        assert shares(back) == {"v1": 100, "v2": 0}
        assert fits(way["safe"], only(state)) is None
        assert fits(way["safe"], back) == back


def test_other_writes_than_to_the_routes_are_no_reason_to_refuse() -> None:
    now = routed(v1=90, v2=10)
    (way,) = dead_man.ways_back([now], SERVICE, SAFE)
    touched = copy.deepcopy(only(now))
    touched["metadata"].update(resourceVersion="99", labels={"by": "somebody"})
    touched["spec"]["gateways"] = ["mesh"]
    back = fits(way["patches"][0], touched)
    assert back is not None
    assert shares(back) == {"v1": 100, "v2": 0}
    assert (back["metadata"]["labels"], back["spec"]["gateways"]) == ({"by": "somebody"}, ["mesh"])


@pytest.mark.parametrize("edit", [{"v1": 80, "v2": 20}, {"v1": 0, "v2": 100}, {"v2": 100}])
def test_an_edit_by_hand_is_refused(edit: dict[str, int]) -> None:
    (way,) = dead_man.ways_back([routed(v1=90, v2=10), routed(v1=50, v2=50)], SERVICE, SAFE)
    edited = copy.deepcopy(only(routed(v1=90, v2=10)))
    edited["spec"]["http"][0]["route"] = [reviews.destination(version, weight) for version, weight in edit.items()]
    assert not any(fits(patch, edited) for patch in (*way["patches"], way["safe"]))


def test_what_is_safe_already_has_no_way_to_go() -> None:
    assert dead_man.ways_back([routed(v1=100, v2=0)], SERVICE, SAFE) == []


def test_an_object_of_another_namespace_is_refused() -> None:
    now = routed(v1=90, v2=10)
    moved = copy.deepcopy(only(now))
    moved["metadata"]["namespace"] = "gateways"
    moved["spec"]["hosts"] = ["reviews.bookinfo.svc.cluster.local"]
    for one in moved["spec"]["http"][0]["route"]:
        one["destination"]["host"] = "reviews.bookinfo.svc.cluster.local"
    moved["metadata"].pop("annotations", None)
    lists = {**reviews.healthy(), "virtual_services": [moved]}
    with pytest.raises(InvalidInput, match="VirtualService gateways/reviews routes reviews too"):
        dead_man.ways_back([Snapshot(**lists)], SERVICE, SAFE)


TESTERS = {"headers": {"end-user": {"exact": "testuser"}}}


def beside(state: Snapshot, version: str = "v2") -> Snapshot:
    """Return the routes with the rollout's cohort on them."""
    return state.after(cohort.planned(state, SERVICE, [TESTERS], version).changes)


def test_a_cohort_goes_back_with_the_weights_from_wherever_the_run_died() -> None:
    start, followed = routed(v1=100, v2=0), routed(v1=90, v2=10)
    states = [start, beside(start), beside(followed)]
    (way,) = dead_man.ways_back(states, SERVICE, SAFE)
    assert len(way["patches"]) == 2, "where nothing was written nothing goes back"
    for state in states[1:]:
        (back,) = [one for one in (fits(patch, only(state)) for patch in way["patches"]) if one]
        assert back["spec"] == only(start)["spec"]
        assert fits(way["safe"], back) == back
        assert fits(way["safe"], only(state)) is None
    edited = copy.deepcopy(only(beside(followed)))
    del edited["spec"]["http"][0]
    assert not any(fits(patch, edited) for patch in (*way["patches"], way["safe"])), "somebody took the cohort away"


def test_what_comes_before_the_next_record_is_told_write_by_write() -> None:
    rollout, now = run("shifting")
    step = Step(10.0, cohort=(TESTERS,))
    rollout = replace(rollout, steps=(step, Step(100.0)))
    start = routed(v1=100, v2=0)
    first, second = dead_man.coming(start, SERVICE, rollout, now)
    (alone,), (both,) = first, second
    assert alone.after == only(beside(start))
    assert both.before == only(start), "each is a patch of what is there now"
    assert fits(list(both.patch), only(start)) == both.after
    assert [one.get("name") for one in (both.after or {})["spec"]["http"]] == ["canary-cohort.rollout", None]
    assert both.after is not None
    both.after["spec"]["http"].pop(0)
    assert shares(both.after) == {"v1": 90, "v2": 10}
    (weights,) = dead_man.coming(start, SERVICE, replace(rollout, steps=(Step(10.0), Step(100.0))), now)
    assert shares(weights[0].after or {}) == {"v1": 90, "v2": 10}


def test_at_0_percent_the_job_may_touch_what_later_steps_will() -> None:
    rollout = replace(run("preparing")[0], steps=(Step(0.0, cohort=(TESTERS,)), Step(100.0)))
    (one,) = dead_man.routed_by(routed(v1=100, v2=0), SERVICE, rollout)
    assert one.object == "VirtualService bookinfo/reviews"


def run(phase: machine.Phase) -> tuple[Rollout, record.Run]:
    rollout = Rollout("reviews", "bookinfo", "v1", "v2", (Step(10.0), Step(100.0)))
    return rollout, record.Run("ab", "reviews", "bookinfo", "0" * 12, phase, 0, 5.0, SAFE, {"v1": 90.0, "v2": 10.0})


def test_every_phase_either_goes_back_or_stays() -> None:
    back = {phase for phase in machine.PHASES if dead_man.takes_back(run(phase)[1])}
    assert back == {"preparing", "shifting", "observing", "gated", "rolling_back"}
    for phase in back:
        words = dead_man.last_words(*run(phase), 60.0)
        assert words["run"]["phase"] == "rolling_back"
        assert (words["entry"]["event"], words["entry"]["from"], words["entry"]["to"]) == (
            "error",
            phase,
            "rolling_back",
        )
        assert "not heard of for 60 s" in words["run"]["reason"]


def test_the_words_are_a_record_that_the_next_run_reads() -> None:
    rollout, dying = run("observing")
    words = dead_man.last_words(rollout, dying, 60.0)
    read = record.load(record._canonical(words["run"]))
    assert read.phase == "rolling_back"
    assert steering.weights_wanted(rollout, read) == SAFE
    assert steering.drift(rollout, read, SAFE) == "", "back is where the record wants it"


def test_the_job_sleeps_until_all_that_it_owns_is_there() -> None:
    job = dead_man.job("canary-dead-man-reviews-1", SERVICE, "python:3", {"JOB": "canary-dead-man-reviews-1"})
    pod = job["spec"]["template"]
    assert job["spec"]["suspend"] is True
    assert job["spec"]["ttlSecondsAfterFinished"] > 0
    assert pod["metadata"]["labels"]["sidecar.istio.io/inject"] == "false"
    assert pod["spec"]["restartPolicy"] == "OnFailure"
    (container,) = pod["spec"]["containers"]
    assert container["env"] == [{"name": "JOB", "value": "canary-dead-man-reviews-1"}]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    made = {**job, "metadata": {**job["metadata"], "uid": "u1"}}
    named = [("networking.istio.io", "virtualservices", "reviews", ["patch"])]
    objects = {one["kind"]: one for one in dead_man.belongings(made, SERVICE, "print()", named)}
    assert set(objects) == {"ServiceAccount", "Role", "RoleBinding", "ConfigMap"}
    for one in objects.values():
        assert [owner["uid"] for owner in one["metadata"]["ownerReferences"]] == ["u1"]
        assert one["metadata"]["name"] == "canary-dead-man-reviews-1"
    assert objects["ConfigMap"]["data"] == {"dead_man.py": "print()"}
    assert objects["Role"]["rules"] == [
        {
            "apiGroups": ["networking.istio.io"],
            "resources": ["virtualservices"],
            "resourceNames": ["reviews"],
            "verbs": ["patch"],
        },
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
    ]
