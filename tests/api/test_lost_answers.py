# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The API server writes, and its answer is lost on the way back: a task tells what it did, and a rollout goes on.

The answers are thrown away behind the socket, so the client sends each write again, as it does after a real loss.
"""

from __future__ import annotations

import typing as t

import pytest
import urllib3
from support.direct import ISTIO, virtual_service

if t.TYPE_CHECKING:
    from support.direct import Direct
    from support.kube import Kube

ROLES = "rbac.authorization.k8s.io/v1"
QUICK = {"preflight": False, "wait": False}
ROLLOUT: dict[str, t.Any] = {
    "stable": "v1",
    "canary": "v2",
    "steps": [10, 50],
    "pause": 0,
    "analysis": False,
    "capacity": False,
    "retire_after": 0,
    "force": ["SUBSET_NOT_READY", "CAPACITY_BELOW_SHARE"],
}
_READS = ("selfsubjectaccessreviews", "dryRun=All")


def lose_answers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Lose the first answer to each write; return the writes so far."""
    original = urllib3.HTTPConnectionPool._make_request
    writes: list[str] = []
    seen: set[tuple[str, str, t.Any]] = set()

    def make_request(self: t.Any, connection: t.Any, method: str, url: str, **more: t.Any) -> t.Any:
        response = original(self, connection, method, url, **more)
        key = (method, url, more.get("body"))
        if method == "GET" or any(part in url for part in _READS) or key in seen:
            return response
        seen.add(key)
        writes.append(f"{method} {url.partition('?')[0].rpartition('/')[2]}")
        raise urllib3.exceptions.ProtocolError("Connection aborted.", ConnectionResetError(104, "reset by peer"))

    monkeypatch.setattr(urllib3.HTTPConnectionPool, "_make_request", make_request)
    return writes


def weights(kube: Kube, namespace: str, name: str = "reviews") -> dict[str, int]:
    found = kube.get(ISTIO, "VirtualService", name, namespace)
    assert found
    return {one["destination"]["subset"]: one["weight"] for one in found["spec"]["http"][-1]["route"]}


def test_moved_traffic_is_a_change(direct: Direct, kube: Kube, routed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    writes = lose_answers(monkeypatch)
    done = direct("weight", weights={"v1": 80, "v2": 20}, **QUICK)
    assert weights(kube, routed) == {"v1": 80, "v2": 20}
    assert writes == ["PATCH reviews"]
    assert done["changed"] is True
    assert "v2 0% -> 20%" in done["msg"]
    assert "got no answer, or not to the first try" in done["warnings"][-1]


def test_two_objects_are_two_changes(direct: Direct, kube: Kube, routed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    front = virtual_service(name="front", gateways=["front"])
    front["spec"]["hosts"] = ["reviews.example.com"]
    kube.apply(front, namespace=routed)
    writes = lose_answers(monkeypatch)
    done = direct("weight", weights={"v1": 70, "v2": 30}, **QUICK)
    assert (len(writes), done["changed"], len(done["patch"])) == (2, True, 2)
    assert weights(kube, routed) == weights(kube, routed, "front") == {"v1": 70, "v2": 30}
    assert direct("weight", weights={"v1": 70, "v2": 30}, **QUICK)["changed"] is False


def test_first_routes_and_a_cohort_are_changes_too(
    direct: Direct, kube: Kube, routed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kube.delete(ISTIO, "VirtualService", "reviews", routed)
    kube.delete(ISTIO, "DestinationRule", "reviews", routed)
    writes = lose_answers(monkeypatch)
    versions = {one: {"version": one} for one in ("v1", "v2")}
    assert direct("routing", versions=versions, stable="v1", **QUICK)["changed"] is True
    assert sorted(one.split()[0] for one in writes) == ["POST", "POST"]
    given = {"headers": {"end-user": "testuser"}, "weights": {"v2": 100}, **QUICK}
    assert direct("header_route", **given)["changed"] is True
    assert direct("header_route", **given)["changed"] is False
    assert direct("header_route", state="absent", **QUICK)["changed"] is True


@pytest.mark.parametrize("state", ["promoted", "rolled_back"])
def test_a_rollout_goes_on_when_the_first_answer_to_every_write_is_lost(
    direct: Direct, kube: Kube, routed: str, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    writes = lose_answers(monkeypatch)
    done = direct("rollout", state="promoted", **ROLLOUT)
    assert done["changed"] is True
    assert done["run"]["phase"] == "promoted"
    assert len(writes) > 6
    assert weights(kube, routed)["v2"] == 100
    if state == "rolled_back":
        given = {name: ROLLOUT[name] for name in ("stable", "capacity", "force")}
        done = direct("rollout", state="rolled_back", **given)
        assert done["changed"] is True
        assert weights(kube, routed)["v1"] == 100
    record = done["report"]
    assert record["verified"]
    assert not direct("rollout")["run"]["holder"]


def test_the_watchdogs_job_is_created_once(
    direct: Direct, kube: Kube, routed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = lose_answers(monkeypatch)
    plan = {name: ROLLOUT[name] for name in ("stable", "canary", "steps", "pause", "analysis")}
    done = direct("rollout", state="opened", holder="ada", watchdog={"after": 30}, **plan)
    assert {"POST jobs", "POST serviceaccounts", "POST roles", "POST rolebindings"} <= set(writes)
    (job,) = kube.list("batch/v1", "Job", routed)
    assert job["metadata"]["name"] == done["run"]["watchdog"]
    assert not job["spec"]["suspend"]
    for version, kind in (("v1", "ServiceAccount"), (ROLES, "Role"), (ROLES, "RoleBinding")):
        owned = [one for one in kube.list(version, kind, routed) if one["metadata"].get("ownerReferences")]
        assert [one["metadata"]["ownerReferences"][0]["uid"] for one in owned] == [job["metadata"]["uid"]]
    assert sum("got no answer" in one for one in done["warnings"]) >= 5
