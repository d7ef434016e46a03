# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record's way to the API server and back: an answer that is lost, and a trail that becomes too long."""

from __future__ import annotations

import copy
import typing as t
from dataclasses import replace

import jsonpatch
import pytest
from ansible_collections.meshops.canary.plugins.filter.rollout_report import rollout_report
from ansible_collections.meshops.canary.plugins.module_utils.commands import run_result
from ansible_collections.meshops.canary.plugins.module_utils.commands.run_store import (
    LARGEST,
    RunStore,
    Stored,
    plan_of,
)
from ansible_collections.meshops.canary.plugins.module_utils.errors import Conflict
from ansible_collections.meshops.canary.plugins.module_utils.rollout.plan import Rollout, steps_from
from ansible_collections.meshops.canary.plugins.module_utils.rollout.record import Run, plan_hash
from ansible_collections.meshops.canary.plugins.module_utils.routes.hosts import ServiceRef

Object = dict[str, t.Any]
SERVICE = ServiceRef("reviews", "shop")
PLAN = Rollout("reviews", "shop", "v1", "v2", steps_from({"steps": [10, 100]}))
BEGAN, LATER = "2026-11-25T20:00:00Z", "2026-11-25T21:00:00Z"


class Server:
    """Stores one ConfigMap. Each request of `repeated` reaches it twice, as when its first answer was lost."""

    def __init__(self) -> None:
        self.stored: Object | None = None
        self.repeated = False

    def get(self, *_path: t.Any) -> Object | None:
        return copy.deepcopy(self.stored)

    def create(self, _kind: t.Any, _namespace: str, body: Object) -> Object:
        for _once in range(1 + self.repeated):
            if self.stored is not None:
                raise Conflict("it is there already")
            self.stored = {**body, "metadata": {**body["metadata"], "resourceVersion": "1"}}
        return copy.deepcopy(t.cast(Object, self.stored))

    def patch(self, _kind: t.Any, _namespace: str, _name: str, patch: t.Sequence[Object]) -> Object:
        for _once in range(1 + self.repeated):
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
    told = {"at": at, "by": "ada", "event": "drift", "from": "observing", "to": "preparing", "step": 0}
    return {**told, "weight": 10.0, "harmed": number, "reason": reason or f"edit {number}"}


def test_a_record_whose_answer_was_lost_was_written_by_us(server: Server) -> None:
    server.repeated = True
    stored = begun()
    store(server).write(stored)
    stored.add(entry(1, BEGAN))
    store(server).write(stored)
    found = store(server).read()
    assert found is not None
    assert found.events == stored.events
    stored.add(entry(2, LATER))
    server.repeated = False
    store(server).write(stored)  # with the version it has now


def test_a_record_that_somebody_else_wrote_is_not_overwritten(server: Server) -> None:
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


def test_a_trail_that_is_too_long_loses_its_older_half_and_says_so(server: Server) -> None:
    stored = begun()
    for number in range(4):
        stored.add(entry(number, BEGAN if number == 0 else LATER, str(number) * (LARGEST // 3)))
    store(server).write(stored)
    for number in (4, 5):
        stored.add(entry(number, LATER, str(number) * (LARGEST // 3)))
        store(server).write(stored)
    found = store(server).read()
    assert found is not None
    first, *rest = found.events
    assert (first["event"], first["at"], first["by"]) == ("shortened", BEGAN, "ada")
    dropped = 6 - len(rest)
    assert first["reason"] == f"{dropped} older entries were dropped"
    found.run = replace(found.run, phase="preparing", reason=rest[-1]["reason"])
    told = run_result.report(found)
    assert (told["began"], told["altered"], told["harmed"]) == (BEGAN, [], sum(range(6)))
    assert f"{dropped} older entries were dropped" in rollout_report(told)
    assert "<svg" in rollout_report(told, "html")
