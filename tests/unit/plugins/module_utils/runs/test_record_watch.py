# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run that waits notices within seconds that another one has ended it, and says who."""

from __future__ import annotations

import typing as t
from dataclasses import replace
from types import SimpleNamespace

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError, CanaryError, Refused
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.rollout.record import Run
from ansible_collections.meshops.canary.plugins.module_utils.rollout.steps import Rollout, Step
from ansible_collections.meshops.canary.plugins.module_utils.runs.record_store import Stored
from ansible_collections.meshops.canary.plugins.module_utils.runs.record_watch import LOOK_EVERY, RecordWatch
from ansible_collections.meshops.canary.plugins.module_utils.runs.session import LOST, Session
from ansible_collections.meshops.canary.plugins.module_utils.task.context import Context, Terminal

PLAN = Rollout("reviews", "shop", "v1", "v2", (Step(50.0), Step(100.0)))
RUN = Run("4711", "reviews", "shop", "abc", "observing", 0, 0.0, {"v1": 100.0}, {"v1": 50.0, "v2": 50.0})
BY = {"event": "abort", "by": "pager@ops/12", "at": "2026-12-01T21:15:47.120Z"}


def session(found: t.Any) -> Session:
    """Return the session of RUN whose record is now `found`; an error is raised by the read."""

    def read() -> t.Any:
        if isinstance(found, Exception):
            raise found
        return found

    one = Session.__new__(Session)
    one._service = ServiceRef("reviews", "shop")
    one._stored = Stored(PLAN, RUN)
    one.store = SimpleNamespace(read=read)  # type: ignore[assignment]
    return one


def record(**changes: t.Any) -> Stored:
    return Stored(PLAN, replace(RUN, **changes), [BY])


@pytest.mark.parametrize("phase", ["rolling_back", "rolled_back", "stopped", "promoted"])
def test_another_run_that_ended_it_is_named_with_the_time(phase: t.Any) -> None:
    with pytest.raises(CanaryError) as caught:
        session(record(phase=phase, reason="rolled back by the playbook rollback")).look_for_others()
    assert caught.value.code in LOST
    words = phase.replace("_", " ")
    assert f"was ended by another run: it is {words}, by pager@ops/12 at 2026-12-01T21:15:47.120Z" in caught.value.msg
    assert caught.value.msg.endswith("rolled back by the playbook rollback")


def test_a_superseding_run_is_named() -> None:
    with pytest.raises(CanaryError, match="The rollout 4712 of reviews superseded the rollout 4711"):
        session(record(id="4712")).look_for_others()


@pytest.mark.parametrize(
    "found",
    [record(), record(phase="gated"), None, ApiError("timeout"), Refused("not readable")],
    ids=["unchanged", "gated", "deleted", "not answered", "unreadable"],
)
def test_what_says_nothing_ends_nothing(found: t.Any) -> None:
    looking = session(found)
    looking.look_for_others()
    assert looking.run == RUN


def test_the_record_is_read_every_few_seconds_and_not_more_often() -> None:
    looks: list[float] = []
    seconds = [0.0]
    looked = SimpleNamespace(look_for_others=lambda: looks.append(seconds[0]))
    watch = RecordWatch(looked, Context(False, print, {}), clock=lambda: seconds[0])  # type: ignore[arg-type]
    for _poll in range(100):
        seconds[0] += 0.2
        assert not watch.context.terminal.rollback_requested()
    assert len(looks) == int(20 / LOOK_EVERY)
    assert LOOK_EVERY + 2 <= 5, "a wait looks at least every two seconds"


def test_a_key_at_the_terminal_comes_first() -> None:
    context = Context(False, print, {}, terminal=Terminal(True, rollback_requested=lambda: True))
    watch = RecordWatch(SimpleNamespace(), context, clock=lambda: 0.0)  # type: ignore[arg-type]
    assert watch.context.terminal.rollback_requested()
    assert watch.context.terminal.has_keyboard
