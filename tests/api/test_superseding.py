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
