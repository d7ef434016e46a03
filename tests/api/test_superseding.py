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
    wanted = direct("rollout", state="recorded", event="ready", holder=FIRST["holder"])["run"]["weights_wanted"]
    direct("weight", weights=wanted, preflight=False, wait=False)
    return direct


def test_while_it_judges_it_is_dislodged_and_finds_out_before_it_writes(first: Direct) -> None:
    first("rollout", state="recorded", event="shifted", holder=FIRST["holder"])
    begun = first("rollout", state="opened", supersede=True, **THIRD)
    assert (begun["run"]["canary"], begun["run"]["phase"]) == ("v3", "preparing")
    lost = first("rollout", state="recorded", event="pass", holder=FIRST["holder"], fails=True)
    assert (lost["error_code"], lost["holder"]) == ("held", THIRD["holder"])
    assert first("rollout", state="present")["run"]["canary"] == "v3"


def test_while_it_writes_routes_it_is_not_disturbed(first: Direct) -> None:
    refused = first("rollout", state="opened", supersede=True, **THIRD, fails=True)
    assert (refused["error_code"], refused["holder"]) == ("held", FIRST["holder"])
    assert first("rollout", state="recorded", event="shifted", holder=FIRST["holder"])["run"]["phase"] == "observing"


def test_the_same_plan_is_never_taken_from_the_living(first: Direct) -> None:
    first("rollout", state="recorded", event="shifted", holder=FIRST["holder"])
    again = {**FIRST, "holder": "bob@ops2/2"}
    assert first("rollout", state="opened", supersede=True, **again, fails=True)["error_code"] == "held"


def test_whoever_was_superseded_writes_nothing_into_the_record_of_the_next(first: Direct) -> None:
    """Also when that one has given the lock back, or has died."""
    run = first("rollout", state="recorded", event="shifted", holder=FIRST["holder"])["run"]["id"]
    first("rollout", state="opened", supersede=True, **THIRD)
    first("rollout", state="closed", holder=THIRD["holder"])
    lost = first("rollout", state="recorded", event="error", run=run, holder=FIRST["holder"], fails=True)
    assert lost["error_code"] == "superseded"
    assert first("rollout", state="present")["run"]["phase"] == "preparing"
    assert first("rollout", state="present")["run"]["holder"] == "", "a refused task keeps no lock"


def test_the_trail_of_the_superseded_stays_beside_the_next(first: Direct) -> None:
    run = first("rollout", state="recorded", event="shifted", holder=FIRST["holder"])["run"]["id"]
    third = first("rollout", state="opened", supersede=True, **THIRD)["run"]["id"]
    first("rollout", state="recorded", event="ready", holder=THIRD["holder"])
    told = first("rollout", state="closed", run=run, holder=FIRST["holder"])
    assert told["report"]["intact"]
    assert (told["report"]["id"], told["report"]["canary"], told["report"]["phase"]) == (run, "v2", "stopped")
    assert told["report"]["reason"] == f"superseded by {third}"
    assert [one["event"] for one in told["report"]["events"]] == ["opened", "ready", "shifted", "superseded"]
    now = first("rollout", state="present")
    assert (now["run"]["id"], now["run"]["holder"]) == (third, THIRD["holder"]), "only the report was asked for"
