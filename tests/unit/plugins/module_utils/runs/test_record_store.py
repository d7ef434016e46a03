# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writing the record: lost answers, conflicts, and an audit log that becomes too long."""

from __future__ import annotations

import copy
import typing as t
from dataclasses import replace

import jsonpatch
import pytest
from ansible_collections.meshops.canary.plugins.filter.rollout_report import rollout_report
from ansible_collections.meshops.canary.plugins.module_utils.errors import Conflict
from ansible_collections.meshops.canary.plugins.module_utils.kube.client import Cluster
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.rollout.record import Run, plan_hash
from ansible_collections.meshops.canary.plugins.module_utils.rollout.steps import Rollout, steps_from
from ansible_collections.meshops.canary.plugins.module_utils.runs import report
from ansible_collections.meshops.canary.plugins.module_utils.runs.record_store import (
    MAX_BYTES,
    RunStore,
    Stored,
    plan_of,
)
from support import faulty_api

Object = dict[str, t.Any]
SERVICE = ServiceRef("reviews", "shop")
PLAN = Rollout("reviews", "shop", "v1", "v2", steps_from({"steps": [10, 100]}))
BEGAN, LATER = "2026-11-25T20:00:00Z", "2026-11-25T21:00:00Z"


class Server:
    """Stores one ConfigMap."""

    def __init__(self) -> None:
        self.stored: Object | None = None

    def get(self, *_path: t.Any) -> Object | None:
        return copy.deepcopy(self.stored)

    def create(self, _kind: t.Any, _namespace: str, body: Object) -> Object:
        if self.stored is not None:
            raise Conflict("it is there already")
        self.stored = {**body, "metadata": {**body["metadata"], "resourceVersion": "1"}}
        return copy.deepcopy(t.cast(Object, self.stored))

    def patch(self, _kind: t.Any, _namespace: str, _name: str, patch: t.Sequence[Object], **_after: t.Any) -> Object:
        try:
            after = jsonpatch.apply_patch(self.stored, list(patch))
        except jsonpatch.JsonPatchTestFailed as error:
            raise Conflict("the version is another one") from error
        after["metadata"]["resourceVersion"] += "1"
        self.stored = after
        return copy.deepcopy(after)


@pytest.fixture
def server() -> Server:
    return Server()


def store(server: Server) -> RunStore:
    return RunStore(t.cast(t.Any, server), SERVICE)


def begun() -> Stored:
    run = Run("4711", "reviews", "shop", plan_hash(plan_of(PLAN)), "observing", 0, 0.0, {"v1": 100.0}, {"v1": 90.0})
    return Stored(PLAN, run)


def entry(number: int, at: str, reason: str = "") -> Object:
    content = {"at": at, "by": "ada", "event": "drift", "from": "observing", "to": "preparing", "step": 0}
    return {**content, "weight": 10.0, "failed_requests": number, "reason": reason or f"edit {number}"}


def test_a_write_with_a_lost_answer_is_recognized_as_done() -> None:
    with faulty_api.serving() as api:
        lossy = RunStore(Cluster.connect({"host": api.url, "api_key": "k"}, {"no_proxy": "*"}), SERVICE)
        api.faults = {"POST": ["lost"], "PATCH": ["lost"]}
        stored = begun()
        lossy.write(stored)
        stored.add(entry(1, BEGAN))
        lossy.write(stored)
        assert api.faults == {"POST": [], "PATCH": []}
        found = lossy.read()
        assert found is not None
        assert found.events == stored.events
        stored.add(entry(2, LATER))
        lossy.write(stored)  # with the version it has now


@pytest.mark.parametrize("change", ["", "run", "events", "signature", "unsigned", "other key", "other service"])
def test_a_record_with_a_valid_signature_is_as_the_owner_of_the_key_wrote_it(server: Server, change: str) -> None:
    def signed_by(key: str, service: str = "reviews") -> RunStore:
        return RunStore(t.cast(t.Any, server), ServiceRef(service, "shop"), key)

    stored = begun()
    signed_by("" if change == "unsigned" else "other" if change == "other key" else "key").write(stored)
    stored.add(entry(1, BEGAN))
    signed_by("" if change == "unsigned" else "other" if change == "other key" else "key").write(stored)
    data = t.cast(Object, server.stored)["data"]
    if change in ("run", "events"):
        data[change] = data[change].replace("observing", "gated")
    if change == "signature":
        data["signature"] = "é" * 64
    found = signed_by("key", "ratings" if change == "other service" else "reviews").read()
    assert found is not None
    assert found.signed == (change == "")


def test_a_record_that_changed_since_it_was_read_is_not_overwritten(server: Server) -> None:
    mine, theirs = begun(), begun()
    store(server).write(mine)
    theirs.obj = copy.deepcopy(mine.obj)
    theirs.add(entry(1, BEGAN, "theirs"))
    store(server).write(theirs)
    mine.add(entry(1, BEGAN, "mine"))
    with pytest.raises(Conflict, match="two rollouts of reviews run at the same time"):
        store(server).write(mine)
    found = store(server).read()
    assert found is not None
    assert [one["reason"] for one in found.events] == ["theirs"]


def test_a_long_audit_log_loses_its_older_half_and_records_that(server: Server) -> None:
    stored = begun()
    for number in range(4):
        stored.add(entry(number, BEGAN if number == 0 else LATER, str(number) * (MAX_BYTES // 3)))
    store(server).write(stored)
    for number in (4, 5):
        stored.add(entry(number, LATER, str(number) * (MAX_BYTES // 3)))
        store(server).write(stored)
    found = store(server).read()
    assert found is not None
    first, *rest = found.events
    assert (first["event"], first["at"], first["by"]) == ("shortened", BEGAN, "ada")
    dropped = 6 - len(rest)
    assert first["reason"] == f"{dropped} older entries were dropped"
    found.run = replace(found.run, phase="preparing", reason=rest[-1]["reason"])
    result = report.report(found)
    assert (result["began"], result["tampered"], result["failed_requests"]) == (BEGAN, [], sum(range(6)))
    assert f"{dropped} older entries were dropped" in rollout_report(result)
    assert "<svg" in rollout_report(result, "html")
