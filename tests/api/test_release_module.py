# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module canary_release on the API server: services in step, resumed, rolled back and finished."""

from __future__ import annotations

import json
import typing as t

import pytest
from support.direct import ISTIO, destination_rule, service, virtual_service

if t.TYPE_CHECKING:
    from support.direct import Direct
    from support.kube import Kube

NAMES = ("ratings", "reviews")
HOLDER = "ada@ops1/1"


@pytest.fixture
def two(kube: Kube, namespace: str) -> str:
    """A namespace with the services ratings and reviews, each with all requests on v1."""
    for name in NAMES:
        kube.apply(service(name), destination_rule(name), virtual_service(name=name, host=name), namespace=namespace)
    return namespace


def data(namespace: str, **keys: t.Any) -> dict[str, t.Any]:
    quick = {"pause": 0, "analysis": False, "capacity": False}
    quick["force"] = ["SUBSET_NOT_READY", "CAPACITY_BELOW_SHARE"]
    services = [{"service": name, "namespace": namespace, "stable": "v1", "canary": "v2"} for name in NAMES]
    return {"name": "shop-42", "services": services, "steps": [20, 50], "defaults": quick, "ticket": "OPS-42", **keys}


def weights(kube: Kube, namespace: str, name: str) -> dict[str, int]:
    found = kube.get(ISTIO, "VirtualService", name, namespace)
    assert found
    return {
        one["destination"]["subset"]: one["weight"] for one in found["spec"]["http"][-1]["route"] if one.get("weight")
    }


def all_weights(kube: Kube, namespace: str) -> list[dict[str, int]]:
    return [weights(kube, namespace, name) for name in NAMES]


def phases(kube: Kube, namespace: str) -> list[str]:
    found = [kube.get("v1", "ConfigMap", f"canary-rollout-{name}", namespace) for name in NAMES]
    return [json.loads(one["data"]["run"])["phase"] if one else "" for one in found]


def release_record(kube: Kube, namespace: str) -> dict[str, t.Any]:
    found = kube.get("v1", "ConfigMap", "canary-release-shop-42", namespace)
    assert found
    assert found["metadata"]["labels"]["canary.meshops.io/release"] == "shop-42"
    assert found["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "meshops.canary"
    return dict(json.loads(found["data"]["release"]))


def results(result: dict[str, t.Any]) -> list[str]:
    return [one["result"] for one in result["services"]]


def test_all_requests_go_to_the_new_versions_and_finishing_ends_the_rollouts(
    direct: Direct, kube: Kube, two: str
) -> None:
    done = direct("release", state="shifted", release=data(two), cluster="berlin")
    assert results(done) == ["shifted", "shifted"]
    assert all_weights(kube, two) == [{"v2": 100}, {"v2": 100}]
    assert phases(kube, two) == ["promoting", "promoting"], "the way back is open until the release is finished"
    assert release_record(kube, two)["phase"] == "shifted"
    assert all(line.startswith("berlin | ") for line in done["lines"])
    present = direct("release", release=data(two))
    assert [(one["result"], one["weight"], one["holder"]) for one in present["services"]] == [
        ("promoting", 100, "")
    ] * 2
    finished = direct("release", state="finished", release=data(two))
    assert results(finished) == ["promoted", "promoted"]
    assert release_record(kube, two)["phase"] == "finished"
    watched = direct("release", release=data(two), cluster="berlin", watch=600)
    ends = [f"berlin | {two}/{name} v1 -> v2 | step 3/3 | promoted | 100%" for name in NAMES]
    assert [line.startswith(end) for line, end in zip(watched["lines"], ends, strict=True)] == [True, True]
    again = direct("release", state="finished", release=data(two))
    assert results(again) == ["promoted", "promoted"]
    for name in NAMES:
        stored = kube.get("v1", "ConfigMap", f"canary-rollout-{name}", two)
        assert stored
        assert "release shop-42, OPS-42" in stored["data"]["events"], "the audit log names release and ticket"


def test_step_by_step_no_service_is_ahead_of_the_other(direct: Direct, kube: Kube, two: str) -> None:
    seen, digests = [], {}
    while True:
        one = direct(
            "release", state="shifted", release=data(two), one_step=True, holder=HOLDER, record_digests=digests
        )
        digests = one["record_digests"]
        seen.append((one["next"], all_weights(kube, two)))
        if not one["next"]:
            break
        assert len(seen) < 9, seen
    assert seen == [
        ("step", [{"v1": 80, "v2": 20}] * 2),
        ("step", [{"v1": 50, "v2": 50}] * 2),
        ("", [{"v2": 100}] * 2),
    ]


def test_resumed_without_a_key_shifted_services_stay_where_their_routes_show_them(
    direct: Direct, kube: Kube, two: str
) -> None:
    direct("release", state="shifted", release=data(two))
    versions = [kube.get(ISTIO, "VirtualService", name, two) for name in NAMES]
    planned = direct("release", state="shifted", release=data(two), check_mode=True)
    assert (planned["changed"], all("stay" in one["msg"] for one in planned["services"])) == (False, True)
    again = direct("release", state="shifted", release=data(two))
    assert results(again) == ["shifted", "shifted"]
    assert [kube.get(ISTIO, "VirtualService", name, two) for name in NAMES] == versions, "not written, so not moved"
    direct(
        "weight", service="ratings", weights={"v1": 50, "v2": 50}, force=["SUBSET_NOT_READY", "CAPACITY_BELOW_SHARE"]
    )
    other = direct("release", state="shifted", release=data(two), fails=True)
    assert "ratings" in other["msg"], "its routes are not what the record says, so it does not count as shifted"


def test_shifted_services_go_back_by_routes(direct: Direct, kube: Kube, two: str) -> None:
    direct("release", state="shifted", release=data(two))
    planned = direct("release", state="rolled_back", release=data(two), check_mode=True)
    assert results(planned) == ["rolled_back", "rolled_back"]
    assert all_weights(kube, two) == [{"v2": 100}] * 2
    back = direct("release", state="rolled_back", release=data(two), note="the checkout is slow")
    assert results(back) == ["rolled_back", "rolled_back"]
    assert all_weights(kube, two) == [{"v1": 100}] * 2
    assert phases(kube, two) == ["rolled_back", "rolled_back"]
    assert release_record(kube, two)["phase"] == "rolled_back"
    shown = [line for line in back["lines"] if ": rolled back: " in line]
    assert [one.partition(two)[2].partition(":")[0] for one in shown] == ["/reviews", "/ratings"], "callers first"
    again = direct("release", state="rolled_back", release=data(two))
    assert results(again) == ["rolled_back", "rolled_back"]


def test_nothing_begun_is_nothing_to_roll_back(direct: Direct, kube: Kube, two: str) -> None:
    direct("weight", service="ratings", weights={"v1": 60, "v2": 40}, preflight=False, wait=False)
    back = direct("release", state="rolled_back", release=data(two))
    assert results(back) == ["not_begun", "not_begun"]
    assert all_weights(kube, two) == [{"v1": 60, "v2": 40}, {"v1": 100}], "shares that are no rollout's stay"


def test_a_rollback_of_one_service_takes_the_others_along(direct: Direct, kube: Kube, two: str) -> None:
    rolled = []

    def roll_back_ratings(_module: str, part: t.Mapping[str, t.Any]) -> None:
        if not rolled and "reviews" in str(part.get("text")) and "observing" in str(part.get("text")):
            rolled.append(1)
            direct("rollout", service="ratings", state="rolled_back", stable="v1", note="by hand")

    direct.show = roll_back_ratings
    steps = [{"weight": 20, "pause": 8}, 50]
    failed = direct("release", fails=True, state="shifted", release=data(two, steps=steps))
    assert rolled
    assert failed["error_code"] == "not_promoted"
    assert all_weights(kube, two) == [{"v1": 100}, {"v1": 100}]
    assert phases(kube, two) == ["rolled_back", "rolled_back"]


def test_services_left_apart_come_together(direct: Direct, kube: Kube, two: str) -> None:
    """Ratings is a step ahead, as after a kill between the writes of two services."""
    release = data(two)
    first = direct("release", state="shifted", release=release, one_step=True, holder=HOLDER)
    options = {**release["defaults"], "steps": release["steps"], "stable": "v1", "canary": "v2", "retire_after": 0}
    ahead = direct(
        "rollout",
        service="ratings",
        state="promoted",
        return_at=["after_step"],
        holder=HOLDER,
        record_digest=first["record_digests"][f"{two}/ratings"],
        **options,
    )
    assert (ahead["next"], ahead["run"]["at"]) == ("after_step", 1)
    assert all_weights(kube, two) == [{"v1": 50, "v2": 50}, {"v1": 80, "v2": 20}]
    done = direct("release", state="shifted", release=release, holder=HOLDER)
    assert results(done) == ["shifted", "shifted"]
    assert all_weights(kube, two) == [{"v2": 100}, {"v2": 100}]


def test_a_service_that_cannot_begin_is_named_before_anything_is_written(direct: Direct, kube: Kube, two: str) -> None:
    release = data(two)
    release["services"][1]["canary"] = "v9"
    for state in ("checked", "shifted"):
        refused = direct("release", fails=True, state=state, release=release, check_mode=state == "shifted")
        (problem,) = refused["problems"]
        assert (problem["service"], refused["changed"]) == ("reviews", False)
        assert "v9" in problem["problem"]
    assert phases(kube, two) == ["", ""]
    refused = direct("release", fails=True, state="shifted", release=release)
    assert "reviews" in refused["msg"]
    assert all_weights(kube, two) == [{"v1": 100}, {"v1": 100}]
    assert phases(kube, two)[1] == ""
    assert phases(kube, two)[0] in ("", "rolled_back"), "what had begun is ended"


def test_check_mode_writes_nothing_and_shows_all_plans(direct: Direct, kube: Kube, two: str) -> None:
    planned = direct("release", state="shifted", release=data(two), check_mode=True)
    assert planned["changed"]
    assert [one.partition(":")[0] for one in planned["planned_changes"]] == sorted(
        one.partition(":")[0] for one in planned["planned_changes"]
    )
    assert {one.partition(":")[0] for one in planned["planned_changes"]} == {f"{two}/{name}" for name in NAMES}
    assert phases(kube, two) == ["", ""]
    assert kube.get("v1", "ConfigMap", "canary-release-shop-42", two) is None


def test_a_forged_record_of_the_release_only_makes_it_go_back_or_wait(direct: Direct, kube: Kube, two: str) -> None:
    direct("release", state="shifted", release=data(two), one_step=True, holder=HOLDER)
    stored = release_record(kube, two)
    for phase in ("shifted", "finished"):
        forged = {"data": {"release": json.dumps({**stored, "phase": phase})}}
        kube.patch("v1", "ConfigMap", "canary-release-shop-42", two, forged)
        refused = direct("release", fails=True, state="finished", release=data(two))
        assert "nothing was written" in refused["msg"]
    assert phases(kube, two) == ["preparing", "preparing"]
    forged = {"data": {"release": json.dumps({**stored, "phase": "rolling_back"})}}
    kube.patch("v1", "ConfigMap", "canary-release-shop-42", two, forged)
    back = direct("release", fails=True, state="shifted", release=data(two), holder=HOLDER)
    assert back["error_code"] == "not_promoted"
    assert all_weights(kube, two) == [{"v1": 100}, {"v1": 100}]


def test_one_cannot_go_back_because_its_routes_are_gone(direct: Direct, kube: Kube, two: str) -> None:
    direct("release", state="shifted", release=data(two))
    kube.delete(ISTIO, "VirtualService", "reviews", two)
    failed = direct("release", fails=True, state="rolled_back", release=data(two))
    assert results(failed) == ["rolled_back", "failed"]
    assert weights(kube, two, "ratings") == {"v1": 100}
    assert release_record(kube, two)["phase"] == "rolling_back"
