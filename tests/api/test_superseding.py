# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A third version takes the place of a living rollout while that waits, and never while it writes routes."""

from __future__ import annotations

import typing as t

import pytest

if t.TYPE_CHECKING:
    from support.direct import Direct

FIRST: dict[str, t.Any] = {"stable": "v1", "canary": "v2", "steps": [50, 100], "holder": "ada@ops1/1"}
THIRD: dict[str, t.Any] = {"stable": "v1", "canary": "v3", "steps": [10, 100], "holder": "bob@ops2/2"}


@pytest.fixture
def first(direct: Direct, routed: str) -> Direct:
    """A rollout of v2 that lives and is about to write the routes."""
    direct("rollout", state="opened", **FIRST)
    wanted = direct("rollout", state="recorded", event="ready", holder=FIRST["holder"])["run"]["desired_weights"]
    direct("weight", weights=wanted, preflight=False, wait=False)
    return direct


def test_a_rollout_is_superseded_during_its_analysis_and_writes_no_more(first: Direct) -> None:
    first("rollout", state="recorded", event="shifted", holder=FIRST["holder"])
    begun = first("rollout", state="opened", supersede=True, **THIRD)
    assert (begun["run"]["canary"], begun["run"]["phase"]) == ("v3", "preparing")
    lost = first("rollout", state="recorded", event="pass", holder=FIRST["holder"], fails=True)
    assert (lost["error_code"], lost["holder"]) == ("held", THIRD["holder"])
    assert first("rollout", state="present")["run"]["canary"] == "v3"


def test_a_rollout_is_not_superseded_while_it_writes_routes(first: Direct) -> None:
    refused = first("rollout", state="opened", supersede=True, **THIRD, fails=True)
    assert (refused["error_code"], refused["holder"]) == ("held", FIRST["holder"])
    assert first("rollout", state="recorded", event="shifted", holder=FIRST["holder"])["run"]["phase"] == "observing"


def test_the_same_plan_does_not_supersede_a_live_run(first: Direct) -> None:
    first("rollout", state="recorded", event="shifted", holder=FIRST["holder"])
    again = {**FIRST, "holder": "bob@ops2/2"}
    assert first("rollout", state="opened", supersede=True, **again, fails=True)["error_code"] == "held"


def test_a_superseded_run_does_not_write_into_the_next_record(first: Direct) -> None:
    """Also when that one has given the lock back, or has died."""
    run = first("rollout", state="recorded", event="shifted", holder=FIRST["holder"])["run"]["id"]
    first("rollout", state="opened", supersede=True, **THIRD)
    first("rollout", state="closed", holder=THIRD["holder"])
    lost = first("rollout", state="recorded", event="error", run=run, holder=FIRST["holder"], fails=True)
    assert lost["error_code"] == "superseded"
    assert first("rollout", state="present")["run"]["phase"] == "preparing"
    assert first("rollout", state="present")["run"]["holder"] == "", "a refused task keeps no lock"


def test_the_audit_log_of_a_superseded_rollout_is_kept(first: Direct) -> None:
    run = first("rollout", state="recorded", event="shifted", holder=FIRST["holder"])["run"]["id"]
    third = first("rollout", state="opened", supersede=True, **THIRD)["run"]["id"]
    first("rollout", state="recorded", event="ready", holder=THIRD["holder"])
    closed = first("rollout", state="closed", run=run, holder=FIRST["holder"])
    assert closed["report"]["verified"]
    assert (closed["report"]["id"], closed["report"]["canary"], closed["report"]["phase"]) == (run, "v2", "stopped")
    assert closed["report"]["reason"] == f"superseded by {third}"
    assert [one["event"] for one in closed["report"]["events"]] == ["opened", "ready", "shifted", "superseded"]
    now = first("rollout", state="present")
    assert (now["run"]["id"], now["run"]["holder"]) == (third, THIRD["holder"]), "closed returns only the report"
