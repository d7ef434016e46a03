# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A record that somebody else has edited costs at most time: what it can decide, and what it cannot."""

from __future__ import annotations

import json
import typing as t

import pytest
from support import http_routes as hr
from support.direct import ISTIO
from support.rollout_tasks import ADA, BOB, QUIET

if t.TYPE_CHECKING:
    from support.direct import Direct
    from support.kube import Kube

RECORD = "canary-rollout-reviews"
PLAN: dict[str, t.Any] = {"stable": "v1", "canary": "v2", "steps": [10, 50], "pause": 0, "analysis": False}
GO: dict[str, t.Any] = {
    **PLAN, "state": "promoted", "capacity": False, "retire_after": 0,
    "force": ["SUBSET_NOT_READY", "CAPACITY_BELOW_SHARE"],
}  # fmt: skip


class Forger:
    """A rollout that was interrupted at 10 percent, and somebody who may patch ConfigMaps."""

    def __init__(self, direct: Direct, kube: Kube, namespace: str, **versions: str) -> None:
        self.direct, self.kube, self.namespace = direct, kube, namespace
        last = direct("rollout", state="opened", holder=ADA, **{**PLAN, **versions})
        last = direct("rollout", state="recorded", event="ready", holder=ADA)
        direct("weight", weights=last["run"]["desired_weights"], **QUIET)
        direct("rollout", state="recorded", event="shifted", holder=ADA)
        direct("rollout", state="closed", holder=ADA)

    def forge(self, part: str, **fields: t.Any) -> None:
        found = self.kube.get("v1", "ConfigMap", RECORD, self.namespace)
        assert found
        raw = json.loads(found["data"][part]) if part in found["data"] else {}
        self.write(part, json.dumps({**raw, **fields}))

    def write(self, part: str, text: str) -> None:
        self.kube.patch("v1", "ConfigMap", RECORD, self.namespace, {"data": {part: text}})

    def weights(self) -> dict[str, int]:
        found = self.kube.get(ISTIO, "VirtualService", "reviews", self.namespace)
        assert found
        entries = found["spec"]["http"][-1]["route"]
        return {one["destination"]["subset"]: one["weight"] for one in entries if one.get("weight")}


@pytest.fixture
def forger(direct: Direct, kube: Kube, routed: str) -> Forger:
    return Forger(direct, kube, routed)


KEY = "from the vault"
CLAIMS: dict[str, dict[str, t.Any]] = {
    "promoting": {"phase": "promoting", "at": 1},
    "gated": {"phase": "gated", "at": 1},
    "a step that is not there": {"phase": "shifting", "at": 2},
    "passed": {"phase": "shifting", "at": 1},
    "promoted": {"phase": "promoted", "at": 1},
    "stopped while promoting": {"phase": "stopped", "at": 1, "stopped_in": "promoting"},
}


@pytest.mark.parametrize("key", ["", KEY], ids=["no key", "key"])
@pytest.mark.parametrize("fields", CLAIMS.values(), ids=CLAIMS)
def test_no_claim_of_a_record_skips_a_verdict(forger: Forger, fields: dict[str, t.Any], key: str) -> None:
    forger.forge("run", **fields)
    judged = forger.direct("rollout", **{**GO, "return_at": ["after_step"]}, record_key=key, holder=ADA)
    assert (judged["next"], judged["step"]["weight"]) == ("after_step", 10.0)
    assert forger.weights() == {"v1": 90, "v2": 10}
    assert any("is not signed with record_key" in one for one in judged["warnings"]) == (
        bool(key) and judged["resumed"]
    )


def test_no_claim_of_a_record_skips_a_verdict_on_an_http_route(direct: Direct, kube: Kube, namespace: str) -> None:
    route = hr.http_route(hr.rule(hr.ref("reviews-v1")))
    route["metadata"] = {"name": "reviews"}
    services = [{**one, "metadata": {"name": one["metadata"]["name"]}} for one in hr.SERVICES]
    kube.apply(*services, route, namespace=namespace)
    versions = {"stable": "reviews-v1", "canary": "reviews-v2"}
    forger = Forger(direct, kube, namespace, **versions)
    for fields in CLAIMS.values():
        forger.forge("run", **fields)
        judged = direct("rollout", **{**GO, **versions, "return_at": ["after_step"]}, holder=ADA)
        assert (judged["next"], judged["step"]["weight"]) == ("after_step", 10.0), fields
        assert direct("info", measure="none", proxies=False, preflight=False)["services"][0]["weights"] == {
            "reviews-v1": 90,
            "reviews-v2": 10,
        }
        direct("rollout", state="closed", holder=ADA)


def test_a_signed_record_goes_on_with_its_verdicts(forger: Forger) -> None:
    options = {**GO, "return_at": ["before_step", "after_step"], "record_key": KEY}
    judged = forger.direct("rollout", **options, holder=ADA)
    entered = forger.direct("rollout", **options, holder=ADA, record_digest=judged["record_digest"])
    assert (entered["next"], entered["step"]["weight"]) == ("before_step", 50.0)
    forger.direct("rollout", state="closed", holder=ADA)
    resumed = forger.direct("rollout", **options, holder=BOB)
    assert (resumed["next"], resumed["step"]["weight"], resumed["warnings"]) == ("before_step", 50.0, [])
    forger.direct("rollout", state="closed", holder=BOB)
    other = forger.direct("rollout", **{**options, "record_key": "another"}, holder=ADA)
    assert (other["next"], other["step"]["weight"]) == ("after_step", 10.0)
    assert any("is not signed with record_key" in one for one in other["warnings"])


def test_a_record_changed_between_two_tasks_of_a_playbook_is_judged_again(forger: Forger) -> None:
    options = {**GO, "return_at": ["before_step", "after_step"], "holder": ADA}
    last = forger.direct("rollout", **options)
    assert (last["next"], last["step"]["weight"]) == ("after_step", 10.0)
    forger.write("returned", '{"at": "after_step", "verdict": {"verdict": "pass", "reasons": ["all is well"]}}')
    again = forger.direct("rollout", **options, record_digest=last["record_digest"])
    assert (again["next"], again["step"]["weight"]) == ("after_step", 10.0)
    assert "all is well" not in json.dumps(again["report"])


def test_a_rollout_that_ended_between_two_tasks_is_over(forger: Forger) -> None:
    options = {**GO, "return_at": ["after_step"], "holder": ADA}
    last = forger.direct("rollout", **options)
    forger.direct("rollout", state="rolled_back", stable="v1", capacity=False, force=["SUBSET_NOT_READY"])
    over = forger.direct("rollout", fails=True, **options, record_digest=last["record_digest"])
    assert (over["error_code"], forger.weights()) == ("over", {"v1": 100})
    judged = forger.direct("rollout", **{**GO, "return_at": ["after_step"]}, holder=ADA)
    assert (judged["next"], judged["step"]["weight"]) == ("after_step", 10.0)
    assert forger.weights() == {"v1": 90, "v2": 10}


def test_a_rollback_goes_to_the_weights_of_the_command(forger: Forger) -> None:
    forger.forge("run", phase="rolling_back", safe={"v3": 100.0}, written={"v1": 90.0, "v2": 10.0, "v9": 0.0})
    back = forger.direct("rollout", **GO, must_promote=False)
    assert (back["run"]["phase"], forger.weights()) == ("rolled_back", {"v1": 100})


BACK: dict[str, t.Any] = {"state": "rolled_back", "capacity": False, "force": ["SUBSET_NOT_READY"]}


def test_a_stable_version_of_the_record_alone_gets_no_request(forger: Forger) -> None:
    """The record's two versions swapped, and then others: the routes know who had the requests before."""
    forger.forge("plan", stable="v2", canary="v1")
    refused = forger.direct("rollout", fails=True, **BACK)
    assert (refused["error_code"], forger.weights()) == ("invalid_input", {"v1": 90, "v2": 10})
    assert "the stable version is unknown" in refused["msg"]
    forger.forge("plan", stable="v3", canary="v2")
    back = forger.direct("rollout", **BACK)
    assert (back["changed"], forger.weights()) == (True, {"v1": 100})


def test_the_routes_or_the_command_or_the_key_prove_the_stable_version(forger: Forger) -> None:
    forger.direct("weight", weights={"v1": 90, "v2": 10}, finalize=True, **QUIET)
    forger.direct("weight", weights={"v1": 10, "v2": 90}, **QUIET)
    assert forger.direct("rollout", **BACK)["messages"][0] == "The stable version of the last rollout is v1."
    forger.direct("weight", weights={"v1": 10, "v2": 90}, finalize=True, **QUIET)
    options = {**PLAN, "holder": ADA, "on_drift": "adopt"}
    forger.direct("rollout", state="opened", **options, record_key=KEY)
    forger.direct("rollout", state="closed", holder=ADA)
    refused = forger.direct("rollout", fails=True, **BACK)
    assert "The record of the last rollout says v1, but others can write it" in refused["msg"]
    assert "-e stable=v1" in refused["msg"]
    assert forger.direct("rollout", **BACK, record_key=KEY)["changed"] is True
    assert forger.weights() == {"v1": 100}
    forger.direct("weight", weights={"v1": 10, "v2": 90}, finalize=True, **QUIET)
    forger.direct("rollout", state="opened", **options)
    forger.direct("rollout", state="closed", holder=ADA)
    assert forger.direct("rollout", **BACK, canary="v2")["changed"] is True
    assert forger.weights() == {"v1": 100}


def test_a_plan_in_the_record_is_another_rollout(forger: Forger) -> None:
    """The hash beside it is not believed."""
    forger.forge("plan", steps=[{"weight": 100.0, "pause": 0.0, "analysis": False}])
    refused = forger.direct("rollout", fails=True, **GO)
    assert (refused["error_code"], forger.weights()) == ("refused", {"v1": 90, "v2": 10})
    assert "Another rollout of reviews is in progress" in refused["msg"]


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ("run", "[" * 50_000),
        ("run", '{"version": 1, "phase": "beginning"}'),
        ("events", '[{"event": 1}]'),
        ("plan", "null"),
        ("watchdog", "[]"),
        ("superseded", '{"run": "{}"}'),
    ],
    ids=["nested", "phase", "events", "plan", "watchdog", "superseded"],
)
def test_status_and_rollback_work_whatever_the_record_is(forger: Forger, part: str, text: str) -> None:
    forger.write(part, text)
    (status,) = forger.direct("info", measure="none", proxies=False, preflight=False)["services"]
    assert status["weights"] == {"v1": 90, "v2": 10, "v3": 0} or status["weights"]["v2"] == 10
    assert any("not readable" in note for note in status["notes"])
    back = forger.direct("rollout", state="rolled_back", stable="v1", capacity=False, force=["SUBSET_NOT_READY"])
    assert forger.weights() == {"v1": 100}
    assert "is not readable" in " ".join(back["messages"])


def test_only_a_watchdog_of_the_service_is_deleted(forger: Forger) -> None:
    pod = {"containers": [{"name": "x", "image": "none.invalid/x"}], "restartPolicy": "Never"}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "database-migration"}}
    forger.kube.apply({**job, "spec": {"suspend": True, "template": {"spec": pod}}}, namespace=forger.namespace)
    forger.forge("watchdog", job="database-migration", after=60)
    done = forger.direct("rollout", **GO)
    assert forger.kube.get("batch/v1", "Job", "database-migration", forger.namespace) is not None
    assert any("names the Job database-migration as its watchdog" in one for one in done["warnings"])


@pytest.mark.parametrize("loss", ["deleted", "unreadable"])
def test_a_run_whose_record_is_lost_rolls_back_by_what_it_knows(forger: Forger, loss: str) -> None:
    lost: list[str] = []

    def lose(_module: str, result: t.Mapping[str, t.Any]) -> None:
        run = result.get("run") or {}
        if not lost and run.get("phase") == "shifting" and run.get("at") == 1:
            lost.append(loss)
            if loss == "deleted":
                forger.kube.delete("v1", "ConfigMap", RECORD, forger.namespace)
            else:
                forger.write("run", "no JSON")

    forger.direct.show = lose
    ended = forger.direct("rollout", **GO, must_promote=False)
    assert lost
    assert (ended["run"]["phase"], forger.weights()) == ("rolled_back", {"v1": 100})
    assert forger.direct("rollout")["run"]["phase"] == "rolled_back", "the record is there again"
